//! Whether one certificate was signed with the key of another, and whether all of a chain were.

use rustls::crypto::WebPkiSupportedAlgorithms;

use super::chain::Chain;
use super::der::{BIT_STRING, INTEGER, OBJECT_IDENTIFIER, SEQUENCE};
use super::der::{bit_length, bits, element, only, tagged};
use super::x509::Facts;
use crate::error::Cause;

/// rsaEncryption, 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
/// id-ecPublicKey, 1.2.840.10045.2.1.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// Looks for a certificate that names the key of another one there as its issuer's, and was not
/// signed with it. A file that is overwritten from the front is for a while new there and old behind:
/// what can be parsed and fits the key may still be a certificate that nobody issued (G4).
///
/// Of several that it may mean one is enough, or one that is beyond checking.
pub(super) fn check_signatures(chain: &Chain<'_>) -> Result<(), Cause> {
    for subject in 0..chain.facts.len() {
        let issuers = issuers_named_by(chain, subject);
        let is_wrong = |issuer: &usize| chain.is_signed_by(*issuer, subject) == Some(false);
        if let Some(issuer) = issuers.first()
            && issuers.iter().all(is_wrong)
        {
            return Err(Cause::CertificateDamaged { index: subject + 1, issuer: issuer + 1 });
        }
    }
    Ok(())
}

/// Whose name and key identifier `subject` gives for its issuer's.
fn issuers_named_by(chain: &Chain<'_>, subject: usize) -> Vec<usize> {
    let below = &chain.facts[subject];
    let is_named = |above: &Facts<'_>| {
        above.subject == below.issuer
            && above.subject_key_id.is_some()
            && above.subject_key_id == below.authority_key_id
    };
    (0..chain.facts.len()).filter(|at| is_named(&chain.facts[*at])).collect()
}

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
