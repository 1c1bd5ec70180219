//! What one part of a handle does to the others beside it: identities, trust, sessions, and a template.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::ffi::CString;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use certreload::ffi::event::CERTRELOAD_WARNING_CRL_MISSING;
use certreload::ffi::options::certreload_options_set_server_template;
use certreload::ffi::options::required_name::certreload_options_require_name;
use certreload::ffi::options::trust::{
    certreload_client_auth, certreload_options_set_server_roots,
};
use certreload::ffi::options::watch::certreload_watch;
use certreload::ffi::result::certreload_result as Outcome;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use support::certificates::{Authority, Pair, Site, replace};
use support::host::{Builder, c_path, last_error};
use support::revoking::Root;
use support::sites::write_private;
use support::talk::talk;

fn quiet(site: &Site) -> Builder {
    let builder = Builder::new().identity(&site.chain(), &site.key());
    builder.watch(certreload_watch::Off).debounce_ms(1, 2)
}

fn with_template(builder: Builder, config: ServerConfig) -> Builder {
    let config = Arc::into_raw(Arc::new(config));
    // SAFETY: live options, and a config as rustls-ffi has it.
    let result = unsafe { certreload_options_set_server_template(builder.0, config.cast()) };
    assert_eq!(result, Outcome::Ok);
    builder
}

/// The hello callback of a host.
#[derive(Debug, Default)]
struct Callback(AtomicUsize);

impl ResolvesServerCert for Callback {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        None
    }
}

#[test]
fn g13_ticket_keys_that_others_have_do_not_go_with_a_template_that_checks_clients_by_itself() {
    let site = Site::plain(&Pair::new(&["a.test"]));
    let keys = site.path("keys");
    write_private(&keys, "AQIDBAUGBwgJCgsMDQ4PEAECAwQFBgcICQoLDA0ODxABAgMEBQYHCAkKCwwNDg8Q\n");
    let template = || {
        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(Authority::new().root()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_cert_resolver(Arc::new(Callback::default()))
    };
    let refused = with_template(quiet(&site).ticket_keys(&keys), template()).try_open();
    assert_eq!(refused.err(), Some(Outcome::InvalidParameter));
    assert!(last_error().contains("the template has its own client verifier"), "{}", last_error());
    with_template(quiet(&site), template()).open();
}

#[test]
fn opening_calls_no_callback_of_a_template() {
    let site = Site::plain(&Pair::new(&["a.test"]));
    let roots = site.path("roots.pem");
    replace(&roots, &Root::new("one").pem());
    let callback = Arc::new(Callback::default());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(callback.clone());
    let builder = quiet(&site).client_auth(certreload_client_auth::Required, &roots);
    with_template(builder, config).open();
    assert_eq!(callback.0.load(Ordering::SeqCst), 0);
}

/// An identity that the template's cipher suites cannot serve comes together with a root that goes.
#[test]
fn g3_g13_a_root_goes_though_an_identity_that_is_refused_comes_with_it() {
    let mut site = Site::plain(&Pair::new(&["a.test"]));
    let (key, chain) = (site.key(), site.chain());
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=a.test \
                  -addext subjectAltName=DNS:a.test -keyout \"$0\" -out \"$1\"";
    let made = Command::new("sh").args(["-c", script]).args([&key, &chain]).output().unwrap();
    assert!(made.status.success());
    let roots = site.path("roots.pem");
    let (one, two) = (Root::new("one"), Root::new("two"));
    replace(&roots, &(one.pem() + &two.pem()));
    let mut provider = default_provider();
    provider.cipher_suites = vec![cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384];
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Callback::default()));
    let builder = quiet(&site).client_auth(certreload_client_auth::Required, &roots);
    let host = with_template(builder, config).open();
    site.renew(&Pair::new(&["a.test"]));
    replace(&roots, &two.pem());
    assert_eq!(host.reload_wait(), Outcome::SelfCheckFailed);
    assert!(last_error().starts_with(chain.to_str().unwrap()), "{}", last_error());
    assert_eq!(host.status().generation, 2, "the trust is another unit");
}

#[test]
fn g14_an_identity_that_is_refused_costs_the_client_role_no_session() {
    let authority = Authority::new();
    let mut site = Site::plain(&authority.issue(&["a.test"]));
    let mut other = Site::plain(&authority.issue(&["b.test"]));
    let roots = site.path("roots.pem");
    replace(&roots, &authority.root_pem());
    let builder = quiet(&site).identity(&other.chain(), &other.key());
    let (name, path) = (CString::new("a.test").unwrap(), c_path(&roots));
    // SAFETY: live options and C strings.
    unsafe {
        assert_eq!(certreload_options_require_name(builder.0, name.as_ptr()), Outcome::Ok);
        assert_eq!(certreload_options_set_server_roots(builder.0, path.as_ptr()), Outcome::Ok);
    }
    let host = builder.open();
    let server = host.config();
    assert_eq!(talk(&host, &server), HandshakeKind::Full);
    assert_eq!(talk(&host, &server), HandshakeKind::Resumed);
    site.renew(&authority.issue(&["c.test"]));
    assert_eq!(host.reload_wait(), Outcome::NameMissing, "{}", last_error());
    other.renew(&authority.issue(&["b.test"]));
    host.reload_wait();
    assert_eq!(host.status().generation, 2);
    assert_eq!(talk(&host, &server), HandshakeKind::Resumed);
}

#[test]
fn g3_a_bad_crl_is_reported_once_whatever_else_changes_in_the_trust_store() {
    let site = Site::plain(&Pair::new(&["a.test"]));
    let (roots, lists) = (site.path("roots.pem"), site.path("lists"));
    let one = Root::new("one");
    replace(&roots, &one.pem());
    std::fs::create_dir(&lists).unwrap();
    replace(&lists.join("one.crl"), &one.list(1, &[]));
    let builder = quiet(&site).client_auth(certreload_client_auth::Required, &roots).crl(&lists);
    let host = builder.open();
    // Somebody who only has the same name.
    replace(&lists.join("zz.crl"), &Root::new("one").list(9, &[]));
    assert_eq!(host.reload_wait(), Outcome::CrlSignature, "{}", last_error());
    for number in 2..5 {
        replace(&lists.join("one.crl"), &one.list(number, &[]));
        assert_eq!(host.reload_wait(), Outcome::CrlSignature, "{}", last_error());
    }
    assert_eq!(host.status().failures, 1);
    std::fs::remove_file(lists.join("zz.crl")).unwrap();
    assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
}

#[test]
fn a_root_without_a_list_beside_one_that_has_one_is_warned_of() {
    let site = Site::plain(&Pair::new(&["a.test"]));
    let (roots, list) = (site.path("roots.pem"), site.path("one.crl"));
    let (one, two) = (Root::new("one"), Root::new("two"));
    replace(&roots, &one.pem());
    replace(&list, &one.list(1, &[]));
    let builder = quiet(&site).client_auth(certreload_client_auth::Required, &roots).crl(&list);
    let host = builder.open();
    assert_eq!(host.status().warnings & CERTRELOAD_WARNING_CRL_MISSING, 0);
    replace(&roots, &(one.pem() + &two.pem()));
    assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
    assert_ne!(host.status().warnings & CERTRELOAD_WARNING_CRL_MISSING, 0);
    replace(&list, &(one.list(1, &[]) + &two.list(1, &[])));
    assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
    assert_eq!(host.status().warnings & CERTRELOAD_WARNING_CRL_MISSING, 0);
}
