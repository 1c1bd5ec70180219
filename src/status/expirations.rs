//! Everything of a generation that ends at a date: certificates, staples, revocation lists, ticket keys.

use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::pki::{Identity, RevocationList, TicketKeys, WarningKind, format_time};
use crate::tls::Generation;

/// Something that ends, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiration<'a> {
    /// The unit that it is of.
    pub(super) unit: usize,
    /// Tells it from others of its unit, and from what comes in its place.
    pub(super) id: &'a [u8],
    pub(super) expiring_from: Option<i64>,
    /// The last second at which it is good: seconds since 1970, as all times here.
    pub(super) not_after: i64,
    what: What<'a>,
}

#[derive(Clone, Copy, Debug)]
enum What<'a> {
    Certificate(&'a Identity),
    Staple(&'a Identity),
    /// Whether peers are refused when it has expired.
    RevocationList(&'a RevocationList, bool),
    TicketKey,
}

/// In the order of units.
pub(super) fn dates_of(generation: &Generation) -> impl Iterator<Item = Expiration<'_>> {
    let parts = generation.parts();
    let count = parts.identities.len();
    let identities = parts.identities.iter().enumerate();
    let certificates = identities.flat_map(|(unit, identity)| of_identity(unit, identity));
    let lists = parts.trust.iter().flat_map(move |trust| {
        let counts = trust.lists_hold_until().is_some();
        trust.lists().iter().filter_map(move |of| list(count, of, counts))
    });
    let unit = count + usize::from(parts.trust.is_some());
    let lifetime = generation.base_config().ticket_key_lifetime();
    let keys = parts.ticket_keys.iter().filter_map(move |keys| ticket_key(unit, keys, lifetime));
    certificates.chain(lists).chain(keys)
}

/// The dates of the unit at `index`.
pub(super) fn dates_of_unit(generation: &Generation, index: usize) -> Vec<Expiration<'_>> {
    let identities = &generation.parts().identities;
    match identities.get(index) {
        Some(identity) => of_identity(index, identity).collect(),
        None => dates_of(generation)
            .skip(identities.len())
            .filter(|dated| dated.unit == index)
            .collect(),
    }
}

fn of_identity(unit: usize, identity: &Arc<Identity>) -> impl Iterator<Item = Expiration<'_>> {
    std::iter::once(certificate(unit, identity)).chain(staple(unit, identity))
}

fn certificate(unit: usize, identity: &Arc<Identity>) -> Expiration<'_> {
    Expiration {
        unit,
        id: identity.sha256().to_bytes(),
        expiring_from: identity.expiring_from(),
        not_after: identity.not_after(),
        what: What::Certificate(identity),
    }
}

/// One that names no nextUpdate does not end.
fn staple(unit: usize, identity: &Arc<Identity>) -> Option<Expiration<'_>> {
    let facts = identity.staple()?;
    Some(Expiration {
        unit,
        id: &facts.sha256,
        expiring_from: facts.expiring_from,
        not_after: facts.next_update?.saturating_sub(1),
        what: What::Staple(identity),
    })
}

fn list(unit: usize, list: &RevocationList, counts: bool) -> Option<Expiration<'_>> {
    Some(Expiration {
        unit,
        id: &list.sha256,
        expiring_from: list.expiring_from,
        // rustls has a list expire in the second of its nextUpdate.
        not_after: list.next_update?.saturating_sub(1),
        what: What::RevocationList(list, counts),
    })
}

/// The key that encrypts: it is to be replaced when its lifetime is over, and does not encrypt any more when
/// that has been over for as long again.
fn ticket_key(unit: usize, keys: &TicketKeys, lifetime: Option<i64>) -> Option<Expiration<'_>> {
    let (key, lifetime) = (keys.keys().first()?, lifetime?);
    let old_from = key.since.saturating_add(lifetime);
    Some(Expiration {
        unit,
        id: &key.name,
        expiring_from: Some(old_from),
        not_after: old_from.saturating_add(lifetime),
        what: What::TicketKey,
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
        Self { unit, id, expiring_from, not_after, what: What::TicketKey }
    }
}

