//! A server's identity proves itself to a client.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, ResolvesClientCert};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, NoKeyLog, ServerConfig, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};

use super::{SingleCert, Witness, any_name, converse, in_each_version, not_spoken, unproved};
use crate::error::Cause;
use crate::pki::Identity;
use crate::tls::cert_resolver::CertResolver;

/// Completes a handshake with the identity at `index` of `resolver` in each protocol version that
/// `config` allows; one version at least. Tells whether clients are asked for certificates.
pub(crate) fn prove(
    config: &ServerConfig,
    resolver: &CertResolver,
    index: usize,
) -> Result<bool, Cause> {
    let identity = &resolver.identities()[index];
    let (name, only) = way_to(resolver, identity);
    let config = Arc::new(without_traces(config, only));
    let asks = Cell::new(false);
    in_each_version(|version| handshake(&config, identity, name.clone(), version, &asks))?;
    Ok(asks.get())
}

/// A server name by which the roster leads to `identity`; where there is none (its names are
/// another's too, or it has none) the identity itself, to stand in the roster's place.
fn way_to(
    resolver: &CertResolver,
    identity: &Arc<Identity>,
) -> (ServerName<'static>, Option<Arc<CertifiedKey>>) {
    let name = identity
        .names()
        .iter()
        .filter_map(|name| name.to_str().ok())
        .map(|name| name.replacen('*', "self-check", 1))
        .filter(|name| resolver.leads_only_to(name, identity))
        .find_map(|name| ServerName::try_from(name).ok());
    match name {
        Some(name @ ServerName::DnsName(_)) => (name, None),
        _ => (any_name(), Some(identity.certified_key().clone())),
    }
}

/// The config that will serve, but for what would leave traces with the host: its key log and its
/// session storage.
fn without_traces(config: &ServerConfig, only: Option<Arc<CertifiedKey>>) -> ServerConfig {
    let mut config = config.clone();
    config.key_log = Arc::new(NoKeyLog);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if let Some(key) = only {
        config.cert_resolver = Arc::new(SingleCert(key));
    }
    config
}

fn handshake(
    config: &Arc<ServerConfig>,
    identity: &Arc<Identity>,
    name: ServerName<'static>,
    version: &'static SupportedProtocolVersion,
    asks: &Cell<bool>,
) -> Result<(), Error> {
    let provider = config.crypto_provider();
    let witness = Arc::new(CheckingClient::new(Witness::new(identity.clone(), provider.clone())));
    let Ok(builder) =
        ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[version])
    else {
        return Err(not_spoken());
    };
    let mut client_config = builder
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_client_cert_resolver(witness.clone());
    client_config.alpn_protocols.clone_from(&config.alpn_protocols);
    let mut client = ClientConnection::new(Arc::new(client_config), name)?;
    let mut server = ServerConnection::new(config.clone())?;
    let outcome = converse(&mut client, &mut server);
    asks.set(asks.get() || witness.was_asked_for_certificate());
    match outcome {
        Ok(()) if witness.saw_proof() => Ok(()),
        Ok(()) => Err(unproved()),
        // A server that insists on a client certificate ends here, as it should: what matters, its
        // own proof, came before.
        Err(_) if witness.saw_proof() && witness.was_asked_for_certificate() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The client, which has no certificate of its own.
#[derive(Debug)]
struct CheckingClient {
    witness: Witness,
    asked: AtomicBool,
}

impl CheckingClient {
    fn new(witness: Witness) -> Self {
        Self { witness, asked: AtomicBool::new(false) }
    }

    fn saw_proof(&self) -> bool {
        self.witness.saw_proof()
    }

    fn was_asked_for_certificate(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ServerCertVerifier for CheckingClient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.witness.look_at(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.witness.check_tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.witness.check_tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.witness.schemes()
    }
}

impl ResolvesClientCert for CheckingClient {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        // True, so that rustls asks at all.
        true
    }
}
