//! PEM to DER, through rustls-pemfile: the only place that knows it.

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_pemfile::{Error as PemError, Item, read_one_from_slice};

use crate::error::Cause;

/// The longest chain that is accepted. rustls refuses to read a chain of more than 64 KiB.
pub(crate) const MAX_CERTIFICATES: usize = 64;

/// Every certificate in `bytes`, in order; keys and other sections are passed over.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let mut chain = Vec::new();
    for_each_section(bytes, |item| {
        if let Item::X509Certificate(der) = item {
            if chain.len() == MAX_CERTIFICATES {
                return Err(Cause::TooManyCertificates { limit: MAX_CERTIFICATES });
            }
            chain.push(der);
        }
        Ok(())
    })?;
    if chain.is_empty() {
        return Err(Cause::NoCertificate(what_it_looks_like(bytes)));
    }
    Ok(chain)
}

/// The one private key in `bytes`; certificates and other sections are passed over.
pub(super) fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Cause> {
    if is_encrypted(bytes) {
        return Err(Cause::KeyEncrypted);
    }
    let mut found = None;
    for_each_section(bytes, |item| {
        let key = match item {
            Item::Pkcs1Key(der) => PrivateKeyDer::Pkcs1(der),
            Item::Pkcs8Key(der) => PrivateKeyDer::Pkcs8(der),
            Item::Sec1Key(der) => PrivateKeyDer::Sec1(der),
            _ => return Ok(()),
        };
        match found.replace(key) {
            None => Ok(()),
            Some(_) => Err(Cause::SeveralPrivateKeys),
        }
    })?;
    found.ok_or(Cause::NoPrivateKey(what_it_looks_like(bytes)))
}

fn for_each_section(
    mut bytes: &[u8],
    mut take: impl FnMut(Item) -> Result<(), Cause>,
) -> Result<(), Cause> {
    while let Some((item, rest)) = read_one_from_slice(bytes).map_err(cause_of)? {
        take(item)?;
        bytes = rest;
    }
    Ok(())
}

/// What rustls-pemfile says, without the lines that it quotes: they may be pieces of a key (G18).
fn cause_of(error: PemError) -> Cause {
    match error {
        PemError::MissingSectionEnd { end_marker } => Cause::PemTruncated(marker(&end_marker)),
        PemError::IllegalSectionStart { .. } => {
            Cause::PemMalformed("a BEGIN line does not end in five hyphens".to_owned())
        }
        PemError::Base64Decode(_) => {
            Cause::PemMalformed("what stands between BEGIN and END is not base64".to_owned())
        }
    }
}

/// The end marker as it would stand, if it can be nothing but a label.
fn marker(label: &[u8]) -> String {
    let is_label = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    match str::from_utf8(label) {
        Ok(text) if text.len() <= 40 && label.iter().all(is_label) => format!("\"END {text}\""),
        _ => "the END line".to_owned(),
    }
}

/// PKCS#8 (RFC 5958) says so in its label, PKCS#1 and SEC1 in a header of RFC 1421.
fn is_encrypted(bytes: &[u8]) -> bool {
    bytes.split(|byte| matches!(byte, b'\n' | b'\r')).any(|line| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || (line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED"))
    })
}

fn what_it_looks_like(bytes: &[u8]) -> &'static str {
    // DER of a certificate or key is a SEQUENCE.
    if bytes.starts_with(&[0x30]) {
        ": it looks like DER, and PEM is expected"
    } else if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        ""
    } else {
        ": there is no PEM in it"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_is_found_among_other_sections() {
        let text =
            format!("-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n{KEY}");
        assert!(private_key(text.as_bytes()).is_ok());
    }

    #[test]
    fn what_is_wrong_with_a_key_file_is_told_apart() {
        let cause = |text: &str| private_key(text.as_bytes()).unwrap_err();
        assert_eq!(cause(&KEY.repeat(2)), Cause::SeveralPrivateKeys);
        assert_eq!(cause(&KEY[..40]), Cause::PemTruncated("\"END PRIVATE KEY\"".to_owned()));
        assert!(matches!(cause(&KEY.replace("AAAA", "A?AA")), Cause::PemMalformed(_)));
        assert_eq!(cause("0\u{1}"), Cause::NoPrivateKey(what_it_looks_like(b"0")));
        assert_eq!(cause(&KEY.replace("PRIVATE", "ENCRYPTED PRIVATE")), Cause::KeyEncrypted);
        let headers = "-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\n";
        assert_eq!(cause(headers), Cause::KeyEncrypted);
    }

    #[test]
    fn g18_no_message_quotes_the_file() {
        let mangled = "-----BEGIN PRIVATE KEY----- MIGHsecret";
        let cause = private_key(mangled.as_bytes()).unwrap_err();
        assert!(!cause.to_string().contains("secret"), "{cause}");
        let mangled = "-----BEGIN MIGHsecret-----\n";
        let cause = private_key(mangled.as_bytes()).unwrap_err();
        assert!(!cause.to_string().contains("secret"), "{cause}");
    }
}
