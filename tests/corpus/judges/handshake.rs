//! A handshake in memory with a client that verifies only what a judge needs: that the server has the key of the
//! certificate that it sends.
//!
//! The verifier of rustls parses certificates more strictly than servers do. So this one takes the bits of the public
//! key from the certificate, and verifies the signature with them.

use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{self as algorithms, UnparsedPublicKey, VerificationAlgorithm};
use rustls::SignatureScheme as Scheme;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DistinguishedName, ServerConfig,
    ServerConnection,
};

use crate::der;
use crate::support::certificates::sha256;

/// What a client was shown.
pub struct Shown {
    pub leaf: String,
    /// The stapled OCSP response.
    pub staple: Vec<u8>,
}

/// Completes a handshake of TLS 1.3; `peer` is the PEM of the client's chain and key.
pub fn handshake(config: Arc<ServerConfig>, peer: Option<&[u8]>) -> Result<Shown, rustls::Error> {
    let verifier = Arc::new(KeyVerifier { staple: Mutex::default() });
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone());
    let client = match peer {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let chain = CertificateDer::pem_slice_iter(pem).map(Result::unwrap).collect();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pem).unwrap())?
        }
    };
    let mut client = ClientConnection::new(client.into(), "a.test".try_into().unwrap())?;
    let mut server = ServerConnection::new(config)?;
    exchange(&mut client, &mut server)?;
    let leaf = sha256(&client.peer_certificates().unwrap()[0]);
    let staple = std::mem::take(&mut *verifier.staple.lock().unwrap());
    Ok(Shown { leaf, staple })
}

/// Passes what client and server write to the other, until neither writes any more.
fn exchange(
    client: &mut ClientConnection,
    server: &mut ServerConnection,
) -> Result<(), rustls::Error> {
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets()?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(())
}

#[derive(Debug)]
struct KeyVerifier {
    staple: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        staple: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.staple.lock().unwrap() = staple.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("the client offers TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<Scheme> {
        SCHEMES.to_vec()
    }
}

const SCHEMES: &[Scheme] = &[
    Scheme::ECDSA_NISTP256_SHA256,
    Scheme::ECDSA_NISTP384_SHA384,
    Scheme::ECDSA_NISTP521_SHA512,
    Scheme::ED25519,
    Scheme::RSA_PSS_SHA256,
    Scheme::RSA_PSS_SHA384,
    Scheme::RSA_PSS_SHA512,
];

/// Whether the key of the certificate made the signature.
fn verify(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &rustls::DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let algorithm: &dyn VerificationAlgorithm = match signature.scheme {
        Scheme::ECDSA_NISTP256_SHA256 => &algorithms::ECDSA_P256_SHA256_ASN1,
        Scheme::ECDSA_NISTP384_SHA384 => &algorithms::ECDSA_P384_SHA384_ASN1,
        Scheme::ECDSA_NISTP521_SHA512 => &algorithms::ECDSA_P521_SHA512_ASN1,
        Scheme::ED25519 => &algorithms::ED25519,
        Scheme::RSA_PSS_SHA256 => &algorithms::RSA_PSS_2048_8192_SHA256,
        Scheme::RSA_PSS_SHA384 => &algorithms::RSA_PSS_2048_8192_SHA384,
        Scheme::RSA_PSS_SHA512 => &algorithms::RSA_PSS_2048_8192_SHA512,
        other => panic!("{other:?} was not offered"),
    };
    let bits = der::public_key(certificate).unwrap_or_default();
    UnparsedPublicKey::new(algorithm, bits)
        .verify(message, signature.signature())
        .map(|()| HandshakeSignatureValid::assertion())
        .map_err(|_| CertificateError::BadSignature.into())
}

/// A server that asks for certificates of clients, and verifies only that they have the keys.
pub fn asking_server(chain: &[u8], key: &[u8]) -> Arc<ServerConfig> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let chain = CertificateDer::pem_slice_iter(chain).map(Result::unwrap).collect();
    let builder = ServerConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(ClientKeyVerifier));
    builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(key).unwrap()).unwrap().into()
}

/// Completes a handshake of TLS 1.3, and gives the leaf that the client presents.
pub fn presented(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> Result<Option<String>, rustls::Error> {
    let mut client = ClientConnection::new(client, "a.test".try_into().unwrap())?;
    let mut server = ServerConnection::new(server)?;
    exchange(&mut client, &mut server)?;
    Ok(server.peer_certificates().map(|chain| sha256(&chain[0])))
}

#[derive(Debug)]
struct ClientKeyVerifier;

impl ClientCertVerifier for ClientKeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("the server speaks TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<Scheme> {
        SCHEMES.to_vec()
    }
}
