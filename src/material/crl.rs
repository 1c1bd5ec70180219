//! Certificate revocation lists (RFC 5280 section 5): what they say of themselves.

use rustls::pki_types::CertificateRevocationListDer;
use thiserror::Error;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::x509::hexadecimal;
use super::{der, pem};
use crate::error::Cause;

/// The most lists in one file.
pub(crate) const MAX_CRLS: usize = 1000;

/// One list.
#[derive(Debug)]
pub(crate) struct Crl {
    pub(crate) der: CertificateRevocationListDer<'static>,
    /// For people.
    pub(crate) issuer: String,
    /// In lower-case hexadecimal; it grows with each list of an issuer.
    pub(crate) number: Option<String>,
    /// Seconds since 1970.
    pub(crate) this_update: i64,
    /// When there should be a newer one.
    pub(crate) next_update: Option<i64>,
}

/// Why lists cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum CrlError {
    #[error("{0}")]
    Pem(#[from] Cause),
    #[error("holds no certificate revocation list")]
    NoCrl,
    #[error("holds more than {MAX_CRLS} certificate revocation lists")]
    TooMany,
    #[error("certificate revocation list {index} cannot be parsed: {reason}")]
    Malformed { index: usize, reason: String },
}

/// Every list in `bytes`, which are PEM, or DER of one list; none at all is an error.
pub(crate) fn crls(bytes: &[u8]) -> Result<Vec<Crl>, CrlError> {
    if der::only(bytes, der::SEQUENCE).is_some() {
        return Ok(vec![crl(bytes.to_vec(), 0)?]);
    }
    let mut lists = Vec::new();
    for section in pem::sections(bytes) {
        let section = section?;
        if section.label == b"X509 CRL" {
            if lists.len() == MAX_CRLS {
                return Err(CrlError::TooMany);
            }
            lists.push(crl(section.decode()?.to_vec(), lists.len())?);
        }
    }
    if lists.is_empty() { Err(CrlError::NoCrl) } else { Ok(lists) }
}

fn crl(der: Vec<u8>, index: usize) -> Result<Crl, CrlError> {
    let malformed = |reason: String| CrlError::Malformed { index: index + 1, reason };
    let (rest, list) =
        CertificateRevocationList::from_der(&der).map_err(|error| malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(malformed("bytes follow it".to_owned()));
    }
    let (issuer, number) = (list.issuer().to_string(), list.crl_number());
    let number = number.map(|number| hexadecimal(&number.to_bytes_be()));
    let this_update = list.last_update().timestamp();
    let next_update = list.next_update().map(|time| time.timestamp());
    Ok(Crl { issuer, number, this_update, next_update, der: der.into() })
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
        KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
    };

    use super::*;

    fn list(issuer: &str, number: u64) -> rcgen::CertificateRevocationList {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, issuer);
        let issuer = Issuer::new(params, KeyPair::generate().unwrap());
        CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2026, 2, 1),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&issuer)
        .unwrap()
    }

    #[test]
    fn a_list_says_who_made_it_and_how_long_it_holds() {
        let list = list("Somebody", 0x1234);
        for bytes in [list.der().to_vec(), list.pem().unwrap().into_bytes()] {
            let [crl] = <[Crl; 1]>::try_from(crls(&bytes).unwrap()).unwrap();
            assert_eq!(crl.der.as_ref(), list.der().as_ref());
            assert_eq!(crl.issuer, "CN=Somebody");
            assert_eq!(crl.number.as_deref(), Some("1234"));
            assert_eq!(crl.this_update, date_time_ymd(2026, 1, 1).unix_timestamp());
            assert_eq!(crl.next_update, Some(date_time_ymd(2026, 2, 1).unix_timestamp()));
        }
    }

    #[test]
    fn a_file_may_hold_several_lists() {
        let text = [list("one", 1), list("two", 2)].map(|list| list.pem().unwrap()).concat();
        assert_eq!(crls(text.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_list_is_told_apart() {
        assert_eq!(crls(b"").unwrap_err(), CrlError::NoCrl);
        let cut = list("one", 1).der().to_vec();
        let malformed = |cause| matches!(cause, CrlError::Malformed { index: 1, .. });
        assert!(malformed(crls(&[0x30, 0x00]).unwrap_err()));
        assert_eq!(crls(&cut[..cut.len() - 1]).unwrap_err(), CrlError::NoCrl);
        let text = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
        assert!(malformed(crls(text.as_bytes()).unwrap_err()));
    }
}
