//! Functions for hosts with an event loop, whose own threads take the events and may also do the library's work.

use std::cell::RefCell;
use std::ffi::c_int;

use super::cast;
use super::event::{OwnedEvent, certreload_event};
use super::handle::certreload_handle;
use super::options::certreload_options;
use super::options::setter;
use super::panic_boundary::{Failed, boundary};
use super::result::certreload_result;
use crate::error::{Cause, Error};
use crate::options::RuntimeMode;

/// Which threads do the work: they read files that changed, and deliver events.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_runtime {
    /// Background threads of the library, one set for the process. The default.
    Thread = 0,
    /// The host's own threads: they wait for certreload_event_fd() and call certreload_dispatch().
    Host = 1,
}

/// A `certreload_runtime` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type runtime_number = u32;

/// Sets which threads read changed files and deliver events.
///
/// With CERTRELOAD_RUNTIME_HOST and without certreload_options_set_reader_thread() the library creates no thread, not
/// even for a moment (G10). A change is then found when
/// the host calls certreload_dispatch(). A call that reads files blocks while their file system does not answer:
/// certreload_options_set_reader_thread() avoids that. Everything else is as with CERTRELOAD_RUNTIME_THREAD.
///
/// With CERTRELOAD_RUNTIME_THREAD a file system that does not answer delays only the units with files on it (G21). More
/// threads run while reads are stuck: one for each such mount, at most 16, and one that reads for the others. Units on
/// further mounts that do not answer fail with TIMED_OUT without being read.
///
/// Descriptors: with CERTRELOAD_RUNTIME_THREAD a handle has none, and one from its first certreload_event_fd() on.
/// The descriptors of the background threads exist once for the process. With CERTRELOAD_RUNTIME_HOST each handle has
/// 5 descriptors, and all these handles share one inotify instance.
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

/// Sets whether files are read on a thread of the library although the host runs everything else.
///
/// With CERTRELOAD_RUNTIME_HOST, a file system that does not answer (NFS, FUSE) would block the call that reads:
/// certreload_open(), certreload_check(), certreload_dispatch() or certreload_reload_wait(). With a reader thread,
/// certreload_dispatch() waits for each read for 50 milliseconds at most and continues without that unit. The descriptor of
/// certreload_event_fd() is readable when the files have been read. The other calls wait for the answer of the file
/// system, at most for the time that certreload_options_set_incomplete_timeout_ms() describes, and then fail with
/// TIMED_OUT.
///
/// The thread exists while files are read and for 100 milliseconds longer, and blocks all signals. While mounts hang
/// there are more threads, as with CERTRELOAD_RUNTIME_THREAD. A key-password callback runs on it, except during an open,
/// a check or a push. Without CERTRELOAD_RUNTIME_HOST this setting changes nothing, because there files are always read
/// apart.
///
/// @param options  must not be NULL; changed
/// @param enabled  true for a reader thread; the default is false
/// @return         OK; NULL_PARAMETER
/// Ownership:      nothing changes hands
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_reader_thread(
    options: *mut certreload_options,
    enabled: bool,
) -> certreload_result {
    setter(
        "certreload_options_set_reader_thread",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.has_reader_thread = enabled;
            Ok(())
        },
    )
}

