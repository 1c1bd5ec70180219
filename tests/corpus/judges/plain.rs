//! Plain rustls-ffi, through its C functions, as a C host calls them.

use std::ptr::{null, null_mut};
use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};
use rustls_ffi::certificate::{
    rustls_certified_key, rustls_root_cert_store, rustls_root_cert_store_builder,
};
use rustls_ffi::client::rustls_client_config_builder as client_builder;
use rustls_ffi::rslice::rustls_slice_bytes;
use rustls_ffi::rustls_result;
use rustls_ffi::server::rustls_server_config_builder as config_builder;
use rustls_ffi::verifier::{
    rustls_client_cert_verifier, rustls_server_cert_verifier,
    rustls_web_pki_client_cert_verifier_builder as verifier_builder,
    rustls_web_pki_server_cert_verifier_builder as server_verifier_builder,
};

use super::handshake::handshake;
use super::{Opinion, Trust, Verdict, among_peers};

// Methods of a type that is private in Rust, but symbols of the library.
#[allow(improper_ctypes, reason = "the types are opaque")]
unsafe extern "C" {
    fn rustls_web_pki_server_cert_verifier_builder_new(
        store: *const rustls_root_cert_store,
    ) -> *mut server_verifier_builder;
    fn rustls_web_pki_server_cert_verifier_builder_build(
        builder: *mut server_verifier_builder,
        verifier_out: *mut *mut rustls_server_cert_verifier,
    ) -> rustls_result;
    fn rustls_web_pki_server_cert_verifier_builder_free(builder: *mut server_verifier_builder);
}

fn is_ok(what: &str, result: rustls_result) -> Result<(), String> {
    match result {
        rustls_result::Ok => Ok(()),
        failed => Err(format!("{what} returns {}", failed as u32)),
    }
}

/// The certificate with its key, to be freed.
fn certified(chain: &[u8], key: &[u8]) -> Result<*const rustls_certified_key, String> {
    let mut certified = null();
    let result = rustls_certified_key::rustls_certified_key_build(
        chain.as_ptr(),
        chain.len(),
        key.as_ptr(),
        key.len(),
        &raw mut certified,
    );
    is_ok("rustls_certified_key_build", result).map(|()| certified)
}

/// A config that serves one identity; `verifier` may be NULL.
fn config(
    (chain, key, staple): (&[u8], &[u8], Option<&[u8]>),
    verifier: *const rustls_client_cert_verifier,
) -> Result<Arc<ServerConfig>, String> {
    let (mut certified, mut config) = (certified(chain, key)?, null());
    if let Some(staple) = staple {
        let (plain, bytes) = (certified, rustls_slice_bytes::from(staple));
        let result = rustls_certified_key::rustls_certified_key_clone_with_ocsp(
            plain,
            &raw const bytes,
            &raw mut certified,
        );
        is_ok("rustls_certified_key_clone_with_ocsp", result)?;
        rustls_certified_key::rustls_certified_key_free(plain);
    }
    let builder = config_builder::rustls_server_config_builder_new();
    let result = config_builder::rustls_server_config_builder_set_certified_keys(
        builder,
        &raw const certified,
        1,
    );
    is_ok("rustls_server_config_builder_set_certified_keys", result)?;
    if !verifier.is_null() {
        config_builder::rustls_server_config_builder_set_client_verifier(builder, verifier);
    }
    let result = config_builder::rustls_server_config_builder_build(builder, &raw mut config);
    rustls_certified_key::rustls_certified_key_free(certified);
    is_ok("rustls_server_config_builder_build", result)?;
    // SAFETY: rustls-ffi's documented layout: the pointer is one reference of an Arc.
    Ok(unsafe { Arc::from_raw(config.cast::<ServerConfig>()) })
}

pub fn identity(chain: &[u8], key: &[u8]) -> Opinion {
    match config((chain, key, None), null()) {
        Err(refusal) => Opinion::of(Verdict::Refused, refusal),
        Ok(config) => match handshake(config, None) {
            Ok(shown) => Opinion::of(Verdict::Served, shown.leaf),
            Err(error) => Opinion::of(Verdict::Loaded, error.to_string()),
        },
    }
}

/// Whether the OCSP response is stapled.
pub fn staple(chain: &[u8], key: &[u8], staple: &[u8]) -> Opinion {
    if staple.is_empty() {
        return Opinion::of(Verdict::Refused, "an assertion of rustls fails in debug builds");
    }
    let shown = handshake(config((chain, key, Some(staple)), null()).unwrap(), None).unwrap();
    let verdict = if shown.staple == staple { Verdict::Served } else { Verdict::Refused };
    Opinion::of(verdict, "")
}

