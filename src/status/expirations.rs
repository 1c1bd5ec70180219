//! Everything in a generation that expires: certificates, OCSP responses, CRLs, ticket keys.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::pki::{
    Identity, NeededIntermediate, RevocationList, TicketKeys, WarningKind, format_time,
};
use crate::tls::Generation;

/// The expiry of one thing in a generation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiration<'a> {
    /// Index of the unit that the thing belongs to.
    pub(super) unit: usize,
    /// Distinguishes the thing from others of its unit and from its replacement.
    pub(super) id: &'a [u8],
    /// Start of the warning window.
    pub(super) expiring_from: Option<i64>,
    /// The last second in which the certificate, OCSP response, CRL or ticket key is valid. All times are in seconds
    /// since 1970.
    pub(super) not_after: i64,
    subject: Subject<'a>,
}

/// What expires.
#[derive(Clone, Copy, Debug)]
enum Subject<'a> {
    Certificate(&'a Identity),
    /// An intermediate of the identity's chain, without which the chain offers no path.
    Intermediate(&'a Identity, &'a NeededIntermediate),
    OcspResponse(&'a Identity),
    Crl {
        list: &'a RevocationList,
        /// Whether peers are rejected once the list has expired.
        rejects_when_expired: bool,
    },
    TicketKey,
}

/// Returns the expirations of all units, in the order of the units.
pub(super) fn expirations(generation: &Generation) -> impl Iterator<Item = Expiration<'_>> {
    let identities = generation.parts().identities.iter().enumerate();
    let loaded = identities.filter_map(|(unit, slot)| Some((unit, slot.loaded()?)));
    loaded
        .flat_map(|(unit, identity)| of_identity(unit, identity))
        .chain(of_other_units(generation))
}

/// Returns the expirations of the unit at `index`.
pub(super) fn expirations_of_unit(generation: &Generation, index: usize) -> Vec<Expiration<'_>> {
    match generation.parts().identities.get(index) {
        Some(slot) => {
            slot.loaded().into_iter().flat_map(|identity| of_identity(index, identity)).collect()
        }
        None => of_other_units(generation).filter(|expiration| expiration.unit == index).collect(),
    }
}

fn of_identity(unit: usize, identity: &Arc<Identity>) -> impl Iterator<Item = Expiration<'_>> {
    let certificates =
        std::iter::once(of_certificate(unit, identity)).chain(of_intermediate(unit, identity));
    certificates.chain(of_ocsp_response(unit, identity))
}

/// Returns the expirations of the trust store and of the ticket keys.
fn of_other_units(generation: &Generation) -> impl Iterator<Item = Expiration<'_>> {
    let parts = generation.parts();
    let trust = parts.trust_index().zip(parts.trust.as_ref());
    let crls = trust.into_iter().flat_map(move |(trust_index, trust)| {
        let rejects_when_expired = trust.lists_hold_until().is_some();
        let lists = trust.lists().iter();
        lists.filter_map(move |list| of_crl(trust_index, list, rejects_when_expired))
    });
    let lifetime = generation.base_config().ticket_key_lifetime();
    let keys = parts.ticket_keys_index().zip(parts.ticket_keys.as_ref());
    crls.chain(keys.and_then(move |(index, keys)| of_ticket_keys(index, keys, lifetime)))
}

fn of_certificate(unit: usize, identity: &Arc<Identity>) -> Expiration<'_> {
    Expiration {
        unit,
        id: identity.sha256().to_bytes(),
        expiring_from: identity.expiring_from(),
        not_after: identity.not_after(),
        subject: Subject::Certificate(identity),
    }
}

/// Returns `None` if the leaf expires before any intermediate that clients need.
fn of_intermediate(unit: usize, identity: &Arc<Identity>) -> Option<Expiration<'_>> {
    let intermediate = identity.needed_intermediate()?;
    Some(Expiration {
        unit,
        id: &intermediate.sha256,
        expiring_from: intermediate.expiring_from,
        not_after: intermediate.not_after,
        subject: Subject::Intermediate(identity, intermediate),
    })
}

