//! Whether an OCSP response is fit to be stapled to a certificate, and for how long.
//!
//! Nothing is stapled that clients would refuse: a certificate alone is better than one with a response
//! that is about another, has expired, or says that it is revoked.

use std::fmt::Display;
use std::path::Path;

use aws_lc_rs::digest::{self, digest};
use thiserror::Error;

use super::chain::Chain;
use super::lifetime;
use super::ocsp::{self, Answer, CertificateId, NoResponse, Response, Status};
use super::signature::{is_signed_with, key_bits};
use super::warnings::{Warning, WarningKind};
use super::x509::{self, Facts, format_time, hexadecimal};
use crate::error::Cause;

/// How far the clocks of responders may be ahead, in seconds: as much as clients allow.
const SKEW: i64 = 300;
/// RFC 5280 section 4.1.2.2 allows no longer serial number, in bytes.
const MAX_SERIAL: usize = 20;
/// More certificates than that are not looked at; one is usual.
const MAX_CERTIFICATES: usize = 8;

/// Follows what is said of a response that is not stapled.
const MUST_STAPLE: &str = "the certificate is one that must be stapled (TLS feature, RFC 7633), so clients that heed this refuse it";

/// The OCSP response that goes with an identity.
#[derive(Clone, Copy)]
pub(crate) enum Staple<'a> {
    NotAskedFor,
    Unreadable(&'a Path, &'a Cause),
    Bytes(&'a Path, &'a [u8]),
}

/// How long a response is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StapleFacts {
    /// Since when: seconds since 1970.
    pub(crate) this_update: i64,
    /// It is not served from then on. Where the certificate of its responder ends before its nextUpdate,
    /// that is when; a response without nextUpdate is good until there is a newer one (RFC 6960 section
    /// 2.4).
    pub(crate) next_update: Option<i64>,
    /// From when on a newer one should have come; `None` also where nobody wants to be warned.
    pub(crate) expiring_from: Option<i64>,
    /// Of the whole response.
    pub(crate) sha256: [u8; 32],
}

impl StapleFacts {
    pub(super) fn is_good_at(&self, now: i64) -> bool {
        self.begins_at() <= now && self.next_update.is_none_or(|at| now < at)
    }

    fn begins_at(&self) -> i64 {
        self.this_update.saturating_sub(SKEW)
    }
}

/// Why a response is not stapled.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Unfit {
    #[error("it {0}")]
    NoResponse(#[from] NoResponse),
    #[error("it is about another certificate, with the serial number {serial}")]
    AnotherCertificate { serial: String },
    #[error("it is about a certificate of another issuer, with the same serial number")]
    AnotherIssuer,
    #[error("it was not signed by the certificate's issuer, nor by a responder in that name")]
    Signature,
    #[error(
        "it was signed by \"{responder}\", whose certificate is not for that: its extended key usage lacks OCSPSigning"
    )]
    NoResponder { responder: String },
    #[error(
        "it was signed by \"{responder}\", whom another than the certificate's issuer made a responder"
    )]
    ResponderOfAnother { responder: String },
    #[error("it says that the certificate was revoked at {at}")]
    Revoked { at: String },
    #[error("it says that its responder does not know the certificate")]
    Unknown,
    #[error("it expired at {at}, its nextUpdate")]
    Expired { at: String },
    #[error(
        "the certificate of its responder, \"{responder}\", is valid from {from} until {until}"
    )]
    ResponderExpired { responder: String, from: String, until: String },
}

