//! A start on a bad day: with `CERTRELOAD_START_AVAILABLE` a handle opens with what can be used, and the rest comes later.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::fs;
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::Arc;
use std::thread;

use certreload::ffi::event::certreload_event_kind::{Expired, Recovered, ReloadFailed, Reloaded};
use certreload::ffi::event::*;
use certreload::ffi::generation::*;
use certreload::ffi::handle::certreload_check;
use certreload::ffi::identity_bytes::certreload_identity_bytes;
use certreload::ffi::new_connection::*;
use certreload::ffi::options::identity_memory::certreload_options_add_identity_memory;
use certreload::ffi::options::required_name::certreload_options_require_name;
use certreload::ffi::options::start::{certreload_options_set_start, certreload_start};
use certreload::ffi::options::trust::*;
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::options::*;
use certreload::ffi::push_identity::certreload_push_identity;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;
use certreload::ffi::status::trust::{certreload_get_trust_status, certreload_trust_status};
use support::certificates::{Authority, Pair, in_the_past, replace, write_private};
use support::driver::Driver;
use support::host::{Builder, Client, Host, c_path, last_error, text};
use support::revoking::{Root, greet, is_let_in};
use support::talk::talk;

/// Pairs in one directory: number 1 is `1.pem` and `1.key`.
struct Store(tempfile::TempDir);

impl Store {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, pair: &Pair) {
        write_private(&self.path(&format!("{name}.key")), &pair.key);
        replace(&self.path(&format!("{name}.pem")), &pair.chain);
    }

    fn with(&self, builder: Builder, name: &str) -> Builder {
        let (chain, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        builder.identity(&chain, &key)
    }
}

fn started(builder: Builder, start: certreload_start) -> Builder {
    // SAFETY: live options.
    let result = unsafe { certreload_options_set_start(builder.0, start as u32) };
    assert_eq!(result, Outcome::Ok);
    builder
}

/// Options of a handle that is asked to scan its files by the test alone.
fn available() -> Builder {
    started(Builder::new(), certreload_start::Available).watch(Watch::Off).debounce_ms(0, 0)
}

fn health(host: &Host) -> Health {
    host.status().health
}

/// The alert that ends a handshake of any client, or what else there is.
fn refusal(config: Arc<rustls::ServerConfig>, name: &str) -> Option<rustls::Error> {
    let mut client = Client::new().begin(name);
    let mut server = rustls::ServerConnection::new(config).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    server.read_tls(&mut hello.as_slice()).unwrap();
    server.process_new_packets().err()?;
    let mut alert = Vec::new();
    server.write_tls(&mut alert).unwrap();
    client.read_tls(&mut alert.as_slice()).unwrap();
    client.process_new_packets().err()
}

const ACCESS_DENIED: Option<rustls::Error> =
    Some(rustls::Error::AlertReceived(rustls::AlertDescription::AccessDenied));

/// The fingerprint of what `generation_select` returns.
fn selected(host: &Host, name: &str) -> Option<String> {
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: an open handle, and a C string; what is borrowed is copied before the release.
    unsafe {
        let generation = certreload_generation_acquire(host.handle);
        let identity = certreload_generation_select(generation, name.as_ptr());
        let sha256 = (!identity.is_null())
            .then(|| text(certreload::ffi::identity_getters::certreload_identity_sha256(identity)));
        certreload_generation_release(generation);
        sha256
    }
}

fn identity_count(host: &Host) -> usize {
    // SAFETY: an open handle.
    unsafe {
        let generation = certreload_generation_acquire(host.handle);
        let count = certreload_generation_identity_count(generation);
        certreload_generation_release(generation);
        count
    }
}

fn trust_status(host: &Host) -> certreload_trust_status {
    let mut status = MaybeUninit::<certreload_trust_status>::uninit();
    let size = size_of::<certreload_trust_status>();
    // SAFETY: an open handle, and room for `size` bytes that are all filled in on Ok.
    unsafe {
        let result = certreload_get_trust_status(host.handle, status.as_mut_ptr(), size);
        assert_eq!(result, Outcome::Ok);
        status.assume_init()
    }
}

