//! Describes a private key that cannot be used, for the error message: which kind of key it is, and what to use
//! instead.

use std::borrow::Cow;

use super::encoding::Encoding;
use crate::pki::der::{
    BIT_STRING, EXPLICIT_0, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, bit_length,
    element, only, tagged,
};
use crate::pki::oid;
use crate::pki::public_key::{key_of, spells_out_curve};

/// The minimum length of an RSA modulus in bits that providers accept.
const LEAST_RSA_BITS: usize = 2048;

/// Describes a key in a format that is not supported, by the label of its PEM section.
pub(super) fn of_label(label: &[u8]) -> &'static str {
    match label {
        b"DSA PRIVATE KEY" => "it is a DSA key; use an RSA, ECDSA or Ed25519 key",
        b"DH PRIVATE KEY" | b"X9.42 DH PRIVATE KEY" => {
            "it is a Diffie-Hellman key, which cannot sign; use an RSA, ECDSA or Ed25519 key"
        }
        b"OPENSSH PRIVATE KEY" => {
            "it is in the format of OpenSSH; convert it with \"ssh-keygen -p -m PKCS8 -f KEY\""
        }
        _ => "its PEM label is not that of a known kind of key",
    }
}

/// Describes a key that cannot be used, by its DER and the label of its section; `None` if these show no reason.
pub(super) fn of_key(label: &[u8], der: &[u8]) -> Option<String> {
    let encoding = Encoding::of(der)?;
    let kind = match encoding {
        Encoding::Pkcs8 => of_private_key_info(der),
        Encoding::Dsa => Some(of_label(b"DSA PRIVATE KEY").into()),
        Encoding::Sec1 => of_ec_private_key(der),
        Encoding::Pkcs1 => rsa(der),
        Encoding::EncryptedPkcs8 => None,
    };
    // A better label is no remedy for a key whose algorithm is unknown, and none is needed for PKCS#8 as an EC key.
    let is_label_the_reason = match encoding {
        Encoding::Pkcs8 => label != b"EC PRIVATE KEY" && algorithm(der).is_some_and(is_usual),
        Encoding::Dsa => false,
        Encoding::Sec1 | Encoding::Pkcs1 | Encoding::EncryptedPkcs8 => true,
    };
    encoding.mismatch(label).filter(|_| is_label_the_reason).or(kind)
}

fn is_usual(algorithm: &[u8]) -> bool {
    matches!(algorithm, oid::RSA | oid::EC | oid::ED25519)
}

/// Returns the algorithm of a `PrivateKeyInfo`.
fn algorithm(der: &[u8]) -> Option<&[u8]> {
    let (_, rest) = tagged(only(der, SEQUENCE)?, INTEGER)?;
    let (algorithm, _) = tagged(rest, SEQUENCE)?;
    tagged(algorithm, OBJECT_IDENTIFIER).map(|(algorithm, _)| algorithm)
}

/// `PrivateKeyInfo` (PKCS#8): SEQUENCE { version, SEQUENCE { algorithm, parameters }, privateKey, … }
fn of_private_key_info(der: &[u8]) -> Option<String> {
    let (_, rest) = tagged(only(der, SEQUENCE)?, INTEGER)?;
    let (algorithm, rest) = tagged(rest, SEQUENCE)?;
    let (algorithm, parameters) = tagged(algorithm, OBJECT_IDENTIFIER)?;
    let (key, _) = tagged(rest, OCTET_STRING)?;
    of_algorithm(algorithm, parameters, key)
}

/// `ECPrivateKey` (RFC 5915): SEQUENCE { version, privateKey, [0] parameters, … }
fn of_ec_private_key(der: &[u8]) -> Option<String> {
    let (_, rest) = tagged(only(der, SEQUENCE)?, INTEGER)?;
    let (_, rest) = tagged(rest, OCTET_STRING)?;
    let (parameters, _) = tagged(rest, EXPLICIT_0)?;
    Some(ec(parameters))
}

fn of_algorithm(algorithm: &[u8], parameters: &[u8], key: &[u8]) -> Option<String> {
    match algorithm {
        oid::RSA => rsa(key),
        oid::EC => Some(ec(parameters)),
        oid::ED25519 => Some("it is an Ed25519 key that is malformed".to_owned()),
        _ => Some(format!("it is {}; use an RSA, ECDSA or Ed25519 key", other_kind(algorithm))),
    }
}

/// Returns what kind of key has this algorithm, which is neither RSA nor EC nor Ed25519.
fn other_kind(algorithm: &[u8]) -> Cow<'static, str> {
    match algorithm {
        oid::RSA_PSS => "an RSA key restricted to PSS",
        oid::DSA => "a DSA key",
        oid::DH | oid::DH_X942 => "a Diffie-Hellman key, which cannot sign",
        oid::X25519 => "an X25519 key, which cannot sign",
        oid::X448 => "an X448 key, which cannot sign",
        oid::ED448 => "an Ed448 key",
        algorithm if algorithm.starts_with(oid::GOST) => "a GOST key",
        algorithm => match algorithm.strip_prefix(oid::NIST_SIGNATURES) {
            Some([17..=19]) => "an ML-DSA key, which the cryptography provider does not know",
            _ => return format!("a key of the unknown kind {}", oid::dotted(algorithm)).into(),
        },
    }
    .into()
}

