//! Recognizes common file formats that are not the expected one, so that an error message can say how to convert the
//! file.

/// Returns how to continue the message "holds no certificate": which format `bytes` seem to have, and how to convert
/// it.
pub(super) fn without_certificate(bytes: &[u8]) -> &'static str {
    match Content::at(bytes) {
        Content::Other("") if has(bytes, b" CERTIFICATE REQUEST-----") => {
            ": it holds a certificate request; save what the authority answered to it"
        }
        Content::Other("") if has(bytes, b"PRIVATE KEY-----") => {
            ": it holds a private key; are the paths swapped?"
        }
        Content::Der => {
            ": it looks like DER; convert a certificate to PEM with \"openssl x509 -inform DER\""
        }
        Content::Other(words) => words,
    }
}

/// Returns how to continue the message "holds no private key", in the manner of [`without_certificate`].
pub(super) fn without_key(bytes: &[u8]) -> &'static str {
    match Content::at(bytes) {
        Content::Other("") if has(bytes, b"BEGIN CERTIFICATE-----") => {
            ": it holds a certificate; are the paths swapped?"
        }
        Content::Other("") if has(bytes, b"PUBLIC KEY-----") => ": it holds a public key",
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
        Content::Other("") if has(bytes, b"BEGIN CERTIFICATE-----") => ": it holds a certificate",
        Content::Der => ": it looks like DER that is truncated, or has trailing bytes",
        Content::Other(words) => words,
    }
}

const BEGIN: &[u8] = b"-----BEGIN ";

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

fn begins_a_line(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.any(|line| {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        line.trim_ascii_start().starts_with(BEGIN)
    })
}

enum Content {
    Der,
    Other(&'static str),
}

impl Content {
    fn at(bytes: &[u8]) -> Self {
        let has = |text: &[u8]| has(bytes, text);
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
            _ if has(BEGIN) && !begins_a_line(bytes) => {
                ": its BEGIN is behind other text; put it on a separate line"
            }
            _ if has(BEGIN) => "",
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
        let table: [(&[u8], &str); 12] = [
            (b"\x30\x82\x01\x00\x30\x82", "openssl x509 -inform DER"),
            (b"\x30\x82\x01\x00\x02\x01\x03", "PKCS#12"),
            (b"\xfe\xed\xfe\xed\x00\x00", "Java key store"),
            (&utf16, "UTF-16"),
            (&marked, "UTF-16"),
            (b"-----BEGIN PKCS7-----\nAAAA", "PKCS#7"),
            (b"-----BEGIN CERTIFICATE-----\\nMIIB", "spelled out"),
            (b"a -----BEGIN CERTIFICATE-----\nMIIB", "behind other text"),
            (b"-----BEGIN PRIVATE KEY-----\nMIIB", "are the paths swapped"),
            (b"-----BEGIN NEW CERTIFICATE REQUEST-----\nMIIB", "certificate request"),
            (b"hello", "no PEM"),
            (b"", "no PEM"),
        ];
        for (bytes, words) in table {
            let message = without_certificate(bytes);
            assert!(message.contains(words), "{message} instead of {words}");
        }
        assert!(without_key(b"\x30\x02").contains("openssl pkey -inform DER"));
        assert!(without_key(b"-----BEGIN CERTIFICATE-----\nMIIB").contains("swapped"));
        assert!(without_list(b"-----BEGIN CERTIFICATE-----\nMIIB").contains("holds a certificate"));
    }
}
