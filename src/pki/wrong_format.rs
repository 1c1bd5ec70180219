//! Recognizes common file formats that are not the expected one, so that an error message can say how to convert the
//! file.

use std::borrow::Cow;

use super::der::{EXPLICIT_0, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, element, tagged};

/// What a file should hold. The advice depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Chain,
    Roots,
    Key,
    List,
}

/// Returns how to continue the message "holds no certificate" of a chain or of roots: which format `bytes` seem to
/// have, and how to convert it.
pub(super) fn without_certificate(bytes: &[u8], wanted: Wanted) -> Cow<'static, str> {
    match Content::at(bytes) {
        Content::Pem if has(bytes, b" CERTIFICATE REQUEST-----") => {
            ": it holds a certificate request; install the certificate that the CA issued for it"
        }
        Content::Pem if has(bytes, b"PRIVATE KEY-----") && wanted == Wanted::Roots => {
            ": it holds a private key; roots are the certificates of CAs"
        }
        Content::Pem if has(bytes, b"PRIVATE KEY-----") => {
            ": it holds a private key; are the paths swapped?"
        }
        Content::Pem if has(bytes, b" CRL-----") => ": it holds a certificate revocation list",
        Content::Pem if has(bytes, b"PUBLIC KEY-----") => ": it holds a public key alone",
        Content::Der(Some(kind)) => return looks_like(kind, wanted),
        Content::Der(None) => {
            ": it looks like DER; convert a certificate to PEM with \"openssl x509 -inform DER -in FILE -out FILE.pem\""
        }
        other => return other.in_words(),
    }
    .into()
}

/// Returns how to continue the message "holds no private key", in the manner of [`without_certificate`].
pub(super) fn without_key(bytes: &[u8]) -> Cow<'static, str> {
    match Content::at(bytes) {
        Content::Pem if has(bytes, b" CERTIFICATE REQUEST-----") => {
            ": it holds a certificate request; the key is in the file that was made with it"
        }
        Content::Pem if has(bytes, b"CERTIFICATE-----") => {
            ": it holds a certificate; are the paths swapped?"
        }
        Content::Pem if has(bytes, b"PUBLIC KEY-----") => ": it holds a public key",
        Content::Pem if has(bytes, b" PARAMETERS-----") => ": it holds parameters alone",
        Content::Der(Some(kind)) if kind != DerKind::Key => return looks_like(kind, Wanted::Key),
        Content::Der(_) => {
            ": it looks like DER; convert a key to PEM with \"openssl pkey -inform DER -in FILE -out FILE.pem\""
        }
        other => return other.in_words(),
    }
    .into()
}

/// Returns how to continue the message "holds no certificate revocation list", in the manner of
/// [`without_certificate`].
pub(super) fn without_list(bytes: &[u8]) -> Cow<'static, str> {
    match Content::at(bytes) {
        Content::Pem if has(bytes, b"BEGIN CERTIFICATE-----") => ": it holds a certificate",
        Content::Pem if has(bytes, b"PRIVATE KEY-----") => ": it holds a private key",
        Content::Der(Some(kind)) => return looks_like(kind, Wanted::List),
        Content::Der(None) => ": it looks like DER that is truncated, or has trailing bytes",
        other => return other.in_words(),
    }
    .into()
}

const BEGIN: &[u8] = b"-----BEGIN ";

fn position(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    position(bytes, text).is_some()
}

fn begins_a_line(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.any(|line| {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        line.trim_ascii_start().starts_with(BEGIN)
    })
}

