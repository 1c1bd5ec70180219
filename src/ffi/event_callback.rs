//! The function of the host that gets the events of a handle.

use std::ffi::c_void;
use std::sync::Arc;

use super::event::{OwnedEvent, certreload_event};
use super::userdata::Userdata;
use crate::events::{Event, EventSink};

/// A function of the host that gets events.
///
/// It runs on a background thread of the library; with CERTRELOAD_RUNTIME_HOST on the thread that calls
/// certreload_dispatch(). Calls for one handle are made one at a time, in order (G7). A callback that blocks delays
/// only the events of that handle: other handles, connections, reloads and threads continue (G21). Up to
/// CERTRELOAD_MAX_WAITING_EVENTS events wait until the callback returns. Callbacks of different handles may run at the
/// same time, even if they are one function with one userdata.
///
/// The callback may call any certreload function, and may close the handle. It must not throw, longjmp out or end its
/// thread (pthread_exit()). A background thread of the library has 512 KiB of stack.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type certreload_event_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, event: *const certreload_event)>;

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

/// Returns a receiver of events that calls the host's callback; `None` for a NULL callback.
pub(crate) fn sink_from_c(
    callback: certreload_event_callback,
    userdata: &Arc<Userdata>,
) -> Option<EventSink> {
    let host = EventCallback { function: callback?, userdata: userdata.clone() };
    Some(EventSink::new(move |event: &Event| host.call(event)))
}
