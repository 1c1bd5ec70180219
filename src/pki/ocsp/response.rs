//! What an OCSP response says (RFC 6960 section 4.2.1): of which certificates, for how long, and who signed it.

use thiserror::Error;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use crate::pki::der::{ENUMERATED, EXPLICIT_0, EXPLICIT_1, EXPLICIT_2, GENERALIZED_TIME, INTEGER};
use crate::pki::der::{OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use crate::pki::der::{element, only, optional, tagged};
use crate::pki::oid;
use crate::pki::signature::Signed;

/// Clients that speak TLS 1.2 take no longer `CertificateStatus` than a record holds, which is 2^14
/// bytes, four of them before the response.
pub(crate) const MAX_RESPONSE: usize = (1 << 14) - 4;

/// The same in place of the tag that the element has: of a NULL, and of a SEQUENCE.
const GOOD: u8 = 0x80;
const REVOKED: u8 = 0xa1;
const UNKNOWN: u8 = 0x82;

/// A responder's answer. As it stands: whose it is and how good is for others to judge.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    pub(super) signed: Signed<'a>,
    /// At least one.
    pub(super) answers: Vec<Answer<'a>>,
    /// Certificates that may help to check the signature.
    pub(super) certificates: Vec<&'a [u8]>,
}

/// What is said of one certificate.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) about: CertificateId<'a>,
    pub(super) status: CertStatus,
    /// Seconds since 1970.
    pub(super) this_update: i64,
    /// When there will be a newer answer; without it, at any time.
    pub(super) next_update: Option<i64>,
}

/// Which certificate is meant.
#[derive(Debug)]
pub(super) struct CertificateId<'a> {
    /// The object identifier of the hash.
    pub(super) hash: &'a [u8],
    pub(super) issuer_name: &'a [u8],
    pub(super) issuer_key: &'a [u8],
    pub(super) serial: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CertStatus {
    Good,
    Revoked { at: i64 },
    Unknown,
}

/// Why bytes are no answer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum NoResponse {
    #[error("is longer than {MAX_RESPONSE} bytes, which TLS clients do not take")]
    TooLong,
    #[error("is PEM, and not DER")]
    Pem,
    #[error("is not one whole OCSP response in DER")]
    Malformed,
    #[error("is an error of the responder's, \"{0}\"")]
    ResponderError(&'static str),
    #[error("is of another kind than a basic OCSP response")]
    NotBasic,
}

/// Reads `der`, which must be an `OCSPResponse` and nothing more.
pub(crate) fn parse(der: &[u8]) -> Result<Response<'_>, NoResponse> {
    if der.len() > MAX_RESPONSE {
        return Err(NoResponse::TooLong);
    }
    if der.starts_with(b"-----BEGIN ") {
        return Err(NoResponse::Pem);
    }
    let (status, bytes) = outline(der).ok_or(NoResponse::Malformed)?;
    if let Some(error) = error_named(status) {
        // Stapled, it makes clients refuse the certificate.
        return Err(NoResponse::ResponderError(error));
    }
    let (kind, response) = typed(bytes).ok_or(NoResponse::Malformed)?;
    if kind != oid::OCSP_BASIC {
        return Err(NoResponse::NotBasic);
    }
    basic(response).ok_or(NoResponse::Malformed)
}

/// `OCSPResponse ::= SEQUENCE { responseStatus, responseBytes [0] OPTIONAL }`
fn outline(der: &[u8]) -> Option<(u8, &[u8])> {
    match tagged(only(der, SEQUENCE)?, ENUMERATED)? {
        ([status], bytes) => Some((*status, bytes)),
        _ => None,
    }
}

/// What responders in trouble hand out.
fn error_named(status: u8) -> Option<&'static str> {
    Some(match status {
        0 => return None,
        1 => "malformedRequest",
        2 => "internalError",
        3 => "tryLater",
        5 => "sigRequired",
        6 => "unauthorized",
        _ => "unknown",
    })
}

/// `ResponseBytes ::= SEQUENCE { responseType OBJECT IDENTIFIER, response OCTET STRING }`
fn typed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (kind, rest) = tagged(only(only(bytes, EXPLICIT_0)?, SEQUENCE)?, OBJECT_IDENTIFIER)?;
    Some((kind, only(rest, OCTET_STRING)?))
}

/// `BasicOCSPResponse ::= SEQUENCE { tbsResponseData, signatureAlgorithm, signature, certs [0] OPTIONAL }`
fn basic(der: &[u8]) -> Option<Response<'_>> {
    let (signed, rest) = Signed::split(only(der, SEQUENCE)?)?;
    let certificates = match optional(rest, EXPLICIT_0)? {
        (None, []) => Vec::new(),
        (Some(certificates), []) => each(only(certificates, SEQUENCE)?, |whole, _| Some(whole))?,
        _ => return None,
    };
    Some(Response { answers: answers(signed.content)?, signed, certificates })
}

