//! The function of the host that gets the events of a handle.

use std::ffi::c_void;
use std::sync::Arc;

use super::boundary::boundary;
use super::cast;
use super::event::{ToldEvent, certreload_event};
use super::handle::certreload_handle;
use super::result::certreload_result;
use super::userdata::{Userdata, certreload_userdata_free};
use crate::events::{Event, EventSink};

/// A function of the host that is told of events.
///
/// It runs on a background thread of the library, one call at a time for each handle, in order; with
/// CERTRELOAD_RUNTIME_HOST on the thread that calls certreload_dispatch(). While it runs no other event of this handle is
/// delivered; those of other handles, connections, reloads and other threads are not held up. Of the events that
/// wait meanwhile CERTRELOAD_MAX_WAITING_EVENTS are kept. Callbacks of different handles may run at the same time, also
/// where they are one function with one userdata. It may call any certreload function, closing the handle included. It
/// must not throw or longjmp out, nor end its thread (pthread_exit()). The thread has 512 KiB of stack.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type certreload_event_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, event: *const certreload_event)>;

/// Name the function that is told of events from now on, or none.
///
/// When this returns, the callback that was set before is not running and will not be called again; only where this
/// is called from inside that callback, it is of course still running, for the last time. Events that were waiting
/// for a callback, or for certreload_next_event() after that was asked once, go to the new callback; those from before
/// anybody listened do not.
///
/// Because it waits for a callback that runs, call it with no lock held that the callback takes, and from no thread that
/// the callback joins or waits for: WOULD_DEADLOCK sees threads that wait for each other inside certreload functions, and
/// cannot see the host's own mutexes and joins.
///
/// @param handle    must not be NULL
/// @param callback  NULL for none
/// @param userdata  handed to each call as it is; must stay valid until the handle is closed or the callback replaced
/// @return          OK; NULL_PARAMETER; WOULD_DEADLOCK where the callback that runs waits for this very thread: nothing
///                  is changed then; CLOSED
/// Ownership:       userdata stays the caller's
/// Threads:         any thread, concurrently; also inside a callback; with no lock held that the callback takes
/// Signals:         not async-signal-safe
/// Blocks:          until a callback that is running for this handle has returned
/// Since:           0.1.0
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
        let told = ToldEvent::new(event);
        // SAFETY: `function` has the documented signature, and `told` with all that it points to
        // lives until the call returns.
        unsafe { (self.function)(self.userdata.pointer(), told.as_ptr()) }
    }
}

/// Makes the pipeline's sink out of what C passed; NULL means that nobody listens.
pub(crate) fn sink_from_c(
    callback: certreload_event_callback,
    userdata: &Arc<Userdata>,
) -> Option<EventSink> {
    let host = EventCallback { function: callback?, userdata: userdata.clone() };
    Some(EventSink::new(move |event: &Event| host.call(event)))
}
