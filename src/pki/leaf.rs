//! Finds the leaf of a chain, and its key among those of the key file.

use std::sync::Arc;

use rustls::sign::SigningKey;

use super::chain::Chain;
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
    keys: &[Arc<dyn SigningKey>],
    role: Role,
) -> Option<(usize, Arc<dyn SigningKey>)> {
    let of_key = |key: &Arc<dyn SigningKey>| match key.public_key() {
        Some(public_key) => chain.leaves_with(&public_key, role),
        None => vec![0],
    };
    let candidates = keys.iter().flat_map(|key| of_key(key).into_iter().map(move |at| (at, key)));
    let rank = |at: usize| (chain.issued_another(at), !chain.is_fit(at, role), at);
    let (at, key) = candidates.min_by_key(|(at, _)| rank(*at))?;
    Some((at, key.clone()))
}
