//! Tests that no copy of a TLS 1.2 session, which contains its secret, is freed without being wiped (G18).

use super::peers::{TestPki, VERSIONS, named, policy, sessions};
use super::session_stamps_and_tickets::{session, tickets};
use crate::clock;
use crate::options::Resumption;
use crate::sys::freed_with;
use crate::tls::sessions::resumption_rules::LIFETIME;
use crate::tls::sessions::rustls_session_format::RustlsSession;

fn secret_of(session: &[u8]) -> Vec<u8> {
    RustlsSession::parse(session).unwrap().tls12_secret.unwrap().to_vec()
}

#[test]
fn g18_session_that_is_encrypted_decrypted_or_refused_is_wiped() {
    let (pki, now) = (TestPki::new(), clock::unix_now());
    let session = session(&pki, &pki.client(VERSIONS[0]));
    let secret = secret_of(&session);
    let tickets = tickets(policy(), b"a");
    let (left, ticket) = freed_with(&secret, || tickets.encrypt_at(now, &session));
    let ticket = ticket.unwrap();
    assert_eq!(left, 0, "sealed");
    let (left, opened) = freed_with(&secret, || tickets.decrypt_at(now, &ticket));
    assert_eq!(
        (left, opened.as_ref()),
        (0, Some(&session)),
        "rustls owns a session that is resumed"
    );
    assert_eq!(
        freed_with(&secret, || drop(opened)).0,
        1,
        "the test detects memory that is not wiped"
    );

    let (left, opened) = freed_with(&secret, || tickets.decrypt_at(now + LIFETIME, &ticket));
    assert_eq!((left, opened), (0, None), "expired");
    let mut forged = ticket.clone();
    *forged.last_mut().unwrap() ^= 1;
    let (left, opened) = freed_with(&secret, || tickets.decrypt_at(now, &forged));
    assert_eq!((left, opened), (0, None), "forged");
}

#[test]
fn g18_session_that_is_removed_from_the_store_is_wiped() {
    let (pki, sessions) = (TestPki::new(), sessions(Resumption::Auto));
    let storage = |policy| sessions.for_server(policy).unwrap().storage;
    let (here, elsewhere) = (storage(policy()), storage(named(&["b.test"])));
    let no_identity = storage(named(&[]));
    let mut session = session(&pki, &pki.client(VERSIONS[0]).asking_for("127.0.0.1"));
    // As in rustls, the buffer of the session has more capacity than it needs.
    session.reserve(1000);
    let secret = secret_of(&session);
    let wiped = |what: &str, body: &dyn Fn() -> bool| {
        let (left, is_as_expected) = freed_with(&secret, body);
        assert!(left == 0 && is_as_expected, "{what}: {left} blocks");
    };
    let given = || {
        let mut given = Vec::with_capacity(session.len() + 100);
        given.extend_from_slice(&session);
        given
    };
    wiped("stored", &|| here.put(b"id".to_vec(), given()));
    wiped("replaced", &|| here.put(b"id".to_vec(), given()));
    wiped("not stored", &|| !no_identity.put(b"id".to_vec(), given()));
    wiped("refused", &|| elsewhere.get(b"id").is_none());
    let (left, found) = freed_with(&secret, || here.get(b"id"));
    assert_eq!((left, found.as_ref()), (0, Some(&session)));
    wiped("taken and refused", &|| elsewhere.take(b"id").is_none() && here.get(b"id").is_none());
    assert!(here.put(b"id".to_vec(), given()));
    wiped("removed for newer ones", &|| {
        // These sessions have another secret, which is not searched for.
        (0..256_u16).all(|number| {
            here.put(number.to_be_bytes().to_vec(), with_other_secret(given(), &secret))
        })
    });
    assert!(here.get(b"id").is_none());
    assert!(here.put(b"id".to_vec(), given()));
    wiped("invalidated", &|| sessions.invalidate().is_ok() && here.get(b"id").is_none());
}

/// Returns the session with the bytes of `secret`, which it contains, overwritten by other bytes.
fn with_other_secret(mut session: Vec<u8>, secret: &[u8]) -> Vec<u8> {
    let at = session.windows(secret.len()).position(|window| window == secret).unwrap();
    session[at..at + secret.len()].fill(7);
    session
}
