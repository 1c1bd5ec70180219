//! A server that is nobody in particular, and a client that takes it all the same: only the client's own
//! proof matters.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{Signer, SigningKey};
use rustls::{
    DigitallySignedStruct, Error, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion,
};

/// How servers sign that have a key of the kind that the cipher suites call for.
const ECDSA: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
const RSA: SignatureScheme = SignatureScheme::RSA_PSS_SHA256;

/// Stands in for the client's verifier: who the server is does not matter here.
#[derive(Debug)]
pub(super) struct TrustsAnyone;

impl ServerCertVerifier for TrustsAnyone {
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

/// The server's key, which is none: what it signs is not looked at. So that a client whose cipher
/// suites are for servers with keys of another kind than its own proves itself all the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoKey(SignatureScheme);

impl NoKey {
    pub(super) fn for_suites_of(
        provider: &CryptoProvider,
        version: &SupportedProtocolVersion,
    ) -> Self {
        let takes_ecdsa = provider
            .cipher_suites
            .iter()
            .filter(|suite| suite.version() == version)
            .any(|suite| suite.usable_for_signature_algorithm(SignatureAlgorithm::ECDSA));
        Self(if takes_ecdsa { ECDSA } else { RSA })
    }
}

impl SigningKey for NoKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.0).then(|| Box::new(*self) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        if self.0 == ECDSA { SignatureAlgorithm::ECDSA } else { SignatureAlgorithm::RSA }
    }
}

impl Signer for NoKey {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(Vec::new())
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}
