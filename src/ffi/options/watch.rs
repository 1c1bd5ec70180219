//! Options for finding changes: watch mode, poll interval, debounce, retries; and for the expiry warning.

use std::time::Duration;

use super::options_object::certreload_options;
use super::options_object::setter;
use crate::error::Error;
use crate::ffi::cast;
use crate::ffi::result::certreload_result;
use crate::options::WatchMode;

/// How changes are found.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_watch {
    /// By the kernel's notifications, and by polls for changes that cause none. The default.
    Auto = 0,
    /// By polls alone: for file systems that cause no notifications (NFS, some overlays).
    Poll = 1,
    /// By no notification and no poll: files are scanned only for certreload_reload() and certreload_reload_wait().
    Off = 2,
}

/// A `certreload_watch` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type watch_mode = u32;

const POLL_RANGE: std::ops::RangeInclusive<u32> = 10..=86_400_000;
const MAX_DEBOUNCE_MS: u32 = 3_600_000;

/// Sets how changes are found.
///
/// Notifications cover the files, also if they are written through another hard link. They also cover the path to them:
/// symbolic links, the directories that hold a file or a link, and all directories above. Each of these may be moved,
/// replaced, removed or created. Some changes cause no notification, and only a poll finds them (G1). Examples are a
/// mount over the files, and a write on another machine or below a layered file system.
///
/// @param options  must not be NULL; changed
/// @param mode     CERTRELOAD_WATCH_AUTO (the default), _POLL or _OFF
/// @return         OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:      nothing changes hands
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_watch(
    options: *mut certreload_options,
    mode: watch_mode,
) -> certreload_result {
    setter(
        "certreload_options_set_watch",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.watch = match mode {
                0 => WatchMode::Auto,
                1 => WatchMode::Poll,
                2 => WatchMode::Off,
                _ => return Err(Error::invalid(format!("{mode} is no certreload_watch"))),
            };
            Ok(())
        },
    )
}

/// Sets how often the files are scanned for changes, with or without notifications.
///
/// A poll follows the links and compares device, inode, size, mtime and ctime, which takes some microseconds per file.
/// It reads the bytes of a file only if one of these has changed, or if the comparison proves little. That is so if the
/// file changed in the last two seconds, is on a network or layered file system, or has an unresolved failure. Once a
/// minute a poll reads the bytes in any case. Requests always read the bytes.
///
/// @param options      must not be NULL; changed
/// @param interval_ms  10 to 86400000 (a day), milliseconds; the default is 10000
/// @return             OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:          nothing changes hands
/// Threads:            exclusive access to options
/// Signals:            not async-signal-safe
/// Blocks:             never
/// Since:              0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_poll_interval_ms(
    options: *mut certreload_options,
    interval_ms: u32,
) -> certreload_result {
    setter(
        "certreload_options_set_poll_interval_ms",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            if !POLL_RANGE.contains(&interval_ms) {
                return Err(Error::invalid(format!(
                    "a poll interval is 10 to 86400000 milliseconds, and this is {interval_ms}"
                )));
            }
            options.options.poll_interval = Duration::from_millis(interval_ms.into());
            Ok(())
        },
    )
}

/// Sets the quiet time: how long files must be free of notifications before they are read (debounce).
///
/// A burst of changes then results in one reload (G4). If a poll finds a change without a notification, the files are
/// read again after the quiet time. The change is accepted if both reads are the same. The same applies after a
/// directory on the way to the files was replaced, and to retries of incomplete files. Calls of the host wait for no
/// quiet time: certreload_open(), certreload_check(), certreload_push_identity(), certreload_reload() and
/// certreload_reload_wait().
///
/// If the quiet time is longer than the incomplete-file timeout, certreload_open() and certreload_check() return
/// INVALID_PARAMETER.
///
/// @param options   must not be NULL; changed
/// @param quiet_ms  0 to the incomplete-file timeout, milliseconds, at most 3600000 (an hour); the default is 50
/// @return          OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:       nothing changes hands
/// Threads:         exclusive access to options
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_debounce_ms(
    options: *mut certreload_options,
    quiet_ms: u32,
) -> certreload_result {
    setter(
        "certreload_options_set_debounce_ms",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.debounce_quiet = up_to_an_hour("a quiet time", quiet_ms)?;
            Ok(())
        },
    )
}

