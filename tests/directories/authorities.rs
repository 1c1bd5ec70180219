//! Authorities, a client of each, and the lists that they sign.

use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, date_time_ymd,
};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::PrivateKeyDer;

use super::support::certificates::Pair;
use super::support::client::AnyCertificate;
use super::support::rotation::NAME;

/// An authority, and a client of it.
pub(super) struct Authority {
    pub(super) pem: String,
    issuer: Issuer<'static, KeyPair>,
    pub(super) client: Arc<ClientConfig>,
}

/// The number of each client's certificate.
const SERIAL: u64 = 7;

/// Four of them; the first is trusted whatever happens.
pub(super) static AUTHORITIES: LazyLock<[Authority; 4]> =
    LazyLock::new(|| ["base", "one", "two", "three"].map(Authority::new));

pub(super) static SERVER: LazyLock<Pair> = LazyLock::new(|| Pair::new(&[NAME]));

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let client = client_of(&issuer);
        Self { pem, issuer, client }
    }

    /// A list of this number, on which the client is, or nobody.
    pub(super) fn list(&self, number: u64, revokes: bool) -> Vec<u8> {
        let client = RevokedCertParams {
            serial_number: SERIAL.into(),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: revokes.then_some(client).into_iter().collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).unwrap();
        // One by one in both forms.
        if number.is_multiple_of(2) {
            list.der().to_vec()
        } else {
            list.pem().unwrap().into_bytes()
        }
    }
}

/// A client that never resumes a session: each handshake shows what is trusted now.
fn client_of(issuer: &Issuer<'_, KeyPair>) -> Arc<ClientConfig> {
    let mut params = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
    params.serial_number = Some(SERIAL.into());
    let key = KeyPair::generate().unwrap();
    let chain = vec![params.signed_by(&key, issuer).unwrap().der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_client_auth_cert(chain, key)
        .unwrap();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}
