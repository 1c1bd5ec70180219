//! Tests of clients that keep resuming: when they need a full handshake again.
//!
//! In TLS 1.2 that is six hours after the last full handshake. In TLS 1.3 each resumption gives a ticket with the full
//! lifetime, so only a client with a certificate needs a full handshake: once a week.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rustls::ServerConfig;
use rustls::server::ProducesTickets;

use super::peers::{TestPki, VERSIONS, policy, sessions};
use super::session_stamps_and_tickets::{session, tickets};
use crate::clock;
use crate::options::Resumption;
use crate::tls::sessions::binding::{Binding, boundary_after};
use crate::tls::sessions::resumption_rules::{LIFETIME, SessionPolicy};
use crate::tls::sessions::tickets::TicketProducer;

/// A ticket producer with a clock that the test sets.
#[derive(Debug)]
struct TimedTickets {
    tickets: TicketProducer,
    now: AtomicI64,
}

impl ProducesTickets for TimedTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.tickets.encrypt_at(self.now.load(Ordering::SeqCst), session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.tickets.decrypt_at(self.now.load(Ordering::SeqCst), ticket)
    }
}

fn server(pki: &TestPki, now: i64) -> (Arc<ServerConfig>, Arc<TimedTickets>) {
    let policy = SessionPolicy { ticket_key_lifetime: std::time::Duration::ZERO, ..policy() };
    let timed = Arc::new(TimedTickets { tickets: tickets(policy, b"a"), now: now.into() });
    let mut config = pki.server_config();
    config.ticketer = timed.clone();
    (Arc::new(config), timed)
}

#[test]
fn tls_1_2_session_ends_six_hours_after_its_full_handshake() {
    let (pki, now) = (TestPki::new(), clock::unix_now());
    let (here, elsewhere) = (server(&pki, now), server(&pki, now));
    for (version, resumes_longer) in VERSIONS.into_iter().zip([false, true]) {
        let (client, other) = (pki.client(version), pki.client(version));
        let resumes_at = |after: i64| {
            // Two servers by turns. On the same thread, another client resumes in between, which must not change the
            // start.
            let (config, timed) = if after % 2 == 0 { &here } else { &elsewhere };
            timed.now.store(now + after, Ordering::SeqCst);
            other.resumes(config);
            client.resumes(config)
        };
        assert!(!resumes_at(0));
        assert!(resumes_at(LIFETIME / 2) && resumes_at(LIFETIME - 1), "{version:?}");
        assert_eq!(resumes_at(LIFETIME), resumes_longer, "{version:?}");
        assert!(resumes_at(LIFETIME + LIFETIME / 2), "{version:?}: a new session");
        assert_eq!(resumes_at(2 * LIFETIME + 1), resumes_longer, "{version:?}");
    }
}

/// Resumptions must not extend the authentication of a full handshake without limit (RFC 8446 section 4.6.1).
#[test]
fn chain_of_resumptions_ends_at_the_weekly_boundary_of_a_client_with_certificates() {
    let (pki, now) = (TestPki::new(), clock::unix_now());
    let (config, timed) = server(&pki, now);
    for version in VERSIONS {
        let certified = pki.certified_client(version, now + 30 * 86400);
        let anonymous = pki.client(version);
        let boundary = boundary_after(now, &certified.chain());
        let resumes_at = |seconds: i64| {
            timed.now.store(boundary + seconds, Ordering::SeqCst);
            (certified.resumes(&config), anonymous.resumes(&config))
        };
        // In TLS 1.2 every chain ends six hours after its full handshake.
        let is_tls_1_2 = version.version == rustls::ProtocolVersion::TLSv1_2;
        let hour = 3600;
        assert_eq!(resumes_at(-4 * hour), (false, false));
        assert_eq!(resumes_at(-hour), (true, true), "{version:?}");
        assert_eq!(resumes_at(-61), (true, true), "{version:?}");
        assert_eq!(resumes_at(-60), (is_tls_1_2, true), "{version:?}: reserved for the handshake");
        assert_eq!(resumes_at(-1), (is_tls_1_2, true), "{version:?}: the client has no ticket");
        assert_eq!(resumes_at(0), (is_tls_1_2, true), "{version:?}");
        assert_eq!(resumes_at(1), (true, true), "{version:?}: a new session");
        assert_eq!(resumes_at(hour), (true, true), "{version:?}");
        if !is_tls_1_2 {
            let all_week = (1..33).all(|fifth| resumes_at(fifth * 5 * hour) == (true, true));
            assert!(all_week, "until the next boundary");
            assert_eq!(resumes_at(33 * 5 * hour), (true, true), "three hours before it");
            assert_eq!(resumes_at(7 * 24 * hour), (false, true), "the next boundary");
        }
    }
}

#[test]
fn ticket_after_resumption_by_id_keeps_the_start_time() {
    let (pki, now) = (TestPki::new(), clock::unix_now());
    let session = session(&pki, &pki.client(VERSIONS[0]));
    let later = |session: &[u8]| Binding::new(policy(), false).unwrap().stamp(session, now + 1000);
    assert_eq!(later(&session).unwrap().started_at, now + 1000);

    let storage = sessions(Resumption::Auto).for_server(policy()).unwrap().storage;
    assert!(storage.put(b"id".to_vec(), session.clone()));
    assert!(storage.get(b"id").is_some());
    assert!((now..now + 1000).contains(&later(&session).unwrap().started_at));
}
