//! Whether an OCSP response is fit to be stapled to a certificate, and for how long.

use aws_lc_rs::digest::{self, digest};
use thiserror::Error;

use super::responder;
use super::responder::{Delegate, Forged};
use super::response;
use super::response::{Answer, CertStatus, CertificateId, NoResponse, Response};
use crate::pki::certificate::format_time;
use crate::pki::chain::Chain;
use crate::pki::hash::{Sha256, hexadecimal, sha256};
use crate::pki::oid;
use crate::pki::renewal;
use crate::pki::signature::key_bits;

/// How far the clocks of responders may be ahead, in seconds: as much as clients allow.
pub(super) const SKEW: i64 = 300;

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
    pub(crate) sha256: Sha256,
}

impl StapleFacts {
    pub(crate) fn is_good_at(&self, now: i64) -> bool {
        self.this_update.saturating_sub(SKEW) <= now && self.next_update.is_none_or(|at| now < at)
    }
}

/// RFC 5280 section 4.1.2.2 allows no longer serial number, in bytes.
const MAX_SERIAL: usize = 20;

/// Why a response is not stapled.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Unfit {
    #[error("it {0}")]
    NoResponse(#[from] NoResponse),
    #[error("it is about another certificate, with the serial number {serial}")]
    AnotherCertificate { serial: String },
    #[error("it is about a certificate of another issuer, with the same serial number")]
    AnotherIssuer,
    #[error(transparent)]
    Signature(#[from] Forged),
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

/// Judges `der` by the chain that it is to go with, at the time that belongs to that. What is said of a
/// time to come is no fault: [`StapleFacts::is_good_at`] tells from when on it is good.
pub(super) fn judge(der: &[u8], chain: &Chain<'_>) -> Result<StapleFacts, Unfit> {
    let response = response::parse(der)?;
    let issuers = issuers(chain);
    let answers = answers_about_leaf(&response, chain, &issuers)?;
    let delegate = responder::of(&response, chain, &issuers)?;
    let (this_update, mut next_update) = strictest(&answers)?;
    if next_update <= chain.now {
        return Err(Unfit::Expired { at: format_time(next_update) });
    }
    if let Some(Delegate { title, not_before, not_after }) = delegate {
        if !(not_before..=not_after).contains(&chain.now) {
            let [from, until] = [not_before, not_after].map(format_time);
            return Err(Unfit::ResponderExpired { responder: title, from, until });
        }
        next_update = next_update.min(not_after.saturating_add(1));
    }
    let next_update = (next_update != i64::MAX).then_some(next_update);
    Ok(StapleFacts {
        this_update,
        next_update,
        expiring_from: next_update.and_then(|at| renewal::expiring_from(this_update, at, None)),
        sha256: sha256(der),
    })
}

/// From when until when the certificate is good by all answers. There is one, as a rule; of several,
/// clients look at whichever they like.
fn strictest(answers: &[&Answer<'_>]) -> Result<(i64, i64), Unfit> {
    let (mut this_update, mut next_update) = (i64::MIN, i64::MAX);
    for answer in answers {
        match answer.status {
            CertStatus::Good => {}
            CertStatus::Revoked { at } => return Err(Unfit::Revoked { at: format_time(at) }),
            CertStatus::Unknown => return Err(Unfit::Unknown),
        }
        this_update = this_update.max(answer.this_update);
        next_update = next_update.min(answer.next_update.unwrap_or(i64::MAX));
    }
    Ok((this_update, next_update))
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
    fn a_response_is_fit_where_it_is_about_the_leaf_and_good_and_signed_by_its_issuer() {
        let authorities = Authorities::new();
        let (alone, chain) = (&["leaf"][..], &["leaf", "ca"][..]);
        let (bad, twin) = (&["bad", "ca"][..], &["twin", "other"][..]);
        let table = [
            (chain, "good", 0, ""),
            (chain, "bare", 0, ""),
            (chain, "endless", 400 * DAY, ""),
            (chain, "delegated", 0, ""),
            (chain, "by-odd", 0, ""),
            (&["leaf", "other", "ca"], "good", 0, ""),
            (twin, "twin-good", 0, ""),
            (&["ca"], "own", 0, ""),
            (chain, "sha1", 0, ""),
            (chain, "sha256", 0, ""),
            (chain, "sha384", 0, ""),
            (chain, "sha512", 0, ""),
            // The issuer is not there, or comes with the response.
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
            (chain, "by-foreign", 0, "\"foreign\", whom another"),
            (bad, "revoked", 0, "was revoked at 2026-01-02T03:04:05Z"),
            (bad, "both", 0, "was revoked at 2026-01-02T03:04:05Z"),
            (&["plain", "ca"], "unknown", 0, "does not know the certificate"),
            (chain, "good", 7 * DAY + 60, ", its nextUpdate"),
            (chain, "delegated", 3 * DAY + 60, "responder, \"delegate\", is valid from"),
            (chain, "errors", 0, "not one whole OCSP response"),
        ];
        for (chain, response, later, expected) in table {
            let der = authorities.file(response);
            let judged = authorities.with_chain(chain, later, |chain| judge(&der, chain));
            let said = judged.map_or_else(|unfit| unfit.to_string(), |_| String::new());
            assert_eq!(said.is_empty(), expected.is_empty(), "{chain:?} {response}: {said}");
            assert!(said.contains(expected), "{chain:?} {response}: {said}");
        }
        the_dates_are_those_of_the_answer_and_of_its_responder(&authorities);
    }

    fn the_dates_are_those_of_the_answer_and_of_its_responder(authorities: &Authorities) {
        let facts = |response| {
            let facts =
                |chain: &Chain<'_>| (judge(&authorities.file(response), chain).unwrap(), chain.now);
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

        // The certificate of the responder is valid for three days.
        let ends_at = authorities.with_chain(&["delegate"], 0, |chain| chain.facts[0].not_after);
        assert_eq!(facts("delegated").0.next_update, Some(ends_at + 1));
    }

    #[test]
    fn of_several_answers_the_strictest_counts() {
        let answer = |status, this_update, next_update| Answer {
            about: CertificateId { hash: &[], issuer_name: &[], issuer_key: &[], serial: &[] },
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
        assert_eq!(strictest(&[&long, &unknown]), Err(Unfit::Unknown));
    }
}
