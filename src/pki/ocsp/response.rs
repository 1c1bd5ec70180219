//! Parses OCSP responses (RFC 6960 section 4.2.1). Whether a response is good for a certificate is not decided here.
//!
//! The parser accepts only complete DER. A response is sent to clients unchanged, so any part that a client could not
//! parse must be found here.

use thiserror::Error;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use crate::pki::der::{ENUMERATED, EXPLICIT_0, EXPLICIT_1, EXPLICIT_2, GENERALIZED_TIME, INTEGER};
use crate::pki::der::{OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use crate::pki::der::{element, only, optional, tagged};
use crate::pki::oid;
use crate::pki::signature::Signed;

/// The maximum size of a response.
///
/// In TLS 1.2, clients such as OpenSSL accept a `CertificateStatus` message of at most 2^14 bytes, as much as one
/// record holds. The type and the length of the response take four of them.
pub(crate) const MAX_RESPONSE: usize = (1 << 14) - 4;

/// The tags of the choices of `CertStatus`: `[0] IMPLICIT NULL`, `[1] IMPLICIT SEQUENCE`, `[2] IMPLICIT NULL`.
const GOOD: u8 = 0x80;
const REVOKED: u8 = 0xa1;
const UNKNOWN: u8 = 0x82;

/// A parsed response. Neither its signature nor its dates have been checked.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    pub(super) signed: Signed<'a>,
    /// The statuses in the response, at least one.
    pub(super) answers: Vec<SingleResponse<'a>>,
    /// Certificates in DER to verify the signature with, such as that of a delegated responder.
    pub(super) certificates: Vec<&'a [u8]>,
}

/// The status of one certificate.
#[derive(Debug)]
pub(super) struct SingleResponse<'a> {
    pub(super) cert_id: CertId<'a>,
    pub(super) status: CertStatus,
    /// The time at which the status was known to be correct, in seconds since 1970.
    pub(super) this_update: i64,
    /// When a newer response will be available; `None` means at any time (RFC 6960 section 4.2.2.1).
    pub(super) next_update: Option<i64>,
}

/// Identifies a certificate by hashes of its issuer's name and key, and by its serial number.
#[derive(Debug)]
pub(super) struct CertId<'a> {
    /// The object identifier of the hash algorithm.
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

/// Why bytes are not a usable response.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum ParseError {
    #[error("is longer than {MAX_RESPONSE} bytes, the most that TLS 1.2 clients accept")]
    TooLong,
    #[error("is PEM, not DER")]
    Pem,
    #[error("is not one whole OCSP response in DER")]
    Malformed,
    #[error("is an error message of the responder, \"{0}\"")]
    ResponderError(&'static str),
    #[error("is not a basic OCSP response (RFC 6960 section 4.2.1)")]
    NotBasic,
}

/// Parses `der`, which must be one `OCSPResponse` without trailing bytes.
pub(crate) fn parse(der: &[u8]) -> Result<Response<'_>, ParseError> {
    if der.len() > MAX_RESPONSE {
        return Err(ParseError::TooLong);
    }
    if der.starts_with(b"-----BEGIN ") {
        return Err(ParseError::Pem);
    }
    let (status, bytes) = status_and_bytes(der).ok_or(ParseError::Malformed)?;
    if let Some(error) = error_named(status) {
        // If an error message is stapled, clients end the handshake.
        return Err(ParseError::ResponderError(error));
    }
    let (kind, response) = type_and_response(bytes).ok_or(ParseError::Malformed)?;
    if kind != oid::OCSP_BASIC {
        return Err(ParseError::NotBasic);
    }
    basic_response(response).ok_or(ParseError::Malformed)
}

/// Returns status and `responseBytes` of `OCSPResponse ::= SEQUENCE { responseStatus, responseBytes [0] OPTIONAL }`.
fn status_and_bytes(der: &[u8]) -> Option<(u8, &[u8])> {
    match tagged(only(der, SEQUENCE)?, ENUMERATED)? {
        ([status], bytes) => Some((*status, bytes)),
        _ => None,
    }
}

