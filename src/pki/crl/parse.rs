//! Certificate revocation lists (RFC 5280 section 5): what they say of themselves.

use rustls::pki_types::CertificateRevocationListDer;
use x509_parser::prelude::{FromDer, X509Name};
use x509_parser::time::ASN1Time;

use crate::error::Cause;
use crate::pki::certificate;
use crate::pki::certificate::{hexadecimal, title};
use crate::pki::der::{BIT_STRING, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use crate::pki::der::{element, only, tagged};
use crate::pki::trust::TrustFile;
use crate::pki::{pem, sniff};

/// The most lists of a handle.
pub(crate) const MAX_CRLS: usize = 1000;

const BOOLEAN: u8 = 0x01;
/// `[0] EXPLICIT`, where the extensions stand.
const EXTENSIONS: u8 = 0xa0;
/// `[0] IMPLICIT`, where the key identifier stands.
const KEY_IDENTIFIER: u8 = 0x80;
/// 2.5.29.20
const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
/// 2.5.29.27
const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 27];
/// 2.5.29.28
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
/// 2.5.29.35
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 35];

/// One list. Its entries are left to the verifier: there may be a hundred thousand of them.
#[derive(Debug)]
pub(crate) struct Crl {
    pub(crate) der: CertificateRevocationListDer<'static>,
    /// Its place in the file, from 1.
    pub(crate) index: usize,
    /// As it stands, to be compared byte by byte.
    pub(crate) issuer: Vec<u8>,
    /// For people.
    pub(crate) issuer_title: String,
    pub(crate) authority_key_id: Option<Vec<u8>>,
    /// It grows with each list of an issuer.
    pub(crate) number: Option<Number>,
    /// Which part of the certificates it is about, where it is not about all.
    pub(crate) distribution_point: Option<Vec<u8>>,
    /// Seconds since 1970.
    pub(crate) this_update: i64,
    /// When there should be a newer one.
    pub(crate) next_update: i64,
    /// How many certificates it revokes.
    pub(crate) entries: usize,
}

/// The number of a list: of any length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number {
    // Of two without leading zeros the longer one is the larger.
    length: usize,
    bytes: Vec<u8>,
}

impl Number {
    fn new(content: &[u8]) -> Self {
        let zeros = content.iter().take_while(|byte| **byte == 0).count();
        let bytes = content[zeros..].to_vec();
        Self { length: bytes.len(), bytes }
    }

    /// As OpenSSL prints it.
    pub(crate) fn in_words(&self) -> String {
        match &self.bytes[..] {
            bytes if bytes.len() <= 8 => {
                bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)).to_string()
            }
            bytes => format!("0x{}", hexadecimal(bytes)),
        }
    }
}