/// Describes the public key of a certificate that no private key matches, if its form is the probable reason: to follow
/// the name of the file. The result is empty for a key of a usual form.
pub(in crate::pki) fn of_certificate(public_key: &[u8]) -> Cow<'static, str> {
    let kind = || {
        let (algorithm, _) = tagged(only(public_key, SEQUENCE)?, SEQUENCE)?;
        let (algorithm, parameters) = tagged(algorithm, OBJECT_IDENTIFIER)?;
        Some(match algorithm {
            oid::RSA | oid::ED25519 => return None,
            // A curve that is spelled out, and a compressed point, are compared with the key as well.
            oid::EC if parameters.first() == Some(&SEQUENCE) => return None,
            oid::EC => match element(parameters) {
                Some((curve, _)) => other_curve(curve.content)?.into(),
                None => return None,
            },
            _ => other_kind(algorithm),
        })
    };
    let kind: Option<Cow<'static, str>> = kind();
    kind.map_or(Cow::Borrowed(""), |kind| {
        format!("; the first certificate there has {kind}").into()
    })
}

/// Returns what kind of key a `SubjectPublicKeyInfo` has with which the provider verifies no signatures.
pub(in crate::pki) fn kind_of_public_key(public_key: &[u8]) -> Cow<'static, str> {
    let kind = || {
        let (algorithm, key) = key_of(public_key)?;
        let (kind, parameters) = tagged(algorithm, OBJECT_IDENTIFIER)?;
        Some(match kind {
            oid::RSA => {
                let (modulus, _) = tagged(only(key, SEQUENCE)?, INTEGER)?;
                format!("an RSA key of {} bits", bit_length(modulus)).into()
            }
            oid::EC if spells_out_curve(algorithm) => "an EC key whose curve is spelled out".into(),
            oid::EC => match other_curve(element(parameters)?.0.content) {
                Some(curve) => curve.into(),
                None => "an EC key with a compressed point".into(),
            },
            oid::ED25519 => return None,
            kind => other_kind(kind),
        })
    };
    kind().unwrap_or_else(|| "a malformed key".into())
}

/// Returns the name of a curve that providers do not support; `None` if they support it.
fn other_curve(curve: &[u8]) -> Option<&'static str> {
    Some(match curve {
        oid::P256 | oid::P384 | oid::P521 => return None,
        oid::SECP256K1 => "an EC key on the curve secp256k1",
        oid::P224 => "an EC key on the curve P-224",
        oid::P192 => "an EC key on the curve P-192",
        oid::SM2 => "an EC key on the curve SM2",
        curve if curve.starts_with(oid::BRAINPOOL) => "an EC key on a Brainpool curve",
        _ => "an EC key on an unknown curve",
    })
}

/// Describes an RSA key by its size: `RSAPrivateKey ::= SEQUENCE { version, modulus, … }`.
fn rsa(der: &[u8]) -> Option<String> {
    let (_, rest) = tagged(only(der, SEQUENCE)?, INTEGER)?;
    let (modulus, _) = tagged(rest, INTEGER)?;
    Some(match bit_length(modulus) {
        bits @ 0..LEAST_RSA_BITS => {
            format!(
                "it is an RSA key of {bits} bits, which is too weak; use {LEAST_RSA_BITS} bits or more"
            )
        }
        bits => format!("it is an RSA key of {bits} bits that is malformed or too large"),
    })
}

/// Describes an EC key by its parameters: these name the curve, or contain its equation (explicit parameters).
fn ec(parameters: &[u8]) -> String {
    let remedy = "use P-256, P-384 or P-521";
    match element(parameters) {
        Some((curve, _)) if curve.tag == OBJECT_IDENTIFIER => match other_curve(curve.content) {
            None => "it is a malformed EC key".to_owned(),
            Some(kind) => format!("it is {kind}, which is not supported; {remedy}"),
        },
        Some((curve, _)) if curve.tag == SEQUENCE => {
            format!(
                "it is an EC key with explicit curve parameters; name the curve (\"openssl ec -param_enc named_curve\"), and {remedy}"
            )
        }
        Some((curve, _)) if curve.tag == BIT_STRING => "it is a malformed EC key".to_owned(),
        _ => format!("it is an EC key without the name of its curve; {remedy}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A GOST R 34.10-2012 key (RFC 9215) with its parameters left out, and a key of no known kind.
    #[test]
    fn public_keys_of_unfit_kinds_are_described() {
        let gost = b"\x30\x0e\x30\x0a\x06\x08\x2a\x85\x03\x07\x01\x01\x01\x01\x03\x00";
        assert_eq!(of_certificate(gost), "; the first certificate there has a GOST key");
        let unknown = b"\x30\x08\x30\x04\x06\x02\x2a\x03\x03\x00";
        let words = "; the first certificate there has a key of the unknown kind 1.2.3";
        assert_eq!(of_certificate(unknown), words);
    }
}
