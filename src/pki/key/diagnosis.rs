//! Which kind of key it is that the provider refuses: for the message.

use crate::pki::der::{
    BIT_STRING, EXPLICIT_0, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, bit_length,
    element, only, tagged,
};
use crate::pki::oid;

/// Bits of an RSA modulus that every provider asks for.
const LEAST_RSA_BITS: usize = 2048;

/// Of a section whose label says it all.
pub(super) fn of_label(label: &[u8]) -> &'static str {
    match label {
        b"DSA PRIVATE KEY" => "a DSA key; TLS takes RSA, ECDSA and Ed25519 keys",
        b"OPENSSH PRIVATE KEY" => {
            "a key in the format of OpenSSH; \"ssh-keygen -p -m PKCS8 -f KEY\" makes PKCS#8 of it"
        }
        _ => "a kind of key that is not known",
    }
}

/// Of a key that was refused; `None` where nothing is known but that.
pub(super) fn of_key(label: &[u8], der: &[u8]) -> Option<String> {
    match label {
        b"RSA PRIVATE KEY" => rsa(der),
        b"EC PRIVATE KEY" => {
            // SEQUENCE { version, privateKey, [0] parameters, … }
            let (_, rest) = tagged(only(der, SEQUENCE)?, INTEGER)?;
            let (_, rest) = tagged(rest, OCTET_STRING)?;
            let (parameters, _) = tagged(rest, EXPLICIT_0)?;
            Some(ec(parameters))
        }
        _ => {
            // SEQUENCE { version, SEQUENCE { algorithm, parameters }, privateKey, … }
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
        oid::RSA_PSS => "an RSA key for PSS alone",
        oid::DSA => "a DSA key",
        oid::X25519 => "an X25519 key, which cannot sign",
        oid::X448 => "an X448 key, which cannot sign",
        oid::ED448 => "an Ed448 key",
        _ => return None,
    };
    Some(format!("{kind}; TLS takes RSA, ECDSA and Ed25519 keys here"))
}

/// `RSAPrivateKey ::= SEQUENCE { version, modulus, … }`
fn rsa(der: &[u8]) -> Option<String> {
    let (_, rest) = tagged(only(der, SEQUENCE)?, INTEGER)?;
    let (modulus, _) = tagged(rest, INTEGER)?;
    Some(match bit_length(modulus) {
        bits @ 0..LEAST_RSA_BITS => {
            format!("an RSA key of {bits} bits is too weak; it takes {LEAST_RSA_BITS} at least")
        }
        bits => format!("an RSA key of {bits} bits is malformed, or too large"),
    })
}

/// The parameters of an elliptic curve: the name of one, or its equation.
fn ec(parameters: &[u8]) -> String {
    let taken = "P-256, P-384 and P-521 are taken";
    match element(parameters) {
        Some((curve, _)) if curve.tag == OBJECT_IDENTIFIER => {
            let name = match curve.content {
                oid::P256 | oid::P384 | oid::P521 => {
                    return "the EC key is malformed".to_owned();
                }
                oid::SECP256K1 => "secp256k1",
                oid::P224 => "P-224",
                oid::P192 => "P-192",
                curve if curve.starts_with(oid::BRAINPOOL) => "of the Brainpool family",
                _ => "that is not known",
            };
            format!("an EC key on a curve ({name}) that TLS does not take here; {taken}")
        }
        Some((curve, _)) if curve.tag == SEQUENCE => {
            format!(
                "an EC key whose curve is spelled out; name it (\"openssl ec -param_enc named_curve\"); {taken}"
            )
        }
        Some((curve, _)) if curve.tag == BIT_STRING => "the EC key is malformed".to_owned(),
        _ => format!("an EC key without the name of its curve; {taken}"),
    }
}
