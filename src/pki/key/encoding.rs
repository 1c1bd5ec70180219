//! Recognizes in which form a DER value holds a private key, whatever the label of its PEM section says.

use crate::pki::der::{INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, element, only, tagged};

/// A form of private keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `PrivateKeyInfo` (RFC 5958).
    Pkcs8,
    /// `EncryptedPrivateKeyInfo` (RFC 5958).
    EncryptedPkcs8,
    /// `RSAPrivateKey` (RFC 8017).
    Pkcs1,
    /// `ECPrivateKey` (RFC 5915).
    Sec1,
    /// The form of OpenSSL for DSA keys, which no standard has.
    Dsa,
}

impl Encoding {
    /// Returns the form of the key in `der`; `None` if it has none of them.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let fields = only(der, SEQUENCE)?;
        if let Some((algorithm, rest)) = tagged(fields, SEQUENCE) {
            tagged(algorithm, OBJECT_IDENTIFIER)?;
            return only(rest, OCTET_STRING).map(|_| Self::EncryptedPkcs8);
        }
        let (_version, rest) = tagged(fields, INTEGER)?;
        match element(rest)?.0.tag {
            SEQUENCE => Some(Self::Pkcs8),
            OCTET_STRING => Some(Self::Sec1),
            INTEGER => match count(fields)? {
                // The version, p, q, g, the public and the private key.
                6 => Some(Self::Dsa),
                // The version and eight numbers; more if there are more than two primes.
                9.. => Some(Self::Pkcs1),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the label of PEM sections of this form.
    fn label(self) -> &'static str {
        match self {
            Self::Pkcs8 => "PRIVATE KEY",
            Self::EncryptedPkcs8 => "ENCRYPTED PRIVATE KEY",
            Self::Pkcs1 => "RSA PRIVATE KEY",
            Self::Sec1 => "EC PRIVATE KEY",
            Self::Dsa => "DSA PRIVATE KEY",
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Pkcs8 => "a PKCS#8 key",
            Self::EncryptedPkcs8 => "an encrypted PKCS#8 key",
            Self::Pkcs1 => "an RSA key in PKCS#1 form",
            Self::Sec1 => "an EC key in SEC1 form",
            Self::Dsa => "a DSA key",
        }
    }

    /// Says that a section with another label holds a key of this form. Returns `None` if `label` fits.
    pub(super) fn mismatch(self, label: &[u8]) -> Option<String> {
        if label == self.label().as_bytes() {
            return None;
        }
        // A label that is not known may be anything, also a piece of a key (G18).
        let says = match KNOWN_LABELS.iter().find(|known| known.as_bytes() == label) {
            Some(known) => format!("its section says \"{known}\" but holds {}", self.in_words()),
            None => format!("its section has an unknown label and holds {}", self.in_words()),
        };
        Some(format!("{says}; write \"{}\" in its BEGIN and END lines", self.label()))
    }
}

const KNOWN_LABELS: &[&str] = &[
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "DSA PRIVATE KEY",
    "DH PRIVATE KEY",
    "X9.42 DH PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
];

/// Returns how many elements there are; `None` if they are not DER.
fn count(mut der: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !der.is_empty() {
        (_, der) = element(der)?;
        count += 1;
    }
    Some(count)
}
