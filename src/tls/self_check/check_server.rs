//! The self-check of an identity for servers: a handshake with a client that expects exactly this identity.

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

use super::{IdentityVerifier, SingleCert, any_name, complete_handshake, in_each_version};
use super::{missing_signature, unsupported_version};
use crate::error::Cause;
use crate::pki::Identity;
use crate::tls::cert_resolver::CertResolver;

/// Completes a handshake with `identity`, one of `resolver`, in each protocol version that `config` allows.
///
/// Returns whether the server asks clients for certificates.
pub(crate) fn check_server(
    config: &ServerConfig,
    resolver: &CertResolver,
    identity: &Arc<Identity>,
) -> Result<bool, Cause> {
    let check = ServerCheck::new(config, resolver, identity);
    let asks_clients = in_each_version(|version| check.handshake(version))?;
    Ok(asks_clients.contains(&true))
}

/// One identity, with a configuration that serves it and the server name that selects it.
struct ServerCheck {
    identity: Arc<Identity>,
    config: Arc<ServerConfig>,
    name: ServerName<'static>,
}

impl ServerCheck {
    /// Prepares a copy of `config` without the key log and the session storage: there, the host would see the handshake
    /// of the self-check.
    ///
    /// An identity may have no name, or share its names with another identity. If no server name selects `identity`, a
    /// resolver with this identity alone replaces the resolver of `config`. So it does while every handshake is refused.
    fn new(config: &ServerConfig, resolver: &CertResolver, identity: &Arc<Identity>) -> Self {
        let mut config = config.clone();
        config.key_log = Arc::new(NoKeyLog);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let name = name_of(resolver, identity).filter(|_| !resolver.refuses());
        let name = name.unwrap_or_else(|| {
            config.cert_resolver = Arc::new(SingleCert(identity.certified_key().clone()));
            any_name()
        });
        Self { identity: identity.clone(), config: Arc::new(config), name }
    }

    /// Completes a handshake in `version`, and returns whether the server asked the client for a certificate.
    fn handshake(&self, version: &'static SupportedProtocolVersion) -> Result<bool, Error> {
        let Self { identity, config, name } = self;
        let provider = config.crypto_provider();
        let peer = Arc::new(CheckingClient {
            verifier: IdentityVerifier::new(identity.clone(), provider.clone()),
            was_asked: AtomicBool::new(false),
        });
        let Ok(builder) = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
        else {
            return Err(unsupported_version());
        };
        let mut client_config = builder
            .dangerous()
            .with_custom_certificate_verifier(peer.clone())
            .with_client_cert_resolver(peer.clone());
        client_config.alpn_protocols.clone_from(&config.alpn_protocols);
        let mut client = ClientConnection::new(Arc::new(client_config), name.clone())?;
        let mut server = ServerConnection::new(config.clone())?;
        let outcome = complete_handshake(&mut client, &mut server);
        let was_asked = peer.was_asked.load(Ordering::Relaxed);
        match (outcome, peer.verifier.has_verified_signature()) {
            (Ok(()), true) => Ok(was_asked),
            (Ok(()), false) => Err(missing_signature()),
            // A server that requires a client certificate refuses this client, which has none. By then the server has
            // sent its certificate and its signature.
            (Err(_), true) if was_asked => Ok(was_asked),
            (Err(error), _) => Err(error),
        }
    }
}

/// Returns a server name for which `resolver` selects `identity` and no other identity.
fn name_of(resolver: &CertResolver, identity: &Arc<Identity>) -> Option<ServerName<'static>> {
    let names = identity.names().iter().filter_map(|name| name.to_str().ok());
    names
        .map(|name| name.replacen('*', "self-check", 1))
        .filter(|name| resolver.selects_only(name, identity))
        .filter_map(|name| ServerName::try_from(name).ok())
        // An IP address is not sent as a server name (RFC 6066 section 3).
        .find(|name| matches!(name, ServerName::DnsName(_)))
}

/// The client of the self-check: expects one identity, and has no certificate.
#[derive(Debug)]
struct CheckingClient {
    verifier: IdentityVerifier,
    /// Whether the server has asked for a certificate.
    was_asked: AtomicBool,
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
        self.verifier.verify_certificate(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.schemes()
    }
}

impl ResolvesClientCert for CheckingClient {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        // rustls calls `resolve` only if this is true, and that call shows that the server asks for a certificate.
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::cert_resolver::tests::resolver;

    #[test]
    fn g16_dns_name_selects_an_identity_whose_first_name_is_an_ip_address() {
        let resolver = resolver(&[&["other.test"], &["192.0.2.1", "a.test"], &["192.0.2.2"]]);
        let name = |index: usize| name_of(&resolver, resolver.identity(index).unwrap());
        assert_eq!(name(1), ServerName::try_from("a.test").ok());
        assert_eq!(name(2), None, "no server name selects an IP address");
    }
}
