//! Finds the key that signed a CRL, and verifies the signature. It is the key of a root, or of an intermediate whose
//! certificate is in a CRL file or in the chain of an identity.

use std::collections::HashSet;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;

use super::parse::Crl;
use crate::error::{Cause, Position};
use crate::pki::certificate;
use crate::pki::crl_signer::{CrlSigner, MAX_ROOTS};
use crate::pki::der::{SEQUENCE, only};
use crate::pki::hash::{Sha256, sha256};
use crate::pki::pem;
use crate::pki::signature::is_signed_with;
use crate::pki::trust_input::TrustFile;

/// The CAs whose CRLs can be verified when they are loaded. The CRLs of other CAs can only be verified in a handshake,
/// with a certificate of the CA that the peer sends.
pub(crate) struct CrlIssuers<'a> {
    /// The roots for clients and those for servers.
    pub(crate) roots: &'a [&'a CrlSigner],
    /// CAs that are known but not trusted. Their keys verify CRLs; a peer under one of them still needs a path to a
    /// root.
    pub(crate) others: Vec<CrlSigner>,
}

impl<'a> CrlIssuers<'a> {
    /// Collects the roots, the CAs among the certificates `issuers` (DER), and the CAs whose certificates are in the
    /// CRL `files`.
    pub(crate) fn new(
        roots: &'a [&'a CrlSigner],
        issuers: &[&[u8]],
        files: &[TrustFile<'_>],
    ) -> Self {
        let mut seen = HashSet::new();
        let in_crl_files = files.iter().flat_map(certificates);
        let all = issuers.iter().map(|der| der.to_vec().into()).chain(in_crl_files);
        let others = all.filter(|der| seen.insert(sha256(der))).filter_map(|der| crl_signer(&der));
        Self { roots, others: others.collect() }
    }

    /// Verifies the signature of `crl` and returns the digest of the public key that made it; `None` if no certificate
    /// of the issuer is known.
    ///
    /// If a root has the issuer's name in the same bytes, only roots are considered. Otherwise an attacker who can write a
    /// CRL file could add a self-made certificate with the root's name, and sign an empty CRL with it.
    ///
    /// The signer's certificate must allow signing CRLs (keyUsage cRLSign, RFC 5280 section 6.3.3 (f)).
    pub(super) fn signer_of(
        &self,
        crl: &Crl,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<Option<Sha256>, Cause> {
        let roots = || self.roots.iter().copied();
        let has_bytes = |ca: &&CrlSigner| ca.subject.has_same_bytes(&crl.issuer);
        let has_name = |ca: &&CrlSigner| ca.subject == crl.issuer;
        let mut named: Vec<&CrlSigner> = roots().filter(has_bytes).collect();
        if named.is_empty() {
            named = self.others.iter().filter(has_bytes).collect();
        }
        // rustls applies a CRL with the name in other bytes to no peer of that CA. So no harm is done if another CA, with
        // almost the same name, signed it.
        let is_known = !named.is_empty();
        if !is_known {
            named = roots().chain(&self.others).filter(has_name).collect();
        }
        // Several CAs may have one name, since a CA keeps its name when it replaces its key. So each key is tried.
        let (mut is_checked, mut is_signed) = (true, false);
        for issuer in &named {
            match is_signed_with(&crl.der, &issuer.public_key, algorithms) {
                Some(true) if issuer.may_sign_crls => {
                    return Ok(Some(sha256(&issuer.public_key)));
                }
                Some(true) => is_signed = true,
                Some(false) => {}
                None => is_checked = false,
            }
        }
        let (index, issuer) = (crl.index, crl.issuer_title.clone());
        match (is_signed, is_checked) {
            (true, _) => Err(Cause::CrlSigner { index, issuer }),
            _ if !is_known => Ok(None),
            (_, true) => Err(Cause::CrlSignature { index, issuer }),
            (_, false) => {
                let reason =
                    format!("its signature algorithm is not supported for the key of {issuer}");
                Err(Cause::CrlMalformed { index, reason })
            }
        }
    }
}

/// Returns the certificates in a CRL file. An operator may put those of the issuers there, so that the CRLs can be
/// verified. Errors are ignored here, because reading the CRLs of the file reports them.
fn certificates(file: &TrustFile<'_>) -> Vec<CertificateDer<'static>> {
    match only(file.bytes, SEQUENCE) {
        Some(_) => vec![file.bytes.to_vec().into()],
        None => pem::certificates_up_to(file.bytes, MAX_ROOTS).unwrap_or_default(),
    }
}

fn crl_signer(der: &[u8]) -> Option<CrlSigner> {
    let facts = certificate::facts(der, Position::ALONE).ok()?;
    facts.is_authority.then(|| CrlSigner::of(&facts))
}
