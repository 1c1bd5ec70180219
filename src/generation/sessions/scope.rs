//! What a session was begun under, and whether it may go on under what there is now.

use super::session_value::SessionValue;
use super::{LIFETIME, View, origin};
use crate::error::Cause;
use crate::material::not_after_of;

/// How far ahead the clock of another host may be that shares our keys.
const SKEW: i64 = 300;

/// One generation, as far as its sessions are concerned.
#[derive(Debug)]
pub(super) struct Scope {
    view: View,
    bound_to: [u8; 64],
}

impl Scope {
    /// `is_alone` where no other scope resumes sessions of this one.
    pub(super) fn new(view: View, is_alone: bool) -> Result<Self, Cause> {
        let mut bound_to = [0; 64];
        bound_to[..32].copy_from_slice(&view.trust);
        if is_alone {
            super::random(&mut bound_to[32..])?;
        }
        Ok(Self { view, bound_to })
    }

    /// What is the same for all scopes that resume one another's sessions, and for no other.
    pub(super) fn bound_to(&self) -> &[u8] {
        &self.bound_to
    }

    /// For a session that begins now, or goes on; `None` where none is to be resumed.
    pub(super) fn stamp(&self, session: &[u8], now: i64) -> Option<Stamp> {
        let session = SessionValue::read(session)?;
        let begun = origin::beginning_of(&session).unwrap_or(now);
        let mut until = begun.saturating_add(LIFETIME).min(self.view.until.unwrap_or(i64::MAX));
        // Of all that it showed, for which of them it was let in by is not written down: at worst a session is short.
        for certificate in session.client_chain {
            // It is good to the very second of notAfter (RFC 5280 section 4.1.2.5).
            until = until.min(not_after_of(certificate)?.saturating_add(1));
        }
        let was_served = session.server_name.is_some_and(|name| self.view.names.serves(name));
        (now < until).then_some(Stamp { begun, until, was_served })
    }

    /// Whether a session that bears `stamp` may go on.
    pub(super) fn admits(&self, session: &[u8], stamp: &Stamp, now: i64) -> bool {
        let Some(session) = SessionValue::read(session) else { return false };
        // Where hosts of two releases share keys, another's idea of a lifetime is not ours.
        let until = stamp.until.min(stamp.begun.saturating_add(LIFETIME));
        let is_in_time = stamp.begun <= now.saturating_add(SKEW)
            && now < until.min(self.view.until.unwrap_or(i64::MAX));
        // A name that nobody had then has always been answered by the default identity.
        let is_name_served =
            || session.server_name.is_some_and(|name| self.view.names.serves(name));
        let is_admitted = is_in_time && (!stamp.was_served || is_name_served());
        if is_admitted {
            origin::take_down(&session, stamp.begun);
        }
        is_admitted
    }
}

/// What goes with a session, behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// When the keys were agreed on that it goes on with: seconds since 1970, as is the next.
    pub(super) begun: i64,
    pub(super) until: i64,
    /// Whether an identity had the name that the client asked for.
    pub(super) was_served: bool,
}

impl Stamp {
    pub(super) const LENGTH: usize = 17;

    pub(super) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.begun.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.until.to_be_bytes());
        bytes[16] = self.was_served.into();
        bytes
    }

    /// Takes it off the end of `bytes`.
    pub(super) fn split_off(bytes: &mut Vec<u8>) -> Option<Self> {
        let (session, stamp) = bytes.split_last_chunk::<{ Self::LENGTH }>()?;
        let stamp = Self {
            begun: i64::from_be_bytes(*stamp.first_chunk()?),
            until: i64::from_be_bytes(*stamp[8..].first_chunk()?),
            was_served: match stamp[16] {
                0 => false,
                1 => true,
                _ => return None,
            },
        };
        let length = session.len();
        bytes.truncate(length);
        Some(stamp)
    }
}
