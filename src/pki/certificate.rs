//! Reads the fields of an X.509 certificate that certreload checks or reports: names, dates, serial number, usages.

use std::collections::HashSet;
use std::ffi::CString;
use std::net::IpAddr;

use x509_parser::error::X509Error;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name, X509Version};
use x509_parser::time::ASN1Time;

use super::distinguished_name::DistinguishedName;
use super::hash::serial_text;
use super::names::NameKind;
use super::{der, oid};
use crate::error::{Cause, Position};

/// The content of the INTEGER 5, the TLS feature `status_request` (RFC 6066 section 8). In a certificate it means that
/// the server must staple an OCSP response (RFC 7633).
const STATUS_REQUEST: &[u8] = &[5];

/// The maximum number of characters of a subject or issuer name in a message. Names in certificates may be of any
/// length; longer ones are cut off.
const LONGEST_TITLE: usize = 64;

/// The fields of one certificate that certreload checks or reports.
#[allow(clippy::struct_excessive_bools, reason = "facts, each with a name")]
pub(crate) struct CertificateFacts<'a> {
    pub(super) names: Vec<CString>,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) serial: String,
    pub(super) subject: DistinguishedName<'a>,
    pub(super) issuer: DistinguishedName<'a>,
    pub(super) subject_key_id: Option<&'a [u8]>,
    pub(super) authority_key_id: Option<&'a [u8]>,
    /// The whole `SubjectPublicKeyInfo` in DER: algorithm and key.
    pub(super) public_key: &'a [u8],
    pub(super) is_version_1: bool,
    /// Whether the certificate has a subjectAltName extension with a name of any kind.
    pub(super) has_alternative_names: bool,
    /// An IP address in the place of a DNS name. Clients that connect to the address do not accept it.
    pub(super) misplaced_address: Option<IpAddr>,
    /// The hash of the certificate's signature, if forgeries with that hash are known.
    pub(super) weak_hash: Option<&'static str>,
    /// Whether the certificate is one of an authority (basicConstraints).
    pub(super) is_authority: bool,
    /// Whether the certificate has a URL of its issuer's certificate (authorityInfoAccess caIssuers, RFC 5280 section
    /// 4.2.2.1).
    pub(super) has_issuer_url: bool,
    /// Whether the key may make signatures (keyUsage digitalSignature); true if the certificate has no keyUsage.
    pub(super) may_sign: bool,
    /// Whether the key may sign certificates (keyUsage keyCertSign); true if the certificate has no keyUsage.
    pub(super) may_sign_certificates: bool,
    /// Whether the key may sign CRLs (keyUsage cRLSign); true if the certificate has no keyUsage.
    pub(super) may_sign_crls: bool,
    /// Whether TLS servers may use the certificate (extendedKeyUsage serverAuth, anyExtendedKeyUsage or Server Gated
    /// Crypto); true if it has no extendedKeyUsage.
    pub(super) may_serve: bool,
    /// Whether TLS servers may use the certificate by Server Gated Crypto alone, which OpenSSL takes for serverAuth.
    pub(super) serves_by_gated_crypto: bool,
    /// Whether TLS clients may use the certificate (extendedKeyUsage clientAuth or anyExtendedKeyUsage); true if it has
    /// no extendedKeyUsage.
    pub(super) may_be_client: bool,
    /// Whether the certificate may sign OCSP responses for its issuer (extendedKeyUsage `OCSPSigning`).
    pub(super) may_sign_ocsp: bool,
    /// Whether clients should refuse the certificate without a stapled OCSP response (RFC 7633).
    pub(super) must_staple: bool,
    /// The subject's name for messages: its common name; without one, the whole subject; if that is empty, the first of
    /// `names`, or words for a certificate without a name.
    pub(super) title: String,
    /// The issuer's name for messages: its common name, or the whole name if it has none.
    pub(super) issuer_title: String,
}

