//! Finds out which protocol versions a server configuration allows.
//!
//! rustls has no function for that, so a `ClientHello` of each version is sent to the configuration in memory.

use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, Error, NoKeyLog, PeerIncompatible, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

use crate::sys::without_fork;
use crate::sys::without_logging;

/// Returns the protocol versions that `config` accepts.
pub(super) fn enabled_versions(config: &ServerConfig) -> Vec<&'static SupportedProtocolVersion> {
    let mut config = config.clone();
    // The host's callbacks are replaced: they must not be called for a handshake that no client has started.
    config.cert_resolver = Arc::new(NoCertificate);
    config.key_log = Arc::new(NoKeyLog);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    let config = Arc::new(config);
    let is_enabled = |version: &&'static SupportedProtocolVersion| {
        let answer = without_fork(|| without_logging(|| send_client_hello(&config, version)));
        !matches!(answer, Err(error) if is_unsupported(&error))
    };
    rustls::ALL_VERSIONS.iter().copied().filter(is_enabled).collect()
}

/// Returns whether `error` means that client and server have no protocol version or no cipher suite in common. The
/// suites depend on the kind of the server's key.
pub(super) fn is_unsupported(error: &Error) -> bool {
    matches!(
        error,
        Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::NoCipherSuitesInCommon
        )
    )
}

/// A certificate resolver that has no certificate, for a configuration that has no identity yet.
#[derive(Debug)]
pub(super) struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// Sends a `ClientHello` that offers only `version`, and returns the error with which the server answers.
fn send_client_hello(
    config: &Arc<ServerConfig>,
    version: &'static SupportedProtocolVersion,
) -> Result<(), Error> {
    let Ok(builder) = ClientConfig::builder_with_provider(config.crypto_provider().clone())
        .with_protocol_versions(&[version])
    else {
        // The provider has no cipher suite of this version, so the server does not support it.
        return Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into());
    };
    let client = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(config.clone())?;
    let mut hello = Vec::new();
    client.write_tls(&mut hello).map_err(|error| Error::General(error.to_string()))?;
    server.read_tls(&mut &*hello).map_err(|error| Error::General(error.to_string()))?;
    server.process_new_packets().map(|_| ())
}
