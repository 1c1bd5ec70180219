//! For hosts with an event loop: a descriptor to wait for, and the work and the events on their own threads.

use std::cell::RefCell;
use std::ffi::c_int;

use super::boundary::{Failed, boundary};
use super::cast;
use super::event::{ToldEvent, certreload_event};
use super::handle::certreload_handle;
use super::options::certreload_options;
use super::options::setter;
use super::result::certreload_result;
use crate::error::{Cause, Error};
use crate::options::RuntimeMode;

/// Who does the work: reads files when they change, and tells events.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_runtime {
    /// Background threads of the library, one set for the process. The default.
    Thread = 0,
    /// The host, on its own threads: it waits for certreload_event_fd() and calls certreload_dispatch().
    Host = 1,
}

/// What C passes for a `certreload_runtime`: any number at all.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type runtime_number = u32;

/// Choose who does the work.
///
/// With CERTRELOAD_RUNTIME_HOST the library creates no thread, not even for a moment. Everything else is as ever, as
/// long as the host dispatches: what is not dispatched is not noticed.
///
/// Descriptors: with CERTRELOAD_RUNTIME_THREAD a handle has none of its own, and one from its first
/// certreload_event_fd() on; what the threads need is there once for the process. With CERTRELOAD_RUNTIME_HOST each
/// handle has 5, and all of them share one inotify instance.
///
/// @param options  must not be NULL; changed
/// @param runtime  CERTRELOAD_RUNTIME_THREAD (the default) or _HOST
/// @return         OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:      nothing changes hands
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_runtime(
    options: *mut certreload_options,
    runtime: runtime_number,
) -> certreload_result {
    setter(
        "certreload_options_set_runtime",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.runtime = match runtime {
                0 => RuntimeMode::Thread,
                1 => RuntimeMode::Host,
                _ => return Err(Error::invalid(format!("{runtime} is no certreload_runtime"))),
            };
            Ok(())
        },
    )
}

/// Get a descriptor to wait for in an event loop.
///
/// It is readable, and stays so (level-triggered), as long as events wait for certreload_next_event(); and with
/// CERTRELOAD_RUNTIME_HOST as long as there is something to dispatch: a request, a change of the files, a time that
/// has come, an event for the callback. For epoll, poll, select, and what is built on them. Do not read from it.
/// EPOLLET does, too, if each wake-up is followed by certreload_dispatch() (with CERTRELOAD_RUNTIME_HOST) and by
/// certreload_next_event() until it says NO_EVENT.
///
/// A host that asks for it will take the events: from then on CERTRELOAD_MAX_WAITING_EVENTS are kept, and of those
/// before the newest of each kind is there. With CERTRELOAD_RUNTIME_HOST that begins with the first
/// certreload_next_event(): a host that only dispatches is not woken for events, and one that has asked for events once
/// has to go on asking, or the descriptor stays readable. Where a callback is named, events go to that.
///
/// @param handle  must not be NULL; opened in this process, or taken up by certreload_after_fork()
/// @return        the descriptor, the same each time until certreload_after_fork(); -1 where there is none, with the
///                reason in certreload_last_error(): no descriptor could be had, handle is NULL, the handle is being
///                closed (CLOSED), or it was inherited and not taken up (FORKED)
/// Ownership:     the library's: take it out of the event loop before certreload_close(), which closes it
/// Threads:       any thread, concurrently
/// Signals:       not async-signal-safe
/// Blocks:        never
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_event_fd(handle: *mut certreload_handle) -> c_int {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle.cast_const(), "handle")? };
        handle.event_descriptor()
    })
}

/// Take the next event, in order, without a callback.
///
/// @param handle     must not be NULL
/// @param event_out  must not be NULL; written only on OK
/// @return           OK; NO_EVENT where none is waiting, or a callback is named, which gets them; NULL_PARAMETER; CLOSED
/// Ownership:        borrowed: valid until this thread takes another event, of whichever handle, or ends; also after
///                   the handle is closed
/// Threads:          any thread, concurrently: each event goes to one
/// Signals:          not async-signal-safe
/// Blocks:           never
/// Since:            0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_next_event(
    handle: *mut certreload_handle,
    event_out: *mut *const certreload_event,
) -> certreload_result {
    thread_local! {
        static TAKEN: RefCell<Option<Box<ToldEvent>>> = const { RefCell::new(None) };
    }
    boundary(|| {
        // SAFETY: the caller passes an open handle and a place to write, or NULL.
        let (handle, mut out) = unsafe {
            (cast::arc_clone(handle.cast_const(), "handle")?, cast::out(event_out, "event_out")?)
        };
        let Some(event) = handle.next_event()? else { return Ok(certreload_result::NoEvent) };
        let told = Box::new(ToldEvent::new(&event));
        let pointer = told.as_ptr();
        // A thread that is being torn down has no place for it any more.
        TAKEN
            .try_with(|taken| taken.replace(Some(told)))
            .map_err(|_| Error::new(Cause::NoEvent))?;
        out.set(pointer);
        Ok(certreload_result::Ok)
    })
}

/// Do the work that is pending, on this thread: for CERTRELOAD_RUNTIME_HOST.
///
/// Looks at what changed, publishes what is good, and calls the event callback, if one is named, for the events that
/// wait. One call does what is urgent; where more is to do the descriptor stays readable. From inside the event
/// callback it does the work, and delivers nothing.
///
/// @param handle  must not be NULL; opened with CERTRELOAD_RUNTIME_HOST, in this process or taken up by
///                certreload_after_fork()
/// @return        OK, also where nothing was to do; NULL_PARAMETER; INVALID_PARAMETER where the handle has threads;
///                FORKED; CLOSED; WOULD_DEADLOCK inside a password or log callback of the handle's own work
/// Ownership:     the handle stays the caller's
/// Threads:       any thread; one at a time is what makes sense, and others wait for it
/// Signals:       not async-signal-safe
/// Blocks:        while files are read and identities proved: some milliseconds for each that changed; and as long as
///                the event callback runs
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_dispatch(handle: *mut certreload_handle) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle.cast_const(), "handle")? };
        handle.dispatch()?;
        Ok(certreload_result::Ok)
    })
}

impl Failed for c_int {
    fn failed(_: &Error) -> Self {
        -1
    }
}
