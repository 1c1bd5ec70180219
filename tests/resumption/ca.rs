//! Authorities that issue, take back what they issued, and vouch for it.

use std::cell::Cell;
use std::fs;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::support::certificates::{Pair, sha256};

pub(crate) struct Ca {
    /// In PEM.
    pub(crate) certificate: String,
    params: CertificateParams,
    issuer: Issuer<'static, KeyPair>,
    /// Of the last certificate.
    serial: Cell<u64>,
    /// Of the last list.
    list: Cell<u8>,
}

/// A leaf with a number to revoke it by.
pub(crate) struct Issued {
    pub(crate) pair: Pair,
    serial: u64,
}

impl Ca {
    pub(crate) fn root(name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap().pem();
        Self::of(certificate, params, key)
    }

    /// An authority below this one.
    pub(crate) fn intermediate(&self, name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self::of(certificate, params, key)
    }

    /// Issues the certificate of an authority below this one anew.
    pub(crate) fn renew(&self, intermediate: &mut Self) {
        let key = intermediate.issuer.key();
        intermediate.params.serial_number = Some(self.next_serial().into());
        let fresh = intermediate.params.signed_by(key, &self.issuer).unwrap();
        intermediate.certificate = fresh.pem();
    }

    fn of(certificate: String, params: CertificateParams, key: KeyPair) -> Self {
        let issuer = Issuer::new(params.clone(), key);
        Self { certificate, params, issuer, serial: Cell::new(1000), list: Cell::new(0) }
    }

    /// A leaf alone, with a key of its own.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.sign(names, &KeyPair::generate().unwrap())
    }

    /// Another for the key of `before`.
    pub(crate) fn issue_anew(&self, names: &[&str], before: &Issued) -> Issued {
        self.sign(names, &KeyPair::from_pem(&before.pair.key).unwrap())
    }

    fn sign(&self, names: &[&str], key: &KeyPair) -> Issued {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let serial = self.next_serial();
        params.serial_number = Some(serial.into());
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        let sha256 = sha256(leaf.der());
        Issued { pair: Pair { chain: leaf.pem(), key: key.serialize_pem(), sha256 }, serial }
    }

    fn next_serial(&self) -> u64 {
        self.serial.set(self.serial.get() + 1);
        self.serial.get()
    }

    /// The next list, in PEM.
    pub(crate) fn revoke(&self, all: &[&Issued]) -> String {
        self.list.set(self.list.get() + 1);
        let number = self.list.get();
        let revoked = |issued: &&Issued| RevokedCertParams {
            serial_number: SerialNumber::from(issued.serial),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, number),
            next_update: date_time_ymd(2150, 1, 1),
            crl_number: u64::from(number).into(),
            issuing_distribution_point: None,
            revoked_certs: all.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A fresh OCSP response that says that the certificate is good, in DER.
    pub(crate) fn staple(&self, issued: &Issued) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("ca.pem", &self.certificate);
        write("ca.key", &self.issuer.key().serialize_pem());
        write("leaf.pem", &issued.pair.chain);
        write("index", &format!("V\t491231235959Z\t\t{:X}\tunknown\t/CN=leaf\n", issued.serial));
        let script = "openssl ocsp -issuer ca.pem -cert leaf.pem -reqout request.der &&
            openssl ocsp -index index -rsigner ca.pem -rkey ca.key -CA ca.pem -ndays 7 \
                -reqin request.der -respout staple.der";
        let made = Command::new("sh").args(["-c", script]).current_dir(&directory).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::read(directory.path().join("staple.der")).unwrap()
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}
