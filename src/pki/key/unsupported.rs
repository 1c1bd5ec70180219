//! Describes a private key that cannot be used, for the error message: which kind of key it is, and what to use
//! instead.

use crate::pki::der::{
    BIT_STRING, EXPLICIT_0, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, bit_length,
    element, only, tagged,
};
use crate::pki::oid;

/// The minimum length of an RSA modulus in bits that providers accept.
const LEAST_RSA_BITS: usize = 2048;

/// Describes a key in a format that is not supported, by the label of its PEM section.
pub(super) fn of_label(label: &[u8]) -> &'static str {
    match label {
        b"DSA PRIVATE KEY" => "it is a DSA key; use an RSA, ECDSA or Ed25519 key",
        b"OPENSSH PRIVATE KEY" => {
            "it is in the format of OpenSSH; convert it with \"ssh-keygen -p -m PKCS8 -f KEY\""
        }
        _ => "its PEM label is not that of a known kind of key",
    }
}

/// Describes a key that the provider rejected, by its DER; `None` if that shows no known kind.
pub(super) fn of_key(label: &[u8], der: &[u8]) -> Option<String> {
    match label {
        b"RSA PRIVATE KEY" => rsa(der),
        b"EC PRIVATE KEY" => {
            // `ECPrivateKey` (RFC 5915): SEQUENCE { version, privateKey, [0] parameters, … }
            let (_, rest) = tagged(only(der, SEQUENCE)?, INTEGER)?;
            let (_, rest) = tagged(rest, OCTET_STRING)?;
            let (parameters, _) = tagged(rest, EXPLICIT_0)?;
            Some(ec(parameters))
        }
        _ => {
            // `PrivateKeyInfo` (PKCS#8): SEQUENCE { version, SEQUENCE { algorithm, parameters }, privateKey, … }
            let (_, rest) = tagged(only(der, SEQUENCE)?, INTEGER)?;
            let (algorithm, rest) = tagged(rest, SEQUENCE)?;
            let (algorithm, parameters) = tagged(algorithm, OBJECT_IDENTIFIER)?;
            let (key, _) = tagged(rest, OCTET_STRING)?;
            of_algorithm(algorithm, parameters, key)
        }
    }
}

fn of_algorithm(algorithm: &[u8], parameters: &[u8], key: &[u8]) -> Option<String> {
    let kind = match algorithm {
        oid::RSA => return rsa(key),
        oid::EC => return Some(ec(parameters)),
        oid::RSA_PSS => "it is an RSA key restricted to PSS",
        oid::DSA => "it is a DSA key",
        oid::X25519 => "it is an X25519 key, which cannot sign",
        oid::X448 => "it is an X448 key, which cannot sign",
        oid::ED448 => "it is an Ed448 key",
        _ => return None,
    };
    Some(format!("{kind}; use an RSA, ECDSA or Ed25519 key"))
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
        Some((curve, _)) if curve.tag == OBJECT_IDENTIFIER => {
            let name = match curve.content {
                oid::P256 | oid::P384 | oid::P521 => {
                    return "it is a malformed EC key".to_owned();
                }
                oid::SECP256K1 => "secp256k1",
                oid::P224 => "P-224",
                oid::P192 => "P-192",
                curve if curve.starts_with(oid::BRAINPOOL) => "a Brainpool curve",
                _ => "an unknown curve",
            };
            format!("it is an EC key on a curve that is not supported ({name}); {remedy}")
        }
        Some((curve, _)) if curve.tag == SEQUENCE => {
            format!(
                "it is an EC key with explicit curve parameters; name the curve (\"openssl ec -param_enc named_curve\"), and {remedy}"
            )
        }
        Some((curve, _)) if curve.tag == BIT_STRING => "it is a malformed EC key".to_owned(),
        _ => format!("it is an EC key without the name of its curve; {remedy}"),
    }
}
