//! When a handle looks at its files, and when it warns: the options about time.

use std::time::Duration;

use super::object::certreload_options;
use super::object::setter;
use crate::error::Error;
use crate::ffi::cast;
use crate::ffi::result::certreload_result;
use crate::options::WatchMode;

/// How changes are found.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_watch {
    /// The kernel's notifications, and a poll besides. The default.
    Auto = 0,
    /// A poll alone: for file systems that tell of nothing (NFS, some overlays).
    Poll = 1,
    /// Neither: only when certreload_reload() or certreload_reload_wait() is called.
    Off = 2,
}

/// What C passes for a `certreload_watch`: any number at all.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type watch_mode = u32;

const POLL_RANGE: std::ops::RangeInclusive<u32> = 10..=86_400_000;
const MAX_DEBOUNCE_MS: u32 = 3_600_000;

/// Choose how changes are found.
///
/// Notifications are of the files, by whatever name they are written, and of everything on the way to them: links,
/// directories that hold a file or a link, and directories that merely lead there, wherever one of them is moved,
/// replaced, removed or made. What the kernel tells of to nobody, a poll finds: a mount over the files, a write on
/// another machine or below a layered file system.
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

/// Set how often the files are read to see whether they changed, notifications or not.
///
/// A poll follows the links and compares device, inode, size, mtime and ctime: some microseconds a file. It reads the
/// bytes where anything of that changed or proves little (a file changed in the last two seconds, a network or layered
/// file system, a failure that stands), and once a minute whatever it looks like. Requests always read the bytes.
///
/// @param options       must not be NULL; changed
/// @param interval_ms   10 to 86400000 (a day); the default is 10000
/// @return              OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:           nothing changes hands
/// Threads:             exclusive access to options
/// Signals:             not async-signal-safe
/// Blocks:              never
/// Since:               0.1.0
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

/// Sets the quiet time: how long files must be free of notifications before they are read.
///
/// A burst of changes then results in one reload. A change that only a poll finds is accepted if a second poll, this time later, reads the same bytes.
/// The quiet time applies to changes: certreload_open(), certreload_check() and certreload_push_identity() wait for nothing.
///
/// @param options   must not be NULL; changed
/// @param quiet_ms  up to 3600000 (an hour), milliseconds; the default is 50. certreload_open() and certreload_check()
///                  return INVALID_PARAMETER if the quiet time is longer than the incomplete-file timeout
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

/// Sets the incomplete-file timeout: how long files that look incomplete are retried before they count as failed.
///
/// Files look incomplete if the key does not match, the PEM is cut off, a file is missing, may not be read yet or is still open for writing.
/// The timeout also limits the quiet time: files that change without a pause are read when the timeout has passed.
///
/// @param options     must not be NULL; changed
/// @param timeout_ms  up to 3600000 (an hour), milliseconds; the default is 5000
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

/// Set how long before its notAfter a certificate counts as expiring.
///
/// That is when CERTRELOAD_EVENT_KIND_EXPIRING is told, and health becomes EXPIRING. Without this call it is the last
/// third of the certificate's lifetime, at most 30 days: that fits a certificate of six days as well as one of a year.
/// Where certificates are shorter-lived than the time that is set here, they count as expiring from their notBefore on.
///
/// Revocation lists count as expiring in the last tenth of the time from thisUpdate to nextUpdate, at most 30 days; where
/// something is set here, for that long, and a third of their time at most. OCSP responses do in the last third of theirs,
/// whatever is set here. 0 switches both off.
///
/// @param options  must not be NULL; changed
/// @param seconds  before notAfter; 0 for no warning: then only expiring itself is told
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