impl CertificateFacts<'_> {
    /// Returns whether subject and issuer are equal ("self-issued", RFC 5280 section 3.2). The signature is not
    /// checked, so another key may have signed the certificate.
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    pub(super) fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// Parses one certificate. An error reports its `position` in its file.
pub(super) fn facts(der: &[u8], position: Position) -> Result<CertificateFacts<'_>, Cause> {
    let malformed =
        |reason: &str| Cause::CertificateMalformed { position, reason: reason.to_owned() };
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|error| malformed(in_words(&error.into())))?;
    if !rest.is_empty() {
        return Err(malformed("bytes follow after its end"));
    }
    let alternatives = certificate
        .subject_alternative_name()
        .map_err(|error| malformed(in_words(&error)))?
        .map_or(&[][..], |extension| &extension.value.general_names);
    let validity = certificate.validity();
    let tbs = &certificate.tbs_certificate;
    let mut facts = CertificateFacts {
        names: names(alternatives),
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
        serial: serial_text(certificate.raw_serial()),
        subject: DistinguishedName::new(tbs.subject.as_raw()),
        issuer: DistinguishedName::new(tbs.issuer.as_raw()),
        subject_key_id: None,
        authority_key_id: None,
        public_key: tbs.subject_pki.raw,
        is_version_1: certificate.version() == X509Version::V1,
        has_alternative_names: !alternatives.is_empty(),
        misplaced_address: misplaced_address(alternatives),
        weak_hash: weak_hash(certificate.signature_algorithm.algorithm.as_bytes()),
        is_authority: false,
        has_issuer_url: false,
        may_sign: true,
        may_sign_certificates: true,
        may_sign_crls: true,
        may_serve: true,
        serves_by_gated_crypto: false,
        may_be_client: true,
        may_sign_ocsp: false,
        must_staple: false,
        title: title(&tbs.subject),
        issuer_title: authority_title(&tbs.issuer),
    };
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => facts.subject_key_id = Some(id.0),
            ParsedExtension::AuthorityKeyIdentifier(authority) => {
                facts.authority_key_id = authority.key_identifier.as_ref().map(|id| id.0);
            }
            ParsedExtension::BasicConstraints(constraints) => facts.is_authority = constraints.ca,
            ParsedExtension::KeyUsage(usage) => {
                facts.may_sign = usage.digital_signature();
                facts.may_sign_certificates = usage.key_cert_sign();
                facts.may_sign_crls = usage.crl_sign();
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let is_gated = |id: &Oid<'_>| {
                    matches!(
                        id.as_bytes(),
                        oid::NETSCAPE_GATED_CRYPTO | oid::MICROSOFT_GATED_CRYPTO
                    )
                };
                let may_serve = usage.server_auth || usage.any;
                facts.serves_by_gated_crypto = !may_serve && usage.other.iter().any(is_gated);
                facts.may_serve = may_serve || facts.serves_by_gated_crypto;
                facts.may_be_client = usage.client_auth || usage.any;
                facts.may_sign_ocsp = usage.ocsp_signing;
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                facts.has_issuer_url =
                    access.iter().any(|at| at.access_method.as_bytes() == oid::CA_ISSUERS);
            }
            _ if extension.oid.as_bytes() == oid::TLS_FEATURE => {
                facts.must_staple = asks_for_staple(extension.value);
            }
            _ => {}
        }
    }
    if facts.title.is_empty() {
        facts.title = match facts.names.first() {
            Some(name) => shortened(&name.to_string_lossy()),
            None if facts.is_authority => NAMELESS_AUTHORITY.to_owned(),
            None => "a certificate without a name".to_owned(),
        };
    }
    Ok(facts)
}

/// Returns the name of the hash in this signature algorithm, if forgeries with that hash are known.
fn weak_hash(algorithm: &[u8]) -> Option<&'static str> {
    match algorithm {
        oid::MD5_WITH_RSA => Some("MD5"),
        oid::SHA1_WITH_RSA | oid::SHA1_WITH_RSA_OIW | oid::ECDSA_WITH_SHA1 => Some("SHA-1"),
        _ => None,
    }
}

/// Returns for a message why a certificate cannot be parsed. The parser's own texts contain names of its types (G24).
fn in_words(error: &X509Error) -> &'static str {
    match error {
        X509Error::Generic
        | X509Error::Der(_)
        | X509Error::NomError(_)
        | X509Error::InvalidTbsCertificate
        | X509Error::InvalidCertificate
        | X509Error::InvalidUserCertificate => "its DER encoding is damaged",
        X509Error::InvalidVersion => "its version is invalid",
        X509Error::InvalidSerial | X509Error::InvalidNumber => "its serial number is invalid",
        X509Error::InvalidAlgorithmIdentifier => "the identifier of an algorithm in it is invalid",
        X509Error::InvalidX509Name => "its subject or issuer is invalid",
        X509Error::InvalidDate => "one of its dates is invalid",
        X509Error::InvalidSPKI => "its public key is invalid",
        X509Error::InvalidSubjectUID | X509Error::InvalidIssuerUID => {
            "one of its unique identifiers is invalid"
        }
        X509Error::InvalidExtensions | X509Error::InvalidAttributes => "its extensions are invalid",
        X509Error::DuplicateExtensions | X509Error::DuplicateAttributes => {
            "it has an extension twice"
        }
        X509Error::InvalidSignatureValue | X509Error::SignatureVerificationError => {
            "its signature is invalid"
        }
        X509Error::SignatureUnsupportedAlgorithm => "its signature algorithm is not supported",
    }
}

/// Returns whether `Features ::= SEQUENCE OF INTEGER` (RFC 7633 section 4.1) contains `status_request`.
fn asks_for_staple(features: &[u8]) -> bool {
    let mut rest = der::only(features, der::SEQUENCE).unwrap_or_default();
    while let Some((feature, after)) = der::tagged(rest, der::INTEGER) {
        if feature == STATUS_REQUEST {
            return true;
        }
        rest = after;
    }
    false
}

