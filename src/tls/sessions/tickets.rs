//! Makes and accepts session tickets: sessions that the client stores, encrypted (RFC 5077, RFC 8446 section 4.6.1).

use std::sync::Arc;

use rustls::server::ProducesTickets;

use super::binding::Binding;
use super::handle_keys::HandleKeys;
use super::resumption_rules::{LIFETIME, SessionPolicy};
use super::ticket_cipher::TicketCipher;
use crate::clock;
use crate::error::Cause;

/// The ticket producer of a server that resumes no sessions: makes no tickets, and accepts none.
#[derive(Debug)]
pub(super) struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _session: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _ticket: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Makes and accepts the tickets of one generation.
#[derive(Debug)]
pub(super) struct TicketProducer {
    pub(super) keys: Arc<HandleKeys>,
    pub(super) binding: Arc<Binding>,
    /// The keys of the configured file; without a file, the keys of the handle's key ring are used.
    pub(super) file_keys: Option<FileKeys>,
}

/// The keys of a ticket key file, ready for use.
#[derive(Debug)]
pub(super) struct FileKeys {
    /// In the order of the file. The first one encrypts new tickets; all decrypt.
    ciphers: Vec<TicketCipher>,
    /// Until when the first key may encrypt, in seconds since 1970.
    encrypts_until: i64,
}

impl FileKeys {
    /// Prepares the keys of the configured file; returns `None` if no file is configured.
    pub(super) fn new(policy: &SessionPolicy) -> Result<Option<Self>, Cause> {
        let Some(keys) = &policy.ticket_keys else { return Ok(None) };
        let ciphers = keys.keys().iter().map(TicketCipher::new).collect::<Result<_, _>>()?;
        let lifetime = i64::try_from(policy.ticket_key_lifetime.as_secs()).unwrap_or(i64::MAX);
        let encrypts_until = match lifetime {
            0 => i64::MAX,
            // After one lifetime the operator is warned. The key encrypts for one lifetime more, in which it can be
            // replaced.
            _ => keys.encrypting().since.saturating_add(lifetime.saturating_mul(2)),
        };
        Ok(Some(Self { ciphers, encrypts_until }))
    }
}

impl TicketProducer {
    /// Makes a ticket for `session`. Returns `None` if the session must not be resumed, or no key may encrypt.
    pub(super) fn encrypt_at(&self, now: i64, session: &[u8]) -> Option<Vec<u8>> {
        let Some(keys) = &self.file_keys else {
            return self.seal(&self.keys.ring.keys(now).current, session, now);
        };
        let first = keys.ciphers.first()?;
        let may_encrypt = now < keys.encrypts_until && !self.keys.is_revoked(first.name());
        if may_encrypt { self.seal(first, session, now) } else { None }
    }

    /// Returns the session in `ticket`, if it may be resumed.
    pub(super) fn decrypt_at(&self, now: i64, ticket: &[u8]) -> Option<Vec<u8>> {
        let Some(keys) = &self.file_keys else {
            return self.open(self.keys.ring.keys(now).cipher_of(ticket)?, ticket, now);
        };
        let cipher = keys.ciphers.iter().find(|cipher| cipher.is_named_in(ticket))?;
        let is_revoked = self.keys.is_revoked(cipher.name());
        if is_revoked { None } else { self.open(cipher, ticket, now) }
    }

    fn seal(&self, cipher: &TicketCipher, session: &[u8], now: i64) -> Option<Vec<u8>> {
        let stamp = self.binding.stamp(session, now)?;
        cipher.seal(self.binding.bytes(), session, &stamp.to_bytes())
    }

    fn open(&self, cipher: &TicketCipher, ticket: &[u8], now: i64) -> Option<Vec<u8>> {
        self.binding.unstamp(cipher.open(self.binding.bytes(), ticket)?, now)
    }
}

impl ProducesTickets for TicketProducer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(LIFETIME).unwrap_or(0)
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(clock::unix_now(), session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(clock::unix_now(), ticket)
    }
}
