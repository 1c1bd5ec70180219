//! Validates an OCSP response for stapling to a certificate, and determines how long it is good.
//!
//! The checks are those of a client (RFC 6960 section 3.2). The response must be for this certificate, and be signed by
//! the issuer or by a responder of the issuer. The status must be good and the dates current.

use aws_lc_rs::digest::{self, digest};
use thiserror::Error;

use super::response;
use super::response::{CertId, CertStatus, ParseError, Response, SingleResponse};
use super::signer::{DelegatedResponder, SignatureError, verify_signature};
use crate::pki::certificate::format_time;
use crate::pki::chain::Chain;
use crate::pki::expiry_warning;
use crate::pki::hash::{Sha256, serial_text, sha256};
use crate::pki::oid;
use crate::pki::public_key::key_bits;

/// How many seconds in the future the thisUpdate of a response may be, because the responder's clock may be ahead.
/// Clients usually allow as much.
pub(super) const SKEW: i64 = 300;

/// The properties of a validated response: how long it is good, and its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StapleFacts {
    /// Seconds since 1970.
    pub(crate) this_update: i64,
    /// The first second at which the response is no longer stapled: its nextUpdate, or the end of its responder's
    /// certificate if that is earlier. `None` if the response has no nextUpdate: then it is good until a newer one is
    /// available (RFC 6960 section 4.2.2.1).
    pub(crate) next_update: Option<i64>,
    /// When the expiry warning begins, since no newer response has been loaded by then; `None` if there is no
    /// `next_update`, or warnings are off.
    pub(crate) expiring_from: Option<i64>,
    /// The digest of the whole response.
    pub(crate) sha256: Sha256,
}

impl StapleFacts {
    /// Returns whether the response may be stapled at `now`.
    pub(crate) fn is_good_at(&self, now: i64) -> bool {
        self.this_update.saturating_sub(SKEW) <= now && self.next_update.is_none_or(|at| now < at)
    }
}

/// The maximum length of a serial number in bytes (RFC 5280 section 4.1.2.2): limits what a message quotes.
const MAX_SERIAL: usize = 20;

