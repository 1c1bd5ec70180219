//! Shows the public parts of one identity: names, dates, fingerprint, certificates. The key is never shown (G18).

use std::ffi::c_char;
use std::ptr;

use super::cast;
use super::cast::Opaque;
use super::panic_boundary::boundary;
use crate::error::{Cause, Error};
use crate::pki::Identity;

/// A certificate chain and its key, as one generation serves them: opaque.
pub struct certreload_identity {
    _private: [u8; 0],
}

impl Opaque for certreload_identity {
    type Inner = Identity;
}

/// Returns the number of names that an identity is valid for.
///
/// @param identity  must not be NULL
/// @return          the number; 0 if identity is NULL
/// Ownership:       a number; nothing to free
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_name_count(
    identity: *const certreload_identity,
) -> usize {
    // SAFETY: the caller passes an identity of a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(identity, "identity")? }.names().len()))
}

/// Returns one name that an identity is valid for.
///
/// Names are those of the subjectAltName extension (RFC 5280 section 4.2.1.6): DNS names in lower case, wildcards as
/// "*.example.com", IP addresses in their usual notation, and URIs, such as SPIFFE IDs, as they are. Clients can ask for
/// DNS names alone (RFC 6066 section 3).
///
/// @param identity  must not be NULL
/// @param index     0 to certreload_identity_name_count() - 1
/// @return          the name; NULL if identity is NULL or the index does not exist
/// Ownership:       borrowed, until the generation is released
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_name(
    identity: *const certreload_identity,
    index: usize,
) -> *const c_char {
    boundary(|| {
        // SAFETY: the caller passes an identity of a live generation, or NULL.
        let identity = unsafe { cast::borrow(identity, "identity")? };
        let name = cast::at(identity.names(), index, "names")?;
        Ok(name.as_c_str().as_ptr())
    })
}

/// Returns the time from which the leaf certificate is valid.
///
/// @param identity  must not be NULL
/// @return          seconds since 1970-01-01 UTC; 0 if identity is NULL
/// Ownership:       a number; nothing to free
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_not_before(
    identity: *const certreload_identity,
) -> i64 {
    // SAFETY: the caller passes an identity of a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(identity, "identity")? }.not_before()))
}

/// Returns the time until which the leaf certificate is valid.
///
/// @param identity  must not be NULL
/// @return          seconds since 1970-01-01 UTC; 0 if identity is NULL
/// Ownership:       a number; nothing to free
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_not_after(
    identity: *const certreload_identity,
) -> i64 {
    // SAFETY: the caller passes an identity of a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(identity, "identity")? }.not_after()))
}

/// Returns the time by which the leaf certificate should have been renewed: when its warning window begins.
///
/// certreload_options_set_expiry_warning_seconds() describes the window.
///
/// @param identity  must not be NULL
/// @return          seconds since 1970-01-01 UTC; 0 if warnings are switched off or identity is NULL
/// Ownership:       a number; nothing to free
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_expiring_from(
    identity: *const certreload_identity,
) -> i64 {
    // SAFETY: the caller passes an identity of a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(identity, "identity")? }.expiring_from().unwrap_or(0)))
}

/// Returns the serial number of the leaf certificate.
///
/// @param identity  must not be NULL
/// @return          lower-case hexadecimal; NULL if identity is NULL
/// Ownership:       borrowed, until the generation is released
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_serial(
    identity: *const certreload_identity,
) -> *const c_char {
    // SAFETY: the caller passes an identity of a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(identity, "identity")? }.serial().as_ptr()))
}

/// Returns the SHA-256 fingerprint of the leaf certificate.
///
/// @param identity  must not be NULL
/// @return          64 lower-case hexadecimal digits; NULL if identity is NULL
/// Ownership:       borrowed, until the generation is released
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_sha256(
    identity: *const certreload_identity,
) -> *const c_char {
    // SAFETY: the caller passes an identity of a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(identity, "identity")? }.sha256().as_ptr()))
}

/// Returns the number of certificates in the chain, the leaf included.
///
/// @param identity  must not be NULL
/// @return          the number; 0 if identity is NULL
/// Ownership:       a number; nothing to free
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_certificate_count(
    identity: *const certreload_identity,
) -> usize {
    // SAFETY: the caller passes an identity of a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(identity, "identity")? }.chain().len()))
}

