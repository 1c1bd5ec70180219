//! Requests to reload now, with and without waiting for the answer.

use std::time::Duration;

use super::boundary::boundary;
use super::cast;
use super::handle::certreload_handle;
use super::result::certreload_result;
use crate::reload::Outcome;

/// As a timeout: no limit.
pub const CERTRELOAD_WAIT_FOREVER: u32 = 0xffff_ffff;

/// Requests a reload and returns at once: for a SIGHUP handler (G9).
///
/// The background thread reads the files, or the host does when it dispatches (CERTRELOAD_RUNTIME_HOST). Requests
/// that come faster than reloads are answered by one reload, which begins after the last of them. The outcome is an
/// event. Files that are unchanged, or that fail as they failed before, cause no event; certreload_reload_wait()
/// answers in every case. The function does one atomic store and one write(2), and preserves errno.
///
/// In a forked child the function returns OK, and the reload is done when certreload_after_fork() is called: the
/// thread that reads the files exists only in the parent.
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
    // Nothing here may allocate, lock or panic, so the boundary is not crossed: a handler may have
    // interrupted this very thread inside any of them.
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
/// New bytes make a new generation: a key that is encrypted again, with another password or the same, is a reload,
/// although clients see the same certificate.
///
/// Files that look incomplete are retried as after any change (certreload_options_set_incomplete_timeout_ms()). They
/// look incomplete if a key does not match, or a file is missing, unreadable, without PEM, or still open for writing.
/// A timeout above the incomplete-file timeout returns the exact failure. A shorter one returns TIMED_OUT, with the
/// reason so far in certreload_last_error(). UNCHANGED means that the files are what is served: the watch may have
/// been faster than this call. The event may be delivered after the answer.
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
///                    NULL_PARAMETER; FORKED; WOULD_DEADLOCK if it is called from a password or log callback of the
///                    thread that would answer; SYSTEM; else why the files cannot be used, while the last good
///                    version keeps serving. certreload_last_error() has path and reason
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
