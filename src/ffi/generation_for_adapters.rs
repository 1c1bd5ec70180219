//! What TLS stacks other than rustls need of a generation for a handshake.

use std::ffi::c_char;
use std::ptr;

use super::cast;
use super::generation::certreload_generation;
use super::identity_getters::certreload_identity;
use super::panic_boundary::boundary;
use super::result::certreload_result;
use super::trust_store::certreload_trust_store;
use crate::error::{Cause, Error};

/// The size of a session scope, in bytes.
pub const CERTRELOAD_SESSION_SCOPE_SIZE: usize = 32;

/// Returns whether every handshake must be refused, in both roles: a trust store is configured, and nothing has been
/// loaded for it (CERTRELOAD_START_AVAILABLE). A server without its trust store must not accept all clients.
///
/// @param generation  must not be NULL
/// @return            true if handshakes must be refused, or generation is NULL
/// Ownership:         nothing changes hands
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_refuses(
    generation: *const certreload_generation,
) -> bool {
    // SAFETY: the caller passes a live generation, or NULL.
    let accepts = boundary(|| Ok(!unsafe { cast::borrow(generation, "generation")? }.refuses()));
    !accepts
}

/// Returns the identities among which a server chooses for a client, by the kinds of keys that the client supports.
///
/// These are all identities with the name: those with exactly this name, then those with a wildcard for it, and first
/// those that are valid now. A server with an ECDSA and an RSA certificate for one name has two. If no identity has the
/// name, they are all identities for servers, the default first. certreload_generation_select() returns the first.
///
/// @param generation      must not be NULL
/// @param server_name     as in certreload_generation_select(): NULL or "" for a client that sends none
/// @param identities_out  must not be NULL, unless room is 0; an array of pointers, of which the first are written
/// @param room            how many pointers the array has
/// @param is_served_out   must not be NULL; whether an identity has the name
/// @return                how many were written; 0 if a pointer is NULL, or handshakes fail: no identity to serve has
///                        been loaded, or no trust store
/// Ownership:             borrowed, until the generation is released
/// Threads:               any thread, concurrently
/// Signals:               not async-signal-safe
/// Blocks:                never
/// Since:                 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_select_all(
    generation: *const certreload_generation,
    server_name: *const c_char,
    identities_out: *mut *const certreload_identity,
    room: usize,
    is_served_out: *mut bool,
) -> usize {
    boundary(|| {
        // SAFETY: the caller passes a place to write, a live generation, and an array of `room` pointers, or NULL.
        let (mut is_served_out, generation) = unsafe {
            (cast::out(is_served_out, "is_served_out")?, cast::borrow(generation, "generation")?)
        };
        is_served_out.set(false);
        if identities_out.is_null() && room > 0 {
            return Err(Error::null("identities_out"));
        }
        // SAFETY: a C string, or NULL.
        let name = unsafe { super::generation::server_name(server_name)? };
        let (identities, is_served) = generation.select_all(name);
        is_served_out.set(is_served);
        let mut written = 0;
        for identity in identities.take(room) {
            // SAFETY: the array has `room` pointers, and `written` is less.
            unsafe { identities_out.add(written).write(cast::arc_as_raw(identity)) };
            written += 1;
        }
        Ok(written)
    })
}

/// Returns the identity that the client role presents: the one that was added for it, or else the first identity, if its
/// certificate allows client authentication.
///
/// @param generation  must not be NULL
/// @return            the identity; NULL if generation is NULL, there is none, or handshakes must be refused
/// Ownership:         borrowed, until the generation is released
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_client_identity(
    generation: *const certreload_generation,
) -> *const certreload_identity {
    boundary(|| {
        // SAFETY: the caller passes a live generation, or NULL.
        let generation = unsafe { cast::borrow(generation, "generation")? };
        let identity = generation.parts().client_identity().filter(|_| !generation.refuses());
        Ok(identity.map_or(ptr::null(), cast::arc_as_raw))
    })
}

/// Returns the trust store of a generation.
///
/// @param generation  must not be NULL
/// @return            the trust store; NULL if generation is NULL, or none is configured. Also NULL if none has been
///                    loaded: certreload_generation_refuses() is true then
/// Ownership:         borrowed, until the generation is released
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_trust_store(
    generation: *const certreload_generation,
) -> *const certreload_trust_store {
    boundary(|| {
        // SAFETY: the caller passes a live generation, or NULL.
        let generation = unsafe { cast::borrow(generation, "generation")? };
        Ok(generation.parts().trust.as_ref().map_or(ptr::null(), cast::arc_as_raw))
    })
}

/// Returns what TLS sessions are bound to. A server resumes a session only if it began with the same bytes.
///
/// They are the same for all generations, processes and servers with the same trust store for clients, client
/// authentication, revocation rules and session context. So a renewed certificate keeps sessions, and a removed root ends
/// them. certreload_invalidate_sessions() changes them for this process, also those of generations that exist.
///
/// @param generation        must not be NULL
/// @param scope_out         must not be NULL; CERTRELOAD_SESSION_SCOPE_SIZE bytes; written only on OK
/// @param resume_until_out  must not be NULL; written only on OK: no session may be resumed from then on, in seconds
///                          since 1970, because a revocation list expires; INT64_MAX if there is no such time
/// @return                  OK; NULL_PARAMETER; NOT_CONFIGURED if no session may be resumed at all
///                          (CERTRELOAD_RESUMPTION_OFF)
/// Ownership:               the caller's buffers
/// Threads:                 any thread, concurrently
/// Signals:                 not async-signal-safe
/// Blocks:                  never
/// Since:                   0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_generation_session_scope(
    generation: *const certreload_generation,
    scope_out: *mut u8,
    resume_until_out: *mut i64,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes a live generation and places to write, of which the first has as many bytes as the
        // array, or NULL.
        let (generation, mut scope_out, mut until_out) = unsafe {
            (
                cast::borrow(generation, "generation")?,
                cast::out(scope_out.cast::<[u8; CERTRELOAD_SESSION_SCOPE_SIZE]>(), "scope_out")?,
                cast::out(resume_until_out, "resume_until_out")?,
            )
        };
        let none = || Error::new(Cause::NotConfigured("resumption of sessions"));
        let scope = generation.session_scope().ok_or_else(none)?;
        scope_out.set(scope.bytes);
        until_out.set(scope.resume_until.unwrap_or(i64::MAX));
        Ok(certreload_result::Ok)
    })
}
