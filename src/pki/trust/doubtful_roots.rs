//! Finds roots under which some peers are refused, or more is trusted than was probably meant.

use std::path::Path;

use rustls::crypto::WebPkiSupportedAlgorithms;

use crate::error::Position;
use crate::pki::certificate::CertificateFacts;
use crate::pki::crl_signer::CrlSigner;
use crate::pki::key;
use crate::pki::signature::can_verify_with;
use crate::pki::warnings::{Warning, WarningKind};

/// Returns a warning for each reason to doubt a root, which is at `position` in the file `path`.
pub(super) fn doubts(
    facts: &CertificateFacts<'_>,
    (position, path): (Position, &Path),
    algorithms: &WebPkiSupportedAlgorithms,
) -> Vec<Warning> {
    let reasons = [unusable_key(facts, algorithms), no_authority(facts), peer_alone(facts)];
    let warning = |reason| {
        let text = format!("{position} in {} (\"{}\") {reason}", path.display(), facts.title);
        Warning::new(WarningKind::RootDoubtful, text)
    };
    reasons.into_iter().flatten().map(warning).collect()
}

/// Returns what is wrong if the provider verifies no signatures with the root's key.
fn unusable_key(
    facts: &CertificateFacts<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<String> {
    (!can_verify_with(facts.public_key, algorithms)).then(|| {
        format!(
            "has {}; the cryptography provider verifies no signatures with that key, so every peer under this root is \
             refused; use a root with an RSA key of 2048 bits or more, or with an ECDSA or Ed25519 key",
            key::kind_of_public_key(facts.public_key)
        )
    })
}

/// Returns what is wrong if a root is no CA certificate: usually the certificate of a server that was put among the
/// roots to trust it alone. As a trust anchor it may certify any name.
///
/// Certificates of X.509 version 1 have no extension that could say so, and old roots are among them.
fn no_authority(facts: &CertificateFacts<'_>) -> Option<String> {
    let is_none = !facts.is_authority && !facts.is_version_1;
    is_none
        .then(|| "is no CA certificate, and everything that its key signed is trusted".to_owned())
}

/// Returns what is wrong if a root is marked as an authority, and yet may not issue certificates. It can only be the
/// certificate of a peer, and verifiers of rustls accept no authority as a peer.
fn peer_alone(facts: &CertificateFacts<'_>) -> Option<String> {
    (facts.is_authority && !facts.may_sign_certificates).then(|| {
        "may not issue certificates (its keyUsage lacks keyCertSign), and is refused as the certificate of a peer, \
         because it is marked as an authority (basicConstraints CA:TRUE); issue it again with CA:FALSE"
            .to_owned()
    })
}

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
