//! Sessions that clients keep for us, sealed.

use std::sync::Arc;

use rustls::server::ProducesTickets;

use super::Sessions;
use super::binding::Binding;
use super::ticket_cipher::TicketCipher;
use super::{LIFETIME, View};
use crate::clock;
use crate::error::Cause;

/// Makes no tickets and takes none.
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

/// The tickets of one generation.
#[derive(Debug)]
pub(super) struct TicketProducer {
    pub(super) sessions: Arc<Sessions>,
    pub(super) scope: Arc<Binding>,
    /// In place of the ring's.
    pub(super) shared: Option<SharedKeys>,
}

/// The keys of a file, at work.
#[derive(Debug)]
pub(super) struct SharedKeys {
    /// In the order of the file: the first seals.
    sealers: Vec<TicketCipher>,
    /// Until when the first may seal: seconds since 1970.
    seals_until: i64,
}

impl SharedKeys {
    pub(super) fn of(view: &View) -> Result<Option<Self>, Cause> {
        let Some(keys) = &view.keys else { return Ok(None) };
        let sealers = keys.keys().iter().map(TicketCipher::new).collect::<Result<_, _>>()?;
        let lifetime = i64::try_from(view.key_lifetime.as_secs()).unwrap_or(i64::MAX);
        let seals_until = match lifetime {
            0 => i64::MAX,
            // One lifetime to change it in, while people are told, and no more.
            _ => keys.encrypting().since.saturating_add(lifetime.saturating_mul(2)),
        };
        Ok(Some(Self { sealers, seals_until }))
    }
}

impl TicketProducer {
    pub(super) fn sealed_at(&self, now: i64, session: &[u8]) -> Option<Vec<u8>> {
        let Some(shared) = &self.shared else {
            return self.sealed_with(&self.sessions.ring.keys(now).sealing, session, now);
        };
        let first = shared.sealers.first()?;
        let may_seal = now < shared.seals_until && !self.sessions.distrusts(first.name());
        if may_seal { self.sealed_with(first, session, now) } else { None }
    }

    pub(super) fn opened_at(&self, now: i64, ticket: &[u8]) -> Option<Vec<u8>> {
        let Some(shared) = &self.shared else {
            return self.opened_with(self.sessions.ring.keys(now).of(ticket)?, ticket, now);
        };
        let sealer = shared.sealers.iter().find(|sealer| sealer.is_named_in(ticket))?;
        let is_trusted = !self.sessions.distrusts(sealer.name());
        if is_trusted { self.opened_with(sealer, ticket, now) } else { None }
    }

    fn sealed_with(&self, sealer: &TicketCipher, session: &[u8], now: i64) -> Option<Vec<u8>> {
        let stamp = self.scope.stamp(session, now)?;
        sealer.seal(self.scope.bound_to(), session, &stamp.to_bytes())
    }

    fn opened_with(&self, sealer: &TicketCipher, ticket: &[u8], now: i64) -> Option<Vec<u8>> {
        self.scope.admitted(sealer.open(self.scope.bound_to(), ticket)?, now)
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
        self.sealed_at(clock::unix_now(), session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.opened_at(clock::unix_now(), ticket)
    }
}
