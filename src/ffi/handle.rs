//! Opens, checks and closes handles.

use std::ffi::c_char;

use super::cast;
use super::cast::Opaque;
use super::duplicate_rustls_ffi;
use super::options::certreload_options;
use super::panic_boundary::boundary;
use super::result::certreload_result;
use crate::options::{IdentityFiles, Options, Role};
use crate::runtime::Handle;
use crate::sys::catch_panic;

/// A set of identities and a trust store that are reloaded together: opaque.
pub struct certreload_handle {
    _private: [u8; 0],
}

impl Opaque for certreload_handle {
    type Inner = Handle;
}

/// Loads everything that the options name, validates it, and starts to watch it.
///
/// Each identity has completed a TLS handshake in memory before this function returns (self-check). The background
/// threads start with the first handle. There is one set of them per process, with every signal blocked.
///
/// In a forked child the handle serves. It reloads again after certreload_after_fork(). Files that only root may read
/// cannot be read after the process has dropped its privileges. The loaded version then keeps serving, health is
/// STALE, and the message names the cause. certreload_push_identity() describes what a privileged process can do.
///
/// The files are read once, without a retry. A file that is incomplete at this moment is a failure (KEY_MISMATCH,
/// FILE_NOT_FOUND, PEM_TRUNCATED, ...). If a renewal may run while the server starts, repeat the call for about the
/// incomplete-file timeout (5 seconds).
///
/// If a system call about a file does not return for the time that certreload_options_set_incomplete_timeout_ms()
/// describes, this function fails with TIMED_OUT, and certreload_last_error() names the path. A further open of files on
/// that file system fails at once. With CERTRELOAD_RUNTIME_HOST and without
/// certreload_options_set_reader_thread(), it blocks as long as the file system does.
///
/// The first event may be delivered before this function returns, but not before *handle_out is written.
///
/// If a certreload_options_* function has failed on these options, its result is returned, with its message in
/// certreload_last_error(), and nothing is opened. certreload_options_clear_error() clears that failure;
/// certreload_options_new() explains the rule.
///
/// With certreload_options_set_start() the function succeeds although some files cannot be used.
///
/// @param options     must not be NULL; copied: may be changed or freed afterwards
/// @param handle_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
/// @return            OK; NULL_PARAMETER; the first failure that the options remember; NOTHING_TO_LOAD;
///                    INVALID_PARAMETER if options contradict each other; SYSTEM if a thread or a descriptor is not
///                    available; TIMED_OUT if a file system does not answer; else what is wrong with the first bad file
///                    (100 and up). certreload_last_error() has path and reason
/// Ownership:         the caller's, until certreload_close()
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            file reads and one handshake per TLS version and identity: milliseconds. An encrypted key adds
///                    its password callback, without a limit, and the key derivation: up to about a second, because
///                    more than 2,000,000 rounds are refused. With CERTRELOAD_START_AVAILABLE, up to the
///                    incomplete-file timeout for each mount that does not answer
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_open(
    options: *const certreload_options,
    handle_out: *mut *mut certreload_handle,
) -> certreload_result {
    boundary(|| {
        // Warn before the options are used: a template in them may be an object of another copy of rustls-ffi, and its
        // use undefined behaviour. A panic in the warning must not prevent the open.
        let _ = catch_panic(duplicate_rustls_ffi::warn_once);
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

/// Opens a handle with one identity from files, and with the default of every option.
///
/// @param chain_path  must not be NULL or ""; see certreload_options_add_identity()
/// @param key_path    likewise
/// @param handle_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
/// @return            as certreload_open()
/// Ownership:         the caller's, until certreload_close()
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            file reads and one handshake per TLS version: milliseconds. An encrypted key fails at once,
///                    because there is no password
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_open_files(
    chain_path: *const c_char,
    key_path: *const c_char,
    handle_out: *mut *mut certreload_handle,
) -> certreload_result {
    boundary(|| {
        let _ = catch_panic(duplicate_rustls_ffi::warn_once);
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
            index: 0,
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

/// Returns whether all files can be used, so that certreload_open() would succeed: for `yourserver --check-config`.
///
/// The function reads and validates the files and completes the same handshakes. It starts no thread that stays, watches
/// nothing and keeps nothing. As in certreload_open(), a file that is incomplete at this moment is a failure, and so is
/// a file system that does not answer; certreload_open() says with which options this function blocks on one. If a
/// renewal may be running, repeat the call for about the incomplete-file timeout.
///
/// With CERTRELOAD_START_AVAILABLE, this function fails where certreload_open() would do without a file.
///
/// If a certreload_options_* function has failed on these options, its result and message are returned, and no file
/// is read.
///
/// @param options  must not be NULL; borrowed for the call
/// @return         as certreload_open() with CERTRELOAD_START_STRICT
/// Ownership:      options stay the caller's
/// Threads:        any thread, concurrently
/// Signals:        not async-signal-safe
/// Blocks:         file reads and one handshake per TLS version and identity: milliseconds. An encrypted key adds its
///                 password callback and the key derivation: up to about a second, because more than 2,000,000 rounds
///                 are refused
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

/// Stops watching and frees the handle.
///
/// Acquired generations and configs, and connections, live until they are freed. When this function returns, no
/// callback of the handle runs or will run, and every call on the handle by another thread has returned. There are two
/// exceptions: a callback or call from inside which this function is called, and one that waits for this thread. This
/// function does not wait for these, and they return afterwards. The background threads end with the last handle. Only
/// a thread whose file system does not answer stays until it does, and calls nothing of the host's.
///
/// Call this function without a lock that the callback takes, and not on a thread that the callback joins or waits
/// for. The library detects threads that wait for each other inside certreload functions. It cannot detect the host's
/// own mutexes and joins.
///
/// A signal handler on any thread may have read the pointer and be about to call certreload_reload() with it. So block
/// the signal in every thread first: a thread that blocks the signal is not inside the handler. Or do not close a
/// handle that a signal handler uses: a process may end with open handles.
///
/// In a forked child that has not called certreload_after_fork(), the function frees what the child has. The parent
/// is not affected.
///
/// @param handle  may be NULL, then nothing happens; consumed
/// Ownership:     the pointer is dangling afterwards. First make sure that no signal handler and no other thread begins
///                a call with it. Setting a shared pointer to NULL is not enough: another thread may have read it just
///                before. A certreload_reload_wait() that waits returns CLOSED
/// Threads:       any thread; also inside a callback; without a lock that the callback takes
/// Signals:       not async-signal-safe
/// Blocks:        until running callbacks, the key-password callback included, and running calls are done; also a key
///                derivation (2,000,000 rounds at most). Not for a file system that does not answer, unless a call of
///                the host reads there (CERTRELOAD_RUNTIME_HOST without certreload_options_set_reader_thread())
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_close(handle: *mut certreload_handle) {
    boundary(|| {
        // SAFETY: the caller gives up a handle of certreload_open(), or NULL.
        if let Some(handle) = unsafe { cast::arc_from_raw(handle.cast_const()) } {
            handle.close();
        }
        Ok(())
    });
}
