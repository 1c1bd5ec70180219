//! Handles in forked children.

use super::boundary::boundary;
use super::cast;
use super::handle::certreload_handle;
use super::result::certreload_result;

/// Take an inherited handle up in a forked child: watch the files there, answer requests, tell events.
///
/// Without it the handle serves in the child and does nothing else. With it the child goes on by itself: from the
/// generation that served when it was forked, with the options, the callback and the required names of the handle, and
/// with background threads of its own (or none, for CERTRELOAD_RUNTIME_HOST: then ask for certreload_event_fd() anew).
/// All files are looked at at once, so nothing that happened since the fork is missed. Events that wait in the parent
/// are the parent's; counts in the status begin at 0, and EXPIRING and EXPIRED, where they are so, are told here, too.
///
/// A child that may not read the files, because it gives up its privileges, has an identity taken out of them by
/// certreload_push_identity(), first thing after this.
///
/// Call it in each child, for each handle. A handle may also be inherited by a child of the child.
///
/// @param handle  must not be NULL
/// @return        OK, also where nothing is to do: in the process that opened the handle, and after the first time;
///                NULL_PARAMETER; SYSTEM where no thread or descriptor can be had: it serves on, and this can be tried
///                again
/// Ownership:     the handle stays the caller's; nothing of it is shared with the parent from here on
/// Threads:       in the child, before its other threads use the handle (a fork leaves it one thread)
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
