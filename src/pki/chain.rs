//! Puts the certificates of a chain in the order in which they are served, and finds problems among them.
//!
//! RFC 5246 section 7.4.2 requires the leaf first, and each certificate to be followed by its issuer. RFC 8446 section
//! 4.4.2 asks clients to accept other orders, but TLS 1.2 clients may reject them. A chain in order is served as it is;
//! otherwise it is reordered, with a warning.
//!
//! Repeated certificates are left out, but no others. A certificate that seems superfluous, such as a
//! cross-certificate, may be on the only path to the root that some client trusts.

use std::path::Path;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;

use super::certificate::{CertificateFacts, format_time};
use super::public_key::is_same_key;
use super::signature::is_signed_with;
use super::warnings::{Warning, WarningKind};
use crate::error::{Cause, Position};
use crate::options::Role;

/// The certificates of one file, with the facts from which their order follows.
pub(super) struct Chain<'a> {
    pub(super) path: &'a Path,
    pub(super) certificates: &'a [CertificateDer<'static>],
    /// The parsed fields of each certificate, at the same positions as in `certificates`.
    pub(super) facts: &'a [CertificateFacts<'a>],
    /// The position of the leaf in `certificates`.
    pub(super) leaf: usize,
    pub(super) algorithms: &'a WebPkiSupportedAlgorithms,
    /// The time for which dates are checked, in seconds since 1970.
    pub(super) now: i64,
}

/// The order in which the certificates of a chain are served.
pub(super) struct Order {
    /// Positions in [`Chain::certificates`], the leaf first.
    pub(super) positions: Vec<usize>,
    /// How many of `positions` are the path from the leaf upwards.
    pub(super) linked: usize,
    pub(super) warnings: Vec<Warning>,
}

