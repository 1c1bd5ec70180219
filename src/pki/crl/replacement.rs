//! Decides which CRLs replace each other, by their scope, and which of two is newer, by their version.
//!
//! A CRL covers a scope: the certificates of one issuer and one key, or a part of them (RFC 5280 section 5). Within a
//! scope the newest CRL is complete, so an older one has no more effect. Replacing a CRL by an older one of its scope
//! would accept certificates that are revoked already; this is prevented by comparing versions.

use std::cmp::Ordering;

use super::parse::{Crl, CrlNumber, MAX_CRLS};
use crate::pki::certificate::format_time;
use crate::pki::crl_signer::CrlSigner;
use crate::pki::distinguished_name::DistinguishedName;
use crate::pki::hash::{Sha256, sha256};

/// The certificates that a CRL covers: all those that an issuer signed with one key, or a part of these.
#[derive(Clone, Debug)]
pub(super) struct CrlScope {
    pub(super) issuer: DistinguishedName<'static>,
    authority_key_id: Option<Vec<u8>>,
    /// The extension issuingDistributionPoint, which names the part; `None` if the CRL covers all certificates of the
    /// issuer.
    distribution_point: Option<Vec<u8>>,
    /// The digest of the public key that signed the CRL; `None` if no certificate of the issuer is known.
    signer: Option<Sha256>,
}

/// The scope of a CRL, with the number and the date that show which of two CRLs of the scope is newer.
#[derive(Clone, Debug)]
pub(crate) struct CrlVersion {
    pub(super) scope: CrlScope,
    number: Option<CrlNumber>,
    /// When the CRL was issued, in seconds since 1970.
    this_update: i64,
}

impl CrlScope {
    pub(super) fn has_known_signer(&self) -> bool {
        self.signer.is_some()
    }

    /// Returns whether CRLs of this scope are signed with the key of `ca`.
    pub(super) fn is_signed_by(&self, ca: &CrlSigner) -> bool {
        ca.subject == self.issuer && self.signer == Some(sha256(&ca.public_key))
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.has_same_part(other) && self.has_same_issuer_key(other)
    }

    /// Returns whether a CRL of this scope covers every certificate that a CRL of the scope `other` covers.
    pub(super) fn includes(&self, other: &Self) -> bool {
        (self.has_same_part(other) || self.covers_all_parts()) && self.has_same_issuer_key(other)
    }

    fn has_same_part(&self, other: &Self) -> bool {
        self.distribution_point == other.distribution_point
    }

    fn covers_all_parts(&self) -> bool {
        self.distribution_point.is_none()
    }

    /// Returns whether the CRLs of both scopes are signed with one key of one issuer.
    ///
    /// If the signing keys of both are known, these are compared, otherwise the key identifiers. Some CAs leave out the
    /// key identifier, although RFC 5280 section 5.2.1 requires it.
    ///
    /// The names must have the same bytes: rustls applies a CRL to certificates that name their issuer in the same bytes
    /// only. A CRL with the name in other bytes must not replace one that is applied (G13).
    fn has_same_issuer_key(&self, other: &Self) -> bool {
        self.issuer.has_same_bytes(&other.issuer)
            && match (self.signer, other.signer) {
                (Some(signer), Some(other)) => signer == other,
                _ => self.authority_key_id == other.authority_key_id,
            }
    }
}

impl CrlVersion {
    pub(super) fn of(crl: &Crl, signer: Option<Sha256>) -> Self {
        Self {
            scope: CrlScope {
                issuer: crl.issuer.clone(),
                authority_key_id: crl.authority_key_id.clone(),
                distribution_point: crl.distribution_point.clone(),
                signer,
            },
            number: crl.number.clone(),
            this_update: crl.this_update,
        }
    }

    /// Compares two versions of one scope: by number if both have one (RFC 5280 section 5.2.3), then by thisUpdate.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let by_number = match (&self.number, &other.number) {
            (Some(number), Some(other)) => number.cmp(other),
            _ => Ordering::Equal,
        };
        by_number.then(self.this_update.cmp(&other.this_update))
    }

    /// Returns in words why this version must not replace `known`, which was in use: it is older. The result is `None`
    /// if it is not older, or if the two do not replace each other.
    ///
    /// A CRL for all certificates also replaces the CRL of a part, unless `candidates` include one for that part. These
    /// are all CRLs that would be used together. The two are compared by thisUpdate first: each scope may have its own
    /// numbers (RFC 5280 section 5.2.3).
    pub(super) fn rolls_back(&self, known: &Self, candidates: &[&Self]) -> Option<String> {
        let comparison = if self.scope.is_same(&known.scope) {
            self.compare(known)
        } else if self.scope.includes(&known.scope)
            && !candidates.iter().any(|other| other.scope.is_same(&known.scope))
        {
            self.this_update.cmp(&known.this_update).then(self.compare(known))
        } else {
            Ordering::Equal
        };
        comparison.is_lt().then(|| match (&self.number, &known.number) {
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

/// Returns the newest version of each scope that was ever in use: `current`, and those of `known` whose scope has no
/// current version.
///
/// The version of a CRL is remembered after the CRL was removed, so that an older one cannot return in its place (G13).
/// Of removed CRLs, at most [`MAX_CRLS`] are remembered.
pub(super) fn remembered(current: Vec<CrlVersion>, known: &[CrlVersion]) -> Vec<CrlVersion> {
    let is_current = |old: &&CrlVersion| current.iter().any(|new| new.scope.is_same(&old.scope));
    let removed: Vec<_> =
        known.iter().filter(|old| !is_current(old)).take(MAX_CRLS).cloned().collect();
    [current, removed].concat()
}
