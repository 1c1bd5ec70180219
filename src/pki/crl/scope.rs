//! Which revocation lists take each other's place, and which of them comes first.

use std::cmp::Ordering;

use super::parse::{Crl, MAX_CRLS, Number};
use crate::pki::certificate::format_time;
use crate::pki::trust::{Root, Sha256, sha256};

/// What the lists have in common of which each takes the place of the one before.
#[derive(Clone, Debug)]
pub(super) struct CrlSeries {
    issuer: Vec<u8>,
    authority_key_id: Option<Vec<u8>>,
    distribution_point: Option<Vec<u8>>,
    /// The key that signed it, where that is known.
    signer: Option<Sha256>,
}

/// A list's place in its series.
#[derive(Clone, Debug)]
pub(crate) struct CrlRank {
    pub(super) series: CrlSeries,
    number: Option<Number>,
    /// Seconds since 1970.
    this_update: i64,
}

impl CrlSeries {
    pub(super) fn has_signer(&self) -> bool {
        self.signer.is_some()
    }

    /// Whether the key of this authority signed its lists.
    pub(super) fn is_of(&self, authority: &Root) -> bool {
        authority.subject == self.issuer && self.signer == Some(sha256(&authority.public_key))
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.is_of_same_part(other) && self.is_of_same_key(other)
    }

    /// Whether a list of this series tells what one of `other` told.
    pub(super) fn succeeds(&self, other: &Self) -> bool {
        (self.is_of_same_part(other) || self.is_of_all()) && self.is_of_same_key(other)
    }

    fn is_of_same_part(&self, other: &Self) -> bool {
        self.distribution_point == other.distribution_point
    }

    fn is_of_all(&self) -> bool {
        self.distribution_point.is_none()
    }

    /// Where both signers are known they tell, for some lists do not say whose key they are signed with.
    fn is_of_same_key(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && match (self.signer, other.signer) {
                (Some(signer), Some(other)) => signer == other,
                _ => self.authority_key_id == other.authority_key_id,
            }
    }
}

impl CrlRank {
    pub(super) fn of(crl: &Crl, signer: Option<Sha256>) -> Self {
        Self {
            series: CrlSeries {
                issuer: crl.issuer.clone(),
                authority_key_id: crl.authority_key_id.clone(),
                distribution_point: crl.distribution_point.clone(),
                signer,
            },
            number: crl.number.clone(),
            this_update: crl.this_update,
        }
    }

    /// Which of two of one series came first.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let by_number = match (&self.number, &other.number) {
            (Some(number), Some(other)) => number.cmp(other),
            _ => Ordering::Equal,
        };
        by_number.then(self.this_update.cmp(&other.this_update))
    }

    /// How this one comes before `known`, whose place it would take among `all`; `None` where it does not.
    pub(super) fn rolls_back(&self, known: &Self, all: &[&Self]) -> Option<String> {
        let is_older = if self.series.is(&known.series) {
            self.compare(known)
        } else if self.series.succeeds(&known.series)
            && !all.iter().any(|place| place.series.is(&known.series))
        {
            // Lists of a part and of all may each be numbered by themselves (RFC 5280 section 5.2.3).
            self.this_update.cmp(&known.this_update).then(self.compare(known))
        } else {
            Ordering::Equal
        };
        is_older.is_lt().then(|| match (&self.number, &known.number) {
            (Some(older), Some(newer)) if older < newer => {
                format!("number {} comes before number {}", older.in_words(), newer.in_words())
            }
            _ => {
                let (older, newer) =
                    (format_time(self.this_update), format_time(known.this_update));
                format!("{older} comes before {newer}")
            }
        })
    }
}

/// The newest of each series that ever served: those of `places`, which serve, and what `before` knew of others.
/// Whose list was gone for a while does not come back with an older one.
pub(super) fn remembered(places: Vec<CrlRank>, before: &[CrlRank]) -> Vec<CrlRank> {
    let is_known = |place: &&CrlRank| places.iter().any(|newer| newer.series.is(&place.series));
    let gone = before.iter().filter(|place| !is_known(place)).take(MAX_CRLS).cloned();
    let gone: Vec<_> = gone.collect();
    [places, gone].concat()
}
