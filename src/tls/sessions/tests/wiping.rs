//! Sessions of TLS 1.2 hold their secret: no copy is freed as it is (G18).

use super::peers::{VERSIONS, World, named, sessions, view};
use super::values::{session, tickets};
use crate::clock;
use crate::options::Resumption;
use crate::sys::freed_with;
use crate::tls::sessions::LIFETIME;
use crate::tls::sessions::rustls_session::RustlsSession;

fn secret_of(session: &[u8]) -> Vec<u8> {
    RustlsSession::read(session).unwrap().tls12_secret.unwrap().to_vec()
}

#[test]
fn g18_a_session_that_is_sealed_opened_or_refused_is_freed_wiped() {
    let (world, now) = (World::new(), clock::unix_now());
    let session = session(&world, &world.client(VERSIONS[0]));
    let secret = secret_of(&session);
    let tickets = tickets(view(), b"a");
    let (left, ticket) = freed_with(&secret, || tickets.sealed_at(now, &session));
    let ticket = ticket.unwrap();
    assert_eq!(left, 0, "sealed");
    let (left, opened) = freed_with(&secret, || tickets.opened_at(now, &ticket));
    assert_eq!((left, opened.as_ref()), (0, Some(&session)), "what is resumed rustls has");
    assert_eq!(freed_with(&secret, || drop(opened)).0, 1, "the test finds what is not wiped");

    let (left, opened) = freed_with(&secret, || tickets.opened_at(now + LIFETIME, &ticket));
    assert_eq!((left, opened), (0, None), "too late");
    let mut forged = ticket.clone();
    *forged.last_mut().unwrap() ^= 1;
    let (left, opened) = freed_with(&secret, || tickets.opened_at(now, &forged));
    assert_eq!((left, opened), (0, None), "forged");
}

#[test]
fn g18_a_session_that_leaves_the_cache_is_freed_wiped() {
    let (world, sessions) = (World::new(), sessions(Resumption::Auto));
    let storage = |view| sessions.server(view).unwrap().storage;
    let (here, elsewhere) = (storage(view()), storage(named(&["b.test"])));
    let nobody = storage(named(&[]));
    let mut session = session(&world, &world.client(VERSIONS[0]).asking_for("127.0.0.1"));
    // rustls gives away a buffer of just any size.
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
    wiped("kept", &|| here.put(b"id".to_vec(), given()));
    wiped("kept again", &|| here.put(b"id".to_vec(), given()));
    wiped("not kept", &|| !nobody.put(b"id".to_vec(), given()));
    wiped("refused", &|| elsewhere.get(b"id").is_none());
    let (left, found) = freed_with(&secret, || here.get(b"id"));
    assert_eq!((left, found.as_ref()), (0, Some(&session)));
    wiped("taken and refused", &|| elsewhere.take(b"id").is_none() && here.get(b"id").is_none());
    assert!(here.put(b"id".to_vec(), given()));
    wiped("pushed out by others", &|| {
        // The secret of these is another.
        (0..256_u16).all(|number| here.put(number.to_be_bytes().to_vec(), other(given(), &secret)))
    });
    assert!(here.get(b"id").is_none());
    assert!(here.put(b"id".to_vec(), given()));
    wiped("forgotten", &|| sessions.invalidate().is_ok() && here.get(b"id").is_none());
}

/// The session with another secret.
fn other(mut session: Vec<u8>, secret: &[u8]) -> Vec<u8> {
    let at = session.windows(secret.len()).position(|window| window == secret).unwrap();
    session[at..at + secret.len()].fill(7);
    session
}
