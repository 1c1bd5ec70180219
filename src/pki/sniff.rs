//! What a file looks like that is not what was expected: half of the way to mending it.

/// Words to follow "holds no certificate".
pub(super) fn without_certificate(bytes: &[u8]) -> &'static str {
    match Content::at(bytes) {
        Content::Der => {
            ": it looks like DER; \"openssl x509 -inform DER\" makes PEM of a certificate"
        }
        Content::Other(words) => words,
    }
}

/// Words to follow "holds no private key".
pub(super) fn without_key(bytes: &[u8]) -> &'static str {
    match Content::at(bytes) {
        Content::Der => ": it looks like DER; \"openssl pkey -inform DER\" makes PEM of a key",
        Content::Other(words) => words,
    }
}

/// Words to follow "holds no certificate revocation list".
pub(super) fn without_list(bytes: &[u8]) -> &'static str {
    match Content::at(bytes) {
        Content::Der => ": it is cut off, or something follows it",
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
            // SEQUENCE { INTEGER 3, …
            [0x30, _, 0x02, 0x01, 0x03, ..] | [0x30, 0x82, _, _, 0x02, 0x01, 0x03, ..] => {
                ": it looks like PKCS#12; \"openssl pkcs12 -nodes\" makes PEM of it"
            }
            [0x30, ..] => return Self::Der,
            [0xfe, 0xed, 0xfe, 0xed, ..] => {
                ": it looks like a Java key store; \"keytool\" exports PKCS#12, and \"openssl pkcs12 -nodes\" makes PEM of that"
            }
            [0xff, 0xfe, ..]
            | [0xfe, 0xff, ..]
            | [b'-', 0, b'-', 0, ..]
            | [0, b'-', 0, b'-', ..] => ": it looks like UTF-16; save it as ASCII or UTF-8",
            _ if has(b"-----BEGIN PKCS7-----") => {
                ": it holds PKCS#7; \"openssl pkcs7 -print_certs\" makes certificates of it"
            }
            _ if has(b"-----\\n") || has(b"-----\\r") => {
                ": it has \\n spelled out where lines should end"
            }
            _ if has(b" -----BEGIN ") || has(b"\t-----BEGIN ") => ": its BEGIN lines are indented",
            _ if has(b"-----BEGIN ") => "",
            _ => ": there is no PEM in it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_pem_is_told_by_its_name() {
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
            let told = without_certificate(bytes);
            assert!(told.contains(words), "{told} instead of {words}");
        }
        assert!(without_key(b"\x30\x02").contains("openssl pkey -inform DER"));
    }
}
