//! Finds the leaf of a chain, and its key among those of the key file.

use std::sync::Arc;

use rustls::sign::SigningKey;

use super::chain::Chain;

/// Returns the position of the leaf and its key. The leaf is a certificate with the public key of one of `keys`, usually
/// the first in the file.
///
/// If there are several, such as a certificate and its renewal with the same key, it is the first that is valid now. A
/// certificate behind those of other keys that is one of an authority, or issued one of them, is no leaf: the key is
/// then that of an authority, and was put in the wrong place (G2).
///
/// If the provider does not return the public key, the first certificate is assumed to be the leaf. If the key does not
/// match, the self-check fails (G16).
pub(super) fn leaf_and_key(
    chain: &Chain<'_>,
    keys: &[Arc<dyn SigningKey>],
) -> Option<(usize, Arc<dyn SigningKey>)> {
    let of_key = |key: &Arc<dyn SigningKey>| match key.public_key() {
        Some(public_key) => chain.leaves_with(&public_key),
        None => vec![0],
    };
    let candidates = keys.iter().flat_map(|key| of_key(key).into_iter().map(move |at| (at, key)));
    let (at, key) = candidates.min_by_key(|(at, _)| {
        (chain.issued_another(*at), !chain.facts[*at].is_valid_at(chain.now), *at)
    })?;
    Some((at, key.clone()))
}