/// Sets the incomplete-file timeout: how long files that look incomplete are retried before they count as failed
/// (G4).
///
/// These files look incomplete:
///
/// - A file that is missing, empty or unreadable, or that changes while it is read.
/// - A file that cannot be used: PEM that is cut off or damaged, no certificate, no key or one that cannot be used, no
///   revocation list, bad ticket keys.
/// - Files that do not fit together: a key that does not match its certificate, a password that is wrong, a certificate
///   or list that was not signed by its issuer in the file, a name that is required and missing, a revocation list in
///   use that is missing.
///
/// If they still look so at the timeout, they have failed: RELOAD_FAILED is reported and the unit is STALE. An OCSP
/// response is an exception: without one that can be used, the chain is published at once, with a warning.
///
/// A file that is still open for writing, and files that change without a pause, are read when the timeout has passed.
///
/// A chain that is cut behind its leaf can be parsed. So these files look incomplete, too:
///
/// - A chain that lacks the certificate of an issuer, where the chain in use has one.
/// - A chain without the certificate of the leaf's issuer, whose leaf has a URL of it (authorityInfoAccess).
/// - A file of roots that holds only the first of the certificates that the file in use has.
///
/// Such content is published when it has not changed for the timeout: a chain with the warning CHAIN_INCOMPLETE, roots
/// as they are. Until then, the content in use is kept, and certreload_reload_wait() waits. While a process has such a
/// file open for writing, the time does not begin, but the wait ends after ten times the timeout. A process that needs
/// so long has most likely forgotten to close the file. A push is complete, and waits for nothing.
///
/// The same time, but at least a second, is what a file system has to answer each system call (G21). After that a
/// RELOAD_FAILED event with TIMED_OUT names the path, and the unit (an identity, the trust store or the ticket keys) is
/// STALE; certreload_open() fails. When the file system answers, the unit is loaded: RELOADED or RECOVERED is reported,
/// and its health is as before. A key-password callback that runs for longer is reported in the same way.
///
/// @param options     must not be NULL; changed
/// @param timeout_ms  0 to 3600000 (an hour), milliseconds; the default is 5000
/// @return            OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:         nothing changes hands
/// Threads:           exclusive access to options
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_incomplete_timeout_ms(
    options: *mut certreload_options,
    timeout_ms: u32,
) -> certreload_result {
    setter(
        "certreload_options_set_incomplete_timeout_ms",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.incomplete_timeout =
                up_to_an_hour("an incomplete-file timeout", timeout_ms)?;
            Ok(())
        },
    )
}

fn up_to_an_hour(name: &str, milliseconds: u32) -> Result<Duration, Error> {
    if milliseconds > MAX_DEBOUNCE_MS {
        return Err(Error::invalid(format!(
            "{name} is at most {MAX_DEBOUNCE_MS} milliseconds, and this is {milliseconds}"
        )));
    }
    Ok(Duration::from_millis(milliseconds.into()))
}

/// Sets the warning window: how long before its notAfter a certificate counts as expiring.
///
/// When the window begins, CERTRELOAD_EVENT_KIND_EXPIRING is reported, and health becomes EXPIRING. Without this call
/// the window is the last third of the certificate's lifetime, at most 30 days. That suits a certificate of six days as
/// well as one of a year. If a certificate's lifetime is shorter than the time that is set here, it counts as expiring
/// from its notBefore on.
///
/// The window of a revocation list is the last tenth of the time from thisUpdate to nextUpdate, at most 30 days. If a
/// time is set here, that is the window, but at most a third of the time from thisUpdate to nextUpdate. The window of
/// an OCSP response is the last third of that time, at most 30 days, whatever is set here. 0 switches off all of these
/// warnings.
///
/// @param options  must not be NULL; changed
/// @param seconds  before notAfter; 0 for no warning: then only the expiry itself is reported
/// @return         OK; NULL_PARAMETER
/// Ownership:      nothing changes hands
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_expiry_warning_seconds(
    options: *mut certreload_options,
    seconds: u32,
) -> certreload_result {
    setter(
        "certreload_options_set_expiry_warning_seconds",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.expiry_warning = Some(Duration::from_secs(seconds.into()));
            Ok(())
        },
    )
}
