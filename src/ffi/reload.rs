//! Requests to reload now, with and without waiting for the answer.

use std::time::Duration;

use super::cast;
use super::handle::certreload_handle;
use super::panic_boundary::boundary;
use super::result::certreload_result;
use crate::reload::Outcome;

/// A timeout for certreload_reload_wait(): waits without a limit.
pub const CERTRELOAD_WAIT_FOREVER: u32 = 0xffff_ffff;

/// Requests a reload and returns at once: for a SIGHUP handler (G9).
///
/// A background thread reads the files, or with CERTRELOAD_RUNTIME_HOST the host's thread in certreload_dispatch().
/// Several requests during one reload lead to one more reload, which begins after the last of them. The outcome is
/// reported as an event. Files that are unchanged cause none, except RECOVERED after a failure; nor do files that fail as
/// they failed before. certreload_reload_wait() returns an outcome in every case. The function does one atomic store and one write(2), and
/// preserves errno.
///
/// In a forked child the function returns OK, and the reload is done when certreload_after_fork() is called. Before
/// that, the thread that reads the files exists only in the parent.
///
/// @param handle  NULL returns NULL_PARAMETER; else a handle that no thread is closing
/// @return        OK; NULL_PARAMETER
/// Ownership:     the handle stays the caller's
/// Threads:       any thread, concurrently
/// Signals:       async-signal-safe
/// Blocks:        never
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_reload(handle: *mut certreload_handle) -> certreload_result {
    // A signal handler may have interrupted this very thread inside an allocation or a lock. So nothing here may
    // allocate, lock or panic, and `boundary`, which may do all three, is not used.
    // SAFETY: the caller passes an open handle, or NULL.
    match unsafe { cast::borrow_in_signal_handler(handle) } {
        Some(handle) => {
            handle.request_reload();
            certreload_result::Ok
        }
        None => certreload_result::NullParameter,
    }
}

/// Reloads now, and returns the outcome for the files as they are at or after this call (G6).
///
/// Any change of the bytes makes a new generation. For example, a key that is encrypted again, even with the same
/// password, results in OK, although clients see the same certificate.
///
/// Files that look incomplete are retried as after any change. What looks incomplete, and for how long, is said at
/// certreload_options_set_incomplete_timeout_ms(). If timeout_ms is longer than that takes, the exact result is
/// returned. If it is shorter, TIMED_OUT is returned, with the reason so far in certreload_last_error().
///
/// A file system that does not answer ends the wait as well, also with CERTRELOAD_WAIT_FOREVER: when that is reported
/// (TIMED_OUT), or at once if it was reported already. With CERTRELOAD_RUNTIME_HOST and without
/// certreload_options_set_reader_thread(), this function blocks as long as the file system does.
///
/// UNCHANGED means that the files are already served: a notification may have led to a reload before this call. The
/// event may be delivered after this function returns.
///
/// With CERTRELOAD_RUNTIME_HOST the calling thread does the work, and events wait for certreload_dispatch() or
/// certreload_next_event(). Identities in memory have no files, so there is nothing to read for them.
///
/// A timeout of 0 does not wait. With CERTRELOAD_RUNTIME_THREAD the answer is always TIMED_OUT, and the request
/// continues. With CERTRELOAD_RUNTIME_HOST the work is done, and TIMED_OUT means that files look incomplete.
///
/// @param handle      must not be NULL; opened in this process, or restored by certreload_after_fork()
/// @param timeout_ms  milliseconds to wait for the answer; CERTRELOAD_WAIT_FOREVER for no limit
/// @return            OK if a new generation is current; UNCHANGED; TIMED_OUT, and the work continues; CLOSED;
///                    NULL_PARAMETER; FORKED; WOULD_DEADLOCK inside a password or log callback, if the thread that it
///                    runs on would have to do the reload; SYSTEM; else why the files cannot be used, while the last
///                    good version keeps serving. certreload_last_error() has path and reason
/// Ownership:         the handle stays the caller's
/// Threads:           any thread, concurrently; also inside an event callback
/// Signals:           not async-signal-safe
/// Blocks:            until the reload is done or the timeout has passed
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_reload_wait(
    handle: *mut certreload_handle,
    timeout_ms: u32,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle.cast_const(), "handle")? };
        let timeout = (timeout_ms != CERTRELOAD_WAIT_FOREVER)
            .then(|| Duration::from_millis(timeout_ms.into()));
        Ok(handle.reload_wait(timeout)?.into())
    })
}

impl From<Outcome> for certreload_result {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Reloaded => Self::Ok,
            Outcome::Unchanged => Self::Unchanged,
        }
    }
}
