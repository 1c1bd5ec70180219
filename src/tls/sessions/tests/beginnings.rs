//! Clients that come back for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rustls::ServerConfig;
use rustls::server::ProducesTickets;

use super::peers::{VERSIONS, World, sessions, view};
use super::values::{session, tickets};
use crate::clock;
use crate::options::Resumption;
use crate::tls::sessions::binding::{Binding, boundary_after};
use crate::tls::sessions::tickets::TicketProducer;
use crate::tls::sessions::{LIFETIME, View};

/// Tickets at a time that is set.
#[derive(Debug)]
struct Timed {
    tickets: TicketProducer,
    now: AtomicI64,
}

impl ProducesTickets for Timed {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.tickets.sealed_at(self.now.load(Ordering::SeqCst), session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.tickets.opened_at(self.now.load(Ordering::SeqCst), ticket)
    }
}

fn server(world: &World, now: i64) -> (Arc<ServerConfig>, Arc<Timed>) {
    let view = View { key_lifetime: std::time::Duration::ZERO, ..view() };
    let timed = Arc::new(Timed { tickets: tickets(view, b"a"), now: now.into() });
    let mut config = world.server_config();
    config.ticketer = timed.clone();
    (Arc::new(config), timed)
}

#[test]
fn a_session_of_tls_1_2_ends_six_hours_after_its_keys_were_agreed_on() {
    let (world, now) = (World::new(), clock::unix_now());
    let (here, elsewhere) = (server(&world, now), server(&world, now));
    for (version, lasts) in VERSIONS.into_iter().zip([false, true]) {
        let (client, other) = (world.client(version), world.client(version));
        let comes_at = |after: i64| {
            // To two hosts by turns, and not alone.
            let (config, timed) = if after % 2 == 0 { &here } else { &elsewhere };
            timed.now.store(now + after, Ordering::SeqCst);
            other.resumes(config);
            client.resumes(config)
        };
        assert!(!comes_at(0));
        assert!(comes_at(LIFETIME / 2) && comes_at(LIFETIME - 1), "{version:?}");
        assert_eq!(comes_at(LIFETIME), lasts, "{version:?}");
        assert!(comes_at(LIFETIME + LIFETIME / 2), "{version:?}: begun anew");
        assert_eq!(comes_at(2 * LIFETIME + 1), lasts, "{version:?}");
    }
}

/// RFC 8446 section 4.6.1.
#[test]
fn a_chain_of_resumptions_ends_at_the_weekly_boundary_of_a_client_with_certificates() {
    let (world, now) = (World::new(), clock::unix_now());
    let (config, timed) = server(&world, now);
    for version in VERSIONS {
        let certified = world.certified_client(version, now + 30 * 86400);
        let anonymous = world.client(version);
        let boundary = boundary_after(now, &certified.chain());
        let comes_at = |seconds: i64| {
            timed.now.store(boundary + seconds, Ordering::SeqCst);
            (certified.resumes(&config), anonymous.resumes(&config))
        };
        // In TLS 1.2 every chain ends six hours after its beginning.
        let is_tls_1_2 = version.version == rustls::ProtocolVersion::TLSv1_2;
        let hour = 3600;
        assert_eq!(comes_at(-4 * hour), (false, false));
        assert_eq!(comes_at(-hour), (true, true), "{version:?}");
        assert_eq!(comes_at(-61), (true, true), "{version:?}");
        assert_eq!(comes_at(-60), (is_tls_1_2, true), "{version:?}: the handshake may last");
        assert_eq!(comes_at(-1), (is_tls_1_2, true), "{version:?}: it got no ticket");
        assert_eq!(comes_at(0), (is_tls_1_2, true), "{version:?}");
        assert_eq!(comes_at(1), (true, true), "{version:?}: begun anew");
        assert_eq!(comes_at(hour), (true, true), "{version:?}");
        if !is_tls_1_2 {
            let all_week = (1..33).all(|fifth| comes_at(fifth * 5 * hour) == (true, true));
            assert!(all_week, "until the next boundary");
            assert_eq!(comes_at(33 * 5 * hour), (true, true), "three hours before it");
            assert_eq!(comes_at(7 * 24 * hour), (false, true), "the next boundary");
        }
    }
}

#[test]
fn a_ticket_for_who_came_back_by_an_id_makes_the_session_no_younger() {
    let (world, now) = (World::new(), clock::unix_now());
    let session = session(&world, &world.client(VERSIONS[0]));
    let later = |session: &[u8]| Binding::new(view(), false).unwrap().stamp(session, now + 1000);
    assert_eq!(later(&session).unwrap().begun, now + 1000);

    let storage = sessions(Resumption::Auto).server(view()).unwrap().storage;
    assert!(storage.put(b"id".to_vec(), session.clone()));
    assert!(storage.get(b"id").is_some());
    assert!((now..now + 1000).contains(&later(&session).unwrap().begun));
}
