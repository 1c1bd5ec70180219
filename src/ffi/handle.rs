//! Opens, checks and closes handles.

use std::ffi::c_char;

use super::boundary::boundary;
use super::cast;
use super::cast::Opaque;
use super::options::certreload_options;
use super::other_copy;
use super::result::certreload_result;
use crate::options::{IdentityFiles, Options, Role};
use crate::runtime::Handle;
use crate::sys::catch_panic;

/// Certificates that reload: opaque.
pub struct certreload_handle {
    _private: [u8; 0],
}

impl Opaque for certreload_handle {
    type Inner = Handle;
}

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
