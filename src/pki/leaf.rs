//! Finds the leaf of a chain, and its key among those of the key file.

use super::certificate::format_time;
use super::chain::Chain;
use super::key::LoadedKey;
use super::warnings::{Warning, WarningKind};
use crate::options::Role;

/// Returns the position of the leaf and its key. The leaf is a certificate with the public key of one of `keys`, usually
/// the first in the file.
///
/// If there are several, it is the first that is fit for `role`. The certificate of an authority is no leaf if the file
/// has a certificate that it may have been made for: the key is then that of an authority, and was put in the wrong
/// place (G2).
///
/// If the provider does not return the public key, the first certificate is assumed to be the leaf. If the key does not
/// match, the self-check fails (G16).
pub(super) fn leaf_and_key(
    chain: &Chain<'_>,
    keys: &[LoadedKey],
    role: Role,
) -> Option<(usize, LoadedKey)> {
    let of_key = |key: &LoadedKey| match key.signing.public_key() {
        Some(public_key) => chain.leaves_with(&public_key, role),
        None => vec![0],
    };
    let candidates = keys.iter().flat_map(|key| of_key(key).into_iter().map(move |at| (at, key)));
    let rank = |at: usize| (chain.issued_another(at), !chain.is_fit(at, role), at);
    let (at, key) = candidates.min_by_key(|(at, _)| rank(*at))?;
    Some((at, key.clone()))
}

/// The leaf among the versions of one certificate in a file: renewals that were appended to it, with the same key.
pub(super) struct CurrentLeaf {
    pub(super) at: usize,
    /// When another version must be chosen, in seconds since 1970: a date of one of them is reached.
    pub(super) choose_again_at: Option<i64>,
    pub(super) warning: Option<Warning>,
}

/// Returns the first version of the leaf `first` that is valid now, or else the one that is valid longest.
///
/// A version has the same key, subject and names, and the same uses. Any other certificate with that key is not one that
/// clients of this server expect.
pub(super) fn current_leaf(chain: &Chain<'_>, first: usize, role: Role) -> CurrentLeaf {
    let is_version = |at: &usize| {
        let (one, other) = (&chain.facts[first], &chain.facts[*at]);
        one.public_key == other.public_key
            && one.subject == other.subject
            && one.names == other.names
            && one.is_authority == other.is_authority
            && chain.is_fit(*at, role) == chain.is_fit(first, role)
    };
    let versions: Vec<_> = (first..chain.facts.len()).filter(is_version).collect();
    let valid_at = |now: i64| {
        let is_valid = |at: &usize| {
            let facts = &chain.facts[*at];
            (facts.not_before..=facts.not_after).contains(&now)
        };
        versions.iter().copied().find(is_valid)
    };
    // Of several with the same date, `max_by_key` returns the last.
    let latest = || versions.iter().rev().copied().max_by_key(|at| chain.facts[*at].not_after);
    let at = valid_at(chain.now).or_else(latest).unwrap_or(first);
    let dates = versions.iter().flat_map(|at| {
        let facts = &chain.facts[*at];
        [facts.not_before, facts.not_after.saturating_add(1)]
    });
    let is_another = |date: &i64| valid_at(*date).is_some_and(|other| other != at);
    let choose_again_at = dates.filter(|date| *date > chain.now && is_another(date)).min();
    let warning = (at != first).then(|| {
        let facts = &chain.facts[first];
        let why = if facts.not_after < chain.now {
            format!("expired at {}", format_time(facts.not_after))
        } else {
            format!("is not valid before {}", format_time(facts.not_before))
        };
        let (old, new) = (chain.name(first), at + 1);
        let text = format!(
            "{old} {why}; certificate {new} has the same key and names, and is served; remove the other"
        );
        Warning::new(WarningKind::ChainUnrelated, text)
    });
    CurrentLeaf { at, choose_again_at, warning }
}
