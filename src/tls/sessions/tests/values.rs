//! What is read out of a session, and for how long that makes it good.

use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::server::{ProducesTickets, StoresServerSessions};

use super::peers::{Client, VERSIONS, World, keys, named, sessions, view};
use crate::clock;
use crate::options::Resumption;
use crate::tls::sessions::binding::{Binding, BindingStamp, boundary_after};
use crate::tls::sessions::known_by::KnownBy;
use crate::tls::sessions::rustls_session::RustlsSession;
use crate::tls::sessions::tickets::{SharedKeys, TicketProducer};
use crate::tls::sessions::{LIFETIME, View};

/// Takes down what rustls writes of each session.
#[derive(Debug, Default)]
struct SentTickets(Mutex<Vec<Vec<u8>>>);

impl ProducesTickets for SentTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        60
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.0.lock().unwrap().push(session.to_vec());
        Some(b"ticket".to_vec())
    }

    fn decrypt(&self, _ticket: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

impl StoresServerSessions for SentTickets {
    fn put(&self, _id: Vec<u8>, session: Vec<u8>) -> bool {
        self.0.lock().unwrap().push(session);
        true
    }

    fn get(&self, _id: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, _id: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// What rustls writes of a session with `client`.
fn noted(world: &World, client: &Client) -> Vec<Vec<u8>> {
    let notes = Arc::new(SentTickets::default());
    let mut config = world.server_config();
    (config.ticketer, config.session_storage) = (notes.clone(), notes.clone());
    config.alpn_protocols = vec![b"proto".to_vec()];
    assert!(!client.resumes(&Arc::<ServerConfig>::new(config)));
    let sessions = notes.0.lock().unwrap().clone();
    assert!(!sessions.is_empty());
    sessions
}

/// One session with `client`.
pub(super) fn session(world: &World, client: &Client) -> Vec<u8> {
    noted(world, client).remove(0)
}

#[test]
fn what_rustls_writes_of_a_session_is_read_whole_and_nothing_else_is() {
    let (world, later) = (World::new(), clock::unix_now() + 86400);
    for version in VERSIONS {
        for name in [Some("a.test"), Some("some-longer.name.test"), None] {
            let named = |client: Client| client.asking_for(name.unwrap_or("127.0.0.1"));
            let anonymous = named(world.client(version));
            let certified = named(world.certified_client(version, later)).speaking(b"proto");
            assert_eq!((anonymous.chain().len(), certified.chain().len()), (0, 2));
            for client in [&anonymous, &certified] {
                for session in noted(&world, client) {
                    let read = RustlsSession::read(&session).expect("rustls has another layout");
                    assert_eq!(read.server_name, name, "{version:?}");
                    assert_eq!(read.client_chain, client.chain(), "{version:?}");
                    let is_tls12 = version.version == rustls::ProtocolVersion::TLSv1_2;
                    assert_eq!(read.tls12_secret.map(<[u8]>::len), is_tls12.then_some(48));
                    for end in 0..session.len() {
                        assert_eq!(RustlsSession::read(&session[..end]), None, "cut at {end}");
                    }
                    assert_eq!(RustlsSession::read(&[&session[..], b"\0"].concat()), None);
                }
            }
        }
    }
}

fn stamp(view: View, session: &[u8], now: i64) -> Option<BindingStamp> {
    Binding::new(view, false).unwrap().stamp(session, now)
}

#[test]
fn g13_a_session_ends_with_its_lifetime_its_trust_or_the_clients_certificate() {
    let (world, now) = (World::new(), clock::unix_now());
    for version in VERSIONS {
        let anonymous = session(&world, &world.client(version));
        let until = |view, session: &[u8]| stamp(view, session, now).map(|stamp| stamp.until);
        assert_eq!(until(view(), &anonymous), Some(now + LIFETIME));
        for (end, expected) in [(100, Some(now + 100)), (0, None), (-1, None)] {
            let view = || View { until: Some(now + end), ..view() };
            assert_eq!(until(view(), &anonymous), expected);
        }
        // The client's weekly boundary may be near; that has a test of its own.
        let bounded = |client: &Client, end: i64| {
            let is_tls_1_3 = version.version == rustls::ProtocolVersion::TLSv1_3;
            let boundary = boundary_after(now, &client.chain()) - 60;
            let end = if is_tls_1_3 { end.min(boundary) } else { end };
            Some(end).filter(|end| now < *end)
        };
        for not_after in [now + 1000, now + 2 * LIFETIME] {
            let client = world.certified_client(version, not_after);
            let certified = session(&world, &client);
            let until = until(view(), &certified);
            let end = (not_after + 1).min(now + LIFETIME);
            assert_eq!(until, bounded(&client, end), "{version:?}");
            assert_eq!(stamp(view(), &certified, not_after + 1), None, "{version:?}");
        }
        for ends in [[now + 1000, now + 500], [now + 500, now + 1000]] {
            let client = world.client_by_intermediate(version, ends);
            let until = until(view(), &session(&world, &client));
            assert_eq!(until, bounded(&client, now + 501), "{version:?}: whichever ends first");
        }
        assert_eq!(stamp(view(), &anonymous[1..], now), None, "what cannot be read is not resumed");
    }
}

#[test]
fn a_stamp_holds_in_its_time_and_for_its_name() {
    let (world, now) = (World::new(), clock::unix_now());
    let session = session(&world, &world.client(VERSIONS[1]));
    let issued = stamp(view(), &session, now).unwrap();
    assert_eq!(issued.answered_by, None);
    let scope = |view| Binding::new(view, false).unwrap();
    let admits = |at: i64| scope(view()).admits(&session, &issued, at);
    assert!(admits(now) && admits(now + LIFETIME - 1) && !admits(now + LIFETIME));
    assert!(admits(now - 300), "the clock of another host is a little behind");
    assert!(!admits(now - 301), "a ticket of the future");
    assert!(!scope(View { until: Some(now + 10), ..view() }).admits(&session, &issued, now + 10));
    assert!(!scope(named(&["b.test"])).admits(&session, &issued, now));

    let unserved = stamp(named(&["b.test", "c.test"]), &session, now).unwrap();
    assert_eq!(unserved.answered_by, Some(KnownBy::name(b"b.test")));
    for (names, expected) in [
        (&["b.test", "c.test"][..], true),
        (&["d.test", "b.test"], true),
        (&["a.test", "b.test"], true),
        (&["c.test"], false),
        (&["a.test"], false),
        (&[], false),
    ] {
        assert_eq!(scope(named(names)).admits(&session, &unserved, now), expected, "{names:?}");
    }
    assert_eq!(stamp(named(&[]), &session, now), None, "no identity answers");

    let mut bytes = [&b"session"[..], &issued.to_bytes()].concat();
    assert_eq!(BindingStamp::split_off(&mut bytes), Some(issued));
    assert_eq!(bytes, b"session");
    let bytes = unserved.to_bytes();
    assert_eq!(BindingStamp::split_off(&mut bytes.to_vec()), Some(unserved));
    assert_eq!(BindingStamp::split_off(&mut bytes[1..].to_vec()), None, "too short");
    for flag in [1, 2] {
        let mut other = bytes;
        other[16] = flag;
        assert_eq!(BindingStamp::split_off(&mut other.to_vec()), None, "the flag does not fit");
    }
}

/// Tickets of `view`, with the keys that are made of `bytes`.
pub(super) fn tickets(view: View, bytes: &[u8]) -> TicketProducer {
    let view = View { keys: Some(keys(bytes, clock::unix_now())), ..view };
    let shared = SharedKeys::of(&view).unwrap();
    let scope = Arc::new(Binding::new(view, false).unwrap());
    TicketProducer { sessions: sessions(Resumption::Auto), scope, shared }
}

#[test]
fn a_ticket_is_opened_whole_or_not_at_all() {
    let (world, now) = (World::new(), clock::unix_now());
    let session = session(&world, &world.client(VERSIONS[1]));
    let tickets = tickets(view(), b"ab");
    let ticket = tickets.sealed_at(now, &session).unwrap();
    assert_eq!(tickets.opened_at(now, &ticket), Some(session.clone()));
    assert_eq!(tickets.opened_at(now + LIFETIME - 1, &ticket), Some(session.clone()));
    assert_eq!(tickets.opened_at(now + LIFETIME, &ticket), None);
    for at in 0..ticket.len() {
        let mut other = ticket.clone();
        other[at] ^= 1;
        assert_eq!(tickets.opened_at(now, &other), None, "another byte {at}");
        assert_eq!(tickets.opened_at(now, &ticket[..at]), None, "cut at {at}");
    }
    assert_eq!(tickets.opened_at(now, &[&ticket[..], b"\0"].concat()), None);
    assert_ne!(tickets.sealed_at(now, &session), Some(ticket), "a nonce for each");
}

#[test]
fn g18_a_ticket_shows_nothing_of_the_session_or_of_the_file() {
    let (world, now) = (World::new(), clock::unix_now());
    let session = session(&world, &world.client(VERSIONS[1]));
    let tickets = tickets(view(), b"a");
    let ticket = tickets.sealed_at(now, &session).unwrap();
    for secret in [&session[..], &[!b'a'; 48]] {
        for piece in secret.windows(8) {
            assert!(!ticket.windows(8).any(|window| window == piece));
        }
    }
    let told = format!("{tickets:?}");
    assert!(!told.contains("158, 158") && !told.to_lowercase().contains("9e9e"), "{told}");
}

#[test]
fn a_session_that_makes_too_large_a_ticket_gets_none() {
    let (world, now) = (World::new(), clock::unix_now());
    let mut session = session(&world, &world.client(VERSIONS[1]));
    let tickets = tickets(view(), b"a");
    let overhead = tickets.sealed_at(now, &session).unwrap().len() - session.len();
    assert_eq!(overhead, 16 + 12 + 49 + 16);
    // The host's own data stands before twelve bytes of times, behind its length.
    let at = session.len() - 14;
    assert_eq!(session[at..at + 2], [0, 0]);
    let room = 0xffff - overhead - session.len();
    session[at..at + 2].copy_from_slice(&u16::try_from(room).unwrap().to_be_bytes());
    session.splice(at + 2..at + 2, vec![0; room]);
    assert_eq!(tickets.sealed_at(now, &session).map(|ticket| ticket.len()), Some(0xffff));
    session[at..at + 2].copy_from_slice(&u16::try_from(room + 1).unwrap().to_be_bytes());
    session.insert(at + 2, 0);
    assert!(RustlsSession::read(&session).is_some());
    assert_eq!(tickets.sealed_at(now, &session), None);
}
