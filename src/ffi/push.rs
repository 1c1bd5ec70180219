//! Identities that the host hands over in memory.

use std::ffi::c_char;

use zeroize::Zeroizing;

use super::boundary::boundary;
use super::cast;
use super::handle::certreload_handle;
use super::result::certreload_result;
use crate::error::{Cause, Error};
use crate::files::MAX_FILE_SIZE;
use crate::options::IdentityBytes;

/// One identity in memory: what would be in its files.
///
/// Set `size`, and what there is; a struct that begins as zeros leaves out the rest. It may grow at the end.
#[repr(C)]
pub struct certreload_identity_bytes {
    /// sizeof(certreload_identity_bytes) of the header that the program was compiled with.
    pub size: usize,
    /// The chain in PEM, the leaf first; must not be NULL. Needs no NUL at its end.
    pub chain_pem: *const c_char,
    /// Bytes of it, without a NUL at its end: at most CERTRELOAD_MAX_FILE_SIZE.
    pub chain_pem_size: usize,
    /// The private key in PEM; must not be NULL. An encrypted one is opened with the password of the options.
    pub key_pem: *const c_char,
    /// Bytes of it: as many at most.
    pub key_pem_size: usize,
    /// An OCSP response in DER, or NULL for none.
    pub ocsp_der: *const u8,
    /// Bytes of it: as many at most.
    pub ocsp_der_size: usize,
}

/// Hand over new bytes for an identity, for new connections from now on.
///
/// They go the way that files go: parsed, validated, proved by a handshake in memory, published; only nothing is waited
/// for, and what cannot be used is refused at once, while what served goes on serving. From the first time that bytes
/// are accepted, UNCHANGED included, the identity is the host's to renew: if it had files, they are not looked at any
/// more, in this process and in children that it forks later. What is refused leaves files what they were.
///
/// So a worker that was forked and may not read the files pushes what serves, first thing after
/// certreload_after_fork(): a file that may not be read is waited for until the incomplete-file timeout, so no failure is told
/// before, and none after.
///
/// A master gets a chain and a key of one moment for that like this: read both files, add them to options with
/// certreload_options_add_identity_memory(), and ask certreload_check(); if it refuses them, read both again. Hand over
/// the bytes that passed. (prefork_server.c in examples-c does so.)
///
/// The outcome is an event too (trigger PUSH); a refusal that was told already is none again. Messages and events of
/// pushes are about memory:INDEX/chain, memory:INDEX/key and memory:INDEX/ocsp; EXPIRING and EXPIRED,
/// certreload_identity_status and the metrics go on naming the identity by the path of the chain that it was added with.
///
/// @param handle  must not be NULL; opened in this process, or taken up by certreload_after_fork()
/// @param index   which identity: see certreload_find_identity()
/// @param bytes   must not be NULL, nor its chain_pem and key_pem
/// @return        OK where a new generation is current; UNCHANGED where these bytes serve already; NULL_PARAMETER;
///                INVALID_PARAMETER where there is no such index; FORKED; CLOSED; WOULD_DEADLOCK inside a password or
///                log callback of the handle's own work; else why the bytes cannot be used (100 and up).
///                certreload_last_error() has the reason
/// Ownership:     copied, and the copy of the key is wiped; wiping the caller's own is the caller's affair
/// Threads:       any thread, concurrently; also inside an event callback
/// Signals:       not async-signal-safe
/// Blocks:        for one handshake per TLS version: milliseconds; and while the handle's files are being read
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_push_identity(
    handle: *mut certreload_handle,
    index: usize,
    bytes: *const certreload_identity_bytes,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle and bytes that live during the call, or NULL.
        let (handle, bytes) =
            unsafe { (cast::arc_clone(handle.cast_const(), "handle")?, copy_bytes(bytes)?) };
        let count = handle.identity_count();
        if index >= count {
            return Err(cast::no_such_index(index, count, "identities"));
        }
        Ok(handle.push(index, bytes)?.into())
    })
}

