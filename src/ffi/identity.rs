//! What one identity is: names, dates, fingerprint, bytes. Never its key.

use std::ffi::c_char;
use std::ptr;

use super::boundary::boundary;
use super::cast;
use super::cast::Opaque;
use crate::pki::Identity;

/// A certificate chain and its key, as one generation serves them: opaque.
pub struct certreload_identity {
    _private: [u8; 0],
}

impl Opaque for certreload_identity {
    type Inner = Identity;
}

/// Count the names that an identity is valid for.
///
/// @param identity  must not be NULL
/// @return          how many; 0 where identity is NULL
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

/// Look at one name that an identity is valid for.
///
/// Names are those of the subjectAltName extension (RFC 5280 section 4.2.1.6): DNS names in lower case, wildcards as
/// "*.example.com", and IP addresses in their usual notation.
///
/// @param identity  must not be NULL
/// @param index     0 to certreload_identity_name_count() - 1
/// @return          the name; NULL where identity is NULL or there is no such index
/// Ownership:       borrowed; until the generation is released
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

/// Tell from when the leaf certificate is valid.
///
/// @param identity  must not be NULL
/// @return          seconds since 1970-01-01 UTC; 0 where identity is NULL
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

/// Tell until when the leaf certificate is valid.
///
/// @param identity  must not be NULL
/// @return          seconds since 1970-01-01 UTC; 0 where identity is NULL
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

/// Tell from when on the leaf certificate should have been renewed.
///
/// That is so long before its notAfter as certreload_options_set_expiry_warning_seconds() says.
///
/// @param identity  must not be NULL
/// @return          seconds since 1970-01-01 UTC; 0 where no warning is wanted or identity is NULL
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

/// Look at the serial number of the leaf certificate.
///
/// @param identity  must not be NULL
/// @return          lower-case hexadecimal; NULL where identity is NULL
/// Ownership:       borrowed; until the generation is released
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

/// Look at the SHA-256 fingerprint of the leaf certificate.
///
/// @param identity  must not be NULL
/// @return          64 lower-case hexadecimal digits; NULL where identity is NULL
/// Ownership:       borrowed; until the generation is released
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

/// Count the certificates of the chain, the leaf included.
///
/// @param identity  must not be NULL
/// @return          how many; 0 where identity is NULL
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

/// Look at one certificate of the chain, in DER; 0 is the leaf.
///
/// @param identity  must not be NULL
/// @param index     0 to certreload_identity_certificate_count() - 1
/// @param len_out   must not be NULL; its length in bytes; 0 where NULL is returned
/// @return          the bytes; NULL where a parameter is NULL or there is no such index
/// Ownership:       borrowed; until the generation is released
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

/// Look at the OCSP response that is stapled now, in DER.
///
/// It is stapled from its thisUpdate until its nextUpdate, and no longer than the certificate of a responder to whom the
/// issuer has delegated its signature is valid; one without nextUpdate is until there is another. So what one call
/// gives, the next may not: ask again for each handshake, and no client is shown one that has expired.
///
/// @param identity  must not be NULL
/// @param len_out   must not be NULL; its length in bytes; 0 where NULL is returned
/// @return          the bytes, as they were loaded; NULL where there is none, where it has expired since, or a parameter
///                  is NULL
/// Ownership:       borrowed; until the generation is released, also when it has expired
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