/// The roots in PEM, to be freed.
fn root_store(roots: &[u8]) -> Result<*const rustls_root_cert_store, String> {
    let builder = rustls_root_cert_store_builder::rustls_root_cert_store_builder_new();
    let result = rustls_root_cert_store_builder::rustls_root_cert_store_builder_add_pem(
        builder,
        roots.as_ptr(),
        roots.len(),
        false,
    );
    is_ok("rustls_root_cert_store_builder_add_pem", result)?;
    let mut store = null();
    let result = rustls_root_cert_store_builder::rustls_root_cert_store_builder_build(
        builder,
        &raw mut store,
    );
    rustls_root_cert_store_builder::rustls_root_cert_store_builder_free(builder);
    is_ok("rustls_root_cert_store_builder_build", result).map(|()| store)
}

/// A verifier of clients that trusts the roots and enforces the CRLs in PEM.
fn verifier(
    roots: &[u8],
    lists: Option<&[u8]>,
) -> Result<*mut rustls_client_cert_verifier, String> {
    let store = root_store(roots)?;
    let builder = verifier_builder::rustls_web_pki_client_cert_verifier_builder_new(store);
    rustls_root_cert_store::rustls_root_cert_store_free(store);
    let added = lists.map_or(rustls_result::Ok, |lists| {
        verifier_builder::rustls_web_pki_client_cert_verifier_builder_add_crl(
            builder,
            lists.as_ptr(),
            lists.len(),
        )
    });
    let mut verifier = null_mut();
    let built =
        is_ok("rustls_web_pki_client_cert_verifier_builder_add_crl", added).and_then(|()| {
            let built = verifier_builder::rustls_web_pki_client_cert_verifier_builder_build(
                builder,
                &raw mut verifier,
            );
            is_ok("rustls_web_pki_client_cert_verifier_builder_build", built)
        });
    verifier_builder::rustls_web_pki_client_cert_verifier_builder_free(builder);
    built.map(|()| verifier)
}

pub fn trust(case: &Trust, (chain, key): (&[u8], &[u8])) -> Opinion {
    match verifier(&case.roots, case.lists.as_deref()) {
        Err(refusal) => Opinion::of(Verdict::Refused, refusal),
        Ok(verifier) => {
            let config = config((chain, key, None), verifier).unwrap();
            rustls_client_cert_verifier::rustls_client_cert_verifier_free(verifier);
            among_peers(&config, case)
        }
    }
}

/// A server that serves one identity, to clients of the roots alone if there are some.
pub fn server((chain, key): (&[u8], &[u8]), roots: Option<&[u8]>) -> Arc<ServerConfig> {
    let verifier = roots.map_or(null_mut(), |roots| verifier(roots, None).unwrap());
    let config = config((chain, key, None), verifier).unwrap();
    rustls_client_cert_verifier::rustls_client_cert_verifier_free(verifier);
    config
}

/// A client that trusts the roots, and presents `own`, a certificate and its key.
pub fn client(roots: &[u8], own: Option<(&[u8], &[u8])>) -> Arc<ClientConfig> {
    let store = root_store(roots).unwrap();
    let (mut verifier, mut config) = (null_mut(), null());
    // SAFETY: as their documentation says: a live store, and a builder that is freed.
    let result = unsafe {
        let builder = rustls_web_pki_server_cert_verifier_builder_new(store);
        let result = rustls_web_pki_server_cert_verifier_builder_build(builder, &raw mut verifier);
        rustls_web_pki_server_cert_verifier_builder_free(builder);
        result
    };
    rustls_root_cert_store::rustls_root_cert_store_free(store);
    is_ok("rustls_web_pki_server_cert_verifier_builder_build", result).unwrap();
    let builder = client_builder::rustls_client_config_builder_new();
    client_builder::rustls_client_config_builder_set_server_verifier(builder, verifier);
    rustls_server_cert_verifier::rustls_server_cert_verifier_free(verifier);
    if let Some((chain, key)) = own {
        let certified = certified(chain, key).unwrap();
        let result = client_builder::rustls_client_config_builder_set_certified_key(
            builder,
            &raw const certified,
            1,
        );
        is_ok("rustls_client_config_builder_set_certified_key", result).unwrap();
        rustls_certified_key::rustls_certified_key_free(certified);
    }
    let result = client_builder::rustls_client_config_builder_build(builder, &raw mut config);
    is_ok("rustls_client_config_builder_build", result).unwrap();
    // SAFETY: rustls-ffi's documented layout: the pointer is one reference of an Arc.
    unsafe { Arc::from_raw(config.cast::<ClientConfig>()) }
}