/// Find the identity that serves a name.
///
/// Indexes never change: an identity keeps the place in which it was added. An IP address is found as
/// certreload_identity_name() writes it; a DNS name is written without a dot at its end: "example.org", not "example.org.".
///
/// @param handle       must not be NULL
/// @param server_name  must not be NULL; a DNS name, a wildcard as a certificate has it, or an IP address;
///                     upper and lower case are one
/// @param index_out    must not be NULL; written only on OK
/// @return             OK; NULL_PARAMETER; INVALID_PARAMETER where no identity has the name: the one that is served to
///                     clients without a name is at 0
/// Ownership:          server_name is borrowed for the call
/// Threads:            any thread, concurrently
/// Signals:            not async-signal-safe
/// Blocks:             never
/// Since:              0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_find_identity(
    handle: *mut certreload_handle,
    server_name: *const c_char,
    index_out: *mut usize,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, a C string and a place to write, or NULL.
        let (handle, name, mut out) = unsafe {
            (
                cast::arc_clone(handle.cast_const(), "handle")?,
                cast::bytes(server_name, "server_name")?,
                cast::out(index_out, "index_out")?,
            )
        };
        let name = String::from_utf8_lossy(name);
        let Some(index) = handle.generation().position_of(&name) else {
            let given: String = name.chars().take(300).collect();
            return Err(Error::invalid(format!("no identity has the name \"{given}\"")));
        };
        out.set(index);
        Ok(certreload_result::Ok)
    })
}

/// Copies what a caller hands over.
///
/// # Safety
/// `bytes` is NULL, or points to a live struct of the size that it tells, whose pointers are NULL or point to
/// as many bytes as it tells.
pub(super) unsafe fn copy_bytes(
    bytes: *const certreload_identity_bytes,
) -> Result<IdentityBytes, Error> {
    if bytes.is_null() {
        return Err(Error::null("bytes"));
    }
    // SAFETY: not NULL; every version of the struct begins with its size.
    let size = unsafe { (&raw const (*bytes).size).read() };
    if size < size_of::<certreload_identity_bytes>() {
        return Err(Error::invalid(format!(
            "bytes->size is {size}: set it to sizeof(certreload_identity_bytes)"
        )));
    }
    cast::at_most(size, cast::MAX_STRUCT_SIZE, "bytes->size")?;
    // SAFETY: the caller vouches for so many bytes, which are what this version reads.
    let given = unsafe { &*bytes };
    // SAFETY: the caller vouches for what the struct points to.
    unsafe {
        let chain = copy(given.chain_pem.cast(), given.chain_pem_size, "bytes->chain_pem")?
            .ok_or_else(|| Error::null("bytes->chain_pem"))?;
        let ocsp = copy(given.ocsp_der, given.ocsp_der_size, "bytes->ocsp_der")?;
        // The last that can fail, so that no copy of it is dropped unwiped.
        let key = copy(given.key_pem.cast(), given.key_pem_size, "bytes->key_pem")?;
        Ok(IdentityBytes {
            key: key.map(Zeroizing::new).ok_or_else(|| Error::null("bytes->key_pem"))?,
            chain,
            ocsp,
        })
    }
}

/// `None` for NULL. A size that is none, such as that of a read that failed, is refused before anything is
/// made of it.
///
/// # Safety
/// `start` is NULL, or begins `size` bytes.
unsafe fn copy(start: *const u8, size: usize, name: &str) -> Result<Option<Vec<u8>>, Error> {
    if start.is_null() {
        return Ok(None);
    }
    if size > MAX_FILE_SIZE {
        return Err(Error::at(name.as_ref(), Cause::TooLarge { limit: MAX_FILE_SIZE }));
    }
    // SAFETY: not NULL and not too large, which is checked; the rest is the caller's promise.
    let bytes = unsafe { cast::slice(start, size, MAX_FILE_SIZE, (name, name))? };
    Ok(Some(bytes.to_vec()))
}
