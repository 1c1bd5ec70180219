//! Options for the password of encrypted private keys: a function of the host, or a file.

use std::ffi::{CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::options_object::certreload_options;
use super::options_object::setter;
use crate::ffi::cast;
use crate::ffi::result::certreload_result;
use crate::ffi::userdata::{Userdata, certreload_userdata_free};
use crate::options::{KeyPassword, PasswordCallback};
use crate::sys::SecretBytes;

/// The size of the buffer that a certreload_key_password_callback gets, in bytes.
pub const CERTRELOAD_MAX_KEY_PASSWORD: usize = 1024;

/// A function of the host that knows the passwords of encrypted private keys.
///
/// It is called once for each new content of an identity whose key is encrypted. During an open, a check or a push it
/// runs on the calling thread. Later it runs when the files have changed: on a background thread of the library, or, with
/// CERTRELOAD_RUNTIME_HOST and no reader thread, on the thread that calls certreload_dispatch() or
/// certreload_reload_wait().
///
/// key_path is the path of the key, made absolute, or memory:INDEX/key for a key in memory. The function writes the
/// bytes of the password to password_out, at most password_size (CERTRELOAD_MAX_KEY_PASSWORD) of them, writes their
/// number to *length_out, and returns true. The library wipes the buffer. Handles that are opened with the same options
/// may call the function at the same time.
///
/// If it returns false, or a length that is too large, there is no password: the load fails with KEY_ENCRYPTED, and an
/// earlier version keeps serving. After a wrong password the files look incomplete, because key and password may be
/// replaced one after the other, and the function is called again at each retry
/// (certreload_options_set_incomplete_timeout_ms()). After both kinds of failure it is called again whenever the files
/// are read: at each poll, change and request. So it is after a failure for another reason than the bytes themselves,
/// such as a certificate that is not valid yet or lacks a required name.
///
/// While the function runs on a background thread, the reload of the identity with that key waits for it, and so does
/// certreload_close() of the handle. Nothing else does (G21). At most four run at once, and other keys wait for these.
/// The function must not call a certreload function, throw, longjmp out or end its thread (pthread_exit()).
#[allow(non_camel_case_types, reason = "the name in C")]
pub type certreload_key_password_callback = Option<
    unsafe extern "C" fn(
        userdata: *mut c_void,
        key_path: *const c_char,
        password_out: *mut c_char,
        password_size: usize,
        length_out: *mut usize,
    ) -> bool,
>;

/// Sets the function that knows the passwords of encrypted private keys. It replaces a password file that was set.
///
/// There is one function for all keys of the options. If the keys have different passwords, the function selects by
/// key_path.
///
/// @param options        must not be NULL; changed
/// @param callback       NULL for no password at all: neither from a function nor from a file
/// @param userdata       passed to each call; must stay valid until userdata_free is called. Without it: until
///                       the options are freed and every handle that was opened with them is closed
/// @param userdata_free  may be NULL; see certreload_userdata_free
/// @return               OK; NULL_PARAMETER
/// Ownership:            on OK the library owns userdata if there is a userdata_free; on failure the caller keeps it
/// Threads:              exclusive access to options; certreload_key_password_callback says where the callback runs
/// Signals:              not async-signal-safe
/// Blocks:               never
/// Since:                0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_key_password_callback(
    options: *mut certreload_options,
    callback: certreload_key_password_callback,
    userdata: *mut c_void,
    userdata_free: certreload_userdata_free,
) -> certreload_result {
    setter(
        "certreload_options_set_key_password_callback",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.key_password =
                password_callback_from_c(callback, userdata, userdata_free)
                    .map(KeyPassword::Callback);
            Ok(())
        },
    )
}

/// Sets the file with the password of encrypted private keys. It replaces a password callback that was set.
///
/// There is one password for all keys of the options; for several, set a callback instead. The password is the first
/// line of the file, without its newline (LF or CRLF). The file is part of each identity whose key is encrypted. It is
/// read together with the key, and if it changes, these identities are reloaded.
///
/// @param options  must not be NULL; changed
/// @param path     NULL for no password at all, neither from a file nor from a function; must not be ""; any bytes,
///                 UTF-8 or not; copied. A relative path refers to the working directory at the time of open
/// @return         OK; NULL_PARAMETER; INVALID_PARAMETER if the path is empty
/// Ownership:      strings are copied
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_key_password_file(
    options: *mut certreload_options,
    path: *const c_char,
) -> certreload_result {
    setter(
        "certreload_options_set_key_password_file",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.key_password = if path.is_null() {
                None
            } else {
                // SAFETY: not NULL, and the caller passes a C string.
                Some(KeyPassword::File(unsafe { cast::path(path, "path")? }))
            };
            Ok(())
        },
    )
}

/// A callback of the host, with its userdata.
struct HostPassword {
    function:
        unsafe extern "C" fn(*mut c_void, *const c_char, *mut c_char, usize, *mut usize) -> bool,
    userdata: Userdata,
}

impl HostPassword {
    fn ask(&self, key_path: &Path) -> Option<SecretBytes> {
        // A path that came from C holds no NUL.
        let path = CString::new(key_path.as_os_str().as_bytes()).ok()?;
        let mut buffer = SecretBytes::zeroed(CERTRELOAD_MAX_KEY_PASSWORD);
        let mut length = 0;
        // SAFETY: `function` has the documented signature; the path, the buffer with its size, and
        // the length live until the call returns.
        let is_given = unsafe {
            (self.function)(
                self.userdata.pointer(),
                path.as_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut length,
            )
        };
        if !is_given || length > buffer.len() {
            return None;
        }
        buffer.truncate(length);
        Some(buffer)
    }
}

fn password_callback_from_c(
    callback: certreload_key_password_callback,
    userdata: *mut c_void,
    userdata_free: certreload_userdata_free,
) -> Option<PasswordCallback> {
    let function = callback?;
    let host = HostPassword { function, userdata: Userdata::new(userdata, userdata_free) };
    host.userdata.keep();
    Some(PasswordCallback::new(move |key_path| host.ask(key_path)))
}
