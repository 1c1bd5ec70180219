//! Recognizes common file formats that are not the expected one, so that an error message can say how to convert the
//! file.

/// Returns how to continue the message "holds no certificate": which format `bytes` seem to have, and how to convert
/// it.
pub(super) fn without_certificate(bytes: &[u8]) -> &'static str {
    match Content::at(bytes) {
        Content::Der => {
            ": it looks like DER; convert a certificate to PEM with \"openssl x509 -inform DER\""
        }
        Content::Other(words) => words,
    }
}

/// Returns how to continue the message "holds no private key", in the manner of [`without_certificate`].
pub(super) fn without_key(bytes: &[u8]) -> &'static str {
    match Content::at(bytes) {
        Content::Der => {
            ": it looks like DER; convert a key to PEM with \"openssl pkey -inform DER\""
        }
        Content::Other(words) => words,
    }
}

/// Returns how to continue the message "holds no certificate revocation list", in the manner of
/// [`without_certificate`].
pub(super) fn without_list(bytes: &[u8]) -> &'static str {
    match Content::at(bytes) {
        Content::Der => ": it looks like DER that is truncated, or has trailing bytes",
        Content::Other(words) => words,
    }
}

enum Content {
    Der,
    Other(&'static str),
}

impl Content {
    fn at(bytes: &[u8]) -> Self {
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        Self::Other(match bytes {
            // A PKCS#12 file begins with its version, 3: SEQUENCE { INTEGER 3, …
            [0x30, _, 0x02, 0x01, 0x03, ..] | [0x30, 0x82, _, _, 0x02, 0x01, 0x03, ..] => {
                ": it looks like PKCS#12; convert it to PEM with \"openssl pkcs12 -nodes\""
            }
            [0x30, ..] => return Self::Der,
            [0xfe, 0xed, 0xfe, 0xed, ..] => {
                ": it looks like a Java key store; export PKCS#12 with \"keytool\", and convert that to PEM with \"openssl pkcs12 -nodes\""
            }
            [0xff, 0xfe, ..]
            | [0xfe, 0xff, ..]
            | [b'-', 0, b'-', 0, ..]
            | [0, b'-', 0, b'-', ..] => ": it looks like UTF-16; save it as ASCII or UTF-8",
            _ if has(b"-----BEGIN PKCS7-----") => {
                ": it holds PKCS#7; extract the certificates with \"openssl pkcs7 -print_certs\""
            }
            _ if has(b"-----\\n") || has(b"-----\\r") => {
                ": its line breaks are spelled out as \\n; replace them by real ones"
            }
            _ if has(b" -----BEGIN ") || has(b"\t-----BEGIN ") => {
                ": its BEGIN lines are indented; remove the indentation"
            }
            _ if has(b"-----BEGIN ") => "",
            _ => ": there is no PEM in it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_recognized_by_name() {
        let utf16: Vec<u8> = "-----BEGIN".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked = [&b"\xff\xfe"[..], &utf16].concat();
        let table: [(&[u8], &str); 11] = [
            (b"\x30\x82\x01\x00\x30\x82", "openssl x509 -inform DER"),
            (b"\x30\x82\x01\x00\x02\x01\x03", "PKCS#12"),
            (b"\xfe\xed\xfe\xed\x00\x00", "Java key store"),
            (&utf16, "UTF-16"),
            (&marked, "UTF-16"),
            (b"-----BEGIN PKCS7-----\nAAAA", "PKCS#7"),
            (b"-----BEGIN CERTIFICATE-----\\nMIIB", "spelled out"),
            (b"  -----BEGIN CERTIFICATE-----\n  MIIB", "indented"),
            (b"-----BEGIN PRIVATE KEY-----\nMIIB", ""),
            (b"hello", "no PEM"),
            (b"", "no PEM"),
        ];
        for (bytes, words) in table {
            let message = without_certificate(bytes);
            assert!(message.contains(words), "{message} instead of {words}");
        }
        assert!(without_key(b"\x30\x02").contains("openssl pkey -inform DER"));
    }
}
