//! Tests of the facts that are parsed from a session, and of the stamps and tickets that are made from them.

use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::server::{ProducesTickets, StoresServerSessions};

use super::peers::{Client, TestPki, VERSIONS, keys, named, policy, sessions};
use crate::clock;
use crate::options::Resumption;
use crate::tls::sessions::binding::{Binding, SessionStamp, boundary_after};
use crate::tls::sessions::identity_label::IdentityLabel;
use crate::tls::sessions::resumption_rules::{LIFETIME, SessionPolicy};
use crate::tls::sessions::rustls_session_format::RustlsSession;
use crate::tls::sessions::tickets::{FileKeys, TicketProducer};

/// Records the bytes in which rustls stores each session.
#[derive(Debug, Default)]
struct SessionRecorder(Mutex<Vec<Vec<u8>>>);

impl ProducesTickets for SessionRecorder {
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

impl StoresServerSessions for SessionRecorder {
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

/// Returns the bytes in which rustls stores the sessions of one handshake with `client`.
fn sessions_of(pki: &TestPki, client: &Client) -> Vec<Vec<u8>> {
    let recorder = Arc::new(SessionRecorder::default());
    let mut config = pki.server_config();
    (config.ticketer, config.session_storage) = (recorder.clone(), recorder.clone());
    config.alpn_protocols = vec![b"proto".to_vec()];
    assert!(!client.resumes(&Arc::<ServerConfig>::new(config)));
    let sessions = recorder.0.lock().unwrap().clone();
    assert!(!sessions.is_empty());
    sessions
}

/// Returns one session with `client`.
pub(super) fn session(pki: &TestPki, client: &Client) -> Vec<u8> {
    sessions_of(pki, client).remove(0)
}

#[test]
fn rustls_session_is_parsed_completely_and_no_other_bytes_are() {
    let (pki, later) = (TestPki::new(), clock::unix_now() + 86400);
    for version in VERSIONS {
        for name in [Some("a.test"), Some("some-longer.name.test"), None] {
            let named = |client: Client| client.asking_for(name.unwrap_or("127.0.0.1"));
            let anonymous = named(pki.client(version));
            let certified = named(pki.certified_client(version, later)).speaking(b"proto");
            assert_eq!((anonymous.chain().len(), certified.chain().len()), (0, 2));
            for client in [&anonymous, &certified] {
                for session in sessions_of(&pki, client) {
                    let read = RustlsSession::parse(&session).expect("rustls has another format");
                    assert_eq!(read.server_name, name, "{version:?}");
                    assert_eq!(read.client_chain, client.chain(), "{version:?}");
                    let is_tls12 = version.version == rustls::ProtocolVersion::TLSv1_2;
                    assert_eq!(read.tls12_secret.map(<[u8]>::len), is_tls12.then_some(48));
                    for end in 0..session.len() {
                        assert_eq!(RustlsSession::parse(&session[..end]), None, "cut at {end}");
                    }
                    assert_eq!(RustlsSession::parse(&[&session[..], b"\0"].concat()), None);
                }
            }
        }
    }
}

fn stamp(policy: SessionPolicy, session: &[u8], now: i64) -> Option<SessionStamp> {
    Binding::new(policy, false).unwrap().stamp(session, now)
}

#[test]
fn g13_session_expires_with_its_lifetime_the_trust_store_or_the_clients_certificate() {
    let (pki, now) = (TestPki::new(), clock::unix_now());
    for version in VERSIONS {
        let anonymous = session(&pki, &pki.client(version));
        let until =
            |policy, session: &[u8]| stamp(policy, session, now).map(|stamp| stamp.expires_at);
        assert_eq!(until(policy(), &anonymous), Some(now + LIFETIME));
        for (end, expected) in [(100, Some(now + 100)), (0, None), (-1, None)] {
            let policy = || SessionPolicy { resume_until: Some(now + end), ..policy() };
            assert_eq!(until(policy(), &anonymous), expected);
        }
        // The client's weekly boundary may be near and end the session earlier. It has a separate test.
        let bounded = |client: &Client, end: i64| {
            let is_tls_1_3 = version.version == rustls::ProtocolVersion::TLSv1_3;
            let boundary = boundary_after(now, &client.chain()) - 60;
            let end = if is_tls_1_3 { end.min(boundary) } else { end };
            Some(end).filter(|end| now < *end)
        };
        for not_after in [now + 1000, now + 2 * LIFETIME] {
            let client = pki.certified_client(version, not_after);
            let certified = session(&pki, &client);
            let until = until(policy(), &certified);
            let end = (not_after + 1).min(now + LIFETIME);
            assert_eq!(until, bounded(&client, end), "{version:?}");
            assert_eq!(stamp(policy(), &certified, not_after + 1), None, "{version:?}");
        }
        for ends in [[now + 1000, now + 500], [now + 500, now + 1000]] {
            let client = pki.client_by_intermediate(version, ends);
            let until = until(policy(), &session(&pki, &client));
            assert_eq!(
                until,
                bounded(&client, now + 501),
                "{version:?}: the certificate that expires first"
            );
        }
        assert_eq!(
            stamp(policy(), &anonymous[1..], now),
            None,
            "a session that cannot be parsed is not resumed"
        );
    }
}

#[test]
fn stamp_is_accepted_in_its_time_and_for_its_name() {
    let (pki, now) = (TestPki::new(), clock::unix_now());
    let session = session(&pki, &pki.client(VERSIONS[1]));
    let issued = stamp(policy(), &session, now).unwrap();
    assert_eq!(issued.answered_by, None);
    let binding = |policy| Binding::new(policy, false).unwrap();
    let accepts = |at: i64| binding(policy()).accepts(&session, &issued, at);
    assert!(accepts(now) && accepts(now + LIFETIME - 1) && !accepts(now + LIFETIME));
    assert!(accepts(now - 300), "this host's clock is slightly behind");
    assert!(!accepts(now - 301), "the ticket was made in the future");
    assert!(!binding(SessionPolicy { resume_until: Some(now + 10), ..policy() }).accepts(
        &session,
        &issued,
        now + 10
    ));
    assert!(!binding(named(&["b.test"])).accepts(&session, &issued, now));

    let unserved = stamp(named(&["b.test", "c.test"]), &session, now).unwrap();
    assert_eq!(unserved.answered_by, Some(IdentityLabel::name(b"b.test")));
    for (names, expected) in [
        (&["b.test", "c.test"][..], true),
        (&["d.test", "b.test"], true),
        (&["a.test", "b.test"], true),
        (&["c.test"], false),
        (&["a.test"], false),
        (&[], false),
    ] {
        assert_eq!(binding(named(names)).accepts(&session, &unserved, now), expected, "{names:?}");
    }
    assert_eq!(stamp(named(&[]), &session, now), None, "no identity answers");

    let stamped = [&b"session"[..], &issued.to_bytes()].concat();
    assert_eq!(SessionStamp::split(&stamped), Some((&b"session"[..], issued)));
    let bytes = unserved.to_bytes();
    assert_eq!(SessionStamp::split(&bytes), Some((&b""[..], unserved)));
    assert_eq!(SessionStamp::split(&bytes[1..]), None, "too short");
    for flag in [1, 2] {
        let mut other = bytes;
        other[16] = flag;
        assert_eq!(SessionStamp::split(&other), None, "the flag is invalid");
    }
}

/// Returns a ticket producer for `policy`, with one key for each of the letters.
pub(super) fn tickets(policy: SessionPolicy, letters: &[u8]) -> TicketProducer {
    let policy = SessionPolicy { ticket_keys: Some(keys(letters, clock::unix_now())), ..policy };
    let file_keys = FileKeys::new(&policy).unwrap();
    let binding = Arc::new(Binding::new(policy, false).unwrap());
    TicketProducer { keys: sessions(Resumption::Auto).keys.clone(), binding, file_keys }
}

#[test]
fn modified_ticket_is_refused() {
    let (pki, now) = (TestPki::new(), clock::unix_now());
    let session = session(&pki, &pki.client(VERSIONS[1]));
    let tickets = tickets(policy(), b"ab");
    let ticket = tickets.encrypt_at(now, &session).unwrap();
    assert_eq!(tickets.decrypt_at(now, &ticket), Some(session.clone()));
    assert_eq!(tickets.decrypt_at(now + LIFETIME - 1, &ticket), Some(session.clone()));
    assert_eq!(tickets.decrypt_at(now + LIFETIME, &ticket), None);
    for at in 0..ticket.len() {
        let mut other = ticket.clone();
        other[at] ^= 1;
        assert_eq!(tickets.decrypt_at(now, &other), None, "byte {at} changed");
        assert_eq!(tickets.decrypt_at(now, &ticket[..at]), None, "cut at {at}");
    }
    assert_eq!(tickets.decrypt_at(now, &[&ticket[..], b"\0"].concat()), None);
    assert_ne!(tickets.encrypt_at(now, &session), Some(ticket), "each ticket has its own nonce");
}

#[test]
fn g18_ticket_reveals_no_bytes_of_the_session_or_of_the_key() {
    let (pki, now) = (TestPki::new(), clock::unix_now());
    let session = session(&pki, &pki.client(VERSIONS[1]));
    let tickets = tickets(policy(), b"a");
    let ticket = tickets.encrypt_at(now, &session).unwrap();
    for secret in [&session[..], &[!b'a'; 48]] {
        for piece in secret.windows(8) {
            assert!(!ticket.windows(8).any(|window| window == piece));
        }
    }
    let debug = format!("{tickets:?}");
    assert!(!debug.contains("158, 158") && !debug.to_lowercase().contains("9e9e"), "{debug}");
}

#[test]
fn session_too_large_for_a_ticket_gets_none() {
    let (pki, now) = (TestPki::new(), clock::unix_now());
    let mut session = session(&pki, &pki.client(VERSIONS[1]));
    let tickets = tickets(policy(), b"a");
    let overhead = tickets.encrypt_at(now, &session).unwrap().len() - session.len();
    assert_eq!(overhead, 16 + 12 + 49 + 16);
    // A session ends with the length of the application data (two bytes), that data (empty here), and 12 bytes of
    // times.
    let at = session.len() - 14;
    assert_eq!(session[at..at + 2], [0, 0]);
    let room = 0xffff - overhead - session.len();
    session[at..at + 2].copy_from_slice(&u16::try_from(room).unwrap().to_be_bytes());
    session.splice(at + 2..at + 2, vec![0; room]);
    assert_eq!(tickets.encrypt_at(now, &session).map(|ticket| ticket.len()), Some(0xffff));
    session[at..at + 2].copy_from_slice(&u16::try_from(room + 1).unwrap().to_be_bytes());
    session.insert(at + 2, 0);
    assert!(RustlsSession::parse(&session).is_some());
    assert_eq!(tickets.encrypt_at(now, &session), None);
}
