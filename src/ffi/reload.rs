//! Requests to reload now, with and without waiting for the answer.

use std::time::Duration;

use super::boundary::boundary;
use super::cast;
use super::handle::certreload_handle;
use super::result::certreload_result;
use crate::reload::Outcome;

/// For a timeout: wait as long as it takes.
pub const CERTRELOAD_WAIT_FOREVER: u32 = 0xffff_ffff;

/// Ask for a reload and return at once: for a SIGHUP handler.
///
/// The files are read by the background thread, or when the host dispatches (CERTRELOAD_RUNTIME_HOST). Requests that
/// come faster than reloads are answered by one reload that begins after the last of them. The outcome comes as an
/// event; files that are unchanged, or as bad as was told already, are no event: certreload_reload_wait() answers in any
/// case. Does one atomic store and one write(2); errno is kept.
///
/// In a child of a fork() it is answered with OK, and done when certreload_after_fork() is called: the thread that would
/// read the files stayed with the parent.
///
/// @param handle  NULL is answered with NULL_PARAMETER; else a handle that no thread is closing
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

/// Reload now, and answer for the files as they are at or after this call.
///
/// A new generation is for new bytes: a key that is encrypted anew, with another password or the same, is a reload,
/// though clients see the certificate that they saw.
///
/// What looks half-written (a key that does not match; a file that is missing, may not be read, holds no PEM, or is
/// still open for writing) is waited for as after any change (certreload_options_set_incomplete_timeout_ms()), so a timeout above the
/// incomplete-file timeout gets the exact failure, and a shorter one TIMED_OUT, with the reason so far in
/// certreload_last_error(). UNCHANGED says that the files are what serves: the watch may have been faster than this
/// call. The event may be delivered after the answer.
///
/// With CERTRELOAD_RUNTIME_HOST the work is done on the calling thread, and events are left for
/// certreload_dispatch() or certreload_next_event(). Of identities that were handed over in memory there is nothing to
/// read: they are as they are.
///
/// A timeout of 0 waits for nobody: with CERTRELOAD_RUNTIME_THREAD the answer is always TIMED_OUT, and the request goes
/// on; with CERTRELOAD_RUNTIME_HOST the work is done, and TIMED_OUT is for what looks half-written.
///
/// @param handle      must not be NULL; opened in this process, or taken up by certreload_after_fork()
/// @param timeout_ms  milliseconds to wait for the answer; CERTRELOAD_WAIT_FOREVER for no limit
/// @return            OK where a new generation is current; UNCHANGED; TIMED_OUT, and the work goes on; CLOSED;
///                    NULL_PARAMETER; FORKED; WOULD_DEADLOCK where it is called from a password or log callback of
///                    the thread that would answer; SYSTEM; else why the files cannot be used, while what served goes on
///                    serving. certreload_last_error() has path and reason
/// Ownership:         the handle stays the caller's
/// Threads:           any thread, concurrently; also inside an event callback
/// Signals:           not async-signal-safe
/// Blocks:            until the reload is done or the time is up
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
