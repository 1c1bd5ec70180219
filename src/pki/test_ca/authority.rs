//! A CA for tests, which issues certificates and CRLs.

use std::path::Path;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::pki::trust_input::TrustFile;

/// The time at which tests validate by default, in seconds since 1970.
pub(crate) fn now() -> i64 {
    date_time_ymd(2026, 6, 15).unix_timestamp()
}

/// Year, month and day.
type Day = (i32, u8, u8);

/// A CA with its key and certificate.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    params: CertificateParams,
    /// The CA's self-signed certificate.
    root: rcgen::Certificate,
}

/// The fields of a CRL that a test issues.
pub(crate) struct Listing {
    pub(crate) number: u64,
    pub(crate) this_update: Day,
    pub(crate) next_update: Day,
    pub(crate) part: Option<&'static str>,
    pub(crate) revoked: Vec<u64>,
}

/// The chain and the key that a peer presents.
pub(crate) struct Peer {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivatePkcs8KeyDer<'static>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    pub(crate) fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2120, 1, 1);
        change(&mut params);
        Self::of(params, KeyPair::generate().unwrap())
    }

    fn of(params: CertificateParams, key: KeyPair) -> Self {
        let root = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params.clone(), key), params, root }
    }

    /// Returns a CA with the same name and key, whose certificate has another key usage.
    pub(crate) fn with_key_usages(&self, usages: &[KeyUsagePurpose]) -> Self {
        self.with_same_key(|params| params.key_usages = usages.to_vec())
    }

    /// Returns a CA with the same key, whose name has the same characters in another type of string.
    pub(crate) fn with_printable_name(&self) -> Self {
        self.with_same_key(|params| {
            let Some(DnValue::Utf8String(name)) =
                params.distinguished_name.get(&DnType::CommonName).cloned()
            else {
                unreachable!("as `with` made it")
            };
            let name = DnValue::PrintableString(name.as_str().try_into().unwrap());
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
        })
    }

    fn with_same_key(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::try_from(self.issuer.key().serialize_der()).unwrap();
        let mut params = self.params.clone();
        change(&mut params);
        Self::of(params, key)
    }

    /// Returns the CA's self-signed certificate.
    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.root.der().clone()
    }

    pub(crate) fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// Issues a certificate for the CA `other`, which makes that an intermediate below this CA.
    pub(crate) fn certifies(&self, other: &Self, serial: u64) -> CertificateDer<'static> {
        self.certified(other, serial).into()
    }

    pub(crate) fn certifies_pem(&self, other: &Self, serial: u64) -> String {
        self.certified(other, serial).pem()
    }

    fn certified(&self, other: &Self, serial: u64) -> rcgen::Certificate {
        let mut params = other.params.clone();
        params.serial_number = Some(serial.into());
        params.signed_by(other.issuer.key(), &self.issuer).unwrap()
    }

    /// Issues a certificate for a peer of either role, named `a.test`. `up` are the certificates above it in the chain.
    pub(crate) fn peer(&self, serial: u64, up: &[CertificateDer<'static>]) -> Peer {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.serial_number = Some(serial.into());
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2120, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap().into();
        let chain = [&[leaf], up].concat();
        Peer { chain, key: key.serialize_der().into() }
    }

    pub(crate) fn list(&self, listing: &Listing) -> rcgen::CertificateRevocationList {
        let date = |(year, month, day): Day| date_time_ymd(year, month, day);
        let revoked = listing.revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date(listing.this_update),
            reason_code: None,
            invalidity_date: None,
        });
        let part = |uri: &str| CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint { uris: vec![uri.to_owned()] },
            scope: Some(CrlScope::UserCertsOnly),
        };
        CertificateRevocationListParams {
            this_update: date(listing.this_update),
            next_update: date(listing.next_update),
            crl_number: listing.number.into(),
            issuing_distribution_point: listing.part.map(part),
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)
        .unwrap()
    }

    pub(crate) fn list_pem(&self, listing: &Listing) -> String {
        self.list(listing).pem().unwrap()
    }
}

impl Listing {
    /// Returns the fields of a CRL with this number, valid from 2026-06-01 until 2026-08-01, that revokes no
    /// certificate.
    pub(crate) fn number(number: u64) -> Self {
        let (this_update, next_update) = ((2026, 6, 1), (2026, 8, 1));
        Self { number, this_update, next_update, part: None, revoked: Vec::new() }
    }

    pub(crate) fn revoking(self, revoked: &[u64]) -> Self {
        Self { revoked: revoked.to_vec(), ..self }
    }
}

/// Returns a trust-store file that is configured by its own path, where a file of another kind is an error.
pub(crate) fn file<'a>(path: &'a str, bytes: &'a (impl AsRef<[u8]> + ?Sized)) -> TrustFile<'a> {
    TrustFile { path: Path::new(path), bytes: bytes.as_ref(), is_in_directory: false }
}

/// Returns a trust-store file as found in a configured directory, where parsers tolerate files of another kind.
pub(crate) fn in_directory<'a>(
    path: &'a str,
    bytes: &'a (impl AsRef<[u8]> + ?Sized),
) -> TrustFile<'a> {
    TrustFile { is_in_directory: true, ..file(path, bytes) }
}

/// Issues a CRL of a CA named "Root" with `openssl ca`. `settings` are added to the configuration of that command.
pub(crate) fn openssl_list(settings: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let config = format!("[ca]\ndefault_ca=a\n[a]\ndatabase=index\ndefault_md=sha256\n{settings}");
    std::fs::write(directory.path().join("ca.cnf"), config).unwrap();
    std::fs::write(directory.path().join("number"), "2a\n").unwrap();
    let revoked = "R\t300101000000Z\t260101000000Z,keyCompromise\t0a\tunknown\t/CN=b\n";
    std::fs::write(directory.path().join("index"), revoked).unwrap();
    let openssl = |line: &str| {
        let mut command = Command::new("openssl");
        let output = command.args(line.split(' ')).current_dir(&directory).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    openssl("req -x509 -newkey ed25519 -nodes -subj /CN=Root -keyout ca.key -out ca.pem -days 9");
    openssl("ca -config ca.cnf -gencrl -keyfile ca.key -cert ca.pem -out ca.crl");
    std::fs::read(directory.path().join("ca.crl")).unwrap()
}
