//! Renews identities with bytes that the host passes, instead of files.

use std::ffi::c_char;

use super::cast;
use super::handle::certreload_handle;
use super::identity_bytes::{certreload_identity_bytes, copy_bytes};
use super::panic_boundary::boundary;
use super::result::certreload_result;
use crate::error::Error;

/// Passes new bytes for an identity, for new connections from now on.
///
/// The bytes are parsed, validated, self-checked and published as those of files are, except that nothing is retried.
/// Bytes that cannot be used are refused at once, and the last good version keeps serving. After the first bytes have
/// been accepted (OK or UNCHANGED), only pushes renew this identity. If it had files, they are no longer read, in this
/// process and in children that it forks later. A refused push does not change whether files are read.
///
/// If the bytes have several certificates for the key, the choice among them is made once, with the push.
///
/// A forked child that may not read the files therefore pushes the current identity right after
/// certreload_after_fork(). An unreadable file counts as failed only after the incomplete-file timeout, so no failure
/// is reported before the push, and none after it.
///
/// For this purpose the parent, which may read the files, needs a chain and a key that belong together. It reads both
/// files, adds them to options with certreload_options_add_identity_memory(), and calls certreload_check(). If that
/// fails, the files may have been read in the middle of a renewal, so it reads both again. The child pushes the bytes
/// that passed (examples-c/prefork_server.c).
///
/// The outcome is also reported as an event (trigger PUSH), except that a refusal for the same reason as before is not.
/// Messages and events of pushes name memory:INDEX/chain, memory:INDEX/key and memory:INDEX/ocsp. EXPIRING and EXPIRED,
/// certreload_identity_status and the metrics continue to name the path of the chain that the identity was added
/// with.
///
/// @param handle      must not be NULL; opened in this process, or restored by certreload_after_fork()
/// @param index       which identity: see certreload_find_identity()
/// @param bytes       must not be NULL, nor its chain_pem and key_pem
/// @param bytes_size  sizeof(certreload_identity_bytes) of the header that the program was compiled with
/// @return            OK if a new generation is current; UNCHANGED if these bytes are served already; NULL_PARAMETER;
///                    INVALID_PARAMETER if the index does not exist or bytes_size is wrong; FORKED; CLOSED;
///                    WOULD_DEADLOCK inside a password or log callback that this handle's work called; else why the
///                    bytes cannot be used (100 and up). certreload_last_error() has the reason
/// Ownership:         copied, and the copy of the key is wiped; the caller wipes its own
/// Threads:           any thread, concurrently; also inside an event callback
/// Signals:           not async-signal-safe
/// Blocks:            for one handshake per TLS version: milliseconds; and while the handle's files are being read
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_push_identity(
    handle: *mut certreload_handle,
    index: usize,
    bytes: *const certreload_identity_bytes,
    bytes_size: usize,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle and bytes that live during the call, or NULL.
        let (handle, bytes) = unsafe {
            (cast::arc_clone(handle.cast_const(), "handle")?, copy_bytes(bytes, bytes_size)?)
        };
        let count = handle.identity_count();
        if index >= count {
            return Err(cast::no_such_index(index, count, "identities"));
        }
        Ok(handle.push(index, bytes)?.into())
    })
}

/// Returns the index of the identity that serves a name, for certreload_push_identity().
///
/// Indexes never change: they follow the order in which identities were added. An IP address may be in any notation that
/// certreload_options_require_name() accepts. A URI is written as in the certificate. A DNS name has no dot at its end:
/// "example.org", not "example.org.".
///
/// An identity that has never been loaded (CERTRELOAD_START_AVAILABLE) has no name yet: push to it by the order in which it
/// was added. While there is one, an identity with a wildcard for the name is not returned, because the other may have
/// the name itself.
///
/// @param handle       must not be NULL
/// @param server_name  must not be NULL; a DNS name, a wildcard as a certificate has it, or an IP address, in upper
///                     or lower case; or a URI
/// @param index_out    must not be NULL; written only on OK
/// @return             OK; NULL_PARAMETER; INVALID_PARAMETER if no identity has the name. Clients that ask for such a
///                     name, or for none, get the first identity for servers
/// Ownership:          server_name is borrowed for the call
/// Threads:            any thread, concurrently
/// Signals:            not async-signal-safe
/// Blocks:             never
/// Since:              0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_find_identity(
    handle: *const certreload_handle,
    server_name: *const c_char,
    index_out: *mut usize,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, a C string and a place to write, or NULL.
        let (handle, name, mut out) = unsafe {
            (
                cast::arc_clone(handle, "handle")?,
                cast::bytes(server_name, "server_name")?,
                cast::out(index_out, "index_out")?,
            )
        };
        let name = String::from_utf8_lossy(name);
        let generation = handle.generation();
        let Some(index) = generation.position_of(&name) else {
            let given: String = name.chars().take(300).collect();
            let why = if generation.lacks_identities() {
                "; some have not been loaded, and are found by the order in which they were added"
            } else {
                ""
            };
            return Err(Error::invalid(format!("no identity has the name \"{given}\"{why}")));
        };
        out.set(index);
        Ok(certreload_result::Ok)
    })
}
