//! Whether something was signed with the key of a certificate.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::SignatureVerificationAlgorithm;

use super::der::{BIT_STRING, INTEGER, OBJECT_IDENTIFIER, SEQUENCE};
use super::der::{bit_length, bits, element, only, tagged};
use super::oid;

/// What begins everything that authorities sign: certificates, revocation lists, OCSP responses.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    /// What the signature is over.
    pub(super) content: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Splits it off what a `SEQUENCE` holds; the rest is what follows the signature.
    pub(super) fn split(sequence: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (content, rest) = element(sequence)?;
        let (algorithm, rest) = tagged(rest, SEQUENCE)?;
        let (signature, rest) = tagged(rest, BIT_STRING)?;
        let signed = Self { content: content.whole, algorithm, signature: bits(signature)? };
        Some((signed, rest))
    }

    /// Whether the signature was made with `public_key` (a `SubjectPublicKeyInfo`); `None` where the
    /// provider has no algorithm to tell, or none that takes such a key: a private authority may be
    /// as old as it likes.
    pub(super) fn is_by(
        &self,
        public_key: &[u8],
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Option<bool> {
        let (key_algorithm, key) = key_of(public_key)?;
        let kind = kind_of(key_algorithm)?;
        if !is_taken(kind, key) {
            return None;
        }
        let makes = |known: &&&dyn SignatureVerificationAlgorithm| {
            known.signature_alg_id().as_ref() == self.algorithm
        };
        let known: Vec<_> = algorithms.all.iter().filter(makes).collect();
        known.first()?;
        if !known.iter().any(|known| kind_of(&known.public_key_alg_id()) == Some(kind)) {
            // No RSA key ever made an ECDSA signature.
            return Some(false);
        }
        let takes_key = |known: &&&dyn SignatureVerificationAlgorithm| {
            known.public_key_alg_id().as_ref() == key_algorithm
        };
        let mut suitable = known.into_iter().filter(takes_key).peekable();
        suitable.peek()?;
        Some(
            suitable.any(|known| known.verify_signature(key, self.content, self.signature).is_ok()),
        )
    }
}

/// Whether the certificate `der` bears a signature made with `public_key`; `None` as
/// [`Signed::is_by`].
pub(super) fn is_signed_with(
    der: &[u8],
    public_key: &[u8],
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<bool> {
    match Signed::split(only(der, SEQUENCE)?)? {
        (signed, []) => signed.is_by(public_key, algorithms),
        _ => None,
    }
}

/// What a `SubjectPublicKeyInfo` holds beside the algorithm: what OCSP has the hash of.
pub(super) fn key_bits(public_key: &[u8]) -> Option<&[u8]> {
    Some(key_of(public_key)?.1)
}

fn key_of(public_key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (algorithm, rest) = tagged(only(public_key, SEQUENCE)?, SEQUENCE)?;
    Some((algorithm, bits(only(rest, BIT_STRING)?)?))
}

/// The identifier in an `AlgorithmIdentifier`, whatever its parameters are.
fn kind_of(algorithm: &[u8]) -> Option<&[u8]> {
    Some(tagged(algorithm, OBJECT_IDENTIFIER)?.0)
}

/// Whether the algorithms take a key of this shape; those for other kinds say so by their names.
fn is_taken(kind: &[u8], key: &[u8]) -> bool {
    match kind {
        oid::RSA => is_usual_rsa(key).unwrap_or(false),
        // Both coordinates.
        oid::EC => key.first() == Some(&4),
        _ => true,
    }
}

/// `RSAPublicKey ::= SEQUENCE { modulus, publicExponent }`
fn is_usual_rsa(key: &[u8]) -> Option<bool> {
    let (modulus, rest) = tagged(only(key, SEQUENCE)?, INTEGER)?;
    let exponent = only(rest, INTEGER)?;
    Some((2048..=8192).contains(&bit_length(modulus)) && (2..=33).contains(&bit_length(exponent)))
}