/// `ResponseData ::= SEQUENCE { version [0] DEFAULT v1, responderID, producedAt, responses SEQUENCE OF
/// SingleResponse, responseExtensions [1] OPTIONAL }`
fn answers(der: &[u8]) -> Option<Vec<Answer<'_>>> {
    let (_version, rest) = optional(only(der, SEQUENCE)?, EXPLICIT_0)?;
    let (responder, rest) = element(rest)?;
    if !matches!(responder.tag, EXPLICIT_1 | EXPLICIT_2) {
        return None;
    }
    let (_produced_at, rest) = time(rest)?;
    let (responses, rest) = tagged(rest, SEQUENCE)?;
    let (_extensions, rest) = optional(rest, EXPLICIT_1)?;
    let answers = each(responses, |_, content| answer(content))?;
    (rest.is_empty() && !answers.is_empty()).then_some(answers)
}

/// `SingleResponse ::= SEQUENCE { certID, certStatus, thisUpdate, nextUpdate [0] OPTIONAL,
/// singleExtensions [1] OPTIONAL }`
fn answer(content: &[u8]) -> Option<Answer<'_>> {
    let (about, rest) = tagged(content, SEQUENCE)?;
    let (status, rest) = element(rest)?;
    let status = match status.tag {
        GOOD => CertStatus::Good,
        REVOKED => CertStatus::Revoked { at: time(status.content)?.0 },
        UNKNOWN => CertStatus::Unknown,
        _ => return None,
    };
    let (this_update, rest) = time(rest)?;
    let (next_update, rest) = optional(rest, EXPLICIT_0)?;
    let next_update = match next_update.map(time) {
        None => None,
        Some(Some((at, []))) => Some(at),
        Some(_) => return None,
    };
    let (_extensions, rest) = optional(rest, EXPLICIT_1)?;
    let answer = Answer { about: certificate_id(about)?, status, this_update, next_update };
    rest.is_empty().then_some(answer)
}

/// `CertID ::= SEQUENCE { hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber }`
fn certificate_id(content: &[u8]) -> Option<CertificateId<'_>> {
    let (algorithm, rest) = tagged(content, SEQUENCE)?;
    let (hash, _parameters) = tagged(algorithm, OBJECT_IDENTIFIER)?;
    let (issuer_name, rest) = tagged(rest, OCTET_STRING)?;
    let (issuer_key, rest) = tagged(rest, OCTET_STRING)?;
    Some(CertificateId { hash, issuer_name, issuer_key, serial: only(rest, INTEGER)? })
}

/// Every element of a `SEQUENCE OF SEQUENCE`: the whole of it and what it holds.
fn each<'a, T>(
    mut content: &'a [u8],
    read: impl Fn(&'a [u8], &'a [u8]) -> Option<T>,
) -> Option<Vec<T>> {
    let mut all = Vec::new();
    while !content.is_empty() {
        let (next, rest) = element(content)?;
        if next.tag != SEQUENCE {
            return None;
        }
        all.push(read(next.whole, next.content)?);
        content = rest;
    }
    Some(all)
}