impl Expiration<'_> {
    /// Whether what serves is of no use when it has expired.
    pub(super) fn is_vital(&self) -> bool {
        matches!(self.what, What::Certificate(_) | What::RevocationList(_, true))
    }

    /// What there is to warn of at the time `now`.
    pub(super) fn warning(&self, now: i64) -> Option<WarningKind> {
        let is_expired = now > self.not_after;
        match self.what {
            What::Staple(_) if is_expired => Some(WarningKind::OcspUnusable),
            What::RevocationList(_, false) if is_expired => Some(WarningKind::CrlExpired),
            What::TicketKey if self.expiring_from.is_some_and(|from| now >= from) => {
                Some(WarningKind::TicketKeyOld)
            }
            _ => None,
        }
    }

    /// The file that it came out of, where the unit has others.
    pub(super) fn path(&self) -> Option<Arc<Path>> {
        match self.what {
            What::RevocationList(list, _) => Some(list.path.as_path().into()),
            _ => None,
        }
    }

    /// That it expires, or `is_expired`, at the time `now`, with what is known of a renewal of the unit, which
    /// is called by `path`.
    pub(super) fn in_words(
        &self,
        path: &Path,
        is_expired: bool,
        failure: Option<&Error>,
        now: i64,
    ) -> String {
        let at = format_time(self.not_after);
        let left = words_for(self.not_after - now);
        let (path, name, end) = match self.what {
            What::Certificate(identity) => {
                (path, name_of(identity), "it goes on serving, and clients refuse it")
            }
            What::Staple(identity) => {
                let name = format!("the OCSP response for {}", name_of(identity));
                (path, name, "it is left out, and the certificate served without it")
            }
            What::RevocationList(list, true) => {
                let name = format!("the revocation list of {}", list.issuer);
                (
                    &*list.path,
                    name,
                    "certificates of that issuer are refused until there is a newer one",
                )
            }
            What::RevocationList(list, false) => {
                let name = format!("the revocation list of {}", list.issuer);
                (&*list.path, name, "it counts on, and nobody knows what was revoked since")
            }
            What::TicketKey => return self.ticket_key_in_words(path, is_expired, failure),
        };
        let why = why_not_renewed(failure);
        let path = path.display();
        if is_expired {
            format!("{path}: {name} expired at {at}; {end}; {why}")
        } else {
            format!("{path}: {name} expires in {left}, at {at}; {why}")
        }
    }

    fn ticket_key_in_words(
        &self,
        path: &Path,
        is_expired: bool,
        failure: Option<&Error>,
    ) -> String {
        let (path, why) = (path.display(), why_not_renewed(failure));
        let at = format_time(self.not_after.saturating_add(1));
        if is_expired {
            format!(
                "{path}: the first ticket key has been in use for twice its lifetime and encrypts no more: \
                 until another one is first, every handshake is a full one; {why}"
            )
        } else {
            format!(
                "{path}: the first ticket key has been in use for its whole lifetime and should be replaced; \
                 from {at} on it encrypts no more; {why}"
            )
        }
    }
}

fn why_not_renewed(failure: Option<&Error>) -> String {
    match failure {
        Some(error) => format!("the renewal that came cannot be used: {error}"),
        None => "no renewal has come".to_owned(),
    }
}

fn name_of(identity: &Identity) -> String {
    identity.names().first().map_or("no name".into(), |name| name.to_string_lossy().into_owned())
}

/// A length of time in its largest unit of which there are two or more.
fn words_for(seconds: i64) -> String {
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

    #[test]
    fn a_length_of_time_is_told_in_words() {
        assert_eq!(words_for(9 * 86_400 + 5), "9 days");
        assert_eq!(words_for(47 * 3600), "47 hours");
        assert_eq!(words_for(200), "3 minutes");
        assert_eq!(words_for(119), "119 seconds");
    }
}