enum Content {
    /// DER of this kind, if that is known.
    Der(Option<DerKind>),
    /// PEM, with sections of other labels than the expected ones.
    Pem,
    Other(&'static str),
    /// What is wrong in the line with this number.
    Line(usize, &'static str),
}

impl Content {
    fn at(bytes: &[u8]) -> Self {
        let at = |text: &[u8]| position(bytes, text);
        let line =
            |at: usize, words| Self::Line(bytes[..at].split(|byte| *byte == b'\n').count(), words);
        let spelled_out = at(b"-----\\n").or_else(|| at(b"-----\\r"));
        Self::Other(match (bytes, at(BEGIN)) {
            ([0x30, ..], _) => return Self::Der(DerKind::of(bytes)),
            ([0xfe, 0xed, 0xfe, 0xed, ..], _) => {
                ": it looks like a Java key store; export PKCS#12 with \"keytool\", and convert that to PEM with \"openssl pkcs12 -in FILE -out FILE.pem -noenc\""
            }
            (
                [0xff, 0xfe, ..]
                | [0xfe, 0xff, ..]
                | [b'-', 0, b'-', 0, ..]
                | [0, b'-', 0, b'-', ..],
                _,
            ) => ": it looks like UTF-16; save it as ASCII or UTF-8",
            _ if at(b"-----BEGIN PKCS7-----").is_some() => {
                ": it holds PKCS#7; extract the certificates with \"openssl pkcs7 -print_certs -in FILE -out FILE.pem\""
            }
            (_, Some(_)) if spelled_out.is_some() => {
                let words = "line breaks are spelled out as \\n; replace them by real ones";
                return line(spelled_out.unwrap_or(0), words);
            }
            (_, Some(begin)) if !begins_a_line(bytes) => {
                return line(begin, "its BEGIN is behind other text; put it on a separate line");
            }
            (_, Some(_)) => return Self::Pem,
            (text, None) if text.trim_ascii_start().starts_with(b"<") => {
                ": it looks like a web page or XML; was a download answered with an error page?"
            }
            _ => ": there is no PEM in it",
        })
    }

    fn in_words(&self) -> Cow<'static, str> {
        match self {
            Self::Der(_) => ": it looks like DER".into(),
            Self::Pem => "".into(),
            Self::Other(words) => (*words).into(),
            Self::Line(number, words) => format!(": line {number}: {words}").into(),
        }
    }
}

/// What a file of DER holds in place of a certificate, as far as its outline shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DerKind {
    Pkcs12,
    Pkcs7,
    Key,
    EncryptedKey,
    Request,
}

impl DerKind {
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        // PFX ::= SEQUENCE { version INTEGER 3, … } (RFC 7292), often in BER with an indefinite length.
        if matches!(bytes, [SEQUENCE, _, 2, 1, 3, ..] | [SEQUENCE, 0x82, _, _, 2, 1, 3, ..]) {
            return Some(Self::Pkcs12);
        }
        let (content, _) = tagged(bytes, SEQUENCE)?;
        let (first, rest) = element(content)?;
        let second = element(rest).map(|(second, _)| second.tag);
        Some(match (first.tag, first.content, second?) {
            // PrivateKeyInfo and RSAPrivateKey, ECPrivateKey
            (INTEGER, [0], SEQUENCE | INTEGER) | (INTEGER, [1], OCTET_STRING) => Self::Key,
            // EncryptedPrivateKeyInfo
            (SEQUENCE, _, OCTET_STRING) => Self::EncryptedKey,
            // ContentInfo
            (OBJECT_IDENTIFIER, _, EXPLICIT_0) => Self::Pkcs7,
            (SEQUENCE, request, SEQUENCE) if is_request(request) => Self::Request,
            _ => return None,
        })
    }

    /// Returns what the file is, and how to get what is wanted from it, to follow "it looks like".
    pub(super) fn in_words(self, wanted: Wanted) -> &'static str {
        match (self, wanted) {
            (Self::Pkcs12, Wanted::Roots) => {
                "PKCS#12; extract the certificates with \"openssl pkcs12 -in FILE -out FILE.pem -nokeys\""
            }
            (Self::Pkcs12, _) => {
                "PKCS#12; convert it to PEM with \"openssl pkcs12 -in FILE -out FILE.pem -noenc\""
            }
            (Self::Pkcs7, _) => {
                "PKCS#7; extract the certificates with \"openssl pkcs7 -inform DER -print_certs -in FILE -out FILE.pem\""
            }
            (Self::Key, Wanted::Roots) => "a private key in DER; roots are the certificates of CAs",
            (Self::Key, Wanted::List) => "a private key in DER",
            (Self::Key, _) => "a private key in DER; are the paths swapped?",
            (Self::EncryptedKey, Wanted::Key) => {
                "an encrypted private key in DER; convert it to PEM with \"openssl pkey -inform DER -in FILE -out FILE.pem\""
            }
            (Self::EncryptedKey, _) => "an encrypted private key in DER",
            (Self::Request, Wanted::Key) => {
                "a certificate request in DER; the key is in the file that was made with it"
            }
            (Self::Request, _) => {
                "a certificate request in DER; install the certificate that the CA issued for it"
            }
        }
    }
}

