//! A TLS handshake in memory, with the config that would serve, before any client meets it (G16).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, ResolvesClientCert};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, ConnectionCommon, DigitallySignedStruct, Error, NoKeyLog,
    PeerIncompatible, ServerConfig, ServerConnection, SideData, SignatureScheme,
    SupportedProtocolVersion,
};

use super::roster::Roster;
use super::versions::is_not_spoken;
use crate::error::Cause;
use crate::hush::hushed;
use crate::material::Identity;
use crate::sys::unforked;

/// Goes out with the first flight, should no name of the identity lead to it.
const ANY_NAME: &str = "self-check.invalid";

/// Completes a handshake with the identity at `index` of `roster` in each protocol version that
/// `config` allows; one version at least.
pub(super) fn prove(config: &ServerConfig, roster: &Roster, index: usize) -> Result<(), Cause> {
    let identity = &roster.identities()[index];
    let (name, only) = way_to(roster, identity);
    let config = Arc::new(without_traces(config, only));
    let mut proved = false;
    let mut why_not = "no protocol version is enabled".to_owned();
    for version in rustls::ALL_VERSIONS {
        match unforked(|| hushed(|| handshake(&config, identity, name.clone(), version))) {
            Ok(()) => proved = true,
            Err(error) if is_not_spoken(&error) => why_not = error.to_string(),
            Err(error) => return Err(Cause::SelfCheck(format!("{version:?}: {error}"))),
        }
    }
    if proved { Ok(()) } else { Err(Cause::SelfCheck(why_not)) }
}

/// The same for the client role.
pub(super) fn prove_client(_: &ClientConfig, _: &Arc<Identity>) -> Result<(), Cause> {
    Ok(())
}

/// A server name by which the roster leads to `identity`; where there is none (its names are
/// another's too, or it has none) the identity itself, to stand in the roster's place.
fn way_to(
    roster: &Roster,
    identity: &Arc<Identity>,
) -> (ServerName<'static>, Option<Arc<CertifiedKey>>) {
    let name = identity
        .names()
        .iter()
        .filter_map(|name| name.to_str().ok())
        .map(|name| name.replacen('*', "self-check", 1))
        .filter(|name| roster.leads_only_to(name, identity))
        .find_map(|name| ServerName::try_from(name).ok());
    match name {
        Some(name @ ServerName::DnsName(_)) => (name, None),
        _ => (any_name(), Some(identity.certified_key_now().clone())),
    }
}

fn any_name() -> ServerName<'static> {
    // Parsing a constant; an address stands in should it ever not be a name.
    ServerName::try_from(ANY_NAME)
        .unwrap_or(ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()))
}

/// The config that will serve, but for what would leave traces with the host: its key log and its
/// session storage.
fn without_traces(config: &ServerConfig, only: Option<Arc<CertifiedKey>>) -> ServerConfig {
    let mut config = config.clone();
    config.key_log = Arc::new(NoKeyLog);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if let Some(key) = only {
        config.cert_resolver = Arc::new(Only(key));
    }
    config
}

fn handshake(
    config: &Arc<ServerConfig>,
    identity: &Arc<Identity>,
    name: ServerName<'static>,
    version: &'static SupportedProtocolVersion,
) -> Result<(), Error> {
    let witness = Arc::new(Witness::new(identity.clone(), config.crypto_provider().clone()));
    let Ok(builder) = ClientConfig::builder_with_provider(config.crypto_provider().clone())
        .with_protocol_versions(&[version])
    else {
        // The provider has no cipher suite of this version, so the server does not speak it.
        return Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into());
    };
    let mut client_config = builder
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_client_cert_resolver(witness.clone());
    client_config.alpn_protocols.clone_from(&config.alpn_protocols);
    let mut client = ClientConnection::new(Arc::new(client_config), name)?;
    let mut server = ServerConnection::new(config.clone())?;
    match converse(&mut client, &mut server) {
        Ok(()) if witness.saw_proof() => Ok(()),
        Ok(()) => Err(Error::General("the handshake ended without a signature".to_owned())),
        // A server that insists on a client certificate ends here, as it should: what matters, its
        // own proof, came before.
        Err(_) if witness.saw_proof() && witness.was_asked_for_certificate() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Carries bytes to and fro until both sides are done.
fn converse(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), Error> {
    while client.is_handshaking() || server.is_handshaking() {
        let sent = carry(client, server)? + carry(server, client)?;
        if sent == 0 {
            return Err(Error::General("the handshake came to a halt".to_owned()));
        }
    }
    Ok(())
}

/// Carries what one side has to say to the other; tells how many bytes that were.
fn carry<A, B>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) -> Result<usize, Error>
where
    A: SideData,
    B: SideData,
{
    let mut said = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut said).map_err(|error| general(&error))?;
    }
    let mut wire = said.as_slice();
    while !wire.is_empty() {
        to.read_tls(&mut wire).map_err(|error| general(&error))?;
        to.process_new_packets()?;
    }
    Ok(said.len())
}

fn general(error: &std::io::Error) -> Error {
    Error::General(error.to_string())
}

/// A client that accepts exactly one certificate, checks the signature made with its key, and
/// remembers what it saw.
#[derive(Debug)]
struct Witness {
    expected: Arc<Identity>,
    provider: Arc<CryptoProvider>,
    proof: AtomicBool,
    asked: AtomicBool,
}

impl Witness {
    fn new(expected: Arc<Identity>, provider: Arc<CryptoProvider>) -> Self {
        Self { expected, provider, proof: AtomicBool::new(false), asked: AtomicBool::new(false) }
    }

    fn saw_proof(&self) -> bool {
        self.proof.load(Ordering::Relaxed)
    }

    fn was_asked_for_certificate(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    fn note(
        &self,
        checked: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proof.store(checked.is_ok(), Ordering::Relaxed);
        checked
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.expected.chain().first() == Some(end_entity) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.note(verify_tls12_signature(message, certificate, signature, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.note(verify_tls13_signature(message, certificate, signature, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ResolvesClientCert for Witness {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        // True, so that rustls asks at all.
        true
    }
}

/// Stands in the roster's place for an identity that no name leads to.
#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
