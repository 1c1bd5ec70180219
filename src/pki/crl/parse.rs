//! Parses the fields that describe a CRL as a whole (RFC 5280 section 5): issuer, number, dates, scope.
//!
//! The entries, which name the revoked certificates, are only counted here. rustls parses them for the verifier.

use rustls::pki_types::CertificateRevocationListDer;
use x509_parser::prelude::{FromDer, X509Name};
use x509_parser::time::ASN1Time;

use super::scope;
use crate::error::{Cause, Position};
use crate::pki::certificate;
use crate::pki::certificate::authority_title;
use crate::pki::der::{BIT_STRING, BOOLEAN, EXPLICIT_0, GENERALIZED_TIME, IMPLICIT_0, INTEGER};
use crate::pki::der::{OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, UTC_TIME};
use crate::pki::der::{element, only, tagged};
use crate::pki::distinguished_name::DistinguishedName;
use crate::pki::hash::hexadecimal;
use crate::pki::trust_input::TrustFile;
use crate::pki::{oid, pem, wrong_format};

/// The maximum number of CRLs of a handle.
pub(crate) const MAX_CRLS: usize = 1000;

/// The fields of one CRL, and its DER. The entries are not parsed: there may be hundreds of thousands.
#[derive(Debug)]
pub(crate) struct Crl {
    pub(crate) der: CertificateRevocationListDer<'static>,
    /// The position in the file, from 1.
    pub(crate) index: usize,
    pub(crate) issuer: DistinguishedName<'static>,
    /// The issuer's name for messages.
    pub(crate) issuer_title: String,
    pub(crate) authority_key_id: Option<Vec<u8>>,
    /// The CRL number: it grows with each CRL that the CA issues for the same certificates (RFC 5280 section 5.2.3).
    pub(crate) number: Option<CrlNumber>,
    /// The issuing distribution point in DER, if the CRL covers a part of the issuer's certificates only (RFC 5280
    /// section 5.2.5).
    pub(crate) distribution_point: Option<Vec<u8>>,
    /// Seconds since 1970.
    pub(crate) this_update: i64,
    /// When this CRL expires: the issuer promises a newer one by then. Seconds since 1970.
    pub(crate) next_update: i64,
    /// The number of entries: as many certificates are revoked.
    pub(crate) entries: usize,
}

/// The number of a CRL: an unsigned integer of any length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CrlNumber {
    // `length` must be the first field: the derived order compares it first. Without leading zeros, the longer number
    // is larger.
    length: usize,
    bytes: Vec<u8>,
}

impl CrlNumber {
    fn new(content: &[u8]) -> Self {
        let zeros = content.iter().take_while(|byte| **byte == 0).count();
        let bytes = content[zeros..].to_vec();
        Self { length: bytes.len(), bytes }
    }

    /// Formats the number for messages, as OpenSSL prints it.
    pub(crate) fn in_words(&self) -> String {
        match &self.bytes[..] {
            bytes if bytes.len() <= 8 => {
                bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)).to_string()
            }
            bytes => format!("0x{}", hexadecimal(bytes)),
        }
    }
}

/// Returns every CRL in `file`: PEM, or one CRL in DER.
///
/// A file without a CRL is an error, unless it was found in a configured directory and is a certificate or other PEM:
/// such files are usually beside CRLs.
pub(crate) fn crls(file: &TrustFile<'_>) -> Result<Vec<Crl>, Cause> {
    let bytes = file.bytes;
    if only(bytes, SEQUENCE).is_some() {
        if file.is_in_directory && certificate::facts(bytes, Position::ALONE).is_ok() {
            return Ok(Vec::new());
        }
        return Ok(vec![crl(bytes, 0)?]);
    }
    let mut lists = Vec::new();
    for section in pem::sections(bytes) {
        let section = section?;
        if section.label == b"X509 CRL" || section.label == b"CRL" {
            if lists.len() == MAX_CRLS {
                return Err(Cause::TooManyCrls { limit: MAX_CRLS });
            }
            lists.push(crl(&section.decode()?, lists.len())?);
        }
    }
    if lists.is_empty() && !(file.is_in_directory && pem::is_pem(bytes)) {
        return Err(Cause::NoCrl(wrong_format::without_list(bytes)));
    }
    Ok(lists)
}

/// Returns whether `bytes` has the structure of a CRL in DER.
pub(crate) fn is_list(bytes: &[u8]) -> bool {
    Outline::of(bytes).is_some()
}

