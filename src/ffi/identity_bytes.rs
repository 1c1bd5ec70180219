//! The struct in which the host passes the bytes of an identity, and the copy that the library keeps.

use std::ffi::c_char;

use zeroize::Zeroizing;

use super::cast;
use crate::error::{Cause, Error};
use crate::files::MAX_FILE_SIZE;
use crate::options::IdentityBytes;

/// One identity in memory: the contents of its files.
///
/// Begin with a struct of zeros, and set the fields for which there are bytes. The struct may grow at the end, so the
/// functions that read it take its size.
#[repr(C)]
pub struct certreload_identity_bytes {
    /// The chain in PEM, the leaf first; must not be NULL. It needs no NUL at its end.
    pub chain_pem: *const c_char,
    /// Size of chain_pem in bytes, without a NUL at its end: at most CERTRELOAD_MAX_FILE_SIZE.
    pub chain_pem_size: usize,
    /// The private key in PEM; must not be NULL. An encrypted key is decrypted with the password of the options.
    pub key_pem: *const c_char,
    /// Size of key_pem in bytes, with the same limit.
    pub key_pem_size: usize,
    /// An OCSP response in DER, or NULL for none.
    pub ocsp_der: *const u8,
    /// Size of ocsp_der in bytes, with the same limit.
    pub ocsp_der_size: usize,
}

/// Copies the bytes that a caller passes.
///
/// # Safety
/// `bytes` is NULL or points to a live struct of `bytes_size` bytes. Its pointers are NULL or point to as
/// many bytes as it says.
pub(super) unsafe fn copy_bytes(
    bytes: *const certreload_identity_bytes,
    bytes_size: usize,
) -> Result<IdentityBytes, Error> {
    if bytes.is_null() {
        return Err(Error::null("bytes"));
    }
    if bytes_size < size_of::<certreload_identity_bytes>() {
        return Err(Error::invalid(format!(
            "bytes_size is {bytes_size}: pass sizeof(certreload_identity_bytes)"
        )));
    }
    cast::at_most(bytes_size, cast::MAX_STRUCT_SIZE, "bytes_size")?;
    // SAFETY: the caller promises a struct of `bytes_size` bytes, which is at least the size of this version's struct.
    let given = unsafe { &*bytes };
    // SAFETY: the caller vouches for what the struct points to.
    unsafe {
        let chain = copy(given.chain_pem.cast(), given.chain_pem_size, "bytes->chain_pem")?
            .ok_or_else(|| Error::null("bytes->chain_pem"))?;
        let ocsp = copy(given.ocsp_der, given.ocsp_der_size, "bytes->ocsp_der")?;
        // The key is copied last: if another copy failed after it, the key would be dropped without being wiped.
        let key = copy(given.key_pem.cast(), given.key_pem_size, "bytes->key_pem")?;
        Ok(IdentityBytes {
            key: key.map(Zeroizing::new).ok_or_else(|| Error::null("bytes->key_pem"))?,
            chain,
            ocsp,
        })
    }
}

/// Copies bytes; `None` for NULL. An impossible size, such as that of a read that failed, is refused before any
/// memory is allocated.
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
