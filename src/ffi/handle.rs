//! The reloadable thing: open it, ask it to look again, listen to it, close it.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use super::boundary::boundary;
use super::cast;
use super::cast::Opaque;
use super::event::{certreload_event_callback, sink_from_c};
use super::options::certreload_options;
use super::other_copy;
use super::result::certreload_result;
use crate::options::{IdentityFiles, Options, Role};
use crate::reload::Outcome;
use crate::runtime::Handle;
use crate::sys::catch_panic;

/// Certificates that reload: opaque.
pub struct certreload_handle {
    _private: [u8; 0],
}

impl Opaque for certreload_handle {
    type Inner = Handle;
}

/// For a timeout: wait as long as it takes.
pub const CERTRELOAD_WAIT_FOREVER: u32 = 0xffff_ffff;

/// Load everything that the options name, check it, and begin to watch it.
///
/// Each identity has completed a TLS handshake in memory before this returns. Background threads, one set for the
/// process however many handles it opens, start with the first handle; every signal is blocked in them.
///
/// In a forked child the handle serves, and reloads again after certreload_after_fork(). Files that only root may read
/// cannot be read again after privileges are dropped: what served goes on, health is stale, and the message says so; see
/// certreload_push_identity() for what a privileged process can do about that.
///
/// The files are taken as they are: nothing is waited for. One that is half-written at this very moment is a failure
/// (KEY_MISMATCH, FILE_NOT_FOUND, PEM_TRUNCATED, ...). Where they may be renewed while the server starts, try again for
/// about the incomplete-file timeout (5 seconds) before giving up.
///
/// The first event may be delivered before this returns, and after *handle_out is written.
///
/// If a certreload_options_* function has failed on these options, its result is returned, with its message in
/// certreload_last_error(), and nothing is opened: see certreload_options_new(). certreload_options_clear_error() ends that.
///
/// @param options     must not be NULL; copied: it may be changed or freed afterwards
/// @param handle_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
/// @return            OK; NULL_PARAMETER; the first failure that the options remember; NOTHING_TO_LOAD; SYSTEM where no
///                    thread or descriptor could be had; else what is wrong with the first bad file (100 and up).
///                    certreload_last_error() has path and reason
/// Ownership:         the caller's, until certreload_close()
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            file reads and one handshake per TLS version and identity: milliseconds; for an encrypted key
///                    also its password callback, and deriving from the password: up to a second or so (2,000,000
///                    rounds are the most that are made)
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_open(
    options: *const certreload_options,
    handle_out: *mut *mut certreload_handle,
) -> certreload_result {
    boundary(|| {
        // First, because a template of the other copy may be about to be used. A defect in it is no failure to open.
        let _ = catch_panic(other_copy::warn_once);
        // SAFETY: the caller passes options of certreload_options_new() and a place to write, or NULL.
        let (options, mut out) =
            unsafe { (cast::borrow(options, "options")?, cast::out(handle_out, "handle_out")?) };
        let host = options.complete()?;
        let handle = Handle::open(&host.options, host.sink.clone())?;
        out.set(cast::arc_into_raw::<certreload_handle>(handle.clone()).cast_mut());
        handle.release_events();
        Ok(certreload_result::Ok)
    })
}

/// Open one identity with every option at its default.
///
/// @param chain_path  must not be NULL or ""; see certreload_options_add_identity()
/// @param key_path    likewise
/// @param handle_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
/// @return            as certreload_open()
/// Ownership:         the caller's, until certreload_close()
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            file reads and one handshake per TLS version: milliseconds. A key that is encrypted fails at
///                    once, for no password is given here
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_open_files(
    chain_path: *const c_char,
    key_path: *const c_char,
    handle_out: *mut *mut certreload_handle,
) -> certreload_result {
    boundary(|| {
        let _ = catch_panic(other_copy::warn_once);
        // SAFETY: the caller passes C strings and a place to write, or NULL.
        let (chain, key, mut out) = unsafe {
            (
                cast::path(chain_path, "chain_path")?,
                cast::path(key_path, "key_path")?,
                cast::out(handle_out, "handle_out")?,
            )
        };
        let mut options = Options::default();
        options.identities.push(IdentityFiles {
            role: Role::Server,
            chain,
            key,
            ocsp: None,
            password: None,
            memory: None,
        });
        let handle = Handle::open(&options, None)?;
        out.set(cast::arc_into_raw::<certreload_handle>(handle.clone()).cast_mut());
        handle.release_events();
        Ok(certreload_result::Ok)
    })
}

/// Find out whether certreload_open() would succeed: for `yourserver --check-config`.
///
/// Reads, checks and completes the same handshakes; starts no thread, watches nothing, keeps nothing. As
/// certreload_open() it waits for nothing: files that are half-written at this very moment fail, so try again for about
/// the incomplete-file timeout where they may be.
///
/// If a certreload_options_* function has failed on these options, its result and message are returned, and no file is
/// read.
///
/// @param options  must not be NULL; borrowed for the call
/// @return         as certreload_open()
/// Ownership:      options stay the caller's
/// Threads:        any thread, concurrently
/// Signals:        not async-signal-safe
/// Blocks:         file reads and one handshake per TLS version and identity: milliseconds; for an encrypted key
///                 also its password callback, and deriving from the password: up to a second or so (2,000,000
///                 rounds are the most that are made)
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_check(options: *const certreload_options) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        let options = unsafe { cast::borrow(options, "options")? };
        Handle::check(&options.complete()?.options)?;
        Ok(certreload_result::Ok)
    })
}

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
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle.cast_const(), "handle")? };
        handle.set_sink(sink_from_c(callback, userdata))?;
        Ok(certreload_result::Ok)
    })
}

/// Stop watching and give everything back.
///
/// Connections, configs and generations that were acquired live on until they are freed. When this returns no
/// callback of this handle is running or will run, and no call on it that another thread had begun; but for those that
/// this is called from, and those that wait for this very thread, which end by themselves. With the last handle the
/// background threads end.
///
/// Because it waits for callbacks and calls, call it with no lock held that the callback takes, and from no thread that
/// the callback joins or waits for: it sees threads that wait for each other inside certreload functions, and cannot see
/// the host's own mutexes and joins.
///
/// A signal handler is the hardest to take the pointer away from: it may have loaded it, on any thread, and be about to
/// pass it. So have every thread block the signal first, for one that does so is not inside the handler; or never close
/// a handle that a handler uses: a process may end with handles open.
///
/// In a forked child that has not called certreload_after_fork() it frees what the child has, and the parent notices
/// nothing.
///
/// @param handle  may be NULL, then nothing happens; consumed
/// Ownership:     the pointer is dangling afterwards: first take it away from signal handlers and other threads, so
///                that no call on it begins any more (a thread that has loaded the pointer and is about to pass it still
///                has it). A certreload_reload_wait() that is waiting is let go with CLOSED
/// Threads:       any thread; also inside a callback; with no lock held that the callback takes
/// Signals:       not async-signal-safe
/// Blocks:        until a running callback, a file being read, and running calls are done; a password callback that
///                runs, and a key that is being opened with its password (2,000,000 rounds at the most), too
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_close(handle: *mut certreload_handle) {
    boundary(|| {
        // SAFETY: the caller hands over a handle of certreload_open(), or NULL.
        if let Some(handle) = unsafe { cast::arc_from_raw(handle.cast_const()) } {
            handle.close();
        }
        Ok(())
    });
}

impl From<Outcome> for certreload_result {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Reloaded => Self::Ok,
            Outcome::Unchanged => Self::Unchanged,
        }
    }
}
