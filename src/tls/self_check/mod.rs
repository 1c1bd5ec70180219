//! A TLS handshake in memory, with the config that would serve, before anybody meets it (G16).

mod accept_any;
mod client;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ClientConnection;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConnection};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ConnectionCommon, DigitallySignedStruct, Error, PeerIncompatible, SideData,
    SignatureScheme, SupportedProtocolVersion,
};

pub(crate) use client::prove_client;
pub(crate) use server::prove;

use super::protocol_versions::is_not_spoken;
use crate::error::Cause;
use crate::pki::Identity;
use crate::sys::without_fork;
use crate::sys::without_logging;

/// Goes out with the first flight where the name does not matter.
const ANY_NAME: &str = "self-check.invalid";

/// Tries `handshake` in each protocol version. One at least must succeed; those that are not spoken
/// do not matter, and all others must.
fn in_each_version(
    handshake: impl Fn(&'static SupportedProtocolVersion) -> Result<(), Error>,
) -> Result<(), Cause> {
    let mut proved = false;
    let mut why_not = "no protocol version is enabled".to_owned();
    for version in rustls::ALL_VERSIONS {
        match without_fork(|| without_logging(|| handshake(version))) {
            Ok(()) => proved = true,
            Err(error) if is_not_spoken(&error) => why_not = error.to_string(),
            Err(error) => return Err(Cause::SelfCheck(format!("{version:?}: {error}"))),
        }
    }
    if proved { Ok(()) } else { Err(Cause::SelfCheck(why_not)) }
}

/// The provider has no cipher suite of a version, so the config does not speak it.
fn not_spoken() -> Error {
    PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into()
}

fn any_name() -> ServerName<'static> {
    // Parsing a constant; an address stands in should it ever not be a name.
    ServerName::try_from(ANY_NAME)
        .unwrap_or(ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()))
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

fn unproved() -> Error {
    Error::General("the handshake ended without a signature".to_owned())
}

/// The peer of a handshake: accepts exactly one certificate, checks the signature made with its key,
/// and remembers whether it saw one.
#[derive(Debug)]
struct Witness {
    expected: Arc<Identity>,
    provider: Arc<CryptoProvider>,
    proof: AtomicBool,
}

impl Witness {
    fn new(expected: Arc<Identity>, provider: Arc<CryptoProvider>) -> Self {
        Self { expected, provider, proof: AtomicBool::new(false) }
    }

    fn saw_proof(&self) -> bool {
        self.proof.load(Ordering::Relaxed)
    }

    fn look_at(&self, end_entity: &CertificateDer<'_>) -> Result<(), Error> {
        if self.expected.chain().first() == Some(end_entity) {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn check_tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.note(verify_tls12_signature(message, certificate, signature, algorithms))
    }

    fn check_tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.note(verify_tls13_signature(message, certificate, signature, algorithms))
    }

    fn note(
        &self,
        checked: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proof.store(checked.is_ok(), Ordering::Relaxed);
        checked
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A server with one certificate for all.
#[derive(Debug)]
struct SingleCert(Arc<CertifiedKey>);

impl ResolvesServerCert for SingleCert {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