/// Splits a time off: seconds since 1970.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (time, rest) = element(der)?;
    if time.tag != GENERALIZED_TIME {
        return None;
    }
    let (_, time) = ASN1Time::from_der(time.whole).ok()?;
    Some((time.timestamp(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(parts: &[&[u8]]) -> Vec<u8> {
        put(SEQUENCE, parts)
    }

    fn put(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, high, low][..], &content].concat()
    }

    /// An answer whose parts can be taken out or changed.
    struct ResponseFields {
        status: Vec<u8>,
        next_update: Vec<u8>,
        answers: usize,
        certificates: Vec<u8>,
        after: Vec<u8>,
    }

    const GOOD_STATUS: &[u8] = &[0x80, 0];
    const TIME: &[u8] = b"\x18\x0f20260102030405Z";
    const AT: i64 = 1_767_323_045;

    impl ResponseFields {
        fn new() -> Self {
            Self {
                status: GOOD_STATUS.to_vec(),
                next_update: Vec::new(),
                answers: 1,
                certificates: Vec::new(),
                after: Vec::new(),
            }
        }

        fn der(&self) -> Vec<u8> {
            let algorithm = sequence(&[&[OBJECT_IDENTIFIER, 1, 0x2a]]);
            let hashes = [&[OCTET_STRING, 1, 1][..], &[OCTET_STRING, 1, 2], &[INTEGER, 1, 3]];
            let id = sequence(&[&algorithm, hashes[0], hashes[1], hashes[2]]);
            let answer = sequence(&[&id, &self.status, TIME, &self.next_update, &self.after]);
            let answers = sequence(&[&answer.repeat(self.answers)]);
            let signed = sequence(&[&put(EXPLICIT_2, &[&[OCTET_STRING, 0]]), TIME, &answers]);
            let signature = [0x03, 2, 0, 9];
            let basic = sequence(&[&signed, &algorithm, &signature, &self.certificates]);
            in_response(0, oid::OCSP_BASIC, &basic)
        }
    }

    fn in_response(status: u8, kind: &[u8], response: &[u8]) -> Vec<u8> {
        let kind = put(OBJECT_IDENTIFIER, &[kind]);
        let bytes = sequence(&[&kind, &put(OCTET_STRING, &[response])]);
        sequence(&[&[ENUMERATED, 1, status], &put(EXPLICIT_0, &[&bytes])])
    }

    #[test]
    fn every_part_of_an_answer_is_read() {
        let der = ResponseFields {
            next_update: put(EXPLICIT_0, &[b"\x18\x0f20260102030406Z"]),
            answers: 2,
            certificates: put(EXPLICIT_0, &[&sequence(&[&sequence(&[b"x"]), &sequence(&[])])]),
            after: put(EXPLICIT_1, &[&sequence(&[])]),
            ..ResponseFields::new()
        }
        .der();
        let response = parse(&der).unwrap();
        assert_eq!(response.certificates, [sequence(&[b"x"]), sequence(&[])]);
        assert_eq!(response.answers.len(), 2);
        let answer = &response.answers[1];
        assert_eq!((answer.this_update, answer.next_update), (AT, Some(AT + 1)));
        assert_eq!(answer.status, CertStatus::Good);
        let id = &answer.about;
        assert_eq!((id.hash, id.issuer_name, id.issuer_key), (&[0x2a][..], &[1][..], &[2][..]));
        assert_eq!(id.serial, [3]);
    }

    #[test]
    fn a_status_is_good_revoked_or_unknown() {
        let status = |der: &[u8]| {
            let der = ResponseFields { status: der.to_vec(), ..ResponseFields::new() }.der();
            parse(&der).map(|response| response.answers[0].status)
        };
        let reason = put(EXPLICIT_0, &[&[ENUMERATED, 1, 1]]);
        let at = CertStatus::Revoked { at: AT };
        assert_eq!(status(GOOD_STATUS), Ok(CertStatus::Good));
        assert_eq!(status(&put(REVOKED, &[TIME])), Ok(at));
        assert_eq!(status(&put(REVOKED, &[TIME, &reason])), Ok(at));
        assert_eq!(status(&[UNKNOWN, 0]), Ok(CertStatus::Unknown));
        assert_eq!(status(&[0x83, 0]), Err(NoResponse::Malformed));
        assert_eq!(status(&[REVOKED, 0]), Err(NoResponse::Malformed));
    }

    #[test]
    fn what_is_cut_off_lengthened_or_changed_is_no_answer() {
        let good = ResponseFields::new().der();
        for end in 0..good.len() {
            assert_eq!(parse(&good[..end]).unwrap_err(), NoResponse::Malformed, "{end}");
        }
        let malformed = [
            [&good[..], &[0]].concat(),
            ResponseFields { after: vec![5, 0], ..ResponseFields::new() }.der(),
            ResponseFields { certificates: vec![5, 0], ..ResponseFields::new() }.der(),
            ResponseFields { next_update: put(EXPLICIT_0, &[TIME, TIME]), ..ResponseFields::new() }
                .der(),
            ResponseFields {
                next_update: put(EXPLICIT_0, &[b"\x18\x01Z"]),
                ..ResponseFields::new()
            }
            .der(),
            ResponseFields { answers: 0, ..ResponseFields::new() }.der(),
            sequence(&[&[ENUMERATED, 1, 0]]),
        ];
        for der in malformed {
            assert_eq!(parse(&der).unwrap_err(), NoResponse::Malformed, "{der:02x?}");
        }
    }

    #[test]
    fn what_is_no_answer_at_all_is_told_by_its_name() {
        let long = vec![0; MAX_RESPONSE + 1];
        let table: [(&[u8], NoResponse); 6] = [
            (&[], NoResponse::Malformed),
            (b"-----BEGIN OCSP RESPONSE-----\n", NoResponse::Pem),
            (&[0x30, 3, 0x0a, 1, 3], NoResponse::ResponderError("tryLater")),
            (&[0x30, 3, 0x0a, 1, 9], NoResponse::ResponderError("unknown")),
            (&in_response(0, &[0x2a], &[]), NoResponse::NotBasic),
            (&long, NoResponse::TooLong),
        ];
        for (der, told) in table {
            assert_eq!(parse(der).unwrap_err(), told);
        }
    }
}
