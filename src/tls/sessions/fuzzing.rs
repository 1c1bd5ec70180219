//! What has to hold of any bytes that come in the place of a ticket or of a session.

#![allow(clippy::unwrap_used, reason = "a panic is how a finding is told")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::binding::{Binding, BindingStamp};
use super::known_by::KnownBy;
use super::rustls_session::RustlsSession;
use super::ticket_cipher::TicketCipher;
use super::tickets::{SharedKeys, TicketProducer};
use super::{ServedNames, Sessions, View};
use crate::options::Resumption;
use crate::pki::{TicketFile, TicketKeys};

const NOW: i64 = 1_800_000_000;

/// The name that the seeds have.
#[derive(Debug)]
struct Seeded;

impl ServedNames for Seeded {
    fn serves(&self, name: &str) -> bool {
        name == "a.test"
    }

    fn answering(&self, _name: Option<&str>) -> Option<KnownBy> {
        Some(KnownBy::name(b"a.test"))
    }

    fn is_answering(&self, _name: Option<&str>, known_by: &KnownBy) -> bool {
        *known_by == KnownBy::name(b"a.test")
    }
}

struct Fixture {
    tickets: TicketProducer,
    sealer: TicketCipher,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let (path, bytes) = ("keys".as_ref(), &[0xaa; 48][..]);
    let file = TicketFile { path, bytes, is_readable_by_others: false, modified: NOW };
    let keys = Arc::new(TicketKeys::new(&file, NOW, None).unwrap());
    let sealer = TicketCipher::new(keys.encrypting()).unwrap();
    let view = View {
        trust: [1; 32],
        context: [0; 32],
        names: Arc::new(Seeded),
        keys: Some(keys),
        key_lifetime: Duration::ZERO,
        until: None,
    };
    let shared = SharedKeys::of(&view).unwrap();
    let scope = Arc::new(Binding::new(view, false).unwrap());
    let sessions = Sessions::new(Resumption::Auto).unwrap();
    Fixture { tickets: TicketProducer { sessions, scope, shared }, sealer }
});

/// Takes the bytes for a ticket, for what a ticket holds, and for a session.
pub(crate) fn ticket(bytes: &[u8]) {
    let Fixture { tickets, sealer } = &*FIXTURE;
    assert_eq!(tickets.opened_at(NOW, bytes), None, "a ticket that nobody sealed");
    let of_our_key = [&sealer.name()[..], bytes].concat();
    assert_eq!(tickets.opened_at(NOW, &of_our_key), None, "a ticket that nobody sealed");

    if let Some(ticket) = sealer.seal(tickets.scope.bound_to(), bytes, b"")
        && let Some(session) = tickets.opened_at(NOW, &ticket)
    {
        assert_eq!(session, bytes[..bytes.len() - BindingStamp::LENGTH]);
    }

    let session = RustlsSession::read(bytes);
    match tickets.sealed_at(NOW, bytes) {
        Some(ticket) => {
            assert!(session.is_some(), "a session that cannot be read");
            assert_eq!(tickets.opened_at(NOW, &ticket).as_deref(), Some(bytes));
        }
        // The end of a client's certificate may be none, or may have passed.
        None => assert!(session.as_ref().is_none_or(|session| !session.client_chain.is_empty())),
    }
    if session.is_some() {
        assert_eq!(RustlsSession::read(&bytes[..bytes.len() - 1]), None, "cut off");
        assert_eq!(RustlsSession::read(&[bytes, b"\0"].concat()), None, "with a tail");
    }
}
