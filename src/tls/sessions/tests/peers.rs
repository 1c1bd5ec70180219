//! Test servers whose sessions are managed by this crate, and clients that resume them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::client::Resumption as ClientResumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, HandshakeKind, RootCertStore, ServerConfig,
    ServerConnection, SideData, SupportedProtocolVersion,
};

use crate::options::Resumption;
use crate::pki::{TicketFile, TicketKeys};
use crate::tls::sessions::identity_label::IdentityLabel;
use crate::tls::sessions::{ServedNames, SessionPolicy, Sessions};

pub(super) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// The names of a generation with one identity.
#[derive(Debug)]
pub(super) struct Names(Vec<&'static str>);

impl ServedNames for Names {
    fn is_served(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    fn label_for(&self, _name: Option<&str>) -> Option<IdentityLabel> {
        self.0.first().map(|name| IdentityLabel::name(name.as_bytes()))
    }

    fn has_label(&self, _name: Option<&str>, label: &IdentityLabel) -> bool {
        self.0.iter().any(|name| IdentityLabel::name(name.as_bytes()) == *label)
    }
}

/// Returns the policy of a generation with a trust store and the one name `a.test`.
pub(super) fn policy() -> SessionPolicy {
    named(&["a.test"])
}

pub(super) fn named(names: &[&'static str]) -> SessionPolicy {
    SessionPolicy {
        trust_fingerprint: [1; 32],
        context: [0; 32],
        names: Arc::new(Names(names.to_vec())),
        ticket_keys: None,
        ticket_key_lifetime: Duration::from_secs(86400),
        resume_until: None,
    }
}

pub(super) fn sessions(resumption: Resumption) -> Arc<Sessions> {
    Sessions::new(resumption).unwrap()
}

/// Returns one ticket key for each letter. Its bytes are the letter's complement: a file of letters would be parsed as
/// text.
pub(super) fn keys(letters: &[u8], now: i64) -> Arc<TicketKeys> {
    let bytes: Vec<u8> = letters.iter().flat_map(|letter| [!letter; 48]).collect();
    let path = Path::new("keys");
    let file = TicketFile { path, bytes: &bytes, is_readable_by_others: false, modified: now };
    Arc::new(TicketKeys::new(&file, now, None).unwrap())
}

/// A certification authority, and a server certificate that it issued.
pub(super) struct TestPki {
    issuer: CertifiedIssuer<'static, KeyPair>,
    server_key: KeyPair,
    server: CertificateDer<'static>,
}

impl TestPki {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let server_key = KeyPair::generate().unwrap();
        let names = ["a.test", "b.test", "some-longer.name.test", "127.0.0.1"].map(str::to_owned);
        let params = CertificateParams::new(names).unwrap();
        let server = params.signed_by(&server_key, &issuer).unwrap().der().clone();
        Self { issuer, server_key, server }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// Returns a server of one generation, whose sessions are those of `sessions` under `policy`.
    pub(super) fn server(
        &self,
        sessions: &Arc<Sessions>,
        policy: SessionPolicy,
    ) -> Arc<ServerConfig> {
        let given = sessions.for_server(policy).unwrap();
        let mut config = self.server_config();
        config.ticketer = given.ticketer;
        config.session_storage = given.storage;
        config.send_tls13_tickets = given.tls13_tickets;
        Arc::new(config)
    }

    /// Returns a server that uses the session storage and the tickets of rustls, for tests of the client role.
    pub(super) fn plain_server(&self) -> Arc<ServerConfig> {
        let mut config = self.server_config();
        config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
        Arc::new(config)
    }

    /// Returns a server configuration that asks for client certificates without requiring them.
    pub(super) fn server_config(&self) -> ServerConfig {
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider())
            .allow_unauthenticated();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![self.server.clone()], key(&self.server_key))
            .unwrap();
        config.time_provider = Arc::new(crate::clock::WallClock);
        config
    }

    pub(super) fn client(&self, version: &'static SupportedProtocolVersion) -> Client {
        let config = self.client_config(version).with_no_client_auth();
        Client { config, name: "a.test", chain: Vec::new() }
    }

    /// Returns a client with a certificate that expires at `not_after`, in seconds since 1970.
    pub(super) fn certified_client(
        &self,
        version: &'static SupportedProtocolVersion,
        not_after: i64,
    ) -> Client {
        let (certificate, own_key) = certificate(not_after, &self.issuer);
        let chain = vec![certificate, self.issuer.der().clone()];
        self.client_with(version, chain, &own_key)
    }

    /// Returns a client with a certificate and an intermediate certificate. `not_after` says when they expire, in this
    /// order, in seconds since 1970.
    pub(super) fn client_by_intermediate(
        &self,
        version: &'static SupportedProtocolVersion,
        not_after: [i64; 2],
    ) -> Client {
        let mut params = until(not_after[1]);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "intermediate");
        let ca_key = KeyPair::generate().unwrap();
        let ca = CertifiedIssuer::signed_by(params, ca_key, &self.issuer).unwrap();
        let (certificate, own_key) = certificate(not_after[0], &ca);
        self.client_with(version, vec![certificate, ca.der().clone()], &own_key)
    }

    fn client_with(
        &self,
        version: &'static SupportedProtocolVersion,
        chain: Vec<CertificateDer<'static>>,
        own_key: &KeyPair,
    ) -> Client {
        let config = self.client_config(version);
        let config = config.with_client_auth_cert(chain.clone(), key(own_key)).unwrap();
        Client { config, name: "a.test", chain }
    }

    fn client_config(
        &self,
        version: &'static SupportedProtocolVersion,
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(self.roots())
    }
}