/// Returns `None` for a response without nextUpdate, which does not expire (RFC 6960, 4.2.2.1).
fn of_ocsp_response(unit: usize, identity: &Arc<Identity>) -> Option<Expiration<'_>> {
    let facts = identity.staple()?;
    Some(Expiration {
        unit,
        id: &facts.sha256,
        expiring_from: facts.expiring_from,
        not_after: facts.next_update?.saturating_sub(1),
        subject: Subject::OcspResponse(identity),
    })
}

fn of_crl(
    unit: usize,
    list: &RevocationList,
    rejects_when_expired: bool,
) -> Option<Expiration<'_>> {
    Some(Expiration {
        unit,
        id: &list.sha256,
        expiring_from: list.expiring_from,
        // For rustls a CRL has already expired in the second of its nextUpdate.
        not_after: list.next_update?.saturating_sub(1),
        subject: Subject::Crl { list, rejects_when_expired },
    })
}

/// Returns the expiration of the first key, which encrypts.
///
/// The key should be replaced after its lifetime. After twice its lifetime the key no longer encrypts.
fn of_ticket_keys(unit: usize, keys: &TicketKeys, lifetime: Option<i64>) -> Option<Expiration<'_>> {
    let (key, lifetime) = (keys.keys().first()?, lifetime?);
    let old_from = key.since.saturating_add(lifetime);
    Some(Expiration {
        unit,
        id: &key.name,
        expiring_from: Some(old_from),
        not_after: old_from.saturating_add(lifetime),
        subject: Subject::TicketKey,
    })
}

#[cfg(test)]
impl<'a> Expiration<'a> {
    pub(super) fn for_test(
        unit: usize,
        id: &'a [u8],
        expiring_from: Option<i64>,
        not_after: i64,
    ) -> Self {
        Self { unit, id, expiring_from, not_after, subject: Subject::TicketKey }
    }
}

impl Expiration<'_> {
    /// Returns whether connections fail once the thing has expired: peers reject an expired certificate, and an expired
    /// CRL may make the handle reject peers.
    pub(super) fn is_vital(&self) -> bool {
        matches!(
            self.subject,
            Subject::Certificate(_)
                | Subject::Intermediate(..)
                | Subject::Crl { rejects_when_expired: true, .. }
        )
    }

    /// Returns when the certificate becomes valid, if that is after `now`.
    pub(super) fn not_valid_before(&self, now: i64) -> Option<i64> {
        match self.subject {
            Subject::Certificate(identity) => Some(identity.not_before()).filter(|at| now < *at),
            _ => None,
        }
    }

    /// Returns the warning that applies at `now`.
    pub(super) fn warning(&self, now: i64) -> Option<WarningKind> {
        let has_expired = now > self.not_after;
        match self.subject {
            Subject::Certificate(identity) if now < identity.not_before() => {
                Some(WarningKind::NotYetValid)
            }
            Subject::Intermediate(..) if has_expired => Some(WarningKind::ChainExpired),
            Subject::OcspResponse(_) if has_expired => Some(WarningKind::OcspUnusable),
            Subject::Crl { rejects_when_expired: false, .. } if has_expired => {
                Some(WarningKind::CrlExpired)
            }
            Subject::TicketKey if self.expiring_from.is_some_and(|from| now >= from) => {
                Some(WarningKind::TicketKeyOld)
            }
            _ => None,
        }
    }

    /// Returns the file of a CRL, because a trust store may have several. For everything else, messages use the path of
    /// the unit.
    pub(super) fn path(&self) -> Option<Arc<Path>> {
        match self.subject {
            Subject::Crl { list, .. } => Some(list.path.as_path().into()),
            _ => None,
        }
    }

    /// Returns the message of an event at `now` for an operator (G24).
    ///
    /// `path` names the unit. `failure` is why the unit's files cannot be used at the moment, if so.
    pub(super) fn message(&self, path: &Path, failure: Option<&Error>, now: i64) -> String {
        let has_expired = now > self.not_after;
        let problem = match self.subject {
            Subject::Certificate(identity) => self.ends(&name_of(identity), now),
            Subject::Intermediate(identity, NeededIntermediate { title, .. }) => {
                let (title, name) = (title, name_of(identity));
                self.ends(&format!("the intermediate \"{title}\" in the chain of {name}"), now)
            }
            Subject::OcspResponse(identity) => {
                self.ends(&format!("the OCSP response for {}", name_of(identity)), now)
            }
            Subject::Crl { list, .. } => self.ends(&format!("the CRL of {}", list.issuer), now),
            Subject::TicketKey if has_expired => {
                "the first ticket key has been in use for twice its lifetime".to_owned()
            }
            Subject::TicketKey => {
                "the first ticket key has been in use for its whole lifetime".to_owned()
            }
        };
        let path = self.path().unwrap_or_else(|| path.into());
        let (served, renewal) = (self.served(has_expired), renewal_text(failure));
        format!("{}: {problem}; {served}; {renewal}", path.display())
    }

    fn ends(&self, name: &str, now: i64) -> String {
        let at = format_time(self.not_after);
        if now > self.not_after {
            format!("{name} expired at {at}")
        } else {
            format!("{name} expires in {}, at {at}", duration_text(self.not_after - now))
        }
    }

    /// Returns, for the message, how the thing is used until it is renewed.
    fn served(&self, has_expired: bool) -> Cow<'static, str> {
        let text = match (self.subject, has_expired) {
            (Subject::Certificate(_), false) => "it is still served",
            (Subject::Certificate(_), true) => "it is still served, and clients reject it",
            (Subject::Intermediate(..), false) => {
                "the chain is still served, and has no other path"
            }
            (Subject::Intermediate(..), true) => {
                "the chain is still served, and clients reject it: it has no other path"
            }
            (Subject::OcspResponse(_), false) => "it is still stapled",
            (Subject::OcspResponse(_), true) => "the certificate is served without it",
            (Subject::Crl { .. }, false) => "it is enforced",
            (Subject::Crl { rejects_when_expired: true, .. }, true) => {
                "certificates of that issuer are rejected until a newer CRL is loaded"
            }
            (Subject::Crl { rejects_when_expired: false, .. }, true) => {
                "it is still enforced, but revocations since then are unknown"
            }
            (Subject::TicketKey, false) => {
                let at = format_time(self.not_after.saturating_add(1));
                return format!("it encrypts tickets until {at}").into();
            }
            (Subject::TicketKey, true) => {
                "it encrypts no more tickets, so every handshake is a full one until another key is first"
            }
        };
        text.into()
    }
}