/// One customer's expired certificate among a hundred keeps no server down.
#[test]
fn one_expired_identity_of_a_hundred_is_served_with_the_others() {
    let (store, authority) = (Store::new(), Authority::new());
    let name = |number: u32| format!("{number}.test");
    let pairs: Vec<_> = (0..100).map(|number| authority.issue(&[&name(number)])).collect();
    let old = authority.issue_with(&["41.test"], in_the_past);
    let with_all = |builder: Builder| (0..100).fold(builder, |all, at| store.with(all, &name(at)));
    for (number, pair) in (0..).zip(&pairs) {
        store.put(&name(number), if number == 41 { &old } else { pair });
    }
    let strict = with_all(started(Builder::new(), certreload_start::Strict));
    assert_eq!(strict.try_open().err(), Some(Outcome::CertificateExpired));
    assert_eq!(with_all(Builder::new()).try_open().err(), Some(Outcome::CertificateExpired));
    let checked = with_all(available());
    // SAFETY: live options.
    assert_eq!(unsafe { certreload_check(checked.0) }, Outcome::CertificateExpired);

    let host = with_all(available()).open();
    let seen = host.recorder.wait_until("the expiry", |seen| seen.len() >= 2);
    assert_eq!(seen[0].kind, Reloaded);
    assert_eq!((seen[1].kind, seen.len()), (Expired, 2), "{seen:#?}");
    assert_eq!(seen[1].path, store.path("41.test.pem").to_str().unwrap());
    assert_eq!(health(&host), Health::Expired);
    assert_eq!(host.identity_status(41).health, Health::Expired);
    assert_eq!(host.identity_status(40).health, Health::Ok);
    assert_eq!(host.status().last_result, Outcome::Ok);
    for number in [0, 40, 42, 99] {
        assert_eq!(host.served(&name(number)), pairs[number as usize].sha256);
    }
    assert_eq!(host.served("41.test"), old.sha256);
    assert_eq!(host.reload_wait(), Outcome::Unchanged, "{}", last_error());

    store.put("41.test", &pairs[41]);
    assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
    assert_eq!(health(&host), Health::Ok);
    assert_eq!(host.served("41.test"), pairs[41].sha256);

    // G15: something better is served now.
    store.put("41.test", &old);
    assert_eq!(host.reload_wait(), Outcome::CertificateExpired);
    assert_eq!(host.served("41.test"), pairs[41].sha256);
}

