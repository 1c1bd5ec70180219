//! Decides whether a session may be resumed: by what it is bound to, and by the stamp that is stored with it.
//!
//! A session is resumed only if both hold:
//!
//! - **Its binding is the same.** The binding is the fingerprint of the trust store (G13) and the host's session
//!   context. It is the associated data of a ticket's encryption, and is stored with a session in memory.
//! - **Its stamp is valid.** The stamp is stored behind the session's bytes. It says when the session started and when
//!   it expires. It also records the identity that answered, if the client asked for no name that is served. The
//!   session ends when that identity, or the name that the client asked for, is no longer served (G14).
//!
//! The identity's certificate is not part of either: a renewal keeps sessions resumable (G14).

use std::mem;

use zeroize::Zeroizing;

use super::identity_label::IdentityLabel;
use super::random::fill_random;
use super::resumption_rules::{LIFETIME, SessionPolicy};
use super::rustls_session_format::RustlsSession;
use super::tls12_origin;
use crate::error::Cause;
use crate::pki::{not_after_of, sha256_of_all};

/// How many seconds in the future a session may have started: the clocks of servers that share ticket keys differ.
const MAX_CLOCK_SKEW: i64 = 300;
/// How often a client with a certificate has to present it in a full handshake, in seconds.
const WEEK: i64 = 7 * 86400;
/// For how many seconds before a client's weekly boundary ([`boundary_after`]) its session is not resumed.
///
/// The ticket at the end of a resumed handshake is made in a later call, with a later time. If the boundary passed in
/// between, that ticket would be valid until the next boundary, and a chain of resumptions could continue for ever.
const MAX_HANDSHAKE: i64 = 60;

/// The conditions under which the sessions of one generation are resumed.
#[derive(Debug)]
pub(super) struct Binding {
    policy: SessionPolicy,
    bytes: [u8; 96],
}

impl Binding {
    /// Binds sessions to `policy`. If `is_exclusive`, they are also bound to random bytes, so no other binding accepts
    /// them.
    pub(super) fn new(policy: SessionPolicy, is_exclusive: bool) -> Result<Self, Cause> {
        let mut bytes = [0; 96];
        bytes[..32].copy_from_slice(&policy.trust_fingerprint);
        bytes[32..64].copy_from_slice(&policy.context);
        if is_exclusive {
            fill_random(&mut bytes[64..])?;
        }
        Ok(Self { policy, bytes })
    }

    /// Returns the bytes to which a session is bound. They are equal for all bindings that accept one another's
    /// sessions, and differ for all others.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the stamp for a session that starts or is resumed at `now`; `None` if the session must not be resumed.
    pub(super) fn stamp(&self, session: &[u8], now: i64) -> Option<SessionStamp> {
        let session = RustlsSession::parse(session)?;
        let started_at = tls12_origin::start_of(&session).unwrap_or(now);
        let resume_until = self.policy.resume_until.unwrap_or(i64::MAX);
        let mut expires_at = started_at.saturating_add(LIFETIME).min(resume_until);
        // The session does not say which of the presented certificates were needed to verify the client. All of them
        // count, so the session may end earlier than necessary, but never later.
        for certificate in &session.client_chain {
            // A certificate is valid through the second of notAfter (RFC 5280 section 4.1.2.5).
            expires_at = expires_at.min(not_after_of(certificate)?.saturating_add(1));
        }
        // A TLS 1.2 session needs no boundary: all its tickets expire when the first one does, however often it is
        // resumed.
        if session.tls12_secret.is_none() && !session.client_chain.is_empty() {
            let boundary = boundary_after(now, &session.client_chain);
            expires_at = expires_at.min(boundary.saturating_sub(MAX_HANDSHAKE));
        }
        let name = session.server_name;
        let answered_by = if name.is_some_and(|name| self.policy.names.is_served(name)) {
            None
        } else {
            Some(self.policy.names.label_for(name)?)
        };
        (now < expires_at).then_some(SessionStamp { started_at, expires_at, answered_by })
    }

