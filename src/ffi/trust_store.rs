//! Shows the roots, revocation lists and rules of a trust store, for TLS stacks other than rustls.

use super::cast;
use super::cast::Opaque;
use super::options::{
    CERTRELOAD_CRL_ALLOW_EXPIRED, CERTRELOAD_CRL_ALLOW_UNKNOWN, CERTRELOAD_CRL_LEAF_ONLY,
    certreload_client_auth,
};
use super::panic_boundary::{Failed, boundary};
use crate::error::Error;
use crate::options::ClientAuth;
use crate::pki::Trust;

/// Roots, revocation lists, and how peers are checked with them, as one generation has them: opaque.
pub struct certreload_trust_store {
    _private: [u8; 0],
}

impl Opaque for certreload_trust_store {
    type Inner = Trust;
}

/// Which peers are checked with roots.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_peers {
    /// Clients of this server.
    Clients = 0,
    /// Servers that this host connects to.
    Servers = 1,
}

/// A `certreload_peers` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type peers_number = u32;

impl Failed for certreload_client_auth {
    fn failed(_: &Error) -> Self {
        Self::None
    }
}

/// Returns whether a server with this trust store asks clients for certificates.
///
/// @param store  must not be NULL
/// @return       CERTRELOAD_CLIENT_AUTH_NONE, _OPTIONAL or _REQUIRED; NONE if store is NULL
/// Ownership:    a number; nothing to free
/// Threads:      any thread, concurrently
/// Signals:      not async-signal-safe
/// Blocks:       never
/// Since:        0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_trust_store_client_auth(
    store: *const certreload_trust_store,
) -> certreload_client_auth {
    boundary(|| {
        // SAFETY: the caller passes a trust store of a live generation, or NULL.
        let store = unsafe { cast::borrow(store, "store")? };
        Ok(match store.rules().client_auth {
            ClientAuth::None => certreload_client_auth::None,
            ClientAuth::Optional => certreload_client_auth::Optional,
            ClientAuth::Required => certreload_client_auth::Required,
        })
    })
}

/// Returns the number of roots for clients, or for servers.
///
/// @param store  must not be NULL
/// @param peers  CERTRELOAD_PEERS_CLIENTS or _SERVERS
/// @return       the number; 0 if store is NULL or peers is neither
/// Ownership:    a number; nothing to free
/// Threads:      any thread, concurrently
/// Signals:      not async-signal-safe
/// Blocks:       never
/// Since:        0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_trust_store_root_count(
    store: *const certreload_trust_store,
    peers: peers_number,
) -> usize {
    // SAFETY: the caller passes a trust store of a live generation, or NULL.
    boundary(|| Ok(roots(unsafe { cast::borrow(store, "store")? }, peers)?.len()))
}

/// Returns the certificate of one root, in DER.
///
/// Every root is an anchor, whether it is self-signed or not: no issuer of it is needed, and its dates do not count.
///
/// @param store    must not be NULL
/// @param peers    CERTRELOAD_PEERS_CLIENTS or _SERVERS
/// @param index    0 to certreload_trust_store_root_count() - 1
/// @param len_out  must not be NULL; the length in bytes; 0 if NULL is returned
/// @return         the bytes; NULL if a pointer is NULL, peers is neither, or the index does not exist
/// Ownership:      borrowed, until the generation is released
/// Threads:        any thread, concurrently
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_trust_store_root_der(
    store: *const certreload_trust_store,
    peers: peers_number,
    index: usize,
    len_out: *mut usize,
) -> *const u8 {
    boundary(|| {
        // SAFETY: the caller passes a place to write, or NULL.
        let mut len = unsafe { cast::out(len_out, "len_out")? };
        len.set(0);
        // SAFETY: the caller passes a trust store of a live generation, or NULL.
        let store = unsafe { cast::borrow(store, "store")? };
        let der = cast::at(roots(store, peers)?, index, "roots")?;
        len.set(der.len());
        Ok(der.as_ptr())
    })
}

/// Returns the number of revocation lists of a trust store, for peers of both kinds.
///
/// @param store  must not be NULL
/// @return       the number; 0 if store is NULL
/// Ownership:    a number; nothing to free
/// Threads:      any thread, concurrently
/// Signals:      not async-signal-safe
/// Blocks:       never
/// Since:        0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_trust_store_crl_count(
    store: *const certreload_trust_store,
) -> usize {
    // SAFETY: the caller passes a trust store of a live generation, or NULL.
    boundary(|| Ok(unsafe { cast::borrow(store, "store")? }.crls().len()))
}

/// Returns one revocation list, in DER.
///
/// @param store    must not be NULL
/// @param index    0 to certreload_trust_store_crl_count() - 1
/// @param len_out  must not be NULL; the length in bytes; 0 if NULL is returned
/// @return         the bytes; NULL if a pointer is NULL or the index does not exist
/// Ownership:      borrowed, until the generation is released
/// Threads:        any thread, concurrently
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_trust_store_crl_der(
    store: *const certreload_trust_store,
    index: usize,
    len_out: *mut usize,
) -> *const u8 {
    boundary(|| {
        // SAFETY: the caller passes a place to write, or NULL.
        let mut len = unsafe { cast::out(len_out, "len_out")? };
        len.set(0);
        // SAFETY: the caller passes a trust store of a live generation, or NULL.
        let store = unsafe { cast::borrow(store, "store")? };
        let der = cast::at(store.crls(), index, "revocation lists")?;
        len.set(der.len());
        Ok(der.as_ptr())
    })
}

/// Returns the rules of certreload_options_set_crl_rules().
///
/// @param store  must not be NULL
/// @return       CERTRELOAD_CRL_LEAF_ONLY, _ALLOW_UNKNOWN and _ALLOW_EXPIRED, or'ed; 0 if store is NULL
/// Ownership:    a number; nothing to free
/// Threads:      any thread, concurrently
/// Signals:      not async-signal-safe
/// Blocks:       never
/// Since:        0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_trust_store_crl_rules(
    store: *const certreload_trust_store,
) -> u32 {
    boundary(|| {
        // SAFETY: the caller passes a trust store of a live generation, or NULL.
        let rules = unsafe { cast::borrow(store, "store")? }.rules().crl_rules;
        let bits = [
            (rules.leaf_only, CERTRELOAD_CRL_LEAF_ONLY),
            (rules.allow_unknown, CERTRELOAD_CRL_ALLOW_UNKNOWN),
            (rules.allow_expired, CERTRELOAD_CRL_ALLOW_EXPIRED),
        ];
        Ok(bits.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum::<u32>())
    })
}

/// Returns whether a server sends the subject names of the roots to clients.
///
/// @param store  must not be NULL
/// @return       true, unless certreload_options_set_authority_names() forbids it; false if store is NULL
/// Ownership:    nothing changes hands
/// Threads:      any thread, concurrently
/// Signals:      not async-signal-safe
/// Blocks:       never
/// Since:        0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_trust_store_sends_authority_names(
    store: *const certreload_trust_store,
) -> bool {
    boundary(|| {
        // SAFETY: the caller passes a trust store of a live generation, or NULL.
        Ok(!unsafe { cast::borrow(store, "store")? }.rules().hides_authority_names)
    })
}

fn roots(
    store: &Trust,
    peers: peers_number,
) -> Result<&[rustls::pki_types::CertificateDer<'static>], Error> {
    match peers {
        0 => Ok(store.client_roots()),
        1 => Ok(store.server_roots()),
        _ => Err(Error::invalid(format!("{peers} is no certreload_peers"))),
    }
}
