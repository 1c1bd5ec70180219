//! What a session was begun under, and whether it may continue under what there is now.

use std::mem;

use aws_lc_rs::digest::{Context, SHA256};
use zeroize::Zeroizing;

use super::known_by::KnownBy;
use super::rustls_session::RustlsSession;
use super::{LIFETIME, View, tls12_origin};
use crate::error::Cause;
use crate::pki::not_after_of;

/// How far ahead the clock of another host may be that shares our keys.
const SKEW: i64 = 300;
/// How often a client with a certificate has to show it in a full handshake.
const WEEK: i64 = 7 * 86400;
/// How long a handshake may last: a session is not resumed so shortly before its client's boundary. The ticket that
/// the handshake ends with is made in another call, whose time would be past the boundary otherwise, and the chain of
/// resumptions would have no end.
const HANDSHAKE: i64 = 60;

/// One generation, as far as its sessions are concerned.
#[derive(Debug)]
pub(super) struct Binding {
    view: View,
    bound_to: [u8; 96],
}

impl Binding {
    /// `is_alone` where no other scope resumes sessions of this one.
    pub(super) fn new(view: View, is_alone: bool) -> Result<Self, Cause> {
        let mut bound_to = [0; 96];
        bound_to[..32].copy_from_slice(&view.trust);
        bound_to[32..64].copy_from_slice(&view.context);
        if is_alone {
            super::random(&mut bound_to[64..])?;
        }
        Ok(Self { view, bound_to })
    }

    /// What is the same for all scopes that resume one another's sessions, and for no other.
    pub(super) fn bound_to(&self) -> &[u8] {
        &self.bound_to
    }

    /// For a session that begins now, or continues; `None` where none is to be resumed.
    pub(super) fn stamp(&self, session: &[u8], now: i64) -> Option<BindingStamp> {
        let session = RustlsSession::read(session)?;
        let begun = tls12_origin::beginning_of(&session).unwrap_or(now);
        let mut until = begun.saturating_add(LIFETIME).min(self.view.until.unwrap_or(i64::MAX));
        // Of all that it showed, for which of them it was let in by is not written down: at worst a session is short.
        for certificate in &session.client_chain {
            // It is good to the very second of notAfter (RFC 5280 section 4.1.2.5).
            until = until.min(not_after_of(certificate)?.saturating_add(1));
        }
        // A session of TLS 1.2 ends with its first ticket, so its chain needs no other bound.
        if session.tls12_secret.is_none() && !session.client_chain.is_empty() {
            until = until.min(boundary_after(now, &session.client_chain).saturating_sub(HANDSHAKE));
        }
        let name = session.server_name;
        let answered_by = if name.is_some_and(|name| self.view.names.serves(name)) {
            None
        } else {
            Some(self.view.names.answering(name)?)
        };
        (now < until).then_some(BindingStamp { begun, until, answered_by })
    }

    /// The session of `value`, which has its stamp behind it, if it may continue. Wiped if not.
    pub(super) fn admitted(&self, mut value: Zeroizing<Vec<u8>>, now: i64) -> Option<Vec<u8>> {
        let stamp = BindingStamp::split_off(&mut value)?;
        self.admits(&value, &stamp, now).then(|| mem::take(&mut *value))
    }

    /// Whether a session that bears `stamp` may continue.
    pub(super) fn admits(&self, session: &[u8], stamp: &BindingStamp, now: i64) -> bool {
        let Some(session) = RustlsSession::read(session) else { return false };
        // Where hosts of two releases share keys, another's idea of a lifetime is not ours.
        let until = stamp.until.min(stamp.begun.saturating_add(LIFETIME));
        let is_in_time = stamp.begun <= now.saturating_add(SKEW)
            && now < until.min(self.view.until.unwrap_or(i64::MAX));
        let (names, name) = (&self.view.names, session.server_name);
        let is_answered_alike = || match &stamp.answered_by {
            None => name.is_some_and(|name| names.serves(name)),
            Some(known_by) => names.is_answering(name, known_by),
        };
        let is_admitted = is_in_time && is_answered_alike();
        if is_admitted {
            tls12_origin::take_down(&session, stamp.begun);
        }
        is_admitted
    }
}

/// When a client with this chain next has to show it: seconds since 1970.
///
/// rustls makes the ticket of a resumed TLS 1.3 session without a word about the session that it was resumed from, so
/// the time of the full handshake cannot be passed on (RFC 8446 section 4.6.1). The time of a boundary can be computed
/// again each time. Each chain has its own, so that not all clients come with full handshakes at once.
pub(super) fn boundary_after(now: i64, client_chain: &[&[u8]]) -> i64 {
    let mut context = Context::new(&SHA256);
    for certificate in client_chain {
        context.update(certificate);
    }
    let hash = context.finish();
    let offset = hash.as_ref().iter().fold(0, |rest, byte| (rest << 8 | i64::from(*byte)) % WEEK);
    let week = now.saturating_add(offset).div_euclid(WEEK);
    week.saturating_add(1).saturating_mul(WEEK).saturating_sub(offset)
}

/// What goes with a session, behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BindingStamp {
    /// When the keys were agreed on that it continues with: seconds since 1970, as is the next.
    pub(super) begun: i64,
    pub(super) until: i64,
    /// The identity that answered a client which asked for no name that was served; `None` if its name was.
    pub(super) answered_by: Option<KnownBy>,
}

impl BindingStamp {
    pub(super) const LENGTH: usize = 17 + KnownBy::LENGTH;

    pub(super) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.begun.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.until.to_be_bytes());
        bytes[16] = self.answered_by.is_none().into();
        bytes[17..].copy_from_slice(self.answered_by.unwrap_or_default().bytes());
        bytes
    }

    /// Takes it off the end of `bytes`.
    pub(super) fn split_off(bytes: &mut Vec<u8>) -> Option<Self> {
        let (session, stamp) = bytes.split_last_chunk::<{ Self::LENGTH }>()?;
        let known_by = KnownBy::from_bytes(*stamp.last_chunk()?);
        let stamp = Self {
            begun: i64::from_be_bytes(*stamp.first_chunk()?),
            until: i64::from_be_bytes(*stamp[8..].first_chunk()?),
            answered_by: match stamp[16] {
                0 => Some(known_by),
                1 if known_by == KnownBy::default() => None,
                _ => return None,
            },
        };
        let length = session.len();
        bytes.truncate(length);
        Some(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256("one") modulo a week, by other means.
    const ONE: i64 = 191_085;

    #[test]
    fn a_boundary_comes_once_a_week_at_a_time_of_the_chain() {
        let chains = [&[b"one".as_slice()][..], &[b"other"], &[b"on", b"e"]];
        let [one, other, same] = chains.map(|chain| boundary_after(1_800_000_000, chain));
        assert!(one != other && one == same, "of the bytes of the chain alone");
        for now in [1_800_000_000, one - 1, one, 0, -1, -WEEK] {
            let next = boundary_after(now, chains[0]);
            assert!(next > now && next <= now + WEEK, "{now}");
            assert_eq!((next - one) % WEEK, 0, "{now}");
        }
        assert_eq!((one + ONE).rem_euclid(WEEK), 0);
        for extreme in [i64::MIN, i64::MAX] {
            boundary_after(extreme, chains[0]);
        }
    }
}
