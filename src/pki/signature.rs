//! Verifies the signatures on certificates, CRLs and OCSP responses with a given public key.
//!
//! The algorithms are those of the rustls provider. A signature that the provider cannot verify does not count as
//! forged: the result is `None`, because old CAs use algorithms that TLS does not need (G23).

use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::SignatureVerificationAlgorithm;
use rustls::sign::SigningKey;

use super::certificate::subject_and_key_of;
use super::der::{BIT_STRING, INTEGER, SEQUENCE};
use super::der::{bit_length, bits, element, only, tagged};
use super::oid;
use super::public_key::{key_of, kind_of, spells_out_curve, split_key};

/// The three fields that certificates, CRLs and OCSP responses have in common: content, algorithm, signature.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    /// The signed bytes: a whole element with tag and length.
    pub(super) content: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Splits off the three fields from the content of a `SEQUENCE`. Returns them and the bytes after them.
    pub(super) fn split(sequence: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (content, rest) = element(sequence)?;
        let (algorithm, rest) = tagged(rest, SEQUENCE)?;
        let (signature, rest) = tagged(rest, BIT_STRING)?;
        let signed = Self { content: content.whole, algorithm, signature: bits(signature)? };
        Some((signed, rest))
    }

    /// Returns whether the provider can verify signatures with this algorithm, with some key.
    pub(super) fn has_known_algorithm(&self, algorithms: &WebPkiSupportedAlgorithms) -> bool {
        algorithms.all.iter().any(|known| known.signature_alg_id().as_ref() == self.algorithm)
    }

    /// Returns whether the signature was made with `public_key` (a `SubjectPublicKeyInfo`).
    ///
    /// The result is `None` if the provider cannot verify the signature: it lacks the algorithm, or does not accept
    /// such a key, for example an RSA key of 1024 bits.
    pub(super) fn is_by(
        &self,
        public_key: &[u8],
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Option<bool> {
        let (key_algorithm, key) = key_of(public_key)?;
        let kind = kind_of(key_algorithm)?;
        if !is_supported(kind, key) {
            return None;
        }
        let makes = |known: &&&dyn SignatureVerificationAlgorithm| {
            known.signature_alg_id().as_ref() == self.algorithm
        };
        let is_of_kind = |known: &&dyn SignatureVerificationAlgorithm| {
            kind_of(&known.public_key_alg_id()) == Some(kind)
        };
        if !algorithms.all.iter().any(is_of_kind) {
            // Nothing is known of such keys, for example of RSA keys that are restricted to PSS.
            return None;
        }
        let known: Vec<_> = algorithms.all.iter().filter(makes).collect();
        known.first()?;
        if !known.iter().any(|known| is_of_kind(*known)) {
            // The algorithm is for another kind of key: an RSA key cannot have made an ECDSA signature.
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

/// Returns whether `signature` of the TLS handshake, in `scheme`, was made over `message` with the key of
/// `certificate`. Of the certificate, only that key is parsed: a server can serve certificates that a verifier cannot
/// parse, for example those of X.509 version 1 (G23).
pub(crate) fn is_handshake_signature(
    certificate: &[u8],
    message: &[u8],
    (scheme, signature): (SignatureScheme, &[u8]),
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    let Some((_, public_key)) = subject_and_key_of(certificate) else { return false };
    let Some((key_algorithm, key)) = split_key(public_key) else { return false };
    let of_scheme = algorithms.mapping.iter().filter(|(known, _)| *known == scheme);
    of_scheme.flat_map(|(_, known)| known.iter()).any(|known| {
        let takes_key = known.public_key_alg_id().as_ref() == key_algorithm
            || spells_out_curve(key_algorithm)
                && kind_of(&known.public_key_alg_id()) == Some(oid::EC);
        takes_key && known.verify_signature(key, message, signature).is_ok()
    })
}

/// Returns whether `der`, a certificate or CRL, was signed with `public_key`; `None` as for [`Signed::is_by`].
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

/// Returns the signature scheme that `key` prefers among all schemes of TLS.
pub(super) fn preferred_scheme(key: &dyn SigningKey) -> Option<SignatureScheme> {
    let all = [
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RSA_PSS_SHA384,
        SignatureScheme::RSA_PSS_SHA512,
        SignatureScheme::RSA_PKCS1_SHA256,
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::ECDSA_NISTP384_SHA384,
        SignatureScheme::ECDSA_NISTP521_SHA512,
        SignatureScheme::ED25519,
        SignatureScheme::ED448,
        SignatureScheme::ML_DSA_44,
        SignatureScheme::ML_DSA_65,
        SignatureScheme::ML_DSA_87,
    ];
    key.choose_scheme(&all).map(|signer| signer.scheme())
}

/// Returns whether the provider verifies signatures of any algorithm with `public_key` (a `SubjectPublicKeyInfo`).
pub(super) fn can_verify_with(public_key: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
    let Some((key_algorithm, key)) = key_of(public_key) else { return false };
    let is_usable = kind_of(key_algorithm).is_some_and(|kind| is_supported(kind, key));
    is_usable
        && algorithms.all.iter().any(|known| known.public_key_alg_id().as_ref() == key_algorithm)
}

/// Returns whether the provider can use a public key of this kind and form: an RSA key by its size, an EC key by the
/// form of its point. Whether it can use other kinds depends on the algorithm alone.
fn is_supported(kind: &[u8], key: &[u8]) -> bool {
    match kind {
        oid::RSA => is_supported_rsa(key).unwrap_or(false),
        // Providers support only uncompressed points, which begin with the byte 4 (SEC 1 section 2.3.3).
        oid::EC => key.first() == Some(&4),
        _ => true,
    }
}

/// Returns whether the numbers in `RSAPublicKey ::= SEQUENCE { modulus, publicExponent }` have sizes that providers
/// support.
fn is_supported_rsa(key: &[u8]) -> Option<bool> {
    let (modulus, rest) = tagged(only(key, SEQUENCE)?, INTEGER)?;
    let exponent = only(rest, INTEGER)?;
    Some((2048..=8192).contains(&bit_length(modulus)) && (2..=33).contains(&bit_length(exponent)))
}