impl Chain<'_> {
    /// Returns the order in which the certificates are served: the path from the leaf upwards, then all others as in
    /// the file.
    pub(super) fn order(&self) -> Order {
        let distinct = self.distinct();
        let linked = if self.is_in_order(&distinct) {
            distinct.clone()
        } else {
            self.path_upwards(&distinct)
        };
        let others: Vec<_> = distinct.iter().copied().filter(|at| !linked.contains(at)).collect();
        let mut warnings = Vec::new();
        let repeated = (0..self.facts.len()).filter(|at| !distinct.contains(at));
        warnings.extend(repeated.map(|at| self.repeated(at)));
        let positions: Vec<_> = linked.iter().chain(&others).copied().collect();
        if positions != distinct {
            warnings.push(self.reordered());
        }
        warnings.extend(self.incomplete(&linked));
        warnings.extend(others.iter().filter_map(|at| self.unrelated(*at, &distinct)));
        warnings.extend(positions[1..].iter().filter_map(|at| self.expired(*at)));
        warnings.extend(linked[1..].iter().filter_map(|at| self.expires_before_leaf(*at)));
        Order { positions, linked: linked.len(), warnings }
    }

    /// Returns whether the key of `issuer` signed `subject`; `None` if the provider cannot verify such a signature.
    pub(super) fn is_signed_by(&self, issuer: usize, subject: usize) -> Option<bool> {
        let key = self.facts[issuer].public_key;
        is_signed_with(&self.certificates[subject], key, self.algorithms)
    }

    /// Returns the positions of all certificates in the order of the file, each certificate only once.
    fn distinct(&self) -> Vec<usize> {
        let all = self.certificates;
        (0..all.len()).filter(|at| !all[..*at].contains(&all[*at])).collect()
    }

    fn is_in_order(&self, positions: &[usize]) -> bool {
        positions.first() == Some(&self.leaf)
            && positions.windows(2).all(|pair| self.certifies(pair[1], pair[0]))
    }

    /// Returns the path from the leaf to the highest issuer in the file.
    ///
    /// After the renewal of an intermediate, both of its versions may be in the file. Of several issuers, one that is
    /// valid now is chosen, then one whose name has the same bytes, then the first.
    fn path_upwards(&self, positions: &[usize]) -> Vec<usize> {
        let mut linked = vec![self.leaf];
        let mut top = self.leaf;
        while !self.facts[top].is_self_issued() {
            let is_issuer = |at: &&usize| !linked.contains(at) && self.certifies(**at, top);
            let issuers = positions.iter().filter(is_issuer);
            let rank = |at: &&usize| {
                let is_valid = self.facts[**at].is_valid_at(self.now);
                (!is_valid, !self.names_in_same_bytes(**at, top))
            };
            let Some(issuer) = issuers.min_by_key(rank) else { break };
            top = *issuer;
            linked.push(top);
        }
        linked
    }

    /// Returns whether `issuer` issued `subject`: the names match, the key identifiers match if both are present, and
    /// the signature is correct if it can be verified. Names alone are not unique: a CA keeps its name with a new key.
    pub(super) fn certifies(&self, issuer: usize, subject: usize) -> bool {
        let (above, below) = (&self.facts[issuer], &self.facts[subject]);
        let same_key = match (above.subject_key_id, below.authority_key_id) {
            (Some(above), Some(below)) => above == below,
            _ => true,
        };
        issuer != subject
            && above.subject == below.issuer
            && same_key
            && self.is_signed_by(issuer, subject).unwrap_or(true)
    }

    /// Returns whether `subject` has the name of `issuer` in the same bytes, as verifiers of rustls require.
    pub(super) fn names_in_same_bytes(&self, issuer: usize, subject: usize) -> bool {
        self.facts[issuer].subject.has_same_bytes(&self.facts[subject].issuer)
    }

    /// Returns the positions of the certificates with `public_key` that may be the leaf for `role`.
    ///
    /// Those before all certificates of other keys may be, unless they issued another and the file has a certificate of
    /// another key that may be the leaf. Those further down may be if they issued no other, and are no authority. An
    /// authority further down may be if another certificate of the file issued it, and none of another key may be the leaf.
    pub(super) fn leaves_with(&self, public_key: &[u8], role: Role) -> Vec<usize> {
        let all = || 0..self.facts.len();
        let of_key = |at: &usize| is_same_key(self.facts[*at].public_key, public_key);
        let first = all().take_while(of_key).count();
        let has_other_leaf =
            all().any(|at| !of_key(&at) && !self.facts[at].is_authority && self.is_fit(at, role));
        let may_be = |at: &usize| {
            let is_issued = || all().any(|by| !of_key(&by) && self.certifies(by, *at));
            if self.issued_another(*at) {
                *at < first && !has_other_leaf
            } else {
                *at < first || !self.facts[*at].is_authority || !has_other_leaf && is_issued()
            }
        };
        all().filter(of_key).filter(may_be).collect()
    }

    /// Returns whether the extended key usage of the certificate `at` allows `role`.
    pub(super) fn is_fit(&self, at: usize, role: Role) -> bool {
        match role {
            Role::Server => self.facts[at].may_serve,
            Role::Client => self.facts[at].may_be_client,
        }
    }

    /// Returns whether the certificate `at` issued one of another key in the file.
    pub(super) fn issued_another(&self, at: usize) -> bool {
        let own = self.facts[at].public_key;
        let is_other = |of: &usize| !is_same_key(self.facts[*of].public_key, own);
        (0..self.facts.len()).filter(is_other).any(|of| self.certifies(at, of))
    }

    fn repeated(&self, at: usize) -> Warning {
        let text = format!("{} is in the file twice and is served once", self.name(at));
        Warning::new(WarningKind::ChainReordered, text)
    }

    fn reordered(&self) -> Warning {
        let text = format!(
            "the certificates in {} are not in order; they are served in order: the leaf first, and each issuer after the certificate that it issued",
            self.path.display()
        );
        Warning::new(WarningKind::ChainReordered, text)
    }

    /// Returns a warning if the certificate of the leaf's issuer is missing.
    ///
    /// A file with the leaf alone may be complete: private CAs may issue leaves directly from the root. It is
    /// incomplete if the leaf has a URL of its issuer's certificate, or if the file has other CA certificates.
    fn incomplete(&self, linked: &[usize]) -> Option<Warning> {
        let leaf = &self.facts[self.leaf];
        let others = self.facts.iter().enumerate().filter(|(at, _)| *at != self.leaf);
        let has_authorities = others.into_iter().any(|(_, facts)| facts.is_authority);
        let complete = linked.len() > 1 || leaf.is_self_issued();
        (!complete && (leaf.has_issuer_url || has_authorities)).then(|| {
            let text = format!(
                "{} lacks the certificate of the leaf's issuer, \"{}\": many clients cannot build a path without it; add it to the file",
                self.path.display(),
                leaf.issuer_title
            );
            Warning::new(WarningKind::ChainIncomplete, text)
        })
    }

    /// Returns a warning if the certificate `at` issued none of those at `positions`: it is probably in the wrong file.
    fn unrelated(&self, at: usize, positions: &[usize]) -> Option<Warning> {
        let certifies_nothing = !positions.iter().any(|other| self.certifies(at, *other));
        certifies_nothing.then(|| {
            let text = format!("{} did not issue any other certificate of the file", self.name(at));
            Warning::new(WarningKind::ChainUnrelated, text)
        })
    }

    /// Returns a warning if a certificate of the chain has expired or is not valid yet.
    fn expired(&self, at: usize) -> Option<Warning> {
        let facts = &self.facts[at];
        let when = match self.now {
            now if now > facts.not_after => format!("expired at {}", format_time(facts.not_after)),
            now if now < facts.not_before => {
                format!("is not valid before {}", format_time(facts.not_before))
            }
            _ => return None,
        };
        Some(Warning::new(WarningKind::ChainExpired, format!("{} {when}", self.name(at))))
    }

    /// Returns a warning if an intermediate of the path expires before the leaf (G20).
    ///
    /// Self-issued certificates are exempt, since they are usually roots: clients use their own copy of a root, so the
    /// date of this one does not matter.
    fn expires_before_leaf(&self, at: usize) -> Option<Warning> {
        let (facts, leaf) = (&self.facts[at], &self.facts[self.leaf]);
        let is_needed = facts.is_valid_at(self.now) && !facts.is_self_issued();
        (is_needed && facts.not_after < leaf.not_after).then(|| {
            let text = format!(
                "{} expires at {}, before the leaf does",
                self.name(at),
                format_time(facts.not_after)
            );
            Warning::new(WarningKind::ChainExpired, text)
        })
    }

    /// Returns position, file and display name of a certificate for messages.
    pub(super) fn name(&self, at: usize) -> String {
        let position = Position::new(at, self.facts.len());
        format!("{position} in {} (\"{}\")", self.path.display(), self.facts[at].title)
    }
}

