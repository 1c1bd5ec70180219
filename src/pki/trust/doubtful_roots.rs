//! Finds roots under which some peers are refused.

use crate::pki::crl_signer::CrlSigner;
use crate::pki::warnings::{Warning, WarningKind};

/// Returns a warning for each intermediate among `others` that has the name of a root as its issuer, in other bytes.
/// Verifiers of rustls compare bytes, so they find no path from that intermediate to the root.
pub(super) fn intermediates_without_path(
    roots: &[&CrlSigner],
    others: &[CrlSigner],
) -> Vec<Warning> {
    let warning = |below: &CrlSigner| {
        let mut named = roots.iter().filter(|root| root.subject == below.issuer);
        let root = named.next()?;
        let has_same = |root: &&CrlSigner| root.subject.has_same_bytes(&below.issuer);
        let is_root = roots.iter().any(|root| root.public_key == below.public_key);
        if has_same(root) || named.any(has_same) || is_root {
            return None;
        }
        let text = format!(
            "the intermediate \"{}\" has the name of the root \"{}\" as its issuer, in other bytes than the root ({}): \
             the verifier compares bytes, and refuses every peer under that intermediate; issue it again with the name \
             in the same bytes",
            below.title,
            root.title,
            below.issuer.difference(&root.subject)
        );
        Some(Warning::new(WarningKind::RootDoubtful, text))
    };
    others.iter().filter_map(warning).collect()
}