fn crl(bytes: &[u8], at: usize) -> Result<Crl, Cause> {
    let malformed = |reason: &str| Cause::CrlMalformed { index: at + 1, reason: reason.to_owned() };
    let outline = Outline::of(bytes).ok_or_else(|| malformed("it is not a CRL (RFC 5280)"))?;
    let time = |der| match ASN1Time::from_der(der) {
        Ok((_, time)) => Ok(time.timestamp()),
        Err(_) => Err(malformed("one of its dates cannot be parsed")),
    };
    let extensions = outline.extensions.ok_or_else(|| malformed(WITHOUT_EXTENSIONS))?;
    let extensions =
        Extensions::of(extensions).ok_or_else(|| malformed("its extensions cannot be parsed"))?;
    if extensions.is_delta {
        return Err(malformed(DELTA));
    }
    if let Some(reason) = extensions.distribution_point.and_then(scope::unusable) {
        return Err(malformed(&reason));
    }
    let next_update = outline
        .next_update
        .ok_or_else(|| malformed("it has no nextUpdate (RFC 5280 section 5.1.2.5)"))?;
    let (_, name) = X509Name::from_der(outline.issuer)
        .map_err(|_| malformed("the name of its issuer cannot be parsed"))?;
    Ok(Crl {
        index: at + 1,
        issuer: DistinguishedName::new(outline.issuer).to_owned(),
        issuer_title: authority_title(&name),
        authority_key_id: extensions.authority_key_id.map(<[u8]>::to_vec),
        number: extensions.number.map(CrlNumber::new),
        distribution_point: extensions.distribution_point.map(<[u8]>::to_vec),
        this_update: time(outline.this_update)?,
        next_update: time(next_update)?,
        entries: outline.entries,
        der: bytes.to_vec().into(),
    })
}

/// Why a CRL without extensions is rejected. RFC 5280 section 5.2 requires the extensions for number and key
/// identifier, and the verifier (rustls-webpki) parses no CRL without extensions.
const WITHOUT_EXTENSIONS: &str = "it has no extensions (version 1); \"openssl ca\" adds them if its configuration has a \
     crlnumber";

/// Why a delta CRL is rejected. Its entries only make sense together with its base CRL, and rustls cannot combine the
/// two.
const DELTA: &str =
    "it is a delta CRL, which lists only changes to another CRL; use the complete CRL";

/// The undecoded fields of a `CertificateList` (RFC 5280 section 5.1), found by their positions in the DER.
struct Outline<'a> {
    issuer: &'a [u8],
    this_update: &'a [u8],
    next_update: Option<&'a [u8]>,
    entries: usize,
    extensions: Option<&'a [u8]>,
}

impl<'a> Outline<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (to_be_signed, rest) = tagged(only(bytes, SEQUENCE)?, SEQUENCE)?;
        let (_, rest) = tagged(rest, SEQUENCE)?;
        only(rest, BIT_STRING)?;
        let rest = tagged(to_be_signed, INTEGER).map_or(to_be_signed, |(_, rest)| rest);
        let (_, rest) = tagged(rest, SEQUENCE)?;
        let (issuer, rest) = element(rest)?;
        let (this_update, rest) = element(rest)?;
        let (next_update, rest) = match element(rest) {
            Some((time, after)) if matches!(time.tag, UTC_TIME | GENERALIZED_TIME) => {
                (Some(time.whole), after)
            }
            _ => (None, rest),
        };
        let (revoked, rest) = tagged(rest, SEQUENCE).unwrap_or((&[], rest));
        let extensions = match rest {
            [] => None,
            _ => Some(only(rest, EXPLICIT_0)?),
        };
        Some(Self {
            issuer: issuer.whole,
            this_update: this_update.whole,
            next_update,
            entries: elements(revoked)?,
            extensions,
        })
    }
}

fn elements(mut der: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !der.is_empty() {
        der = element(der)?.1;
        count += 1;
    }
    Some(count)
}

#[derive(Default)]
struct Extensions<'a> {
    number: Option<&'a [u8]>,
    authority_key_id: Option<&'a [u8]>,
    distribution_point: Option<&'a [u8]>,
    is_delta: bool,
}

