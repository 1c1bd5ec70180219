//! Generations: one consistent view of what a handle serves.

use std::ffi::c_char;

use rustls_ffi::client::rustls_client_config;
use rustls_ffi::server::rustls_server_config;

use super::cast;
use super::cast::Opaque;
use super::handle::certreload_handle;
use super::identity_getters::certreload_identity;
use super::panic_boundary::boundary;
use crate::error::{Cause, Error};
use crate::tls::Generation;

/// An immutable, numbered snapshot of all units, with the configurations built from it: opaque.
pub struct certreload_generation {
    _private: [u8; 0],
}

impl Opaque for certreload_generation {
    type Inner = Generation;
}

/// Acquires the generation that is current at this moment, so that several facts can be read from the same one.
///
/// @param handle  must not be NULL
/// @return        the generation; NULL if handle is NULL
/// Ownership:     reference-counted: release it with certreload_generation_release(); may outlive the handle
/// Threads:       any thread, concurrently
/// Signals:       not async-signal-safe
/// Blocks:        never: no lock, no system call
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_acquire(
    handle: *const certreload_handle,
) -> *const certreload_generation {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::borrow(handle, "handle")? };
        Ok(cast::arc_into_raw(handle.generation()))
    })
}

/// Releases a generation.
///
/// @param generation  may be NULL, then nothing happens; consumed
/// Ownership:         the pointer, and all that was borrowed from it, is dangling afterwards
/// Threads:           any thread
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_release(generation: *const certreload_generation) {
    boundary(|| {
        // SAFETY: the caller gives up a reference of certreload_generation_acquire(), or NULL.
        drop(unsafe { cast::arc_from_raw(generation) });
        Ok(())
    });
}

/// Returns the number of a generation: the first is 1, and within a handle numbers only grow (G7).
///
/// @param generation  must not be NULL
/// @return            the number; 0 if generation is NULL
/// Ownership:         a number; nothing to free
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_number(
    generation: *const certreload_generation,
) -> u64 {
    // SAFETY: the caller passes a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(generation, "generation")? }.number()))
}

/// Returns the server configuration of a generation, borrowed.
///
/// A server can thus create a connection whose generation it knows: acquire the generation, create the connection
/// with rustls_server_connection_new(), read the number, release.
///
/// @param generation  must not be NULL
/// @return            the configuration; NULL if generation is NULL or has no identity to serve
/// Ownership:         borrowed, until the generation is released: do not free it
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_borrow_server_config(
    generation: *const certreload_generation,
) -> *const rustls_server_config {
    boundary(|| {
        // SAFETY: the caller passes a live generation, or NULL.
        let generation = unsafe { cast::borrow(generation, "generation")? };
        if !generation.serves() {
            return Err(Error::new(Cause::NotConfigured("identity to serve")));
        }
        Ok(cast::arc_as_raw(generation.server_config()))
    })
}

/// Returns the client configuration of a generation, borrowed.
///
/// @param generation  must not be NULL
/// @return            the configuration; NULL if generation is NULL, or the handle has no roots to check servers with
/// Ownership:         borrowed, until the generation is released: do not free it
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_borrow_client_config(
    generation: *const certreload_generation,
) -> *const rustls_client_config {
    boundary(|| {
        // SAFETY: the caller passes a live generation, or NULL.
        let generation = unsafe { cast::borrow(generation, "generation")? };
        let none = || Error::new(Cause::NotConfigured("roots to check servers with"));
        Ok(cast::arc_as_raw(generation.client_config().ok_or_else(none)?))
    })
}

/// Returns the number of identities in a generation: those that have been loaded.
///
/// With CERTRELOAD_START_AVAILABLE that may be fewer than the handle has (certreload_status.identities_configured).
///
/// @param generation  must not be NULL
/// @return            the number; 0 if generation is NULL
/// Ownership:         a number; nothing to free
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_identity_count(
    generation: *const certreload_generation,
) -> usize {
    // SAFETY: the caller passes a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(generation, "generation")? }.identity_count()))
}

/// Returns one identity of a generation, by the order in which identities were added. Those that have not been loaded
/// are not counted: certreload_identity_index() converts to the index that functions of the handle take.
///
/// @param generation  must not be NULL
/// @param index       0 to certreload_generation_identity_count() - 1
/// @return            the identity; NULL if generation is NULL or the index does not exist
/// Ownership:         borrowed, until the generation is released
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_identity(
    generation: *const certreload_generation,
    index: usize,
) -> *const certreload_identity {
    boundary(|| {
        // SAFETY: the caller passes a live generation, or NULL.
        let generation = unsafe { cast::borrow(generation, "generation")? };
        let identity = generation.identity(index);
        let none = || cast::no_such_index(index, generation.identity_count(), "identities");
        Ok(cast::arc_as_raw(identity.ok_or_else(none)?))
    })
}

/// Returns the identity that serves a name: an exact match, then a wildcard for one label, else the first identity for
/// servers. If several identities have the name, one that is valid now comes before one that has expired.
///
/// The handshake selects by the same rules, with one difference. If several identities have the name, the handshake
/// uses the first with a kind of key that the client supports. This function returns the first of all.
///
/// @param generation   must not be NULL
/// @param server_name  a DNS name in upper or lower case, as in SNI; NULL or "" for a client that sends none;
///                     borrowed for the call. An IP address is no server name (RFC 6066 section 3): here as in the
///                     handshake, it counts as none. So does a URI here; in a handshake it is an illegal parameter.
///                     certreload_find_identity() finds both
/// @return             the identity; NULL if generation is NULL, or its handshakes fail: no identity to serve has been
///                     loaded, or no trust store
/// Ownership:          borrowed, until the generation is released
/// Threads:            any thread, concurrently
/// Signals:            not async-signal-safe
/// Blocks:             never
/// Since:              0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_select(
    generation: *const certreload_generation,
    server_name: *const c_char,
) -> *const certreload_identity {
    boundary(|| {
        // SAFETY: the caller passes a live generation, or NULL.
        let generation = unsafe { cast::borrow(generation, "generation")? };
        // SAFETY: a C string, or NULL.
        let name = unsafe { self::server_name(server_name)? };
        let none = || Error::new(Cause::NotConfigured("identity to serve"));
        Ok(cast::arc_as_raw(generation.select(name).ok_or_else(none)?))
    })
}

/// Returns the name that a client asks for; `None` for NULL or an empty string.
///
/// # Safety
/// `name` is NULL, or a C string that lives for `'a`.
pub(super) unsafe fn server_name<'a>(name: *const c_char) -> Result<Option<&'a str>, Error> {
    if name.is_null() {
        return Ok(None);
    }
    // SAFETY: a C string, and not NULL.
    let bytes = unsafe { cast::bytes(name, "server_name")? };
    // A name that is not UTF-8 is not a DNS name, so no identity has it.
    Ok(Some(str::from_utf8(bytes).unwrap_or("")).filter(|name| !name.is_empty()))
}
