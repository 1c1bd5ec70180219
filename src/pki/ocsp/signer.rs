//! Verifies who signed an OCSP response, and that the signer may answer for the certificate's issuer.
//!
//! RFC 6960 section 4.2.2.2 allows two signers: the issuer itself, and a responder whose certificate that issuer signed
//! with the extended key usage `OCSPSigning`. Clients check this too, and some end the handshake if it fails: a
//! response with a bad signature is worse than none.

use thiserror::Error;

use super::response::Response;
use crate::error::Position;
use crate::pki::certificate;
use crate::pki::certificate::CertificateFacts;
use crate::pki::chain::Chain;
use crate::pki::signature::is_signed_with;

/// The maximum number of certificates in a response that are tried as the signer's. One certificate is usual.
const MAX_CERTIFICATES: usize = 8;

/// A responder that the issuer has authorized to sign responses for its certificates.
pub(super) struct DelegatedResponder {
    /// The responder's name for messages.
    pub(super) title: String,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

/// Why the signature of a response is not accepted.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum SignatureError {
    #[error("it was not signed by the certificate's issuer, nor by a responder of that issuer")]
    NoAuthorizedSigner,
    #[error(
        "it was signed by \"{responder}\", whose certificate is not for that: its extended key usage lacks OCSPSigning"
    )]
    NotAResponder { responder: String },
    #[error(
        "it was signed by \"{responder}\", whose certificate is not from the certificate's issuer"
    )]
    ResponderOfAnotherIssuer { responder: String },
    #[error(
        "its signature cannot be checked, because its algorithm or key is not supported (such as SHA-1)"
    )]
    Unsupported,
}

/// Verifies the signature of `response`. Returns the responder that made it, or `None` if the issuer itself did.
///
/// `issuers` are the positions of the issuer's certificates in the chain. The result is also `None` if neither the chain
/// nor the response has the signer's certificate: clients that have the issuer as a root can verify the response (G23).
/// If the provider lacks the algorithm, it is unknown whether clients accept the response, so it is not accepted.
pub(super) fn verify_signature(
    response: &Response<'_>,
    chain: &Chain<'_>,
    issuers: &[usize],
) -> Result<Option<DelegatedResponder>, SignatureError> {
    let is_by =
        |facts: &CertificateFacts<'_>| response.signed.is_by(facts.public_key, chain.algorithms);
    if !response.signed.has_known_algorithm(chain.algorithms) {
        return Err(SignatureError::Unsupported);
    }
    let has_certificates = !issuers.is_empty() || !response.certificates.is_empty();
    let mut is_supported = true;
    for issuer in issuers {
        match is_by(&chain.facts[*issuer]) {
            Some(true) => return Ok(None),
            Some(false) => {}
            None => is_supported = false,
        }
    }
    let mut failure = SignatureError::NoAuthorizedSigner;
    for certificate in response.certificates.iter().take(MAX_CERTIFICATES) {
        let Ok(facts) = certificate::facts(certificate, Position::ALONE) else { continue };
        match is_by(&facts) {
            Some(true) => match authorized(certificate, &facts, chain, issuers) {
                Ok(responder) => return Ok(responder),
                Err(error) => failure = error,
            },
            Some(false) => {}
            None => is_supported = false,
        }
    }
    match failure {
        SignatureError::NoAuthorizedSigner if !has_certificates => Ok(None),
        SignatureError::NoAuthorizedSigner if !is_supported => Err(SignatureError::Unsupported),
        failure => Err(failure),
    }
}

/// Checks that the holder of `certificate`, who signed the response, may answer for the leaf's issuer.
fn authorized(
    certificate: &[u8],
    facts: &CertificateFacts<'_>,
    chain: &Chain<'_>,
    issuers: &[usize],
) -> Result<Option<DelegatedResponder>, SignatureError> {
    let leaf = &chain.facts[chain.leaf];
    // A signature that the provider cannot verify counts as correct, since clients may be able to verify it (G23).
    let signed = |der: &[u8], key: &[u8]| is_signed_with(der, key, chain.algorithms) != Some(false);
    // If the chain lacks the issuer's certificate, `certificate` may be that of the issuer.
    let is_leaf_issuer = || {
        facts.subject == leaf.issuer && signed(&chain.certificates[chain.leaf], facts.public_key)
    };
    if issuers.is_empty() && is_leaf_issuer() {
        return Ok(None);
    }
    let responder = facts.title.clone();
    let by_issuer = |at: &usize| signed(certificate, chain.facts[*at].public_key);
    if facts.issuer != leaf.issuer || !(issuers.is_empty() || issuers.iter().any(by_issuer)) {
        return Err(SignatureError::ResponderOfAnotherIssuer { responder });
    }
    if !facts.may_sign_ocsp {
        return Err(SignatureError::NotAResponder { responder });
    }
    let (not_before, not_after) = (facts.not_before, facts.not_after);
    Ok(Some(DelegatedResponder { title: responder, not_before, not_after }))
}
