//! The order in which a chain is served: the leaf, then each certificate's issuer after it.
//!
//! A chain that is in order is left as it is. Where only the order is wrong it is put right, for old
//! clients do not (RFC 5246 section 7.4.2); nothing but a repetition is left out, for what looks
//! superfluous here may be the way to another root.

use std::path::Path;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;

use super::certificate::{Facts, format_time};
use super::signature::is_signed_with;
use super::warnings::{Warning, WarningKind};
use crate::error::Cause;

/// The certificates of one file, and how they hang together.
pub(super) struct Chain<'a> {
    pub(super) path: &'a Path,
    pub(super) certificates: &'a [CertificateDer<'static>],
    /// Of each of them.
    pub(super) facts: &'a [Facts<'a>],
    /// Where the leaf is.
    pub(super) leaf: usize,
    pub(super) algorithms: &'a WebPkiSupportedAlgorithms,
    pub(super) now: i64,
}

/// The positions of certificates, in the order in which they are to be served.
pub(super) struct Order {
    pub(super) positions: Vec<usize>,
    pub(super) warnings: Vec<Warning>,
}

impl Chain<'_> {
    pub(super) fn order(&self) -> Order {
        let distinct = self.distinct();
        let linked =
            if self.is_in_order(&distinct) { distinct.clone() } else { self.linked(&distinct) };
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
        Order { positions, warnings }
    }

    /// Whether the key of `issuer` signed `subject`; `None` where that cannot be told.
    pub(super) fn is_signed_by(&self, issuer: usize, subject: usize) -> Option<bool> {
        let key = self.facts[issuer].public_key;
        is_signed_with(&self.certificates[subject], key, self.algorithms)
    }

    /// Each certificate once, in the order of the file.
    fn distinct(&self) -> Vec<usize> {
        let all = self.certificates;
        (0..all.len()).filter(|at| !all[..*at].contains(&all[*at])).collect()
    }

    fn is_in_order(&self, positions: &[usize]) -> bool {
        positions.first() == Some(&self.leaf)
            && positions.windows(2).all(|pair| self.certifies(pair[1], pair[0]))
    }

    /// The way up from the leaf. Of several issuers one that is valid now is taken before others,
    /// else the first in the file.
    fn linked(&self, positions: &[usize]) -> Vec<usize> {
        let mut linked = vec![self.leaf];
        let mut top = self.leaf;
        while !self.facts[top].is_self_issued() {
            let above = |at: &&usize| !linked.contains(at) && self.certifies(**at, top);
            let issuers: Vec<_> = positions.iter().filter(above).copied().collect();
            let valid = issuers.iter().find(|at| self.facts[**at].is_valid_at(self.now));
            let Some(issuer) = valid.or(issuers.first()) else { break };
            top = *issuer;
            linked.push(top);
        }
        linked
    }

    /// Whether `issuer` issued `subject`: by name, by key identifier where both have one, and by the
    /// signature where it can be checked.
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

    fn repeated(&self, at: usize) -> Warning {
        let text = format!("{} is there twice and is served once", self.name(at));
        Warning::new(WarningKind::ChainReordered, text)
    }

    fn reordered(&self) -> Warning {
        let text = format!(
            "the certificates in {} are not in order; they are served leaf first, and each issuer after what it issued",
            self.path.display()
        );
        Warning::new(WarningKind::ChainReordered, text)
    }

    /// A leaf whose issuer is not there. Private authorities issue leaves directly, and need no
    /// chain: an issuer that has to be fetched from somewhere, or other authorities in the file, show
    /// that this is not so.
    fn incomplete(&self, linked: &[usize]) -> Option<Warning> {
        let leaf = &self.facts[self.leaf];
        let others = self.facts.iter().enumerate().filter(|(at, _)| *at != self.leaf);
        let has_authorities = others.into_iter().any(|(_, facts)| facts.is_authority);
        let complete = linked.len() > 1 || leaf.is_self_issued();
        (!complete && (leaf.tells_of_issuer || has_authorities)).then(|| {
            let text = format!(
                "{} lacks the certificate of the leaf's issuer, \"{}\": many clients will not find it by themselves",
                self.path.display(),
                leaf.issuer_title
            );
            Warning::new(WarningKind::ChainIncomplete, text)
        })
    }

    fn unrelated(&self, at: usize, positions: &[usize]) -> Option<Warning> {
        let certifies_nothing = !positions.iter().any(|other| self.certifies(at, *other));
        certifies_nothing.then(|| {
            let text = format!("{} certifies no other there", self.name(at));
            Warning::new(WarningKind::ChainUnrelated, text)
        })
    }

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

    /// An intermediate that the leaf needs and will outlive. What clients trust is theirs: a root's
    /// date is nobody's business here.
    fn expires_before_leaf(&self, at: usize) -> Option<Warning> {
        let (facts, leaf) = (&self.facts[at], &self.facts[self.leaf]);
        let needed = facts.is_valid_at(self.now) && !facts.is_self_issued();
        (needed && facts.not_after < leaf.not_after).then(|| {
            let text = format!(
                "{} expires at {}, before the leaf does",
                self.name(at),
                format_time(facts.not_after)
            );
            Warning::new(WarningKind::ChainExpired, text)
        })
    }

    fn name(&self, at: usize) -> String {
        format!("certificate {} in {} (\"{}\")", at + 1, self.path.display(), self.facts[at].title)
    }
}

/// Looks for a certificate that names the key of another one there as its issuer's, and was not
/// signed with it. A file that is overwritten from the front is for a while new there and old behind:
/// what can be parsed and fits the key may still be a certificate that nobody issued (G4).
///
/// Of several that it may mean one is enough, or one that is beyond checking.
pub(super) fn check_signatures(chain: &Chain<'_>) -> Result<(), Cause> {
    for subject in 0..chain.facts.len() {
        let issuers = issuers_named_by(chain, subject);
        let is_wrong = |issuer: &usize| chain.is_signed_by(*issuer, subject) == Some(false);
        if let Some(issuer) = issuers.first()
            && issuers.iter().all(is_wrong)
        {
            return Err(Cause::CertificateDamaged { index: subject + 1, issuer: issuer + 1 });
        }
    }
    Ok(())
}

/// Whose name and key identifier `subject` gives for its issuer's.
fn issuers_named_by(chain: &Chain<'_>, subject: usize) -> Vec<usize> {
    let below = &chain.facts[subject];
    let is_named = |above: &Facts<'_>| {
        above.subject == below.issuer
            && above.subject_key_id.is_some()
            && above.subject_key_id == below.authority_key_id
    };
    (0..chain.facts.len()).filter(|at| is_named(&chain.facts[*at])).collect()
}

#[cfg(test)]
#[path = "tests_chain.rs"]
mod tests;
