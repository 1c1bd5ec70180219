//! The function of the host that gets the events of a handle.

use std::ffi::c_void;
use std::sync::Arc;

use super::boundary::boundary;
use super::cast;
use super::event::{OwnedEvent, certreload_event};
use super::handle::certreload_handle;
use super::result::certreload_result;
use super::userdata::{Userdata, certreload_userdata_free};
use crate::events::{Event, EventSink};

/// A function of the host that gets events.
///
/// It runs on a background thread of the library; with CERTRELOAD_RUNTIME_HOST on the thread that calls
/// certreload_dispatch(). Calls for one handle are made one at a time, in order (G7). A callback that blocks delays
/// only the events of that handle: other handles, connections, reloads and threads continue (G21). Up to
/// CERTRELOAD_MAX_WAITING_EVENTS events wait in that time. Callbacks of different handles may run at the same time,
/// even if they are one function with one userdata.
///
/// The callback may call any certreload function, and may close the handle. It must not throw, longjmp out or end its
/// thread (pthread_exit()). The thread has 512 KiB of stack.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type certreload_event_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, event: *const certreload_event)>;

/// Sets the function that gets the events from now on, or removes it.
///
/// When this function returns, the previous callback is not running and will not be called again. One exception: if
/// this function is called from inside that callback, the callback is still running, for the last time. Events that
/// waited for a callback go to the new one. So do events that waited for certreload_next_event(), once that was
/// called. Events from before there was any receiver do not.
///
/// The function waits for a running callback. So call it without a lock that the callback takes, and not on a thread
/// that the callback joins or waits for. WOULD_DEADLOCK detects threads that wait for each other inside certreload
/// functions. It cannot detect the host's own mutexes and joins.
///
/// @param handle         must not be NULL
/// @param callback       NULL for none
/// @param userdata       passed to each call; must stay valid until userdata_free is called, or, without it, until
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
        // The reference here keeps another thread, which may have replaced the callback by now, from freeing it unkept.
        if callback.is_some() {
            userdata.keep();
        }
        Ok(certreload_result::Ok)
    })
}

/// A callback of the host, with its userdata.
struct EventCallback {
    function: unsafe extern "C" fn(*mut c_void, *const certreload_event),
    userdata: Arc<Userdata>,
}

impl EventCallback {
    fn call(&self, event: &Event) {
        let event = OwnedEvent::new(event);
        // SAFETY: `function` has the documented signature, and `event` with all that it points to
        // lives until the call returns.
        unsafe { (self.function)(self.userdata.pointer(), event.as_ptr()) }
    }
}

/// Returns the sink for a callback of the host; `None` for a NULL callback.
pub(crate) fn sink_from_c(
    callback: certreload_event_callback,
    userdata: &Arc<Userdata>,
) -> Option<EventSink> {
    let host = EventCallback { function: callback?, userdata: userdata.clone() };
    Some(EventSink::new(move |event: &Event| host.call(event)))
}