/// Returns a client certificate that expires at `not_after`, in seconds since 1970.
fn certificate(
    not_after: i64,
    issuer: &CertifiedIssuer<'static, KeyPair>,
) -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    (until(not_after).signed_by(&key, issuer).unwrap().der().clone(), key)
}

fn until(not_after: i64) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
    let since_1970 = Duration::from_secs(not_after.cast_unsigned());
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_1970;
    params
}

fn key(pair: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(pair.serialize_der().into())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A client that stores sessions.
pub(super) struct Client {
    config: ClientConfig,
    name: &'static str,
    chain: Vec<CertificateDer<'static>>,
}

impl Client {
    pub(super) fn asking_for(mut self, name: &'static str) -> Self {
        self.name = name;
        self.config.enable_sni = name.parse::<std::net::IpAddr>().is_err();
        self
    }

    pub(super) fn speaking(mut self, protocol: &[u8]) -> Self {
        self.config.alpn_protocols = vec![protocol.to_vec()];
        self
    }

    /// Returns the certificates that the client presents.
    pub(super) fn chain(&self) -> Vec<&[u8]> {
        self.chain.iter().map(AsRef::as_ref).collect()
    }

    /// Makes the client resume TLS 1.2 sessions by id only, as some embedded clients do.
    pub(super) fn without_tickets(mut self) -> Self {
        let ids = rustls::client::Tls12Resumption::SessionIdOnly;
        self.config.resumption = ClientResumption::default().tls12_resumption(ids);
        self
    }

    pub(super) fn with_resumption(mut self, resumption: ClientResumption) -> Self {
        self.config.resumption = resumption;
        self
    }

    /// Connects once, and returns whether an earlier session was resumed.
    pub(super) fn resumes(&self, server: &Arc<ServerConfig>) -> bool {
        let name = ServerName::try_from(self.name).unwrap();
        let mut client = ClientConnection::new(Arc::new(self.config.clone()), name).unwrap();
        let mut server = ServerConnection::new(server.clone()).unwrap();
        // In TLS 1.3 the tickets come after the handshake, so bytes are passed until there are none.
        while transfer(&mut client, &mut server) + transfer(&mut server, &mut client) > 0 {}
        assert_eq!(client.handshake_kind(), server.handshake_kind());
        client.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

fn transfer<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> usize {
    let mut sent = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut sent).unwrap();
    }
    let mut unread = sent.as_slice();
    while !unread.is_empty() {
        to.read_tls(&mut unread).unwrap();
        to.process_new_packets().unwrap();
    }
    sent.len()
}