/// The first certificate comes over ACME, from the server that has none yet.
#[test]
fn a_handle_without_any_identity_refuses_handshakes_until_the_first_certificate_comes() {
    for driver in [Driver::Threads, Driver::Host] {
        let (store, pair) = (Store::new(), Pair::new(&["a.test"]));
        let builder = started(Builder::new(), certreload_start::Available).driven_by(driver);
        let host = store.with(builder.debounce_ms(10, 2000), "a").open();
        let seen = host.recorder.wait_for_failures(1);
        assert_eq!(seen[0].trigger, certreload_trigger::Open);
        assert_eq!((seen[0].result, seen[0].generation), (Outcome::FileNotFound, 1));
        assert!(
            seen[0].message.contains("this identity is not served until it is loaded"),
            "{}",
            seen[0].message
        );
        let first = &host.recorder.of(Reloaded)[0];
        assert!(first.message.contains("a.pem: nothing has been loaded yet"), "{}", first.message);

        let status = host.status();
        assert_eq!((status.health, status.generation), (Health::Missing, 1));
        assert_eq!((status.identities, status.identities_configured), (0, 1));
        assert_eq!((status.last_result, status.failures), (Outcome::FileNotFound, 1));
        assert_eq!((status.consecutive_failures, status.warnings), (1, 0));
        assert_eq!(status.earliest_not_after, i64::MAX);
        let of_identity = host.identity_status(0);
        assert_eq!((of_identity.health, of_identity.not_after), (Health::Missing, 0));
        assert_eq!((of_identity.renewed_at, of_identity.renewed_generation), (0, 0));
        assert_eq!(of_identity.last_result, Outcome::FileNotFound);
        assert_eq!(identity_count(&host), 0);
        assert_eq!(selected(&host, "a.test"), None);
        assert_eq!(selected(&host, ""), None);
        let mut connection = ptr::null_mut();
        // SAFETY: an open handle, and a place to write; the connection is freed once.
        unsafe {
            let made = certreload_server_connection_new(host.handle, &raw mut connection);
            assert_eq!(made, Outcome::Ok);
            rustls_ffi::connection::rustls_connection::rustls_connection_free(connection);
        }
        assert_eq!(refusal(host.config(), "a.test"), ACCESS_DENIED);

        store.put("a", &pair);
        host.recorder.wait_for_generation(2);
        host.wait_until_served("a.test", &pair.sha256);
        let status = host.status();
        assert_eq!((status.health, status.last_result), (Health::Ok, Outcome::Ok));
        assert_eq!((status.identities, status.identities_configured), (1, 1));
        assert_eq!(host.identity_status(0).renewed_generation, 2);
        assert!(selected(&host, "b.test").is_some());

        // Nothing is given up that was loaded once (G3).
        fs::remove_file(store.path("a.pem")).unwrap();
        assert_eq!(host.reload_wait(), Outcome::FileNotFound);
        assert_eq!(host.served("a.test"), pair.sha256);
        assert_eq!(health(&host), Health::Stale);
    }
}

