//! Checks a configuration with TLS handshakes in memory before it is published (G16).
//!
//! A handshake succeeds if the peer receives exactly the certificate of the new identity and a valid signature with its
//! key. The peer verifies neither the issuer nor the names, because TLS stacks do not check these in a certificate that
//! they present. The self-check must not refuse a certificate that the TLS stack can serve (G23).

mod check_client;
mod check_server;
mod no_server_authentication;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ClientConnection;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConnection};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ConnectionCommon, DigitallySignedStruct, Error, PeerIncompatible,
    ProtocolVersion, SideData, SignatureScheme, SupportedProtocolVersion,
};

pub(crate) use check_client::check_client;
pub(crate) use check_server::check_server;

use super::enabled_versions::is_unsupported;
use crate::error::{Cause, system_error_in_words};
use crate::pki::{Identity, is_handshake_signature, tls_error_in_words};
use crate::sys::without_fork;
use crate::sys::without_logging;

/// The server name that the client of the self-check sends, if no server name selects the identity.
const ANY_NAME: &str = "self-check.invalid";

/// Runs `handshake` in each protocol version, and returns the results.
///
/// Fails if no version is supported, or if a handshake fails for any reason other than an unsupported version.
fn in_each_version<T>(
    handshake: impl Fn(&'static SupportedProtocolVersion) -> Result<T, Error>,
) -> Result<Vec<T>, Cause> {
    let mut completed = Vec::new();
    let mut unsupported = "no protocol version is enabled".to_owned();
    for version in rustls::ALL_VERSIONS {
        match without_fork(|| without_logging(|| handshake(version))) {
            Ok(result) => completed.push(result),
            Err(error) if is_unsupported(&error) => unsupported = in_words(&error),
            Err(error) => {
                let (version, error) = (name_of(version), in_words(&error));
                return Err(Cause::SelfCheck(format!("{version}: {error}")));
            }
        }
    }
    if completed.is_empty() { Err(Cause::SelfCheck(unsupported)) } else { Ok(completed) }
}

/// Returns why a handshake failed, in words for an operator, who knows nothing of the peer in the self-check (G24).
fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the private key does not match the certificate".to_owned()
        }
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            "another certificate was presented".to_owned()
        }
        Error::NoCertificatesPresented => "no certificate was presented".to_owned(),
        other => tls_error_in_words(other),
    }
}

fn name_of(version: &SupportedProtocolVersion) -> &'static str {
    match version.version {
        ProtocolVersion::TLSv1_2 => "TLS 1.2",
        ProtocolVersion::TLSv1_3 => "TLS 1.3",
        _ => "TLS",
    }
}

/// Returns the error for a version for which the provider has no cipher suite; [`in_each_version`] ignores it.
fn unsupported_version() -> Error {
    PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into()
}

fn any_name() -> ServerName<'static> {
    // The constant is a valid name, so the IP address is never used. With it, the code cannot panic.
    ServerName::try_from(ANY_NAME)
        .unwrap_or(ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()))
}

/// Passes bytes in both directions until the handshake is complete on both sides.
fn complete_handshake(
    client: &mut ClientConnection,
    server: &mut ServerConnection,
) -> Result<(), Error> {
    while client.is_handshaking() || server.is_handshaking() {
        let sent = transfer(client, server)? + transfer(server, client)?;
        if sent == 0 {
            return Err(Error::General("the handshake stopped before it was complete".to_owned()));
        }
    }
    Ok(())
}

/// Passes all pending bytes from one side to the other, and returns their number.
fn transfer<A, B>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<usize, Error>
where
    A: SideData,
    B: SideData,
{
    let mut sent = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut sent).map_err(|error| io_error(&error))?;
    }
    let mut unread = sent.as_slice();
    while !unread.is_empty() {
        to.read_tls(&mut unread).map_err(|error| io_error(&error))?;
        to.process_new_packets()?;
    }
    Ok(sent.len())
}

fn io_error(error: &std::io::Error) -> Error {
    Error::General(system_error_in_words(error))
}

fn missing_signature() -> Error {
    Error::General("the handshake ended without a signature".to_owned())
}

/// The verifier of the identity's peer: accepts exactly one certificate, and records whether it has verified a
/// signature with the certificate's key.
#[derive(Debug)]
struct IdentityVerifier {
    expected: Arc<Identity>,
    provider: Arc<CryptoProvider>,
    has_verified: AtomicBool,
}

impl IdentityVerifier {
    fn new(expected: Arc<Identity>, provider: Arc<CryptoProvider>) -> Self {
        Self { expected, provider, has_verified: AtomicBool::new(false) }
    }

    fn has_verified_signature(&self) -> bool {
        self.has_verified.load(Ordering::Relaxed)
    }

    fn verify_certificate(&self, end_entity: &CertificateDer<'_>) -> Result<(), Error> {
        if self.expected.chain().first() == Some(end_entity) {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    /// Verifies a signature of a handshake in any protocol version.
    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let signature = (signature.scheme, signature.signature());
        let is_valid = is_handshake_signature(certificate, message, signature, algorithms);
        self.has_verified.store(is_valid, Ordering::Relaxed);
        if is_valid {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A server certificate resolver with one certificate for all names.
#[derive(Debug)]
struct SingleCert(Arc<CertifiedKey>);

impl ResolvesServerCert for SingleCert {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