/// Every list in `file`, which is PEM, or DER of one list. None at all is an error, but in a directory other things
/// may lie beside lists, certificates first of all.
pub(crate) fn crls(file: &TrustFile<'_>) -> Result<Vec<Crl>, Cause> {
    let bytes = file.bytes;
    if only(bytes, SEQUENCE).is_some() {
        if file.is_in_directory && certificate::facts(bytes, 0).is_ok() {
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
        return Err(Cause::NoCrl(sniff::without_list(bytes)));
    }
    Ok(lists)
}

/// Whether this is DER of a list.
pub(crate) fn is_list(bytes: &[u8]) -> bool {
    Outline::of(bytes).is_some()
}

fn crl(bytes: &[u8], at: usize) -> Result<Crl, Cause> {
    let malformed = |reason: &str| Cause::CrlMalformed { index: at + 1, reason: reason.to_owned() };
    let outline = Outline::of(bytes).ok_or_else(|| malformed("it is no list (RFC 5280)"))?;
    let time = |der| match ASN1Time::from_der(der) {
        Ok((_, time)) => Ok(time.timestamp()),
        Err(_) => Err(malformed("a date cannot be read")),
    };
    let extensions = outline.extensions.ok_or_else(|| malformed(WITHOUT_EXTENSIONS))?;
    let extensions = Extensions::of(extensions).ok_or_else(|| malformed("broken extensions"))?;
    if extensions.is_delta {
        return Err(malformed("it lists changes to another list, and not all that is revoked"));
    }
    let next_update =
        outline.next_update.ok_or_else(|| malformed("it does not say when the next one comes"))?;
    let (_, name) = X509Name::from_der(outline.issuer)
        .map_err(|_| malformed("the name of its issuer is broken"))?;
    Ok(Crl {
        index: at + 1,
        issuer: outline.issuer.to_vec(),
        issuer_title: title(&name),
        authority_key_id: extensions.authority_key_id.map(<[u8]>::to_vec),
        number: extensions.number.map(Number::new),
        distribution_point: extensions.distribution_point.map(<[u8]>::to_vec),
        this_update: time(outline.this_update)?,
        next_update: time(next_update)?,
        entries: outline.entries,
        der: bytes.to_vec().into(),
    })
}

const WITHOUT_EXTENSIONS: &str = "it has no extensions, as one of version 1; \"openssl ca\" makes them where it is told of a \
     crlnumber";

/// Where things stand in a `CertificateList`.
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
            Some((time, after)) if matches!(time.tag, 0x17 | 0x18) => (Some(time.whole), after),
            _ => (None, rest),
        };
        let (revoked, rest) = tagged(rest, SEQUENCE).unwrap_or((&[], rest));
        let extensions = match rest {
            [] => None,
            _ => Some(only(rest, EXTENSIONS)?),
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
                CRL_NUMBER => found.number = Some(only(value, INTEGER)?),
                AUTHORITY_KEY_IDENTIFIER => {
                    let key_id = element(only(value, SEQUENCE)?).map(|(first, _)| first);
                    found.authority_key_id =
                        key_id.filter(|id| id.tag == KEY_IDENTIFIER).map(|id| id.content);
                }
                ISSUING_DISTRIBUTION_POINT => found.distribution_point = Some(value),
                DELTA_CRL_INDICATOR => found.is_delta = true,
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
    fn a_list_says_who_made_it_and_how_long_it_holds() {
        let listing = Listing { part: Some("http://a"), ..Listing::number(0x1234) };
        let list = Authority::new("Somebody").list(&listing.revoking(&[1, 2, 3]));
        for bytes in [list.der().to_vec(), list.pem().unwrap().into_bytes()] {
            let crl = only_list(&bytes).unwrap();
            assert_eq!(crl.der.as_ref(), list.der().as_ref());
            assert_eq!(crl.issuer_title, "Somebody");
            assert_eq!(crl.number.unwrap().in_words(), "4660");
            assert_eq!(crl.this_update, date_time_ymd(2026, 6, 1).unix_timestamp());
            assert_eq!(crl.next_update, date_time_ymd(2026, 8, 1).unix_timestamp());
            assert_eq!(crl.authority_key_id.unwrap().len(), 20);
            assert!(crl.distribution_point.unwrap().ends_with(b"http://a\x81\x01\xff"));
            assert_eq!(crl.entries, 3);
        }
    }

    #[test]
    fn a_file_may_hold_several_lists() {
        let one = Authority::new("one").list_pem(&Listing::number(1));
        let two = Authority::new("two").list_pem(&Listing::number(2)).replace("X509 CRL", "CRL");
        let found = crls(&file("a", &(one + &two))).unwrap();
        assert!(found.iter().map(|crl| crl.index).eq([1, 2]));
    }

    #[test]
    fn numbers_of_any_length_are_compared_and_told() {
        let words = |bytes: &[u8]| Number::new(bytes).in_words();
        assert!(Number::new(&[2, 0]) > Number::new(&[0xff]));
        assert_eq!(Number::new(&[0, 0, 1]), Number::new(&[1]));
        assert_eq!(words(&[]), "0");
        assert_eq!(words(&[0, 0xff, 0xff]), "65535");
        assert_eq!(words(&[1; 9]), "0x010101010101010101");
    }

    #[test]
    fn what_is_no_list_is_told_apart() {
        let no_list = |bytes: &[u8]| match only_list(bytes) {
            Err(Cause::NoCrl(words)) => words,
            other => panic!("{other:?}"),
        };
        let whole = Authority::new("one").list(&Listing::number(1)).der().to_vec();
        assert!(no_list(b"").contains("no PEM"));
        assert!(no_list(&whole[..whole.len() - 1]).contains("cut off"));
        assert!(no_list(b"-----BEGIN X-----\nMAA=\n-----END X-----\n").is_empty());
        assert!(reason(&[0x30, 0x00]).contains("no list"));
        let text = b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
        assert!(reason(text).contains("no list"));
        let cut = crls(&file("a", &text[..26])).unwrap_err();
        assert!(matches!(cut, Cause::PemTruncated(_)), "{cut}");
    }

    #[test]
    fn in_a_directory_other_sections_lie_beside_lists() {
        let other = "-----BEGIN X-----\nMAA=\n-----END X-----\n";
        let certificate = Authority::new("one").root();
        assert_eq!(crls(&in_directory("a", other)).unwrap().len(), 0);
        assert_eq!(crls(&in_directory("a.der", &certificate)).unwrap().len(), 0);
        assert!(matches!(crls(&file("a.der", &certificate)), Err(Cause::CrlMalformed { .. })));
        for text in ["", "# a file that lost what it held\n"] {
            assert!(matches!(crls(&in_directory("a", text)), Err(Cause::NoCrl(_))));
        }
        assert!(matches!(crls(&in_directory("a", &other[..30])), Err(Cause::PemTruncated(_))));
    }

    #[test]
    fn too_many_lists_are_refused() {
        let one = Authority::new("one").list_pem(&Listing::number(1));
        let cause = crls(&file("a", &one.repeat(MAX_CRLS + 1))).unwrap_err();
        assert_eq!(cause, Cause::TooManyCrls { limit: MAX_CRLS });
    }

    #[test]
    fn lists_that_openssl_makes_are_read() {
        let aki = "default_crl_days=7\ncrlnumber=number\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n";
        let crl = only_list(&openssl_list(aki)).unwrap();
        assert_eq!((crl.issuer_title.as_str(), crl.entries), ("Root", 1));
        assert_eq!(crl.number.unwrap().in_words(), "42");
        assert!(crl.authority_key_id.is_some());
        let delta = format!("{aki}2.5.29.27=critical,DER:02:01:01\n");
        assert!(reason(&openssl_list(&delta)).contains("changes to another"));
        assert!(reason(&openssl_list("default_crl_days=7\n")).contains("a crlnumber"));
    }
}