/// As the client of OpenSSL sees a server without a certificate.
#[test]
fn openssl_gets_an_alert_from_a_handle_without_identities() {
    let store = Store::new();
    let host = Arc::new(store.with(available(), "a").open());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = {
        let host = host.clone();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut connection = rustls::ServerConnection::new(host.config()).unwrap();
            let _ = connection.complete_io(&mut socket);
            let _ = connection.write_tls(&mut socket);
        })
    };
    let client = Command::new("openssl")
        .args(["s_client", "-brief", "-connect", &address, "-servername", "a.test"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    serving.join().unwrap();
    let said = String::from_utf8_lossy(&client.stderr);
    assert!(!client.status.success() && said.contains("alert access denied"), "{said}");
}

/// What is wrong with an identity: the files that it has, and the result.
type Bad<'a> = (&'a str, Outcome, &'a dyn Fn(&Store));

#[test]
fn each_bad_identity_is_left_out_and_the_others_keep_their_places() {
    let good = Pair::new(&["good.test"]);
    let other = Pair::new(&["other.test"]);
    let bad: [Bad<'_>; 4] = [
        ("no key", Outcome::FileNotFound, &|store| replace(&store.path("b.pem"), &good.chain)),
        ("text", Outcome::NoCertificate, &|store| {
            replace(&store.path("b.pem"), "soon");
            write_private(&store.path("b.key"), &good.key);
        }),
        ("a wrong pair", Outcome::KeyMismatch, &|store| {
            store.put("b", &Pair { key: other.key.clone(), ..good.clone() });
        }),
        ("a directory", Outcome::FileNotRegular, &|store| {
            fs::create_dir(store.path("b.pem")).unwrap();
            write_private(&store.path("b.key"), &good.key);
        }),
    ];
    for (what, result, make) in bad {
        let (store, pairs) = (Store::new(), [Pair::new(&["a.test"]), Pair::new(&["c.test"])]);
        store.put("a", &pairs[0]);
        make(&store);
        store.put("c", &pairs[1]);
        let host = ["a", "b", "c"].into_iter().fold(available(), |all, it| store.with(all, it));
        let host = host.open();
        let seen = host.recorder.wait_for_failures(1);
        assert_eq!(seen[0].result, result, "{what}: {}", seen[0].message);
        assert_eq!(host.identity_status(0).health, Health::Ok, "{what}");
        assert_eq!(host.identity_status(1).health, Health::Missing, "{what}");
        assert_eq!(host.identity_status(1).last_result, result, "{what}");
        assert_eq!(host.identity_status(2).health, Health::Ok, "{what}");
        assert_eq!((host.status().identities, identity_count(&host)), (2, 2), "{what}");
        assert_eq!(host.served("c.test"), pairs[1].sha256, "{what}");
        assert_eq!(host.served("good.test"), pairs[0].sha256, "{what}: the first identity");
        assert_eq!(host.identity_sha256(1), pairs[1].sha256, "{what}: the second that is loaded");
        // The same failure again is not reported again (G3).
        assert_eq!(host.reload_wait(), result, "{what}");
        assert_eq!(host.recorder.of(ReloadFailed).len(), 1, "{what}");

        let _ = fs::remove_dir(store.path("b.pem"));
        store.put("b", &good);
        assert_eq!(host.reload_wait(), Outcome::Ok, "{what}: {}", last_error());
        assert_eq!(host.served("good.test"), good.sha256, "{what}");
        assert_eq!((host.identity_sha256(1), health(&host)), (good.sha256.clone(), Health::Ok));
        assert!(host.recorder.of(Recovered).is_empty(), "RELOADED says it");
    }
}

#[test]
fn the_first_identity_that_is_loaded_is_the_default() {
    let (store, pairs) = (Store::new(), [Pair::new(&["a.test"]), Pair::new(&["b.test"])]);
    store.put("b", &pairs[1]);
    let host = store.with(store.with(available(), "a"), "b").open();
    assert_eq!(host.served("unknown.test"), pairs[1].sha256);
    store.put("a", &pairs[0]);
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(host.served("unknown.test"), pairs[0].sha256);
}

#[test]
fn g16_an_identity_that_fails_its_self_check_is_left_out() {
    let store = Store::new();
    store.put("a", &Pair::new(&["a.test"]));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let rsa_only = rustls::crypto::CryptoProvider {
        cipher_suites: vec![
            rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        ..provider
    };
    let template = rustls::ServerConfig::builder_with_provider(rsa_only.into())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
    let template = Arc::new(template);
    let roots = store.path("roots.pem");
    replace(&roots, &Root::new("clients").pem());
    let options = || {
        let builder = store.with(available(), "a");
        let builder = builder.client_auth(certreload_client_auth::Optional, &roots);
        // SAFETY: live options, and a configuration that lives longer.
        let result = unsafe {
            certreload_options_set_server_template(builder.0, Arc::as_ptr(&template).cast())
        };
        assert_eq!(result, Outcome::Ok);
        builder
    };
    let host = options().open();
    let seen = host.recorder.wait_for_failures(1);
    assert_eq!(seen[0].result, Outcome::SelfCheckFailed, "{}", seen[0].message);
    assert_eq!((health(&host), identity_count(&host)), (Health::Missing, 0));
    assert_eq!(trust_status(&host).health, Health::Ok, "a bad identity proves nothing about it");
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
    let key = key.unwrap();
    let params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    store.put("a", &Pair { chain, key: key.serialize_pem(), sha256: String::new() });
    assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
    assert_eq!((health(&host), identity_count(&host)), (Health::Ok, 1));
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_served_with_a_warning() {
    let (store, pair) = (Store::new(), Pair::not_yet_valid());
    store.put("a", &pair);
    let strict = store.with(Builder::new(), "a").try_open();
    assert_eq!(strict.err(), Some(Outcome::CertificateNotYetValid));
    let host = store.with(available(), "a").open();
    let seen = host.recorder.wait_until("the open", |seen| !seen.is_empty());
    assert_eq!(seen[0].warnings, CERTRELOAD_WARNING_NOT_YET_VALID, "{}", seen[0].message);
    assert!(seen[0].message.contains("the clock of this machine reads 2"), "{}", seen[0].message);
    let of_identity = host.identity_status(0);
    assert_eq!(of_identity.health, Health::Expired);
    assert_eq!(of_identity.warnings, CERTRELOAD_WARNING_NOT_YET_VALID);
    assert_eq!(host.status().warnings, CERTRELOAD_WARNING_NOT_YET_VALID);
    assert_eq!(host.served("future.test"), pair.sha256);
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    store.put("a", &Pair::new(&["future.test"]));
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(
        (health(&host), host.status().warnings & CERTRELOAD_WARNING_NOT_YET_VALID),
        (Health::Ok, 0)
    );
}

/// Roots that cannot be loaded weaken nothing: nobody gets in, with or without a certificate.
#[test]
fn g13_every_handshake_is_refused_until_the_trust_store_is_loaded() {
    let (store, root) = (Store::new(), Root::new("clients"));
    store.put("a", &Pair::new(&["a.test"]));
    let client = root.client(store.0.path(), 7);
    let roots = store.path("roots.pem");
    let lists = store.path("lists.pem");
    for mode in [certreload_client_auth::Optional, certreload_client_auth::Required] {
        replace(&roots, "nothing yet");
        replace(&lists, &root.list(1, &[66]));
        let options = || store.with(available(), "a").client_auth(mode, &roots).crl(&lists);
        let host = Arc::new(options().open());
        let failed = host.recorder.wait_for_failures(1);
        assert_eq!(failed[0].result, Outcome::NoCertificate);
        assert!(failed[0].message.contains("every handshake is refused"), "{}", failed[0].message);
        assert_eq!((health(&host), trust_status(&host).health), (Health::Missing, Health::Missing));
        assert_eq!(trust_status(&host).last_result, Outcome::NoCertificate);
        assert_eq!(trust_status(&host).client_roots, 0);
        assert_eq!(host.identity_status(0).health, Health::Ok);
        assert_eq!(selected(&host, "a.test"), None);
        assert_eq!(refusal(host.config(), "a.test"), ACCESS_DENIED);
        let address = greet(host.clone());
        assert!(!is_let_in(address, Some(&client)) && !is_let_in(address, None));

        // A list that is missing weakens as much as roots that are.
        replace(&roots, &root.pem());
        fs::remove_file(&lists).unwrap();
        assert_eq!(host.reload_wait(), Outcome::FileNotFound);
        assert!(!is_let_in(address, Some(&client)) && !is_let_in(address, None));

        replace(&lists, &root.list(2, &[66]));
        assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
        assert_eq!((health(&host), trust_status(&host).client_roots), (Health::Ok, 1));
        assert!(is_let_in(address, Some(&client)));
        assert!(!is_let_in(address, Some(&root.client(store.0.path(), 66))), "revoked");
        assert_eq!(is_let_in(address, None), mode == certreload_client_auth::Optional);
    }
}

/// A list of an intermediate can be checked only with the certificate of that intermediate, which comes with an identity.
#[test]
fn g13_the_trust_store_is_judged_again_when_an_identity_brings_an_issuer() {
    let clients = Root::new("clients");
    let issuer = Root::new("issuer");
    for is_damaged in [false, true] {
        let store = Store::new();
        let (roots, lists) = (store.path("roots.pem"), store.path("lists.pem"));
        replace(&roots, &clients.pem());
        let mut of_issuer = issuer.list(1, &[]);
        if is_damaged {
            // The last line is a part of the signature.
            let last = of_issuer.rfind("\n-----END").unwrap() - 8;
            let digit = if &of_issuer[last..=last] == "x" { "y" } else { "x" };
            of_issuer.replace_range(last..=last, digit);
        }
        replace(&lists, &(clients.list(1, &[]) + &of_issuer));
        let mode = certreload_client_auth::Required;
        let host = store.with(available(), "a").client_auth(mode, &roots).crl(&lists).open();
        assert_eq!(trust_status(&host).health, Health::Ok, "the issuer is not known");
        let unchecked = trust_status(&host).warnings;

        let pair = Pair::new(&["a.test"]);
        store.put("a", &Pair { chain: pair.chain.clone() + &issuer.pem(), ..pair });
        host.reload_wait();
        if is_damaged {
            let failed = host.recorder.wait_for_failures(2);
            assert_eq!(failed[1].result, Outcome::CrlSignature);
            assert_eq!(trust_status(&host).health, Health::Stale, "what is served stays (G3)");
            replace(&lists, &(clients.list(2, &[]) + &issuer.list(2, &[])));
            assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
        } else {
            assert_eq!(unchecked, CERTRELOAD_WARNING_CRL_UNRELATED);
            host.recorder.wait_for_generation(3);
            assert_eq!(trust_status(&host).warnings, 0);
        }
        assert_eq!(trust_status(&host).health, Health::Ok);
    }
}

/// A ticket of the time before the restart opens no door either.
#[test]
fn g13_no_session_is_resumed_while_the_trust_store_is_missing() {
    let store = Store::new();
    store.put("a", &Pair::new(&["a.test"]));
    write_private(&store.path("tickets"), &"k".repeat(79));
    fs::write(store.path("tickets"), [7_u8; 80]).unwrap();
    let roots = store.path("roots.pem");
    replace(&roots, &Root::new("clients").pem());
    let options = || {
        let options = store.with(available(), "a").ticket_keys(&store.path("tickets"));
        options.client_auth(certreload_client_auth::Optional, &roots)
    };
    let client = Client::new();
    let before = options().open();
    assert_eq!(client.connect(&before), rustls::HandshakeKind::Full);
    assert_eq!(client.connect(&before), rustls::HandshakeKind::Resumed);
    drop(before);
    let pem = fs::read(&roots).unwrap();
    fs::remove_file(&roots).unwrap();
    let host = options().open();
    let mut hello = client.begin("a.test");
    let mut server = rustls::ServerConnection::new(host.config()).unwrap();
    let mut wire = Vec::new();
    hello.write_tls(&mut wire).unwrap();
    server.read_tls(&mut wire.as_slice()).unwrap();
    assert!(server.process_new_packets().is_err());
    fs::write(&roots, pem).unwrap();
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(client.connect(&host), rustls::HandshakeKind::Resumed, "the same trust store");
}

#[test]
fn g13_the_client_role_refuses_every_server_until_its_roots_are_loaded() {
    let (store, authority) = (Store::new(), Authority::new());
    store.put("a", &authority.issue(&["a.test"]));
    let roots = store.path("roots.pem");
    let server = store.with(available(), "a").open().config();
    // A template of the host that accepts any server.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut trusting = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    trusting.dangerous().set_certificate_verifier(Arc::new(support::client::AnyCertificate));
    let trusting = Arc::new(trusting);
    for has_template in [false, true] {
        let _ = fs::remove_file(&roots);
        let options = store.with(available(), "a").server_roots(&roots);
        if has_template {
            // SAFETY: live options, and a configuration that lives longer.
            let result = unsafe {
                certreload_options_set_client_template(options.0, Arc::as_ptr(&trusting).cast())
            };
            assert_eq!(result, Outcome::Ok);
        }
        let host = options.open();
        assert_eq!(health(&host), Health::Missing);
        let call = std::panic::AssertUnwindSafe(|| talk(&host, &server));
        assert!(std::panic::catch_unwind(call).is_err(), "it talked to any server");
        assert_eq!(refusal(host.config(), "a.test"), ACCESS_DENIED, "and so does its server");
        replace(&roots, &authority.root_pem());
        assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
        assert_eq!(talk(&host, &server), rustls::HandshakeKind::Full);
    }
}

#[test]
fn the_client_role_presents_no_other_identity_than_its_own() {
    let (store, authority) = (Store::new(), Authority::new());
    store.put("a", &authority.issue(&["a.test"]));
    let roots = store.path("roots.pem");
    replace(&roots, &authority.root_pem());
    let server = store.with(available(), "a").client_auth(certreload_client_auth::Optional, &roots);
    let server = server.open().config();
    let options = store.with(available(), "a").server_roots(&roots);
    let (chain, key) = (c_path(&store.path("b.pem")), c_path(&store.path("b.key")));
    // SAFETY: live options and C strings.
    let added =
        unsafe { certreload_options_add_client_identity(options.0, chain.as_ptr(), key.as_ptr()) };
    assert_eq!(added, Outcome::Ok);
    let host = options.open();
    let failed = host.recorder.wait_for_failures(1);
    assert!(failed[0].message.contains("presents no certificate"), "{}", failed[0].message);
    assert_eq!(presented(&host, &server), None);
    let own = authority.issue(&["client.test"]);
    store.put("b", &own);
    assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
    assert_eq!(presented(&host, &server), Some(own.sha256));
}

/// The fingerprint of the certificate that the client role shows to `server`.
fn presented(host: &Host, server: &Arc<rustls::ServerConfig>) -> Option<String> {
    // SAFETY: an open handle; the reference that it gives is taken over.
    let config = unsafe {
        Arc::from_raw(certreload_acquire_client_config(host.handle).cast::<rustls::ClientConfig>())
    };
    let mut client = rustls::ClientConnection::new(config, "a.test".try_into().unwrap()).unwrap();
    let mut server = rustls::ServerConnection::new(server.clone()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    server.peer_certificates().map(|chain| support::certificates::sha256(&chain[0]))
}

#[test]
fn ticket_keys_that_are_missing_are_replaced_by_keys_of_this_process() {
    let store = Store::new();
    store.put("a", &Pair::new(&["a.test"]));
    let tickets = store.path("tickets");
    let host = store.with(available(), "a").ticket_keys(&tickets).open();
    let seen = host.recorder.wait_until("both events", |seen| seen.len() >= 2);
    assert_eq!(seen[0].warnings, CERTRELOAD_WARNING_TICKET_KEYS_MISSING, "{}", seen[0].message);
    assert_eq!((seen[1].kind, seen[1].result), (ReloadFailed, Outcome::FileNotFound));
    assert_eq!(health(&host), Health::Stale);
    assert_eq!(host.status().warnings, CERTRELOAD_WARNING_TICKET_KEYS_MISSING);
    let client = Client::new();
    assert_eq!(client.connect(&host), rustls::HandshakeKind::Full);
    assert_eq!(client.connect(&host), rustls::HandshakeKind::Resumed);
    write_private(&tickets, "");
    fs::write(&tickets, [7_u8; 80]).unwrap();
    assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
    assert_eq!((health(&host), host.status().warnings), (Health::Ok, 0));
}

#[test]
fn a_required_name_that_is_missing_is_a_warning_until_it_is_served() {
    let store = Store::new();
    store.put("a", &Pair::new(&["a.test"]));
    let name = c"b.test";
    let options = || {
        let options = store.with(available(), "a");
        // SAFETY: live options and a C string.
        let result = unsafe { certreload_options_require_name(options.0, name.as_ptr()) };
        assert_eq!(result, Outcome::Ok);
        options
    };
    assert_eq!(
        started(options(), certreload_start::Strict).try_open().err(),
        Some(Outcome::NameMissing)
    );
    let host = options().open();
    let seen = host.recorder.wait_until("the open", |seen| !seen.is_empty());
    assert_eq!(seen[0].warnings, CERTRELOAD_WARNING_NAME_MISSING, "{}", seen[0].message);
    assert!(seen[0].message.contains("no identity has the required name b.test"));
    assert_eq!(host.status().warnings, CERTRELOAD_WARNING_NAME_MISSING);
    store.put("a", &Pair::new(&["a.test", "b.test"]));
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(host.status().warnings, 0);
    // From then on it is kept (G15).
    store.put("a", &Pair::new(&["a.test"]));
    assert_eq!(host.reload_wait(), Outcome::NameMissing);
}

/// An open without identities cannot see that a template checks clients by itself; the first load does.
#[test]
fn g13_a_template_that_checks_clients_by_itself_is_found_when_the_first_identity_comes() {
    let (store, authority) = (Store::new(), Authority::new());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.root()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let template = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
    let template = Arc::new(template);
    write_private(&store.path("tickets"), "");
    fs::write(store.path("tickets"), [7_u8; 80]).unwrap();
    let options = store.with(available(), "a").ticket_keys(&store.path("tickets"));
    // SAFETY: live options, and a configuration that lives longer.
    let result =
        unsafe { certreload_options_set_server_template(options.0, Arc::as_ptr(&template).cast()) };
    assert_eq!(result, Outcome::Ok);
    let host = options.open();
    store.put("a", &authority.issue(&["a.test"]));
    assert_eq!(host.reload_wait(), Outcome::InvalidParameter, "{}", last_error());
    assert_eq!(refusal(host.config(), "a.test"), ACCESS_DENIED);
}

#[test]
fn pushed_bytes_bring_an_identity_that_was_left_out() {
    let pair = Pair::new(&["a.test"]);
    let bytes = |chain: &str, key: &str| certreload_identity_bytes {
        chain_pem: chain.as_ptr().cast(),
        chain_pem_size: chain.len(),
        key_pem: key.as_ptr().cast(),
        key_pem_size: key.len(),
        ocsp_der: ptr::null(),
        ocsp_der_size: 0,
    };
    let options = available();
    let other = Pair::new(&["other.test"]);
    // SAFETY: live options, and bytes that live longer.
    let added = unsafe {
        let bytes = bytes(&pair.chain, &other.key);
        certreload_options_add_identity_memory(options.0, &raw const bytes, size_of_val(&bytes))
    };
    assert_eq!(added, Outcome::Ok);
    let host = options.open();
    let failed = host.recorder.wait_for_failures(1);
    assert_eq!((failed[0].result, failed[0].path.as_str()), (Outcome::KeyMismatch, "memory:0/key"));
    assert_eq!(host.identity_status(0).health, Health::Missing);
    // SAFETY: an open handle, and bytes that live longer.
    let push = |pair: &Pair| unsafe {
        let bytes = bytes(&pair.chain, &pair.key);
        certreload_push_identity(host.handle, 0, &raw const bytes, size_of_val(&bytes))
    };
    assert_eq!(push(&pair), Outcome::Ok, "{}", last_error());
    assert_eq!((host.served("a.test"), health(&host)), (pair.sha256, Health::Ok));
}

/// Not even the directory exists: it is watched for from the first directory that does.
#[test]
fn g1_files_that_come_with_their_directories_are_noticed() {
    let store = Store::new();
    let directory = store.path("live/a");
    let builder = started(Builder::new(), certreload_start::Available);
    // Polls come too late for this test.
    let builder = builder.poll_ms(3_600_000).debounce_ms(10, 2000);
    let host = builder.identity(&directory.join("chain.pem"), &directory.join("key.pem")).open();
    let pair = Pair::new(&["a.test"]);
    fs::create_dir_all(&directory).unwrap();
    write_private(&directory.join("key.pem"), &pair.key);
    replace(&directory.join("chain.pem"), &pair.chain);
    host.recorder.wait_for_generation(2);
    assert_eq!(host.served("a.test"), pair.sha256);
}
