//! Whether one certificate was signed with the key of another.

use rustls::crypto::WebPkiSupportedAlgorithms;

use super::der::{BIT_STRING, SEQUENCE, bits, element, only, tagged};

/// Whether the certificate `der` bears a signature made with `public_key` (a
/// `SubjectPublicKeyInfo`); `None` where the provider has no algorithm to tell.
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