/// Returns one certificate of the chain, in DER; index 0 is the leaf.
///
/// @param identity  must not be NULL
/// @param index     0 to certreload_identity_certificate_count() - 1
/// @param len_out   must not be NULL; the length in bytes; 0 if NULL is returned
/// @return          the bytes; NULL if a parameter is NULL or the index does not exist
/// Ownership:       borrowed, until the generation is released
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_certificate_der(
    identity: *const certreload_identity,
    index: usize,
    len_out: *mut usize,
) -> *const u8 {
    boundary(|| {
        // SAFETY: the caller passes a place to write, or NULL.
        let mut len = unsafe { cast::out(len_out, "len_out")? };
        len.set(0);
        // SAFETY: the caller passes an identity of a live generation, or NULL.
        let identity = unsafe { cast::borrow(identity, "identity")? };
        let der = cast::at(identity.chain(), index, "certificates")?;
        len.set(der.len());
        Ok(der.as_ptr())
    })
}

/// Returns the private key, in PKCS#8 DER (RFC 5208), for a TLS stack that has no adapter.
///
/// The host must ask for it with certreload_options_set_export_keys(). A key whose file has a format that cannot be
/// converted is returned as the file has it.
///
/// @param identity  must not be NULL
/// @param len_out   must not be NULL; the length in bytes; 0 if NULL is returned
/// @return          the bytes; NULL if the options do not allow it, or a parameter is NULL
/// Ownership:       borrowed, until the generation is released: then the bytes are wiped. A copy is the caller's to wipe
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_key_der(
    identity: *const certreload_identity,
    len_out: *mut usize,
) -> *const u8 {
    boundary(|| {
        // SAFETY: the caller passes a place to write, or NULL.
        let mut len = unsafe { cast::out(len_out, "len_out")? };
        len.set(0);
        // SAFETY: the caller passes an identity of a live generation, or NULL.
        let identity = unsafe { cast::borrow(identity, "identity")? };
        let none = || Error::new(Cause::NotConfigured("permission to export keys"));
        let der = identity.exported_key().ok_or_else(none)?;
        len.set(der.len());
        Ok(der.as_ptr())
    })
}

/// Returns the number of an identity within its handle: the order in which identities were added, from 0.
///
/// @param identity  must not be NULL
/// @return          the number; 0 if identity is NULL
/// Ownership:       a number; nothing to free
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_index(identity: *const certreload_identity) -> usize {
    // SAFETY: the caller passes an identity of a generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(identity, "identity")? }.origin().index()))
}

/// Returns the path of the chain that an identity was loaded from.
///
/// @param identity  must not be NULL
/// @return          an absolute path, or a name such as "memory:0/chain" for bytes that the host passed; NULL if
///                  identity is NULL
/// Ownership:       borrowed, until the generation is released
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_chain_path(
    identity: *const certreload_identity,
) -> *const c_char {
    // SAFETY: the caller passes an identity of a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(identity, "identity")? }.origin().chain_path().as_ptr()))
}

/// Returns the path of the key that an identity was loaded from.
///
/// @param identity  must not be NULL
/// @return          an absolute path, or a name such as "memory:0/key" for bytes that the host passed; NULL if identity
///                  is NULL
/// Ownership:       borrowed, until the generation is released
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_key_path(
    identity: *const certreload_identity,
) -> *const c_char {
    // SAFETY: the caller passes an identity of a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(identity, "identity")? }.origin().key_path().as_ptr()))
}

/// Returns the OCSP response that is stapled now, in DER.
///
/// A response is stapled from its thisUpdate until its nextUpdate. If a delegated responder signed it, the response
/// is not stapled after that responder's certificate has expired. A response without nextUpdate is stapled until it
/// is replaced. So a later call may return NULL. A host that staples by itself calls this function for each handshake,
/// so that no client gets an expired response.
///
/// @param identity  must not be NULL
/// @param len_out   must not be NULL; the length in bytes; 0 if NULL is returned
/// @return          the bytes, as they were loaded; NULL if there is no response, if it has expired, or if a
///                  parameter is NULL
/// Ownership:       borrowed, until the generation is released, also after the response has expired
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_ocsp_der(
    identity: *const certreload_identity,
    len_out: *mut usize,
) -> *const u8 {
    boundary(|| {
        // SAFETY: the caller passes a place to write, or NULL.
        let mut len = unsafe { cast::out(len_out, "len_out")? };
        len.set(0);
        // SAFETY: the caller passes an identity of a live generation, or NULL.
        let identity = unsafe { cast::borrow(identity, "identity")? };
        let ocsp = identity.ocsp();
        len.set(ocsp.map_or(0, <[u8]>::len));
        Ok(ocsp.map_or(ptr::null(), <[u8]>::as_ptr))
    })
}
