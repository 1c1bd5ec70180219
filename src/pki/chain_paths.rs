//! Compares the paths of chains: which intermediate a chain cannot do without, and which issuer a new chain has lost.

use rustls::pki_types::CertificateDer;

use super::certificate::{CertificateFacts, facts};
use super::chain::Chain;
use super::expiry_warning::expiring_from;
use super::hash::{Sha256, sha256};
use crate::error::Position;

/// An intermediate whose expiry leaves a chain without a path, before the leaf expires (G20).
#[derive(Debug)]
pub(crate) struct NeededIntermediate {
    /// The subject's name for messages.
    pub(crate) title: String,
    pub(crate) sha256: Sha256,
    pub(super) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) expiring_from: Option<i64>,
}

impl NeededIntermediate {
    fn new(der: &[u8], facts: &CertificateFacts<'_>) -> Self {
        let &CertificateFacts { not_before, not_after, ref title, .. } = facts;
        Self {
            title: title.clone(),
            sha256: sha256(der),
            not_before,
            not_after,
            expiring_from: expiring_from(not_before, not_after, None),
        }
    }
}

impl Chain<'_> {
    /// Returns the intermediate whose expiry ends the last path from the leaf, if that is before the leaf expires.
    /// `linked` is the path that is served first.
    ///
    /// A path ends with a certificate whose issuer is not in the file, or with a self-issued one. That is usually a
    /// root, and clients use their own copy of it, so its date does not matter. After a cross-certificate has expired,
    /// the chain may offer another path, and no client is concerned.
    pub(super) fn needed_intermediate(&self, linked: &[usize]) -> Option<NeededIntermediate> {
        let leaf_ends = self.facts[self.leaf].not_after;
        let ends_early = |at: &usize| {
            let facts = &self.facts[*at];
            *at != self.leaf && !facts.is_self_issued() && facts.not_after < leaf_ends
        };
        if !linked.iter().any(ends_early) {
            return None;
        }
        let all = 0..self.facts.len();
        let issuers: Vec<Vec<usize>> = all
            .clone()
            .map(|subject| all.clone().filter(|at| self.certifies(*at, subject)).collect())
            .collect();
        if self.has_path_at(leaf_ends, &issuers) {
            return None;
        }
        let mut candidates: Vec<_> = all.filter(ends_early).collect();
        candidates.sort_by_key(|at| std::cmp::Reverse(self.facts[*at].not_after));
        let last = |at: &usize| self.has_path_at(self.facts[*at].not_after, &issuers);
        let at = candidates.into_iter().find(last)?;
        Some(NeededIntermediate::new(&self.certificates[at], &self.facts[at]))
    }

    /// Returns whether there is a path from the leaf of which all intermediates are valid at `time`. `issuers` has the
    /// positions of each certificate's issuers.
    fn has_path_at(&self, time: i64, issuers: &[Vec<usize>]) -> bool {
        let (mut reached, mut next) = (vec![self.leaf], 0);
        while let Some(&at) = reached.get(next) {
            next += 1;
            if issuers[at].is_empty() || self.facts[at].is_self_issued() {
                return true;
            }
            for &issuer in &issuers[at] {
                let facts = &self.facts[issuer];
                let is_good = facts.is_self_issued() || facts.is_valid_at(time);
                if is_good && !reached.contains(&issuer) {
                    reached.push(issuer);
                }
            }
        }
        false
    }
}

/// Returns the name of the issuer of the last certificate in `path`, if the path `before` shows that the issuer's
/// certificate is missing: `before` has an intermediate with that name or, if `path` is a leaf alone, any intermediate.
///
/// The leaf comes first in both. Self-issued certificates are usually roots, which clients have. So a root that only
/// `before` has is not missing, and nothing is missing above a `path` that ends with one.
pub(super) fn lost_issuer(
    path: &[CertificateDer<'_>],
    before: &[CertificateDer<'_>],
) -> Option<String> {
    let top = facts(path.last()?, Position::ALONE).ok()?;
    let is_lost = |above: CertificateFacts<'_>| {
        !above.is_self_issued() && (path.len() == 1 || above.subject == top.issuer)
    };
    let had_it = before.iter().skip(1).any(|der| facts(der, Position::ALONE).is_ok_and(is_lost));
    (had_it && !top.is_self_issued()).then_some(top.issuer_title)
}