/// Returns, for the message, why there is no renewal yet, and what an operator must do.
fn renewal_text(failure: Option<&Error>) -> String {
    match failure {
        Some(error) => format!("the renewal was rejected and must be corrected: {error}"),
        None => "no renewal was found: check the job that renews it".to_owned(),
    }
}

fn name_of(identity: &Identity) -> String {
    identity.names().first().map_or("no name".into(), |name| name.to_string_lossy().into_owned())
}

/// Returns a duration as text, in the largest unit of which it has at least two; else in seconds.
fn duration_text(seconds: i64) -> String {
    let units = [(86_400, "days"), (3600, "hours"), (60, "minutes")];
    let unit = units.iter().find(|(length, _)| seconds >= 2 * length);
    unit.map_or_else(
        || format!("{seconds} seconds"),
        |(length, name)| format!("{} {name}", seconds / length),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;

    #[test]
    fn duration_text_uses_the_largest_unit_with_two_or_more() {
        assert_eq!(duration_text(9 * 86_400 + 5), "9 days");
        assert_eq!(duration_text(47 * 3600), "47 hours");
        assert_eq!(duration_text(200), "3 minutes");
        assert_eq!(duration_text(119), "119 seconds");
    }

    #[test]
    fn ticket_key_message_names_the_file_the_end_and_the_remedy() {
        let key = Expiration::for_test(0, b"key", Some(100), 199);
        let path = Path::new("/tls/tickets.key");
        assert_eq!(
            key.message(path, None, 150),
            "/tls/tickets.key: the first ticket key has been in use for its whole lifetime; it encrypts tickets \
             until 1970-01-01T00:03:20Z; no renewal was found: check the job that renews it"
        );
        let failure = Error::at(path, Cause::Empty);
        assert_eq!(
            key.message(path, Some(&failure), 200),
            "/tls/tickets.key: the first ticket key has been in use for twice its lifetime; it encrypts no more \
             tickets, so every handshake is a full one until another key is first; the renewal was rejected and \
             must be corrected: /tls/tickets.key: is empty (read)"
        );
    }
}
