//! Replaces the server's authentication in the self-check of a client identity.
//!
//! The server has a key that signs nothing, and the client accepts any server. So the handshake succeeds or fails by
//! the client's certificate and signature alone.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{Signer, SigningKey};
use rustls::{
    DigitallySignedStruct, Error, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion,
};

/// The two signature schemes that a [`PlaceholderKey`] may claim to have. Every cipher suite can be used with one of
/// them.
const ECDSA: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
const RSA: SignatureScheme = SignatureScheme::RSA_PSS_SHA256;

/// A verifier that accepts any server.
#[derive(Debug)]
pub(super) struct AcceptAnyServer;

impl ServerCertVerifier for AcceptAnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![ECDSA, RSA]
    }
}

/// A signing key that signs nothing, because [`AcceptAnyServer`] does not verify signatures.
///
/// TLS 1.2 cipher suites determine the kind of the server's key, which may differ from that of the client's key. So the
/// identity's own key cannot be the server's.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlaceholderKey(SignatureScheme);

impl PlaceholderKey {
    pub(super) fn for_suites_of(
        provider: &CryptoProvider,
        version: &SupportedProtocolVersion,
    ) -> Self {
        let supports_ecdsa = provider
            .cipher_suites
            .iter()
            .filter(|suite| suite.version() == version)
            .any(|suite| suite.usable_for_signature_algorithm(SignatureAlgorithm::ECDSA));
        Self(if supports_ecdsa { ECDSA } else { RSA })
    }
}

impl SigningKey for PlaceholderKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.0).then(|| Box::new(*self) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        if self.0 == ECDSA { SignatureAlgorithm::ECDSA } else { SignatureAlgorithm::RSA }
    }
}

impl Signer for PlaceholderKey {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(Vec::new())
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}