impl<'a> Extensions<'a> {
    fn of(der: &'a [u8]) -> Option<Self> {
        let mut found = Self::default();
        let mut rest = only(der, SEQUENCE)?;
        while !rest.is_empty() {
            let (extension, after) = tagged(rest, SEQUENCE)?;
            rest = after;
            let (id, value) = tagged(extension, OBJECT_IDENTIFIER)?;
            let value = tagged(value, BOOLEAN).map_or(value, |(_, value)| value);
            let value = only(value, OCTET_STRING)?;
            match id {
                oid::CRL_NUMBER => found.number = Some(only(value, INTEGER)?),
                oid::AUTHORITY_KEY_IDENTIFIER => {
                    let key_id = element(only(value, SEQUENCE)?).map(|(first, _)| first);
                    found.authority_key_id =
                        key_id.filter(|id| id.tag == IMPLICIT_0).map(|id| id.content);
                }
                oid::ISSUING_DISTRIBUTION_POINT => found.distribution_point = Some(value),
                oid::DELTA_CRL_INDICATOR => found.is_delta = true,
                _ => {}
            }
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::date_time_ymd;

    use super::*;
    use crate::pki::test_ca::{Authority, Listing, file, in_directory, openssl_list};

    fn only_list(bytes: &[u8]) -> Result<Crl, Cause> {
        let [crl] = <[Crl; 1]>::try_from(crls(&file("a.crl", bytes))?).unwrap();
        Ok(crl)
    }

    fn reason(bytes: &[u8]) -> String {
        match only_list(bytes) {
            Err(Cause::CrlMalformed { index: 1, reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn crl_fields_are_read_from_der_and_pem() {
        let listing = Listing { part: Some("http://a"), ..Listing::number(0x1234) };
        let list = Authority::new("Some CA").list(&listing.revoking(&[1, 2, 3]));
        for bytes in [list.der().to_vec(), list.pem().unwrap().into_bytes()] {
            let crl = only_list(&bytes).unwrap();
            assert_eq!(crl.der.as_ref(), list.der().as_ref());
            assert_eq!(crl.issuer_title, "Some CA");
            assert_eq!(crl.number.unwrap().in_words(), "4660");
            assert_eq!(crl.this_update, date_time_ymd(2026, 6, 1).unix_timestamp());
            assert_eq!(crl.next_update, date_time_ymd(2026, 8, 1).unix_timestamp());
            assert_eq!(crl.authority_key_id.unwrap().len(), 20);
            assert!(crl.distribution_point.unwrap().ends_with(b"http://a\x81\x01\xff"));
            assert_eq!(crl.entries, 3);
        }
    }

    #[test]
    fn file_with_several_crls_yields_each_with_its_index() {
        let one = Authority::new("one").list_pem(&Listing::number(1));
        let two = Authority::new("two").list_pem(&Listing::number(2)).replace("X509 CRL", "CRL");
        let found = crls(&file("a", &(one + &two))).unwrap();
        assert!(found.iter().map(|crl| crl.index).eq([1, 2]));
    }

    #[test]
    fn crl_numbers_of_any_length_are_compared_and_printed() {
        let words = |bytes: &[u8]| CrlNumber::new(bytes).in_words();
        assert!(CrlNumber::new(&[2, 0]) > CrlNumber::new(&[0xff]));
        assert_eq!(CrlNumber::new(&[0, 0, 1]), CrlNumber::new(&[1]));
        assert_eq!(words(&[]), "0");
        assert_eq!(words(&[0, 0xff, 0xff]), "65535");
        assert_eq!(words(&[1; 9]), "0x010101010101010101");
    }

    #[test]
    fn file_without_a_crl_is_rejected_with_the_reason() {
        let no_list = |bytes: &[u8]| match only_list(bytes) {
            Err(Cause::NoCrl(words)) => words,
            other => panic!("{other:?}"),
        };
        let whole = Authority::new("one").list(&Listing::number(1)).der().to_vec();
        assert!(no_list(b"").contains("no PEM"));
        assert!(no_list(&whole[..whole.len() - 1]).contains("truncated"));
        assert!(no_list(b"-----BEGIN X-----\nMAA=\n-----END X-----\n").is_empty());
        assert!(reason(&[0x30, 0x00]).contains("not a CRL"));
        let text = b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
        assert!(reason(text).contains("not a CRL"));
        let cut = crls(&file("a", &text[..26])).unwrap_err();
        assert!(matches!(cut, Cause::PemTruncated { .. }), "{cut}");
    }

    #[test]
    fn directory_files_of_other_kinds_are_ignored_empty_ones_are_rejected() {
        let other = "-----BEGIN X-----\nMAA=\n-----END X-----\n";
        let certificate = Authority::new("one").root();
        assert_eq!(crls(&in_directory("a", other)).unwrap().len(), 0);
        assert_eq!(crls(&in_directory("a.der", &certificate)).unwrap().len(), 0);
        assert!(matches!(crls(&file("a.der", &certificate)), Err(Cause::CrlMalformed { .. })));
        for text in ["", "# the content of this file was lost\n"] {
            assert!(matches!(crls(&in_directory("a", text)), Err(Cause::NoCrl(_))));
        }
        assert!(matches!(crls(&in_directory("a", &other[..30])), Err(Cause::PemTruncated { .. })));
    }

    #[test]
    fn more_crls_than_the_limit_are_rejected() {
        let one = Authority::new("one").list_pem(&Listing::number(1));
        let cause = crls(&file("a", &one.repeat(MAX_CRLS + 1))).unwrap_err();
        assert_eq!(cause, Cause::TooManyCrls { limit: MAX_CRLS });
    }

    #[test]
    fn crls_of_openssl_are_read() {
        let aki = "default_crl_days=7\ncrlnumber=number\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n";
        let crl = only_list(&openssl_list(aki)).unwrap();
        assert_eq!((crl.issuer_title.as_str(), crl.entries), ("Root", 1));
        assert_eq!(crl.number.unwrap().in_words(), "42");
        assert!(crl.authority_key_id.is_some());
        let delta = format!("{aki}2.5.29.27=critical,DER:02:01:01\n");
        assert!(reason(&openssl_list(&delta)).contains("delta CRL"));
        assert!(reason(&openssl_list("default_crl_days=7\n")).contains("a crlnumber"));
    }
}
