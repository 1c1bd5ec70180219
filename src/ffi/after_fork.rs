//! Restores handles that a forked child inherited.

use super::cast;
use super::handle::certreload_handle;
use super::panic_boundary::boundary;
use super::result::certreload_result;

/// Restores an inherited handle in a forked child: watching, requests and events work there again (G11).
///
/// Without this call the handle serves in the child and does nothing else. With it the child continues by itself,
/// from the generation that was current at the fork. It has the handle's options, callback and required names, and
/// its own background threads. With CERTRELOAD_RUNTIME_HOST it has no thread: ask for certreload_event_fd() again.
/// All files are scanned at once, so that no change since the fork is missed. Events that wait in the parent stay
/// there. The counts in the status begin at 0. If a certificate is expiring or has expired, that is reported in the
/// child too.
///
/// A child that may not read the files, because it drops its privileges, calls certreload_push_identity() right after
/// this function. An identity that was pushed is no longer read from files.
///
/// Call this function in each child, for each handle that is to reload there. A child of the child that inherits the
/// handle calls it as well.
///
/// @param handle  must not be NULL
/// @return        OK, also if there is nothing to do: in the process that opened the handle, and after the first
///                call; NULL_PARAMETER; SYSTEM if no thread or descriptor is available: the handle keeps serving, and
///                the call can be repeated
/// Ownership:     the handle stays the caller's. From here on parent and child share nothing of it but the random seeds
///                of ticket keys (certreload_options_set_resumption())
/// Threads:       in the child, before its other threads use the handle (a fork leaves one thread)
/// Signals:       not async-signal-safe; not between vfork() and exec
/// Blocks:        never for long: reads no certificate
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_after_fork(
    handle: *mut certreload_handle,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle.cast_const(), "handle")? };
        handle.after_fork()?;
        Ok(certreload_result::Ok)
    })
}