/// Returns the name of an `OCSPResponseStatus`; `None` for `successful`.
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

/// Returns both fields of `ResponseBytes ::= SEQUENCE { responseType OBJECT IDENTIFIER, response OCTET STRING }`.
fn type_and_response(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (kind, rest) = tagged(only(only(bytes, EXPLICIT_0)?, SEQUENCE)?, OBJECT_IDENTIFIER)?;
    Some((kind, only(rest, OCTET_STRING)?))
}

/// Parses `BasicOCSPResponse ::= SEQUENCE { tbsResponseData, signatureAlgorithm, signature, certs [0] OPTIONAL }`.
fn basic_response(der: &[u8]) -> Option<Response<'_>> {
    let (signed, rest) = Signed::split(only(der, SEQUENCE)?)?;
    let certificates = match optional(rest, EXPLICIT_0)? {
        (None, []) => Vec::new(),
        (Some(certificates), []) => each(only(certificates, SEQUENCE)?, |whole, _| Some(whole))?,
        _ => return None,
    };
    Some(Response { answers: answers(signed.content)?, signed, certificates })
}

/// Returns the responses in `ResponseData ::= SEQUENCE { version [0] DEFAULT v1, responderID, producedAt, responses
/// SEQUENCE OF SingleResponse, responseExtensions [1] OPTIONAL }`.
fn answers(der: &[u8]) -> Option<Vec<SingleResponse<'_>>> {
    let (_version, rest) = optional(only(der, SEQUENCE)?, EXPLICIT_0)?;
    let (responder, rest) = element(rest)?;
    if !matches!(responder.tag, EXPLICIT_1 | EXPLICIT_2) {
        return None;
    }
    let (_produced_at, rest) = time(rest)?;
    let (responses, rest) = tagged(rest, SEQUENCE)?;
    let (_extensions, rest) = optional(rest, EXPLICIT_1)?;
    let answers = each(responses, |_, content| single_response(content))?;
    (rest.is_empty() && !answers.is_empty()).then_some(answers)
}

/// Parses `SingleResponse ::= SEQUENCE { certID, certStatus, thisUpdate, nextUpdate [0] OPTIONAL, singleExtensions [1]
/// OPTIONAL }`.
fn single_response(content: &[u8]) -> Option<SingleResponse<'_>> {
    let (cert_id, rest) = tagged(content, SEQUENCE)?;
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
    let answer =
        SingleResponse { cert_id: certificate_id(cert_id)?, status, this_update, next_update };
    rest.is_empty().then_some(answer)
}

/// Parses `CertID ::= SEQUENCE { hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber }`.
fn certificate_id(content: &[u8]) -> Option<CertId<'_>> {
    let (algorithm, rest) = tagged(content, SEQUENCE)?;
    let (hash, _parameters) = tagged(algorithm, OBJECT_IDENTIFIER)?;
    let (issuer_name, rest) = tagged(rest, OCTET_STRING)?;
    let (issuer_key, rest) = tagged(rest, OCTET_STRING)?;
    Some(CertId { hash, issuer_name, issuer_key, serial: only(rest, INTEGER)? })
}

/// Reads every element of a `SEQUENCE OF SEQUENCE`. `read` gets the whole element and its content.
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