/// Why a response is not stapled.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum StapleError {
    #[error("it {0}")]
    Parse(#[from] ParseError),
    #[error("it is about another certificate, with the serial number {serial}")]
    AnotherCertificate { serial: String },
    #[error("it is about a certificate of another issuer, with the same serial number")]
    AnotherIssuer,
    #[error(transparent)]
    Signature(#[from] SignatureError),
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

/// Validates the response `der` for the leaf of `chain`, at the time `chain.now`.
///
/// A thisUpdate in the future is not an error: [`StapleFacts::is_good_at`] returns whether the response may be stapled
/// yet.
pub(super) fn validate(der: &[u8], chain: &Chain<'_>) -> Result<StapleFacts, StapleError> {
    let response = response::parse(der)?;
    let issuers = issuers(chain);
    let answers = answers_about_leaf(&response, chain, &issuers)?;
    let responder = verify_signature(&response, chain, &issuers)?;
    let (this_update, mut next_update) = strictest(&answers)?;
    if next_update <= chain.now {
        return Err(StapleError::Expired { at: format_time(next_update) });
    }
    if let Some(DelegatedResponder { title, not_before, not_after }) = responder {
        if !(not_before..=not_after).contains(&chain.now) {
            let [from, until] = [not_before, not_after].map(format_time);
            return Err(StapleError::ResponderExpired { responder: title, from, until });
        }
        next_update = next_update.min(not_after.saturating_add(1));
    }
    let next_update = (next_update != i64::MAX).then_some(next_update);
    Ok(StapleFacts {
        this_update,
        next_update,
        expiring_from: next_update
            .and_then(|at| expiry_warning::expiring_from(this_update, at, None)),
        sha256: sha256(der),
    })
}

/// Returns the period, from thisUpdate to nextUpdate, in which the certificate is good according to all of `answers`.
///
/// There is usually one answer. If there are several, a client may use any of them, so the strictest decides.
fn strictest(answers: &[&SingleResponse<'_>]) -> Result<(i64, i64), StapleError> {
    let (mut this_update, mut next_update) = (i64::MIN, i64::MAX);
    for answer in answers {
        match answer.status {
            CertStatus::Good => {}
            CertStatus::Revoked { at } => return Err(StapleError::Revoked { at: format_time(at) }),
            CertStatus::Unknown => return Err(StapleError::Unknown),
        }
        this_update = this_update.max(answer.this_update);
        next_update = next_update.min(answer.next_update.unwrap_or(i64::MAX));
    }
    Ok((this_update, next_update))
}

/// Returns the positions in the chain of the certificates of the leaf's issuer. A CA may have several for one key.
///
/// A self-issued leaf is its own issuer, unless its signature was made with another key.
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

/// Returns the single responses for the leaf: those with its serial number and its issuer.
fn answers_about_leaf<'a, 'b>(
    response: &'a Response<'b>,
    chain: &Chain<'_>,
    issuers: &[usize],
) -> Result<Vec<&'a SingleResponse<'b>>, StapleError> {
    let leaf = &chain.facts[chain.leaf];
    let of_serial: Vec<_> = response
        .answers
        .iter()
        .filter(|answer| serial_text(answer.cert_id.serial) == leaf.serial)
        .collect();
    if of_serial.is_empty() {
        let serial = response.answers.first().map_or(&[][..], |answer| answer.cert_id.serial);
        let serial = serial_text(&serial[..serial.len().min(MAX_SERIAL)]);
        return Err(StapleError::AnotherCertificate { serial });
    }
    let keys: Vec<_> =
        issuers.iter().filter_map(|at| key_bits(chain.facts[*at].public_key)).collect();
    let mut answers = of_serial;
    answers.retain(|answer| names_issuer(&answer.cert_id, leaf.issuer.der(), &keys));
    if answers.is_empty() { Err(StapleError::AnotherIssuer) } else { Ok(answers) }
}

/// Returns whether `id` identifies an issuer with this name and one of these keys.
///
/// If the chain lacks the issuer's certificate, `keys` is empty, and the name alone decides.
fn names_issuer(id: &CertId<'_>, name: &[u8], keys: &[&[u8]]) -> bool {
    let Some(hash) = hash_of(id.hash) else { return false };
    let has_key = |key: &&[u8]| digest(hash, key).as_ref() == id.issuer_key;
    digest(hash, name).as_ref() == id.issuer_name && (keys.is_empty() || keys.iter().any(has_key))
}

/// Returns the hash algorithm of a `CertID`: SHA-1, which RFC 5019 section 2.1.1 requires, or SHA-2.
fn hash_of(identifier: &[u8]) -> Option<&'static digest::Algorithm> {
    match identifier {
        oid::SHA1 => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        oid::SHA256 => Some(&digest::SHA256),
        oid::SHA384 => Some(&digest::SHA384),
        oid::SHA512 => Some(&digest::SHA512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::test_ca::Authorities;

    const DAY: i64 = 24 * 3600;

    #[test]
    fn response_is_valid_only_for_the_leaf_if_good_and_signed_for_its_issuer() {
        let authorities = Authorities::new();
        let (alone, chain) = (&["leaf"][..], &["leaf", "ca"][..]);
        let (bad, twin) = (&["bad", "ca"][..], &["twin", "other"][..]);
        let table = [
            (chain, "good", 0, ""),
            (chain, "bare", 0, ""),
            (chain, "endless", 400 * DAY, ""),
            (chain, "delegated", 0, ""),
            (chain, "by-odd", 0, "its signature cannot be checked"),
            (&["leaf", "other", "ca"], "good", 0, ""),
            (twin, "twin-good", 0, ""),
            (&["ca"], "own", 0, ""),
            (chain, "sha1", 0, ""),
            (chain, "sha256", 0, ""),
            (chain, "sha384", 0, ""),
            (chain, "sha512", 0, ""),
            // The chain lacks the issuer's certificate; the response may contain it.
            (alone, "good", 0, ""),
            (alone, "bare", 0, ""),
            (alone, "delegated", 0, ""),
            (alone, "by-plain", 0, "\"plain\", whose certificate is not for that"),
            (alone, "damaged-good", 0, "not signed by the certificate's issuer"),
            (chain, "must-good", 0, "another certificate, with the serial number 1003"),
            (chain, "twin-good", 0, "another issuer, with the same serial"),
            (alone, "namesake-good", 0, "another issuer, with the same serial"),
            (chain, "sha224", 0, "another issuer, with the same serial"),
            (chain, "damaged-good", 0, "not signed by the certificate's issuer"),
            (chain, "damaged-bare", 0, "not signed by the certificate's issuer"),
            (chain, "by-other", 0, "not signed by the certificate's issuer"),
            (&["ca"], "own-by-other", 0, "not signed by the certificate's issuer"),
            (chain, "by-rsa", 0, "not signed by the certificate's issuer"),
            (chain, "by-plain", 0, "\"plain\", whose certificate is not for that"),
            (chain, "by-foreign", 0, "\"foreign\", whose certificate is not from"),
            (bad, "revoked", 0, "was revoked at 2026-01-02T03:04:05Z"),
            (bad, "both", 0, "was revoked at 2026-01-02T03:04:05Z"),
            (&["plain", "ca"], "unknown", 0, "does not know the certificate"),
            (chain, "good", 7 * DAY + 60, ", its nextUpdate"),
            (chain, "delegated", 3 * DAY + 60, "responder, \"delegate\", is valid from"),
            (chain, "errors", 0, "not one whole OCSP response"),
        ];
        for (chain, response, later, expected) in table {
            let der = authorities.file(response);
            let validated = authorities.with_chain(chain, later, |chain| validate(&der, chain));
            let text = validated.map_or_else(|error| error.to_string(), |_| String::new());
            assert_eq!(text.is_empty(), expected.is_empty(), "{chain:?} {response}: {text}");
            assert!(text.contains(expected), "{chain:?} {response}: {text}");
        }
        check_dates_of_response_and_responder(&authorities);
    }

    fn check_dates_of_response_and_responder(authorities: &Authorities) {
        let facts = |response| {
            let facts = |chain: &Chain<'_>| {
                (validate(&authorities.file(response), chain).unwrap(), chain.now)
            };
            authorities.with_chain(&["leaf", "ca"], 0, facts)
        };
        let (good, now) = facts("good");
        assert!((now - 120..=now).contains(&good.this_update));
        assert_eq!(good.next_update, Some(good.this_update + 7 * DAY));
        assert_eq!(good.expiring_from, Some(good.this_update + 7 * DAY * 2 / 3));
        assert_eq!(good.sha256, sha256(&authorities.file("good")));
        let from_to = [good.this_update - SKEW, good.this_update + 7 * DAY];
        assert_eq!(from_to.map(|at| good.is_good_at(at)), [true, false]);
        assert_eq!(from_to.map(|at| good.is_good_at(at - 1)), [false, true]);

        let (endless, _) = facts("endless");
        assert_eq!((endless.next_update, endless.expiring_from), (None, None));
        assert!(endless.is_good_at(i64::MAX));

        // The certificate of the responder is valid for three days, so the response is not good for longer.
        let ends_at = authorities.with_chain(&["delegate"], 0, |chain| chain.facts[0].not_after);
        assert_eq!(facts("delegated").0.next_update, Some(ends_at + 1));
    }

    #[test]
    fn several_answers_are_combined_to_the_strictest() {
        let answer = |status, this_update, next_update| SingleResponse {
            cert_id: CertId { hash: &[], issuer_name: &[], issuer_key: &[], serial: &[] },
            status,
            this_update,
            next_update,
        };
        let [long, short, endless] = [(1, Some(9)), (2, Some(8)), (3, None)]
            .map(|(from, to)| answer(CertStatus::Good, from, to));
        let unknown = answer(CertStatus::Unknown, 1, None);
        assert_eq!(strictest(&[&long, &short]), Ok((2, 8)));
        assert_eq!(strictest(&[&endless, &long]), Ok((3, 9)));
        assert_eq!(strictest(&[&endless]), Ok((3, i64::MAX)));
        assert_eq!(strictest(&[&long, &unknown]), Err(StapleError::Unknown));
    }
}
