//! Throw-away certificates: alone, or with a chain that leads to an authority that clients trust.

use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;

#[allow(unused_imports, reason = "each test program uses a part")]
pub use super::sites::{Site, replace, write_private};
#[allow(unused_imports, reason = "each test program uses a part")]
pub use super::writers::Writer;

/// One certificate and its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    /// The leaf, and what else its issuer puts beside it.
    pub chain: String,
    pub key: String,
    /// SHA-256 of the leaf, in lower-case hexadecimal.
    pub sha256: String,
}

impl Pair {
    pub fn new(names: &[&str]) -> Self {
        Self::with(names, |_| {})
    }

    pub fn with(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let params = params_of(names, change);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self::of(&certificate, "", &key)
    }

    pub fn expired() -> Self {
        Self::with(&["expired.test"], in_the_past)
    }

    pub fn not_yet_valid() -> Self {
        Self::with(&["future.test"], in_the_future)
    }

    fn of(leaf: &rcgen::Certificate, beside: &str, key: &KeyPair) -> Self {
        Self { chain: leaf.pem() + beside, key: key.serialize_pem(), sha256: sha256(leaf.der()) }
    }

    /// How many certificates the chain has.
    pub fn length(&self) -> usize {
        self.chain.matches("BEGIN CERTIFICATE").count()
    }
}

pub fn in_the_past(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

pub fn in_the_future(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2150, 1, 1);
    params.not_after = date_time_ymd(2151, 1, 1);
}

static SERIAL: AtomicU64 = AtomicU64::new(0x10_0000_0000);

/// Issues pairs whose chain is a leaf and an intermediate, and knows the root above that.
pub struct Authority {
    root: rcgen::Certificate,
    root_issuer: Issuer<'static, KeyPair>,
    intermediate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let (params, key) = (authority_params("root.test"), KeyPair::generate().unwrap());
        let root = params.self_signed(&key).unwrap();
        let root_issuer = Issuer::new(params, key);
        let (params, key) = (authority_params("intermediate.test"), KeyPair::generate().unwrap());
        let intermediate = params.signed_by(&key, &root_issuer).unwrap();
        Self { root, root_issuer, intermediate, issuer: Issuer::new(params, key) }
    }

    pub fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(names, |_| {})
    }

    pub fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.sign(names, &KeyPair::generate().unwrap(), change)
    }

    /// Another certificate for the key of `before`, as clients do that keep their keys.
    pub fn renew(&self, before: &Pair, names: &[&str]) -> Pair {
        self.sign(names, &KeyPair::from_pem(&before.key).unwrap(), |_| {})
    }

    /// The same leaf and key under an intermediate that was issued anew.
    pub fn reissue_intermediate(&self, pair: &Pair) -> Pair {
        let params = authority_params("intermediate.test");
        let fresh = params.signed_by(self.issuer.key(), &self.root_issuer).unwrap();
        let (leaf, _) = pair.chain.split_at(pair.chain.rfind("-----BEGIN").unwrap());
        Pair { chain: format!("{leaf}{}", fresh.pem()), ..pair.clone() }
    }

    /// What clients trust: the root, in PEM.
    pub fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// What clients trust.
    pub fn root(&self) -> CertificateDer<'static> {
        self.root.der().clone()
    }

    /// What else clients trust who are to take a chain that ends before it.
    pub fn intermediate(&self) -> CertificateDer<'static> {
        self.intermediate.der().clone()
    }

    fn sign(
        &self,
        names: &[&str],
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let mut params = params_of(names, change);
        // As every public authority does: each certificate tells its issuer's key, and has a number
        // of its own, whatever key it is for.
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SERIAL.fetch_add(1, Ordering::Relaxed).into());
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        Pair::of(&leaf, &self.intermediate.pem(), key)
    }
}

fn params_of(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params_of(&[], |_| {});
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// The fingerprint of a certificate.
pub fn sha256(certificate: &[u8]) -> String {
    hexadecimal(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate).as_ref())
}

/// Lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
