//! The body of the `ticket` fuzz target: checks properties that hold whichever bytes are parsed as a ticket or a
//! session.

#![allow(clippy::unwrap_used, reason = "a panic reports a finding")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::binding::{Binding, SessionStamp};
use super::identity_label::IdentityLabel;
use super::rustls_session_format::RustlsSession;
use super::ticket_cipher::TicketCipher;
use super::tickets::{FileKeys, TicketProducer};
use super::{ServedNames, SessionPolicy, Sessions};
use crate::options::Resumption;
use crate::pki::{TicketFile, TicketKeys};

const NOW: i64 = 1_800_000_000;

/// An identity with the one name `a.test`, for which the sessions in the seed corpus were made.
#[derive(Debug)]
struct SeedName;

impl ServedNames for SeedName {
    fn is_served(&self, name: &str) -> bool {
        name == "a.test"
    }

    fn label_for(&self, _name: Option<&str>) -> Option<IdentityLabel> {
        Some(IdentityLabel::name(b"a.test"))
    }

    fn has_label(&self, _name: Option<&str>, label: &IdentityLabel) -> bool {
        *label == IdentityLabel::name(b"a.test")
    }
}

struct Fixture {
    tickets: TicketProducer,
    cipher: TicketCipher,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let (path, bytes) = ("keys".as_ref(), &[0xaa; 48][..]);
    let file = TicketFile { path, bytes, is_readable_by_others: false, modified: NOW };
    let keys = Arc::new(TicketKeys::new(&file, NOW, None).unwrap());
    let cipher = TicketCipher::new(keys.encrypting()).unwrap();
    let policy = SessionPolicy {
        trust_fingerprint: [1; 32],
        context: [0; 32],
        names: Arc::new(SeedName),
        ticket_keys: Some(keys),
        ticket_key_lifetime: Duration::ZERO,
        resume_until: None,
    };
    let file_keys = FileKeys::new(&policy).unwrap();
    let binding = Arc::new(Binding::new(policy, false).unwrap());
    let sessions = Sessions::new(Resumption::Auto).unwrap();
    Fixture { tickets: TicketProducer { keys: sessions.keys.clone(), binding, file_keys }, cipher }
});

/// Checks `bytes` as a ticket, as the decrypted content of a ticket, and as a session.
pub(crate) fn ticket(bytes: &[u8]) {
    let Fixture { tickets, cipher } = &*FIXTURE;
    assert_eq!(tickets.decrypt_at(NOW, bytes), None, "a forged ticket was accepted");
    let with_our_name = [&cipher.name()[..], bytes].concat();
    assert_eq!(tickets.decrypt_at(NOW, &with_our_name), None, "a forged ticket was accepted");

    if let Some(ticket) = cipher.seal(tickets.binding.bytes(), bytes, b"")
        && let Some(session) = tickets.decrypt_at(NOW, &ticket)
    {
        assert_eq!(session, bytes[..bytes.len() - SessionStamp::LENGTH]);
    }

    let session = RustlsSession::parse(bytes);
    match tickets.encrypt_at(NOW, bytes) {
        Some(ticket) => {
            assert!(session.is_some(), "a ticket for a session that cannot be parsed");
            assert_eq!(tickets.decrypt_at(NOW, &ticket).as_deref(), Some(bytes));
        }
        // There is no ticket if a certificate of the client is unparsable or expired.
        None => assert!(session.as_ref().is_none_or(|session| !session.client_chain.is_empty())),
    }
    if session.is_some() {
        assert_eq!(RustlsSession::parse(&bytes[..bytes.len() - 1]), None, "cut off");
        assert_eq!(RustlsSession::parse(&[bytes, b"\0"].concat()), None, "with a byte appended");
    }
}
