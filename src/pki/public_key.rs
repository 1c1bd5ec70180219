//! Splits and compares public keys as certificates contain them (`SubjectPublicKeyInfo`, RFC 5280 section 4.1.2.7).
//!
//! An EC key has several encodings: the point may be compressed, and the curve may be spelled out instead of named. TLS
//! libraries serve certificates with any of them, so they count as the same key (G23).

use super::der::{BIT_STRING, OBJECT_IDENTIFIER, SEQUENCE};
use super::der::{bits, only, tagged};
use super::oid;

/// The first byte of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Returns the key of a `SubjectPublicKeyInfo` without its algorithm. An OCSP `CertID` contains the hash of that.
pub(super) fn key_bits(public_key: &[u8]) -> Option<&[u8]> {
    Some(key_of(public_key)?.1)
}

/// Splits a `SubjectPublicKeyInfo` into algorithm and key.
pub(super) fn key_of(public_key: &[u8]) -> Option<(&[u8], &[u8])> {
    split_key(only(public_key, SEQUENCE)?)
}

/// Splits the content of a `SubjectPublicKeyInfo` into algorithm and key.
pub(super) fn split_key(public_key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (algorithm, rest) = tagged(public_key, SEQUENCE)?;
    Some((algorithm, bits(only(rest, BIT_STRING)?)?))
}

/// Returns the object identifier of an `AlgorithmIdentifier`, without parameters.
pub(super) fn kind_of(algorithm: &[u8]) -> Option<&[u8]> {
    Some(tagged(algorithm, OBJECT_IDENTIFIER)?.0)
}

/// Returns whether this is the algorithm of an EC key whose curve is spelled out by its equation, instead of named.
pub(super) fn spells_out_curve(algorithm: &[u8]) -> bool {
    let parameters = tagged(algorithm, OBJECT_IDENTIFIER);
    parameters.is_some_and(|(kind, rest)| kind == oid::EC && tagged(rest, SEQUENCE).is_some())
}

/// Returns whether two `SubjectPublicKeyInfo` contain the same key. EC keys are compared by their points.
pub(crate) fn is_same_key(one: &[u8], other: &[u8]) -> bool {
    one == other || has_same_point(one, other).unwrap_or(false)
}

fn has_same_point(one: &[u8], other: &[u8]) -> Option<bool> {
    let ((one_algorithm, one), (other_algorithm, other)) = (key_of(one)?, key_of(other)?);
    if kind_of(one_algorithm)? != oid::EC || kind_of(other_algorithm)? != oid::EC {
        return None;
    }
    let is_comparable = one_algorithm == other_algorithm
        || spells_out_curve(one_algorithm)
        || spells_out_curve(other_algorithm);
    let is_same = one == other
        || compressed(one).is_some_and(|one| one == other)
        || compressed(other).is_some_and(|other| one == other);
    Some(is_comparable && is_same)
}

/// Compresses an uncompressed point: its first coordinate, and whether the second is odd (SEC 1 section 2.3.3).
fn compressed(point: &[u8]) -> Option<Vec<u8>> {
    let coordinates = point.strip_prefix(&[UNCOMPRESSED])?;
    let (first, second) = coordinates.split_at(coordinates.len() / 2);
    Some([&[2 | (second.last()? & 1)], first].concat())
}

/// Returns whether the key is encoded as most TLS libraries require it (RFC 8422 section 5.4): the curve of an EC key is
/// named, and its point is not compressed.
pub(super) fn has_common_encoding(public_key: &[u8]) -> bool {
    let Some((algorithm, key)) = key_of(public_key) else { return false };
    kind_of(algorithm) != Some(oid::EC)
        || !spells_out_curve(algorithm) && key.first() == Some(&UNCOMPRESSED)
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PublicKeyData};

    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    /// An EC key with these parameters.
    fn key(parameters: &[u8], point: &[u8]) -> Vec<u8> {
        let kind = element(OBJECT_IDENTIFIER, oid::EC);
        let algorithm = element(SEQUENCE, &[&kind, parameters].concat());
        let point = element(BIT_STRING, &[&[0], point].concat());
        element(SEQUENCE, &[algorithm, point].concat())
    }

    #[test]
    fn g23_encodings_of_an_ec_key_are_the_same_key() {
        let usual = KeyPair::generate().unwrap().subject_public_key_info();
        let point = key_bits(&usual).unwrap();
        let p256 = element(OBJECT_IDENTIFIER, oid::P256);
        let (spelled_out, p384) = (element(SEQUENCE, b""), element(OBJECT_IDENTIFIER, oid::P384));
        assert_eq!(key(&p256, point), usual);
        let short = compressed(point).unwrap();
        for same in [key(&p256, &short), key(&spelled_out, point), key(&spelled_out, &short)] {
            assert!(is_same_key(&same, &usual) && is_same_key(&usual, &same));
            assert!(!has_common_encoding(&same));
        }
        assert!(has_common_encoding(&usual));
        let mut negated = short.clone();
        negated[0] ^= 1;
        let mut damaged = point.to_vec();
        *damaged.last_mut().unwrap() ^= 2;
        let another = KeyPair::generate().unwrap().subject_public_key_info();
        for other in [
            key(&p256, &negated),
            key(&p256, &damaged),
            key(&p256, &short[1..]),
            key(&p256, b""),
            key(&p384, point),
            another,
            Vec::new(),
        ] {
            assert!(!is_same_key(&other, &usual) && !is_same_key(&usual, &other), "{other:?}");
        }
    }
}
