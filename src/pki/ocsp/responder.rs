//! Who signed an OCSP response, and by what authority (RFC 6960 section 4.2.2.2).

use thiserror::Error;

use super::response::Response;
use crate::pki::certificate;
use crate::pki::certificate::Facts;
use crate::pki::chain::Chain;
use crate::pki::signature::is_signed_with;

/// More certificates than that are not looked at; one is usual.
const MAX_CERTIFICATES: usize = 8;

/// A responder to whom the issuer has delegated its signature.
pub(super) struct Delegate {
    pub(super) title: String,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

/// Nobody who may answer for the issuer signed it.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Forged {
    #[error("it was not signed by the certificate's issuer, nor by a responder of that issuer")]
    Unsigned,
    #[error(
        "it was signed by \"{responder}\", whose certificate is not for that: its extended key usage lacks OCSPSigning"
    )]
    NoResponder { responder: String },
    #[error(
        "it was signed by \"{responder}\", whom another than the certificate's issuer made a responder"
    )]
    ResponderOfAnother { responder: String },
}

/// Who signed the response: a delegate, or `None` for the issuer itself, and where there is no way to
/// tell: no certificate to check the signature by, or no algorithm.
pub(super) fn of(
    response: &Response<'_>,
    chain: &Chain<'_>,
    issuers: &[usize],
) -> Result<Option<Delegate>, Forged> {
    let is_by = |facts: &Facts<'_>| response.signed.is_by(facts.public_key, chain.algorithms);
    let mut is_checked = !issuers.is_empty() || !response.certificates.is_empty();
    for issuer in issuers {
        match is_by(&chain.facts[*issuer]) {
            Some(true) => return Ok(None),
            Some(false) => {}
            None => is_checked = false,
        }
    }
    let mut forged = Forged::Unsigned;
    for certificate in response.certificates.iter().take(MAX_CERTIFICATES) {
        let Ok(facts) = certificate::facts(certificate, 0) else { continue };
        match is_by(&facts) {
            Some(true) => match authority_of(certificate, &facts, chain, issuers) {
                Ok(delegate) => return Ok(delegate),
                Err(why) => forged = why,
            },
            Some(false) => {}
            None => is_checked = false,
        }
    }
    if is_checked || forged != Forged::Unsigned { Err(forged) } else { Ok(None) }
}

/// By what authority the holder of a certificate answers for the leaf's issuer.
fn authority_of(
    certificate: &[u8],
    facts: &Facts<'_>,
    chain: &Chain<'_>,
    issuers: &[usize],
) -> Result<Option<Delegate>, Forged> {
    let leaf = &chain.facts[chain.leaf];
    let signed = |der: &[u8], key: &[u8]| is_signed_with(der, key, chain.algorithms) != Some(false);
    let is_missing_issuer = || {
        facts.subject == leaf.issuer && signed(&chain.certificates[chain.leaf], facts.public_key)
    };
    if issuers.is_empty() && is_missing_issuer() {
        return Ok(None);
    }
    let responder = facts.title.clone();
    let by_issuer = |at: &usize| signed(certificate, chain.facts[*at].public_key);
    if facts.issuer != leaf.issuer || !(issuers.is_empty() || issuers.iter().any(by_issuer)) {
        return Err(Forged::ResponderOfAnother { responder });
    }
    if !facts.may_answer {
        return Err(Forged::NoResponder { responder });
    }
    let (not_before, not_after) = (facts.not_before, facts.not_after);
    Ok(Some(Delegate { title: responder, not_before, not_after }))
}