/// Rejects the chain if a certificate names an issuer's key that is in the file, but was not signed with that key.
///
/// While a file is overwritten in place, it begins with new bytes and ends with old ones. Such a mixture may parse and
/// may contain the right public key, although no CA issued it. Only its signature is wrong (G4).
///
/// Several certificates of the file may have the named issuer and key identifier. Then one correct signature is enough,
/// or one that cannot be verified.
pub(super) fn check_signatures(chain: &Chain<'_>) -> Result<(), Cause> {
    for subject in 0..chain.facts.len() {
        let issuers = issuers_named_by(chain, subject);
        let is_wrong = |issuer: &usize| chain.is_signed_by(*issuer, subject) == Some(false);
        if let Some(issuer) = issuers.first()
            && issuers.iter().all(is_wrong)
        {
            let position = Position::new(subject, chain.facts.len());
            return Err(Cause::CertificateDamaged { position, issuer: issuer + 1 });
        }
    }
    Ok(())
}

/// Returns the positions of the certificates that `subject` names as its issuer, by name and key identifier.
fn issuers_named_by(chain: &Chain<'_>, subject: usize) -> Vec<usize> {
    let subject = &chain.facts[subject];
    let is_named = |issuer: &CertificateFacts<'_>| {
        issuer.subject == subject.issuer
            && issuer.subject_key_id.is_some()
            && issuer.subject_key_id == subject.authority_key_id
    };
    (0..chain.facts.len()).filter(|at| is_named(&chain.facts[*at])).collect()
}

#[cfg(test)]
#[path = "tests_chain.rs"]
mod tests;
