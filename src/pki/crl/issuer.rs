//! Whose key signed a revocation list: that of a root, or of an authority whose certificate is known otherwise.

use std::collections::HashSet;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;

use super::parse::Crl;
use crate::error::Cause;
use crate::pki::certificate;
use crate::pki::der::{SEQUENCE, only};
use crate::pki::pem;
use crate::pki::signature::is_signed_with;
use crate::pki::trust::TrustFile;
use crate::pki::trust::{MAX_ROOTS, Root, Sha256, sha256};

/// Whose lists can be checked before a peer shows a certificate.
pub(crate) struct CrlIssuers<'a> {
    /// Of both roles.
    pub(crate) roots: &'a [&'a Root],
    /// Authorities that are not trusted for being here: whoever is under them has to lead up to a root.
    pub(crate) others: Vec<Root>,
}

impl<'a> CrlIssuers<'a> {
    /// Roots, and the authorities among `issuers` (DER) and those that stand beside the lists in `files`.
    pub(crate) fn new(roots: &'a [&'a Root], issuers: &[&[u8]], files: &[TrustFile<'_>]) -> Self {
        let mut seen = HashSet::new();
        let beside = files.iter().flat_map(certificates);
        let all = issuers.iter().map(|der| der.to_vec().into()).chain(beside);
        let others = all.filter(|der| seen.insert(sha256(der))).filter_map(|der| authority(&der));
        Self { roots, others: others.collect() }
    }

    /// The key that signed `crl`; `None` where no certificate of its issuer is known. Where a root has the issuer's
    /// name, no other certificate counts: anybody can make one.
    pub(super) fn of(
        &self,
        crl: &Crl,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<Option<Sha256>, Cause> {
        let is_issuer = |root: &&Root| root.subject == crl.issuer;
        let mut named: Vec<&Root> = self.roots.iter().copied().filter(is_issuer).collect();
        if named.is_empty() {
            named = self.others.iter().filter(is_issuer).collect();
        }
        let (mut is_checked, mut is_signed) = (true, false);
        for issuer in &named {
            match is_signed_with(&crl.der, &issuer.public_key, algorithms) {
                Some(true) if issuer.may_sign_lists => {
                    return Ok(Some(sha256(&issuer.public_key)));
                }
                Some(true) => is_signed = true,
                Some(false) => {}
                None => is_checked = false,
            }
        }
        let (index, issuer) = (crl.index, crl.issuer_title.clone());
        match (is_signed, is_checked) {
            _ if named.is_empty() => Ok(None),
            (true, _) => Err(Cause::CrlSigner { index, issuer }),
            (_, true) => Err(Cause::CrlSignature { index, issuer }),
            (_, false) => Err(Cause::CrlMalformed {
                index,
                reason: format!(
                    "its signature is not of a kind that can be checked with the key of {issuer}"
                ),
            }),
        }
    }
}

/// The certificates in a file of lists. What is wrong with one is nobody's concern here: the lists are what the file
/// is for.
fn certificates(file: &TrustFile<'_>) -> Vec<CertificateDer<'static>> {
    match only(file.bytes, SEQUENCE) {
        Some(_) => vec![file.bytes.to_vec().into()],
        None => pem::certificates_up_to(file.bytes, MAX_ROOTS).unwrap_or_default(),
    }
}

fn authority(der: &[u8]) -> Option<Root> {
    let facts = certificate::facts(der, 0).ok()?;
    facts.is_authority.then(|| Root::of(&facts))
}
