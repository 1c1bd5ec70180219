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
const MAX_SETTLE: u32 = 3_600_000;

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
/// @param milliseconds  10 to 86400000 (a day); the default is 10000
/// @return              OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:           nothing changes hands
/// Threads:             exclusive access to options
/// Signals:             not async-signal-safe
/// Blocks:              never
/// Since:               0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_poll_interval(
    options: *mut certreload_options,
    milliseconds: u32,
) -> certreload_result {
    setter(
        "certreload_options_set_poll_interval",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            if !POLL_RANGE.contains(&milliseconds) {
                return Err(Error::invalid(format!(
                    "a poll interval is 10 to 86400000 milliseconds, and this is {milliseconds}"
                )));
            }
            options.options.poll_interval = Duration::from_millis(milliseconds.into());
            Ok(())
        },
    )
}

/// Set how long a change may take to become whole.
///
/// After a notification the files are read when they have been quiet for quiet_ms, so that a burst of changes gives
/// one reload; and what only a poll found is taken when it is the same quiet_ms later. What looks half-written then (a
/// key that does not match yet, a PEM that is cut off, a file that is missing, may not be read yet or is still open for
/// writing) is tried again, and reported as a failure only when timeout_ms have passed.
///
/// This is about changes: certreload_open(), certreload_check() and certreload_push_identity() wait for nothing.
///
/// @param options     must not be NULL; changed
/// @param quiet_ms    0 to timeout_ms, milliseconds; the default is 50
/// @param timeout_ms  up to 3600000 (an hour), milliseconds; the default is 5000
/// @return            OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:         nothing changes hands
/// Threads:           exclusive access to options
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_settle(
    options: *mut certreload_options,
    quiet_ms: u32,
    timeout_ms: u32,
) -> certreload_result {
    setter(
        "certreload_options_set_settle",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            if timeout_ms > MAX_SETTLE || quiet_ms > timeout_ms {
                return Err(Error::invalid(format!(
                    "quiet_ms ({quiet_ms}) is at most timeout_ms ({timeout_ms}), and that at most 3600000"
                )));
            }
            options.options.settle_quiet = Duration::from_millis(quiet_ms.into());
            options.options.settle_timeout = Duration::from_millis(timeout_ms.into());
            Ok(())
        },
    )
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
pub unsafe extern "C" fn certreload_options_set_expiry_warning(
    options: *mut certreload_options,
    seconds: u32,
) -> certreload_result {
    setter(
        "certreload_options_set_expiry_warning",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.expiry_warning = Some(Duration::from_secs(seconds.into()));
            Ok(())
        },
    )
}