fn looks_like(kind: DerKind, wanted: Wanted) -> Cow<'static, str> {
    format!(": it looks like {}", kind.in_words(wanted)).into()
}

/// Returns whether the content of a `SEQUENCE` is a `CertificationRequestInfo` (RFC 2986): version, subject, key and
/// attributes.
fn is_request(content: &[u8]) -> bool {
    let after_key = || {
        let (_version, rest) = tagged(content, INTEGER)?;
        let (_subject, rest) = tagged(rest, SEQUENCE)?;
        let (_key, rest) = tagged(rest, SEQUENCE)?;
        Some(rest)
    };
    after_key().is_some_and(|rest| rest.first() == Some(&EXPLICIT_0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_recognized_by_name() {
        let utf16: Vec<u8> = "-----BEGIN".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked = [&b"\xff\xfe"[..], &utf16].concat();
        let table: [(&[u8], &str); 20] = [
            (b"\x30\x82\x01\x00\x30\x82", "openssl x509 -inform DER"),
            (b"\x30\x05\x02\x01\x03\x30\x00", "PKCS#12"),
            (b"\x30\x05\x02\x01\x00\x30\x00", "a private key in DER"),
            (b"\x30\x05\x02\x01\x01\x04\x00", "a private key in DER"),
            (b"\x30\x04\x30\x00\x04\x00", "an encrypted private key"),
            (b"\x30\x04\x06\x00\xa0\x00", "PKCS#7"),
            (
                b"\x30\x0d\x30\x09\x02\x01\x00\x30\x00\x30\x00\xa0\x00\x30\x00",
                "certificate request",
            ),
            (b"\xfe\xed\xfe\xed\x00\x00", "Java key store"),
            (&utf16, "UTF-16"),
            (&marked, "UTF-16"),
            (b"-----BEGIN PKCS7-----\nAAAA", "PKCS#7"),
            (
                b"\nC='-----BEGIN CERTIFICATE-----\\nMIIB",
                "line 2: line breaks are spelled out as \\n",
            ),
            (b"\n\na -----BEGIN CERTIFICATE-----\nMIIB", "line 3: its BEGIN is behind other text"),
            (b"-----BEGIN X509 CRL-----\nMIIB", "certificate revocation list"),
            (b" <!DOCTYPE html>", "web page"),
            (b"-----BEGIN PUBLIC KEY-----\nMIIB", "public key alone"),
            (b"-----BEGIN PRIVATE KEY-----\nMIIB", "are the paths swapped"),
            (b"-----BEGIN NEW CERTIFICATE REQUEST-----\nMIIB", "certificate request"),
            (b"hello", "no PEM"),
            (b"", "no PEM"),
        ];
        for (bytes, words) in table {
            let message = without_certificate(bytes, Wanted::Chain);
            assert!(message.contains(words), "{message} instead of {words}");
        }
        let key = without_certificate(b"-----BEGIN PRIVATE KEY-----\nMIIB", Wanted::Roots);
        assert!(key.ends_with("roots are the certificates of CAs"), "{key}");
        assert!(without_key(b"\x30\x02").contains("openssl pkey -inform DER"));
        assert!(without_key(b"-----BEGIN CERTIFICATE-----\nMIIB").contains("swapped"));
        assert!(without_list(b"-----BEGIN CERTIFICATE-----\nMIIB").contains("holds a certificate"));
    }
}
