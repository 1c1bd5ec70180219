//! A client that takes whatever it is shown, and the handshake that it makes in memory.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;

use super::certificates::sha256;
use super::host::Host;

/// Completes a handshake with a fresh client, and tells the fingerprint that it was shown.
pub fn handshake(config: Arc<rustls::ServerConfig>, name: &str) -> String {
    let (client, _) = Client::new().talk(config, name);
    fingerprint(&client)
}

/// Fingerprint of the certificate that a client was shown.
pub fn fingerprint(client: &rustls::ClientConnection) -> String {
    let leaf = &client.peer_certificates().unwrap()[0];
    sha256(leaf)
}

/// A client that takes any certificate but checks the key's signature, and that remembers sessions.
pub struct Client(Arc<rustls::ClientConfig>);

impl Client {
    pub fn new() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    /// A client that verifies signatures of one scheme.
    pub fn of_scheme(scheme: rustls::SignatureScheme) -> Self {
        let mut client = Self::new();
        let config = Arc::get_mut(&mut client.0).unwrap();
        config.dangerous().set_certificate_verifier(Arc::new(OneScheme(scheme)));
        client
    }

    /// A client that presents the certificates of a file, whatever the server asks for.
    pub fn presenting(chain: &Path, key: &Path) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let key = provider.key_provider.load_private_key(key).unwrap();
        // Unlike `with_client_auth_cert`, this parses no certificate.
        let certified = rustls::sign::CertifiedKey::new(chain, key);
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        Self(Arc::new(config))
    }

    /// A client with these settings.
    pub fn with_config(config: rustls::ClientConfig) -> Self {
        Self(Arc::new(config))
    }

    /// Whether this client accepts the certificate of a server.
    pub fn accepts(&self, config: Arc<rustls::ServerConfig>, name: &str) -> bool {
        let mut client = self.begin(name);
        let mut server = rustls::ServerConnection::new(config).unwrap();
        while client.is_handshaking() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let mut unread = wire.as_slice();
            while !unread.is_empty() {
                client.read_tls(&mut unread).unwrap();
                if client.process_new_packets().is_err() {
                    return false;
                }
            }
        }
        true
    }

    /// Fails if the server does not refuse this client.
    pub fn is_refused(&self, config: Arc<rustls::ServerConfig>, name: &str) {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = rustls::ClientConnection::new(self.0.clone(), name).unwrap();
        let mut server = rustls::ServerConnection::new(config).unwrap();
        loop {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            assert!(!wire.is_empty(), "the server accepts the client");
            server.read_tls(&mut wire.as_slice()).unwrap();
            if server.process_new_packets().is_err() {
                return;
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
    }

    /// Connects to what `host` serves now, as `a.test`.
    pub fn connect(&self, host: &Host) -> rustls::HandshakeKind {
        let (client, server) = self.talk(host.config(), "a.test");
        assert_eq!(client.handshake_kind(), server.handshake_kind());
        client.handshake_kind().unwrap()
    }

    /// Begins a connection in memory.
    pub fn begin(&self, name: &str) -> rustls::ClientConnection {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        rustls::ClientConnection::new(self.0.clone(), name).unwrap()
    }

    /// Begins a connection over a socket.
    pub fn open(
        &self,
        name: &str,
        socket: TcpStream,
    ) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let client = rustls::ClientConnection::new(self.0.clone(), name).unwrap();
        rustls::StreamOwned::new(client, socket)
    }

    pub fn talk(
        &self,
        config: Arc<rustls::ServerConfig>,
        name: &str,
    ) -> (rustls::ClientConnection, rustls::ServerConnection) {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = rustls::ClientConnection::new(self.0.clone(), name).unwrap();
        let mut server = rustls::ServerConnection::new(config).unwrap();
        while client.wants_write() || server.wants_write() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            let mut unread = wire.as_slice();
            while !unread.is_empty() {
                server.read_tls(&mut unread).unwrap();
                server.process_new_packets().unwrap();
            }
            wire.clear();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let mut unread = wire.as_slice();
            while !unread.is_empty() {
                client.read_tls(&mut unread).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        (client, server)
    }
}

/// Takes any certificate, but checks the key's signature.
#[derive(Debug)]
pub struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider();
        let algorithms = algorithms.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider();
        let algorithms = algorithms.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// As [`AnyCertificate`], with signatures of one scheme.
#[derive(Debug)]
struct OneScheme(rustls::SignatureScheme);

impl ServerCertVerifier for OneScheme {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        AnyCertificate.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        AnyCertificate.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![self.0]
    }
}