/// Returns the DNS names in lower case, the IP addresses as text and the URIs as they are, each once.
fn names(alternatives: &[GeneralName<'_>]) -> Vec<CString> {
    // A name with a NUL is ignored. C code that compares names would end at the NUL: `a.test\0.evil.test` would pass as
    // `a.test`, which has been used to forge certificates.
    let names = alternatives.iter().filter_map(text_of).filter_map(|name| CString::new(name).ok());
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(name.clone())).collect()
}

/// Returns the first DNS name that is an IP address in truth.
fn misplaced_address(alternatives: &[GeneralName<'_>]) -> Option<IpAddr> {
    alternatives.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => name.parse().ok(),
        _ => None,
    })
}

/// Returns a DNS name, an IP address or a URI as text; `None` for other kinds of names.
fn text_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        // Nor may an address or a URI in the form of a DNS name pass as what it is not.
        GeneralName::DNSName(name) => {
            (NameKind::of(name) == NameKind::Dns).then(|| name.to_ascii_lowercase())
        }
        // A URI without a scheme is none, and would pass as a DNS name.
        GeneralName::URI(uri) => (NameKind::of(uri) == NameKind::Uri).then(|| (*uri).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?).to_string()),
            16 => Some(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the name of an authority for messages: the common name, or the whole name if it has none.
pub(super) fn authority_title(name: &X509Name<'_>) -> String {
    Some(title(name))
        .filter(|title| !title.is_empty())
        .unwrap_or_else(|| NAMELESS_AUTHORITY.to_owned())
}

const NAMELESS_AUTHORITY: &str = "an authority without a name";

/// Returns the name for messages: the common name, or the whole name if it has none.
fn title(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().filter_map(|part| part.as_str().ok());
    let common = common.map(str::trim).find(|name| !name.is_empty());
    shortened(common.unwrap_or(name.to_string().trim()))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TITLE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the notAfter of a certificate in seconds since 1970, without parsing the rest.
///
/// A session ticket expires with the client's certificates, so handshakes call this function. It must be fast.
pub(crate) fn not_after_of(certificate: &[u8]) -> Option<i64> {
    let (validity, _) = validity_of(certificate)?;
    let (_not_before, not_after) = der::element(validity)?;
    Some(ASN1Time::from_der(not_after).ok()?.1.timestamp())
}

/// Returns the contents of a certificate's subject and of its `SubjectPublicKeyInfo`, without tag and length. The
/// subject may be empty.
pub(crate) fn subject_and_key_of(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_validity, rest) = validity_of(certificate)?;
    let (subject, rest) = der::tagged(rest, der::SEQUENCE)?;
    let (public_key, _) = der::tagged(rest, der::SEQUENCE)?;
    Some((subject, public_key))
}

/// Returns the content of a certificate's `Validity`, and the bytes of the fields after it.
fn validity_of(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = der::tagged(certificate, der::SEQUENCE)?;
    let (mut rest, _) = der::tagged(certificate, der::SEQUENCE)?;
    if let Some((_, after)) = der::tagged(rest, der::EXPLICIT_0) {
        rest = after;
    }
    let (_serial, rest) = der::tagged(rest, der::INTEGER)?;
    let (_algorithm, rest) = der::tagged(rest, der::SEQUENCE)?;
    let (_issuer, rest) = der::tagged(rest, der::SEQUENCE)?;
    der::tagged(rest, der::SEQUENCE)
}

/// Formats seconds since 1970 as a date and time in UTC (ISO 8601).
pub(crate) fn format_time(seconds: i64) -> String {
    let Ok(time) = ASN1Time::from_timestamp(seconds) else { return seconds.to_string() };
    let time = time.to_datetime();
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

/// Parses a date and time in exactly the format of [`format_time`].
pub(super) fn parse_time(text: &str) -> Option<i64> {
    // The digits alone form a GeneralizedTime (RFC 5280 section 4.1.2.5.2), which `ASN1Time` parses.
    let digits: String = text.chars().filter(char::is_ascii_digit).chain(['Z']).collect();
    let der = [&[der::GENERALIZED_TIME, u8::try_from(digits.len()).ok()?][..], digits.as_bytes()]
        .concat();
    let seconds = ASN1Time::from_der(&der).ok()?.1.timestamp();
    (format_time(seconds) == text).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_formatted_as_iso_8601() {
        assert_eq!(format_time(0), "1970-01-01T00:00:00Z");
        assert_eq!(format_time(1_803_003_044), "2027-02-19T02:10:44Z");
        assert_eq!(format_time(253_402_300_799), "9999-12-31T23:59:59Z");
        assert_eq!(format_time(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn dates_are_parsed_only_in_the_format_that_is_written() {
        for seconds in [0, 1_803_003_044, 1_800_000_000, 253_402_300_799] {
            assert_eq!(parse_time(&format_time(seconds)), Some(seconds));
        }
        for text in ["2027-02-19 02:10:44Z", "2027-02-19T02:10:44", "20270219021044Z", "", "é"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
