//! Writes a private key as PKCS#8 (RFC 5208), the one format in which other TLS stacks get keys.

use zeroize::Zeroizing;

use crate::pki::der::{
    BIT_STRING, EXPLICIT_0, EXPLICIT_1, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, bits,
    element, only, optional, tagged,
};
use crate::pki::oid;

/// The parameters of an RSA key's algorithm: NULL (RFC 8017 appendix A.1).
const NULL: [u8; 2] = [0x05, 0];

/// Returns the key of a PEM section with this label in PKCS#8. A key that is in PKCS#8, or in an unknown format, is
/// copied.
pub(super) fn to_pkcs8(label: &[u8], der: &[u8]) -> Zeroizing<Vec<u8>> {
    let converted = match label {
        b"RSA PRIVATE KEY" => Some(private_key_info(&rsa_algorithm(), der)),
        b"EC PRIVATE KEY" => ec_algorithm(der).map(|algorithm| private_key_info(&algorithm, der)),
        _ => None,
    };
    converted.unwrap_or_else(|| Zeroizing::new(der.to_vec()))
}

/// Returns the public key (`SubjectPublicKeyInfo`) that a private key in PKCS#8 contains; `None` if it contains none,
/// or is of a kind whose format is not known here.
///
/// It proves less than a signature: the private part may be another one.
pub(super) fn public_key_in(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let (_, rest) = tagged(only(pkcs8, SEQUENCE)?, INTEGER)?;
    let (algorithm, rest) = tagged(rest, SEQUENCE)?;
    let (key, _) = tagged(rest, OCTET_STRING)?;
    let (kind, _) = tagged(algorithm, OBJECT_IDENTIFIER)?;
    let public = match kind {
        oid::RSA | oid::RSA_PSS => {
            // `RSAPrivateKey ::= SEQUENCE { version, modulus, publicExponent, … }` (RFC 8017 appendix A.1.2)
            let (_, numbers) = tagged(only(key, SEQUENCE)?, INTEGER)?;
            let (modulus, rest) = element(numbers)?;
            let (exponent, _) = element(rest)?;
            write(SEQUENCE, &[modulus.whole, exponent.whole]).to_vec()
        }
        oid::EC => {
            let (_, rest) = tagged(only(key, SEQUENCE)?, INTEGER)?;
            let (_, rest) = tagged(rest, OCTET_STRING)?;
            let (_, rest) = optional(rest, EXPLICIT_0)?;
            bits(only(only(rest, EXPLICIT_1)?, BIT_STRING)?)?.to_vec()
        }
        _ => return None,
    };
    let algorithm = write(SEQUENCE, &[algorithm]);
    let public = write(BIT_STRING, &[&[0], &public]);
    Some(write(SEQUENCE, &[&algorithm, &public]).to_vec())
}

/// Returns `PrivateKeyInfo ::= SEQUENCE { version 0, algorithm, OCTET STRING }`.
fn private_key_info(algorithm: &[u8], key: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = write(OCTET_STRING, &[key]);
    write(SEQUENCE, &[&[INTEGER, 1, 0], algorithm, &key])
}

fn rsa_algorithm() -> Zeroizing<Vec<u8>> {
    let kind = write(OBJECT_IDENTIFIER, &[oid::RSA]);
    write(SEQUENCE, &[&kind, &NULL])
}

/// Returns the algorithm of an `ECPrivateKey`, which names its curve in `[0]`.
fn ec_algorithm(key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = tagged(only(key, SEQUENCE)?, INTEGER)?;
    let (_, rest) = tagged(rest, OCTET_STRING)?;
    let (curve, _) = tagged(rest, EXPLICIT_0)?;
    let kind = write(OBJECT_IDENTIFIER, &[oid::EC]);
    Some(write(SEQUENCE, &[&kind, curve]))
}

/// Writes one element. The buffer is allocated once, so that no unwiped copy remains (G18).
fn write(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let digits = length.to_be_bytes();
    let zeros = digits.iter().take_while(|byte| **byte == 0).count();
    let digits = &digits[zeros..];
    let mut der = Zeroizing::new(Vec::with_capacity(2 + digits.len() + length));
    der.push(tag);
    if let Ok(short @ ..0x80) = u8::try_from(length) {
        der.push(short);
    } else {
        // There are at most 8 digits.
        der.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
        der.extend_from_slice(digits);
    }
    for part in parts {
        der.extend_from_slice(part);
    }
    der
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PublicKeyData};

    use super::*;

    #[test]
    fn ec_key_in_pkcs8_contains_the_public_key_of_its_certificate() {
        let pair = KeyPair::generate().unwrap();
        let pkcs8 = pair.serialize_der();
        assert_eq!(*to_pkcs8(b"PRIVATE KEY", &pkcs8), pkcs8, "copied");
        assert_eq!(public_key_in(&pkcs8).unwrap(), pair.subject_public_key_info());
    }

    #[test]
    fn damaged_key_is_copied_and_has_no_public_key() {
        for label in [&b"EC PRIVATE KEY"[..], b"PRIVATE KEY", b"UNKNOWN"] {
            assert_eq!(*to_pkcs8(label, b"\x30\x03\x02\x01"), b"\x30\x03\x02\x01");
        }
        for damaged in [&b""[..], b"\x30\x00", b"\x30\x03\x02\x01\x00", b"\xff"] {
            assert_eq!(public_key_in(damaged), None);
        }
    }

    #[test]
    fn element_length_has_the_shortest_form() {
        for (length, head) in [
            (0, &[4, 0][..]),
            (0x7f, &[4, 0x7f]),
            (0x80, &[4, 0x81, 0x80]),
            (0x1234, &[4, 0x82, 0x12, 0x34]),
        ] {
            let der = write(OCTET_STRING, &[&vec![7; length]]);
            assert_eq!(der[..head.len()], *head);
            assert_eq!(der.len(), head.len() + length);
            assert_eq!(only(&der, OCTET_STRING).unwrap().len(), length);
        }
    }
}