    /// Returns the session in `stamped`, a session followed by its stamp, if it may be resumed at `now`.
    ///
    /// If it may not, the bytes are wiped (G18).
    pub(super) fn unstamp(&self, mut stamped: Zeroizing<Vec<u8>>, now: i64) -> Option<Vec<u8>> {
        let (session, stamp) = SessionStamp::split(&stamped)?;
        let length = session.len();
        if !self.accepts(session, &stamp, now) {
            return None;
        }
        stamped.truncate(length);
        Some(mem::take(&mut *stamped))
    }

    /// Returns whether `session` with `stamp` may be resumed at `now`. If so, records its start for the ticket that
    /// follows.
    pub(super) fn accepts(&self, session: &[u8], stamp: &SessionStamp, now: i64) -> bool {
        let Some(session) = RustlsSession::parse(session) else { return false };
        // The stamp may be from a server with the same ticket keys and another release of certreload, with a longer
        // lifetime.
        let expires_at = stamp.expires_at.min(stamp.started_at.saturating_add(LIFETIME));
        let is_in_time = stamp.started_at <= now.saturating_add(MAX_CLOCK_SKEW)
            && now < expires_at.min(self.policy.resume_until.unwrap_or(i64::MAX));
        let (names, name) = (&self.policy.names, session.server_name);
        let has_same_identity = || match &stamp.answered_by {
            None => name.is_some_and(|name| names.is_served(name)),
            Some(label) => names.has_label(name, label),
        };
        let is_accepted = is_in_time && has_same_identity();
        if is_accepted {
            tls12_origin::record(&session, stamp.started_at);
        }
        is_accepted
    }
}

/// Returns when a client with this chain next has to present it in a full handshake, in seconds since 1970.
///
/// A chain of resumptions in TLS 1.3 could last for ever, and the certificates would never be verified again (RFC 8446
/// section 4.6.1). The time of the full handshake cannot limit it: rustls makes the ticket of a resumed session without
/// any reference to the session before. So there is a boundary once a week, which can be computed from the chain alone.
/// The boundaries of different chains differ, so that clients do not all make full handshakes at once.
pub(super) fn boundary_after(now: i64, client_chain: &[&[u8]]) -> i64 {
    let hash = sha256_of_all(client_chain.iter().copied());
    let offset = hash.iter().fold(0, |rest, byte| (rest << 8 | i64::from(*byte)) % WEEK);
    let week = now.saturating_add(offset).div_euclid(WEEK);
    week.saturating_add(1).saturating_mul(WEEK).saturating_sub(offset)
}

/// The facts that are stored with a session, behind its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionStamp {
    /// When the session's keys were agreed on, in seconds since 1970.
    pub(super) started_at: i64,
    /// When the session expires, in seconds since 1970.
    pub(super) expires_at: i64,
    /// The default identity, which answered because the client asked for no name that is served; `None` if it asked for
    /// one.
    pub(super) answered_by: Option<IdentityLabel>,
}

impl SessionStamp {
    pub(super) const LENGTH: usize = 17 + IdentityLabel::LENGTH;

    pub(super) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.started_at.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.expires_at.to_be_bytes());
        bytes[16] = self.answered_by.is_none().into();
        bytes[17..].copy_from_slice(self.answered_by.unwrap_or_default().bytes());
        bytes
    }

    /// Splits `stamped` into the session and the stamp behind it; `None` if there is no valid stamp at its end.
    pub(super) fn split(stamped: &[u8]) -> Option<(&[u8], Self)> {
        let (session, bytes) = stamped.split_last_chunk::<{ Self::LENGTH }>()?;
        let label = IdentityLabel::from_bytes(*bytes.last_chunk()?);
        let stamp = Self {
            started_at: i64::from_be_bytes(*bytes.first_chunk()?),
            expires_at: i64::from_be_bytes(*bytes[8..].first_chunk()?),
            answered_by: match bytes[16] {
                0 => Some(label),
                1 if label == IdentityLabel::default() => None,
                _ => return None,
            },
        };
        Some((session, stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest SHA-256("one") as a number, modulo a week, computed with another program.
    const ONE: i64 = 191_085;

    #[test]
    fn boundary_comes_once_a_week_at_a_time_of_the_chain() {
        let chains = [&[b"one".as_slice()][..], &[b"other"], &[b"on", b"e"]];
        let [one, other, same] = chains.map(|chain| boundary_after(1_800_000_000, chain));
        assert!(one != other && one == same, "only the bytes of the chain count");
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
