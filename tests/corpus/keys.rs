//! Cases of keys: every kind that OpenSSL can make, in each encoding and encryption; and signatures of every kind.

use std::fs;
use std::io::Write;

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

use crate::case::Cases;
use crate::der::{self, OCTET_STRING, integer, oid, sequence, tlv};
use crate::support::workshop::Workshop;

const PASSWORD: &str = "x";

/// A root with an uncommon key, and the chain and key of a client that it certified.
pub struct Signer {
    pub kind: String,
    pub root: Vec<u8>,
    pub client: Vec<u8>,
}

/// What only some builds and releases of OpenSSL can make.
pub struct Optional {
    pub signers: Vec<Signer>,
    /// Words of the names of cases that there are not.
    pub missing: Vec<String>,
}

pub fn add(cases: &mut Cases) -> Optional {
    let workshop = Workshop::after(include_str!("keys.sh"));
    let read = |name: &str| fs::read(workshop.path(name)).unwrap();
    let missing = fs::read_to_string(workshop.path("missing")).unwrap();
    let missing: Vec<_> = missing.lines().map(str::to_owned).collect();
    for kind in &missing {
        // Past the test harness, which captures what tests print.
        let _ = writeln!(std::io::stderr(), "NOT TESTED: {kind}: this OpenSSL makes none");
    }
    let entries = fs::read_dir(workshop.path("keys")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in names {
        let (kind, encoding) = name.split_once('.').unwrap();
        let chain = read(&format!("{kind}.pem"));
        let case =
            cases.add(&format!("key: {kind}, {encoding}"), chain, read(&format!("keys/{name}")));
        case.password = encoding.starts_with("encrypted").then_some(PASSWORD);
    }
    let p256 = read("P-256.key");
    for form in ["explicit", "compressed"] {
        cases.add(
            &format!("public key: P-256, {form}"),
            read(&format!("P-256-{form}.pem")),
            read(form),
        );
        let chain = read(&format!("P-256-{form}.pem"));
        cases.add(&format!("public key: P-256, {form} only in the certificate"), chain, &p256);
    }
    let is_made = |name: &&str| !missing.iter().any(|missing| missing == name);
    let hashes = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3-256", "ripemd160"];
    for hash in hashes.iter().filter(|hash| is_made(hash)) {
        let chain = read(&format!("rsa-2048-{hash}.pem"));
        cases.add(&format!("signature: RSA with {hash}"), chain, read("rsa-2048.key"));
    }
    for hash in ["sha256", "sha384", "sha512"] {
        let chain = read(&format!("rsa-2048-pss-{hash}.pem"));
        cases.add(&format!("signature: RSA-PSS with {hash}"), chain, read("rsa-2048.key"));
    }
    for hash in ["sha1", "sha224", "sha256", "sha384", "sha512", "sha3-256"] {
        let chain = read(&format!("P-256-{hash}.pem"));
        cases.add(&format!("signature: ECDSA with {hash}"), chain, &p256);
    }
    let mut signers = Vec::new();
    let kinds = [
        "rsa-1024",
        "rsa-2048",
        "rsa-pss",
        "P-384",
        "P-521",
        "secp256k1",
        "brainpoolP256r1",
        "ed25519",
        "ed448",
    ];
    for by in kinds.iter().filter(|kind| is_made(kind)) {
        let (root, leaf) = (read(&format!("signer-{by}.pem")), read(&format!("leaf-{by}.pem")));
        cases.add(&format!("signature: issuer with {by}"), [&leaf[..], &root].concat(), &p256);
        signers.push(Signer { kind: (*by).to_owned(), root, client: [&leaf[..], &p256].concat() });
    }
    add_mismatched(cases, &read);
    add_hand_made(cases, &read);
    Optional { signers, missing }
}

/// Keys that are not those of the certificate.
fn add_mismatched(cases: &mut Cases, read: &impl Fn(&str) -> Vec<u8>) {
    for (what, chain, key) in [
        ("of the same kind", "P-256.pem", "other.key"),
        ("on another curve", "P-256.pem", "P-384.key"),
        ("RSA for ECDSA", "P-256.pem", "rsa-2048.key"),
        ("ECDSA for RSA", "rsa-2048.pem", "P-256.key"),
        ("RSA of another size", "rsa-2048.pem", "rsa-3072.key"),
    ] {
        cases.add(&format!("pair: key {what}"), read(chain), read(key));
    }
    let (own, other, rsa) = (read("P-256.key"), read("other.key"), read("rsa-2048.key"));
    for (what, keys) in [
        ("own before another", [&own, &other]),
        ("own behind another", [&other, &own]),
        ("own behind RSA", [&rsa, &own]),
        ("two others", [&other, &rsa]),
        ("own twice", [&own, &own]),
    ] {
        cases.add(
            &format!("several keys: {what}"),
            read("P-256.pem"),
            keys.map(Vec::as_slice).concat(),
        );
    }
    cases.add("pair: swapped paths", read("P-256.key"), read("P-256.pem"));
    cases.add("pair: the chain twice", read("P-256.pem"), read("P-256.pem"));
    cases.add("pair: the key twice", read("P-256.key"), read("P-256.key"));
}

/// Encodings of keys that the tools of OpenSSL do not write.
fn add_hand_made(cases: &mut Cases, read: &impl Fn(&str) -> Vec<u8>) {
    let unsealed = |name: &str| {
        let text = String::from_utf8(read(name)).unwrap();
        KeyPair::from_pem(&text).unwrap().serialize_der()
    };
    let p256 = unsealed("P-256.key");
    let private = der::pem("PRIVATE KEY", &p256);
    // The fields of a PrivateKeyInfo: version, algorithm, key.
    let (_, fields, _) = der::first(&p256).unwrap();
    let attributes =
        tlv(0xa0, &sequence(&[&oid("1.2.840.113549.1.9.20"), &tlv(0x31, &tlv(0x1e, b"\0x"))]));
    let ec = sequence(&[&oid("1.2.840.10045.2.1"), &oid("1.2.840.10045.3.1.7")]);
    let secret = [7; 32];
    let zero = sequence(&[
        &integer(&[0]),
        &ec,
        &tlv(OCTET_STRING, &sequence(&[&integer(&[1]), &tlv(OCTET_STRING, &[0; 32])])),
    ]);
    let short = sequence(&[
        &integer(&[0]),
        &ec,
        &tlv(OCTET_STRING, &sequence(&[&integer(&[1]), &tlv(OCTET_STRING, &secret[..31])])),
    ]);
    for (what, der) in [
        ("with attributes", sequence(&[fields, &attributes])),
        ("with bytes behind it", [&p256[..], b"\0\0"].concat()),
        ("cut off", p256[..p256.len() - 8].to_vec()),
        ("all zero", zero),
        ("one byte short", short),
        ("no key at all", sequence(&[])),
        ("with the curve in the algorithm alone", without_inner_curve(&p256)),
    ] {
        cases.add(
            &format!("key: P-256 by hand, {what}"),
            read("P-256.pem"),
            der::pem("PRIVATE KEY", &der),
        );
    }
    for label in [
        "EC PRIVATE KEY",
        "RSA PRIVATE KEY",
        "DSA PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ANY PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
    ] {
        let text = private.replace("PRIVATE KEY", label);
        cases.add(&format!("key: P-256, PKCS#8 as {label}"), read("P-256.pem"), text);
    }
    let sec1 = String::from_utf8(read("keys/P-256.traditional")).unwrap();
    let pkcs1 = String::from_utf8(read("keys/rsa-2048.traditional")).unwrap();
    for label in ["PRIVATE KEY", "ECDSA PRIVATE KEY"] {
        cases.add(
            &format!("key: P-256, SEC1 as {label}"),
            read("P-256.pem"),
            sec1.replace("EC PRIVATE KEY", label),
        );
    }
    cases.add(
        "key: rsa-2048, PKCS#1 as PRIVATE KEY",
        read("rsa-2048.pem"),
        pkcs1.replace("RSA PRIVATE KEY", "PRIVATE KEY"),
    );
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let chain = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    let chain = chain.self_signed(&pair).unwrap().pem();
    cases.add("key: ed25519 by rcgen", chain, pair.serialize_pem());
}

/// The private key without the optional fields of its `ECPrivateKey`, so without the public key too.
fn without_inner_curve(key: &[u8]) -> Vec<u8> {
    let (_, fields, _) = der::first(key).unwrap();
    let (_, _, rest) = der::first(fields).unwrap();
    let (_, algorithm, rest) = der::first(rest).unwrap();
    let (_, inner, _) = der::first(rest).unwrap();
    let (_, inner, _) = der::first(inner).unwrap();
    let (_, _, inner) = der::first(inner).unwrap();
    let (_, secret, _) = der::first(inner).unwrap();
    let inner = sequence(&[&integer(&[1]), &tlv(OCTET_STRING, secret)]);
    sequence(&[&integer(&[0]), &tlv(0x30, algorithm), &tlv(OCTET_STRING, &inner)])
}