/// Returns a descriptor to wait for in an event loop.
///
/// It is readable, and stays so (level-triggered), as long as events wait for certreload_next_event(). With
/// CERTRELOAD_RUNTIME_HOST it is also readable as long as certreload_dispatch() has work. Such work is a request, a
/// change of the files, an event for the callback, or a poll, retry or expiry that is due. Use the descriptor with
/// epoll, poll or select, or with a library that is built on them. Do not read from it. EPOLLET works too, if the host
/// answers each wake-up with certreload_dispatch() (with CERTRELOAD_RUNTIME_HOST) and with certreload_next_event()
/// until that returns NO_EVENT.
///
/// Without a callback the library keeps only the newest event of each kind, until it knows that the host takes events.
/// From then on it keeps CERTRELOAD_MAX_WAITING_EVENTS events. With CERTRELOAD_RUNTIME_THREAD this function shows that
/// the host takes events. With CERTRELOAD_RUNTIME_HOST the first certreload_next_event() shows it, so that a host that
/// only dispatches is not woken for events. A host that has called certreload_next_event() once must continue to call
/// it, or the descriptor stays readable. If a callback is set, events go to the callback.
///
/// @param handle  must not be NULL; opened in this process, or restored by certreload_after_fork()
/// @return        the descriptor, the same each time until certreload_after_fork(). On failure -1, with the reason in
///                certreload_last_error(): no descriptor is available, handle is NULL, the handle is being closed
///                (CLOSED), or it was inherited and not restored (FORKED)
/// Ownership:     the library's: remove it from the event loop before certreload_close(), which closes it
/// Threads:       any thread, concurrently
/// Signals:       not async-signal-safe
/// Blocks:        never for long: the first call waits for a fork() of another thread, at most a second
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_event_fd(handle: *mut certreload_handle) -> c_int {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle.cast_const(), "handle")? };
        handle.event_descriptor()
    })
}

/// Takes the next event, for a host that has set no callback. Events come in the order in which they happened.
///
/// @param handle     must not be NULL
/// @param event_out  must not be NULL; written only on OK
/// @return           OK; NO_EVENT if none is waiting, or if a callback is set, which gets them; NULL_PARAMETER;
///                   CLOSED
/// Ownership:        borrowed: valid until this thread takes another event, of any handle, or ends; also after the
///                   handle is closed
/// Threads:          any thread, concurrently: each event is returned to one thread only
/// Signals:          not async-signal-safe
/// Blocks:           never
/// Since:            0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_next_event(
    handle: *mut certreload_handle,
    event_out: *mut *const certreload_event,
) -> certreload_result {
    thread_local! {
        static TAKEN: RefCell<Option<Box<OwnedEvent>>> = const { RefCell::new(None) };
    }
    boundary(|| {
        // SAFETY: the caller passes an open handle and a place to write, or NULL.
        let (handle, mut out) = unsafe {
            (cast::arc_clone(handle.cast_const(), "handle")?, cast::out(event_out, "event_out")?)
        };
        let Some(event) = handle.next_event()? else { return Ok(certreload_result::NoEvent) };
        let event = Box::new(OwnedEvent::new(&event));
        let pointer = event.as_ptr();
        // If this thread is ending, its thread-local slot is gone. Nothing could own the event, so report that there
        // is none.
        TAKEN
            .try_with(|taken| taken.replace(Some(event)))
            .map_err(|_| Error::new(Cause::NoEvent))?;
        out.set(pointer);
        Ok(certreload_result::Ok)
    })
}

/// Does the pending work of a handle on this thread, for CERTRELOAD_RUNTIME_HOST.
///
/// The function scans changed files, and publishes a new generation if they are valid. Then it calls the event
/// callback, if one is set, for the events that wait. One call does the most urgent scan; if more work is due, the
/// descriptor stays readable. From inside the event callback the function scans and publishes, and delivers no event.
///
/// @param handle  must not be NULL; opened with CERTRELOAD_RUNTIME_HOST, in this process or restored by
///                certreload_after_fork()
/// @return        OK, also if there is nothing to do; NULL_PARAMETER; INVALID_PARAMETER if the handle was opened with
///                CERTRELOAD_RUNTIME_THREAD; FORKED; CLOSED; WOULD_DEADLOCK inside a password or log callback that
///                this handle's work called
/// Ownership:     the handle stays the caller's
/// Threads:       any thread; concurrent calls wait for each other, so use one
/// Signals:       not async-signal-safe
/// Blocks:        while files are read and identities are checked: some milliseconds for each that changed; and as
///                long as the event callback runs
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