/// Splits off a time. Returns it in seconds since 1970, and the bytes after it.
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

    /// Builds a response whose fields can be changed or left out.
    struct ResponseBuilder {
        status: Vec<u8>,
        next_update: Vec<u8>,
        answers: usize,
        certificates: Vec<u8>,
        after: Vec<u8>,
    }

    const GOOD_STATUS: &[u8] = &[0x80, 0];
    const TIME: &[u8] = b"\x18\x0f20260102030405Z";
    const AT: i64 = 1_767_323_045;

    impl ResponseBuilder {
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
    fn all_fields_of_a_response_are_read() {
        let der = ResponseBuilder {
            next_update: put(EXPLICIT_0, &[b"\x18\x0f20260102030406Z"]),
            answers: 2,
            certificates: put(EXPLICIT_0, &[&sequence(&[&sequence(&[b"x"]), &sequence(&[])])]),
            after: put(EXPLICIT_1, &[&sequence(&[])]),
            ..ResponseBuilder::new()
        }
        .der();
        let response = parse(&der).unwrap();
        assert_eq!(response.certificates, [sequence(&[b"x"]), sequence(&[])]);
        assert_eq!(response.answers.len(), 2);
        let answer = &response.answers[1];
        assert_eq!((answer.this_update, answer.next_update), (AT, Some(AT + 1)));
        assert_eq!(answer.status, CertStatus::Good);
        let id = &answer.cert_id;
        assert_eq!((id.hash, id.issuer_name, id.issuer_key), (&[0x2a][..], &[1][..], &[2][..]));
        assert_eq!(id.serial, [3]);
    }

    #[test]
    fn certificate_status_is_good_revoked_or_unknown() {
        let status = |der: &[u8]| {
            let der = ResponseBuilder { status: der.to_vec(), ..ResponseBuilder::new() }.der();
            parse(&der).map(|response| response.answers[0].status)
        };
        let reason = put(EXPLICIT_0, &[&[ENUMERATED, 1, 1]]);
        let at = CertStatus::Revoked { at: AT };
        assert_eq!(status(GOOD_STATUS), Ok(CertStatus::Good));
        assert_eq!(status(&put(REVOKED, &[TIME])), Ok(at));
        assert_eq!(status(&put(REVOKED, &[TIME, &reason])), Ok(at));
        assert_eq!(status(&[UNKNOWN, 0]), Ok(CertStatus::Unknown));
        assert_eq!(status(&[0x83, 0]), Err(ParseError::Malformed));
        assert_eq!(status(&[REVOKED, 0]), Err(ParseError::Malformed));
    }

    #[test]
    fn truncated_extended_or_altered_response_is_malformed() {
        let good = ResponseBuilder::new().der();
        for end in 0..good.len() {
            assert_eq!(parse(&good[..end]).unwrap_err(), ParseError::Malformed, "{end}");
        }
        let malformed = [
            [&good[..], &[0]].concat(),
            ResponseBuilder { after: vec![5, 0], ..ResponseBuilder::new() }.der(),
            ResponseBuilder { certificates: vec![5, 0], ..ResponseBuilder::new() }.der(),
            ResponseBuilder {
                next_update: put(EXPLICIT_0, &[TIME, TIME]),
                ..ResponseBuilder::new()
            }
            .der(),
            ResponseBuilder {
                next_update: put(EXPLICIT_0, &[b"\x18\x01Z"]),
                ..ResponseBuilder::new()
            }
            .der(),
            ResponseBuilder { answers: 0, ..ResponseBuilder::new() }.der(),
            sequence(&[&[ENUMERATED, 1, 0]]),
        ];
        for der in malformed {
            assert_eq!(parse(&der).unwrap_err(), ParseError::Malformed, "{der:02x?}");
        }
    }

    #[test]
    fn other_content_is_rejected_with_its_own_error() {
        let long = vec![0; MAX_RESPONSE + 1];
        let table: [(&[u8], ParseError); 6] = [
            (&[], ParseError::Malformed),
            (b"-----BEGIN OCSP RESPONSE-----\n", ParseError::Pem),
            (&[0x30, 3, 0x0a, 1, 3], ParseError::ResponderError("tryLater")),
            (&[0x30, 3, 0x0a, 1, 9], ParseError::ResponderError("unknown")),
            (&in_response(0, &[0x2a], &[]), ParseError::NotBasic),
            (&long, ParseError::TooLong),
        ];
        for (der, expected) in table {
            assert_eq!(parse(der).unwrap_err(), expected);
        }
    }
}
