//! What a certificate says of itself: names, dates, serial.

use std::ffi::CString;
use std::net::IpAddr;

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::error::Cause;

/// The facts of one certificate that matter here.
pub(super) struct Facts {
    pub(super) names: Vec<CString>,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) serial: String,
}

/// Reads the facts of the certificate at `index` of a chain.
pub(super) fn facts(der: &[u8], index: usize) -> Result<Facts, Cause> {
    let malformed = |reason: String| Cause::CertificateMalformed { index: index + 1, reason };
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|error| malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(malformed("bytes follow it".to_owned()));
    }
    let alternatives = certificate
        .subject_alternative_name()
        .map_err(|error| malformed(error.to_string()))?
        .map_or(&[][..], |extension| &extension.value.general_names);
    let mut names = Vec::new();
    for name in alternatives.iter().filter_map(text_of) {
        // A NUL in a name is how certificates were once forged: such a name is nobody's.
        if let Ok(name) = CString::new(name)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    let validity = certificate.validity();
    Ok(Facts {
        names,
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
        serial: hexadecimal(certificate.raw_serial()),
    })
}

fn text_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?).to_string()),
            16 => Some(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Seconds since 1970 as a date for people, in UTC.
pub(crate) fn format_time(seconds: i64) -> String {
    ASN1Time::from_timestamp(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}