/// What is to be stapled to the leaf of `chain`, and what there is to be warned of.
pub(super) fn choose<'a>(
    given: Staple<'a>,
    chain: &Chain<'_>,
) -> (Option<(&'a [u8], StapleFacts)>, Option<Warning>) {
    let (staple, trouble) = match given {
        Staple::NotAskedFor => (None, None),
        Staple::Unreadable(path, cause) => (None, Some(left_out(path, cause))),
        Staple::Bytes(path, der) => match judge(der, chain) {
            Ok(facts) if facts.is_good_at(chain.now) => return (Some((der, facts)), None),
            Ok(facts) => {
                let at = format_time(facts.this_update);
                let trouble = format!(
                    "the OCSP response {} is left out until {at}, its thisUpdate",
                    path.display()
                );
                (Some((der, facts)), Some(trouble))
            }
            Err(unfit) => (None, Some(left_out(path, &unfit))),
        },
    };
    let text = match (trouble, chain.facts[chain.leaf].must_staple) {
        (None, false) => return (staple, None),
        (Some(trouble), false) => trouble,
        (Some(trouble), true) => format!("{trouble}; {MUST_STAPLE}"),
        (None, true) => format!("{} has no OCSP response; {MUST_STAPLE}", chain.path.display()),
    };
    (staple, Some(Warning::new(WarningKind::OcspUnusable, text)))
}

fn left_out(path: &Path, why: &dyn Display) -> String {
    format!("the OCSP response {} cannot be used and is left out: {why}", path.display())
}

/// Judges `der` by the chain that it is to go with, at the time that belongs to that. What is said of a
/// time to come is no fault: [`StapleFacts::is_good_at`] tells from when on it is good.
pub(super) fn judge(der: &[u8], chain: &Chain<'_>) -> Result<StapleFacts, Unfit> {
    let response = ocsp::parse(der)?;
    let issuers = issuers(chain);
    let answers = answers_about_leaf(&response, chain, &issuers)?;
    let responder = responder(&response, chain, &issuers)?;

    // There is one, as a rule. Of several, clients may look at any.
    let (mut this_update, mut next_update) = (i64::MIN, i64::MAX);
    for answer in answers {
        match answer.status {
            Status::Good => {}
            Status::Revoked { at } => return Err(Unfit::Revoked { at: format_time(at) }),
            Status::Unknown => return Err(Unfit::Unknown),
        }
        this_update = this_update.max(answer.this_update);
        next_update = next_update.min(answer.next_update.unwrap_or(i64::MAX));
    }
    if next_update <= chain.now {
        return Err(Unfit::Expired { at: format_time(next_update) });
    }
    if let Some(responder) = responder {
        if !(responder.not_before..=responder.not_after).contains(&chain.now) {
            return Err(responder.expired());
        }
        next_update = next_update.min(responder.not_after.saturating_add(1));
    }
    let next_update = (next_update != i64::MAX).then_some(next_update);
    Ok(StapleFacts {
        this_update,
        next_update,
        expiring_from: next_update.and_then(|at| lifetime::expiring_from(this_update, at, None)),
        sha256: sha256(der),
    })
}

/// Where in the chain the certificates of the leaf's issuer are; it may have several for one key.
fn issuers(chain: &Chain<'_>) -> Vec<usize> {
    let leaf = chain.leaf;
    let issued = |at: &usize| match *at {
        at if at == leaf => {
            chain.facts[at].is_self_issued() && chain.is_signed_by(at, leaf) != Some(false)
        }
        at => chain.certifies(at, leaf),
    };
    (0..chain.facts.len()).filter(issued).collect()
}

fn answers_about_leaf<'a, 'b>(
    response: &'a Response<'b>,
    chain: &Chain<'_>,
    issuers: &[usize],
) -> Result<Vec<&'a Answer<'b>>, Unfit> {
    let leaf = &chain.facts[chain.leaf];
    let of_serial: Vec<_> = response
        .answers
        .iter()
        .filter(|answer| hexadecimal(answer.about.serial) == leaf.serial)
        .collect();
    if of_serial.is_empty() {
        let serial = response.answers.first().map_or(&[][..], |answer| answer.about.serial);
        let serial = hexadecimal(&serial[..serial.len().min(MAX_SERIAL)]);
        return Err(Unfit::AnotherCertificate { serial });
    }
    let keys: Vec<_> =
        issuers.iter().filter_map(|at| key_bits(chain.facts[*at].public_key)).collect();
    let mut answers = of_serial;
    answers.retain(|answer| names_issuer(&answer.about, leaf.issuer, &keys));
    if answers.is_empty() { Err(Unfit::AnotherIssuer) } else { Ok(answers) }
}

/// Whether the issuer that is meant has this name and one of these keys. Where the chain ends with the
/// leaf, its issuer's key is not known.
fn names_issuer(id: &CertificateId<'_>, name: &[u8], keys: &[&[u8]]) -> bool {
    let Some(hash) = hash_of(id.hash) else { return false };
    let has_key = |key: &&[u8]| digest(hash, key).as_ref() == id.issuer_key;
    digest(hash, name).as_ref() == id.issuer_name && (keys.is_empty() || keys.iter().any(has_key))
}

/// Those that responders use: SHA-1, as RFC 5019 has it, and SHA-2.
fn hash_of(identifier: &[u8]) -> Option<&'static digest::Algorithm> {
    match identifier {
        [0x2b, 0x0e, 3, 2, 0x1a] => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1] => Some(&digest::SHA256),
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2] => Some(&digest::SHA384),
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3] => Some(&digest::SHA512),
        _ => None,
    }
}

/// A responder to whom the issuer has delegated its signature (RFC 6960 section 4.2.2.2).
struct Delegate {
    title: String,
    not_before: i64,
    not_after: i64,
}

impl Delegate {
    fn expired(self) -> Unfit {
        let [from, until] = [self.not_before, self.not_after].map(format_time);
        Unfit::ResponderExpired { responder: self.title, from, until }
    }
}

/// Who signed the response: a delegate, or `None` for the issuer itself, and where there is no way to
/// tell: no certificate to check the signature by, or no algorithm.
fn responder(
    response: &Response<'_>,
    chain: &Chain<'_>,
    issuers: &[usize],
) -> Result<Option<Delegate>, Unfit> {
    let is_by = |facts: &Facts<'_>| response.signed.is_by(facts.public_key, chain.algorithms);
    let mut is_checked = !issuers.is_empty() || !response.certificates.is_empty();
    for issuer in issuers {
        match is_by(&chain.facts[*issuer]) {
            Some(true) => return Ok(None),
            Some(false) => {}
            None => is_checked = false,
        }
    }
    let mut unfit = Unfit::Signature;
    for certificate in response.certificates.iter().take(MAX_CERTIFICATES) {
        let Ok(facts) = x509::facts(certificate, 0) else { continue };
        match is_by(&facts) {
            Some(true) => match authority_of(certificate, &facts, chain, issuers) {
                Ok(delegate) => return Ok(delegate),
                Err(why) => unfit = why,
            },
            Some(false) => {}
            None => is_checked = false,
        }
    }
    if is_checked || unfit != Unfit::Signature { Err(unfit) } else { Ok(None) }
}

/// By what authority the holder of a certificate answers for the leaf's issuer.
fn authority_of(
    certificate: &[u8],
    facts: &Facts<'_>,
    chain: &Chain<'_>,
    issuers: &[usize],
) -> Result<Option<Delegate>, Unfit> {
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
        return Err(Unfit::ResponderOfAnother { responder });
    }
    if !facts.may_answer {
        return Err(Unfit::NoResponder { responder });
    }
    let (not_before, not_after) = (facts.not_before, facts.not_after);
    Ok(Some(Delegate { title: responder, not_before, not_after }))
}

fn sha256(der: &[u8]) -> [u8; 32] {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&digest::SHA256, der).as_ref());
    sha256
}
