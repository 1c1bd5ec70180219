//! Whether one certificate was signed with the key of another.

use rustls::crypto::WebPkiSupportedAlgorithms;

use super::der::{BIT_STRING, INTEGER, OBJECT_IDENTIFIER, SEQUENCE};
use super::der::{bit_length, bits, element, only, tagged};

/// rsaEncryption, 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
/// id-ecPublicKey, 1.2.840.10045.2.1.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// Whether the certificate `der` bears a signature made with `public_key` (a
/// `SubjectPublicKeyInfo`); `None` where the provider has no algorithm to tell, or none that takes
/// such a key: a private authority may be as old as it likes.
pub(super) fn is_signed_with(
    der: &[u8],
    public_key: &[u8],
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<bool> {
    let (signed, rest) = element(only(der, SEQUENCE)?)?;
    let (signature_algorithm, rest) = tagged(rest, SEQUENCE)?;
    let signature = bits(only(rest, BIT_STRING)?)?;
    let (key_algorithm, rest) = tagged(only(public_key, SEQUENCE)?, SEQUENCE)?;
    let key = bits(only(rest, BIT_STRING)?)?;
    if !is_taken(tagged(key_algorithm, OBJECT_IDENTIFIER)?.0, key) {
        return None;
    }
    let mut suitable = algorithms
        .all
        .iter()
        .filter(|algorithm| {
            algorithm.signature_alg_id().as_ref() == signature_algorithm
                && algorithm.public_key_alg_id().as_ref() == key_algorithm
        })
        .peekable();
    suitable.peek()?;
    Some(suitable.any(|algorithm| algorithm.verify_signature(key, signed.whole, signature).is_ok()))
}

/// Whether the algorithms take a key of this shape; those for other kinds say so by their names.
fn is_taken(algorithm: &[u8], key: &[u8]) -> bool {
    match algorithm {
        RSA => is_usual_rsa(key).unwrap_or(false),
        // Both coordinates.
        EC => key.first() == Some(&4),
        _ => true,
    }
}

/// `RSAPublicKey ::= SEQUENCE { modulus, publicExponent }`
fn is_usual_rsa(key: &[u8]) -> Option<bool> {
    let (modulus, rest) = tagged(only(key, SEQUENCE)?, INTEGER)?;
    let exponent = only(rest, INTEGER)?;
    Some((2048..=8192).contains(&bit_length(modulus)) && (2..=33).contains(&bit_length(exponent)))
}
