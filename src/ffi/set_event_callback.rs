//! Replaces the event callback of an open handle.

use std::ffi::c_void;
use std::sync::Arc;

use super::cast;
use super::event_callback::{certreload_event_callback, sink_from_c};
use super::handle::certreload_handle;
use super::panic_boundary::boundary;
use super::result::certreload_result;
use super::userdata::{Userdata, certreload_userdata_free};

/// Sets the function that gets the events from now on, or removes it.
///
/// When this function returns, the previous callback is not running and will not be called again. One exception: if
/// this function is called from inside that callback, the callback is still running, for the last time.
///
/// Waiting events of the previous callback go to the new one. If the callback is removed, they are dropped. So are events
/// from a time without a callback, before the first one or after one was removed. If the host has begun to take events
/// (certreload_event_fd() says when that begins), none is dropped: they go to the new callback or, if there is none,
/// wait for certreload_next_event().
///
/// The function waits for a running callback. So call it without a lock that the callback takes, and not on a thread
/// that the callback joins or waits for. WOULD_DEADLOCK detects threads that wait for each other inside certreload
/// functions. It cannot detect the host's own mutexes and joins.
///
/// @param handle         must not be NULL
/// @param callback       NULL for none
/// @param userdata       passed to each call; must stay valid until userdata_free is called. Without it: until
///                       the handle is closed or the callback is replaced
/// @param userdata_free  may be NULL; see certreload_userdata_free
/// @return               OK; NULL_PARAMETER; WOULD_DEADLOCK if the running callback waits for this thread, and
///                       nothing is changed; CLOSED
/// Ownership:            on OK the library owns userdata if there is a userdata_free; on failure the caller keeps it
/// Threads:              any thread, concurrently; also inside a callback; without a lock that the callback takes
/// Signals:              not async-signal-safe
/// Blocks:               until a running callback of this handle has returned
/// Since:                0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_set_event_callback(
    handle: *mut certreload_handle,
    callback: certreload_event_callback,
    userdata: *mut c_void,
    userdata_free: certreload_userdata_free,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle.cast_const(), "handle")? };
        let userdata = Arc::new(Userdata::new(userdata, userdata_free));
        handle.set_sink(sink_from_c(callback, &userdata))?;
        // Another thread may have replaced the callback already. The reference to the userdata here prevents that it is
        // dropped before `keep`, because then it would never be freed.
        if callback.is_some() {
            userdata.keep();
        }
        Ok(certreload_result::Ok)
    })
}
