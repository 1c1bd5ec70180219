//! Which protocol versions a config allows: rustls does not say, so it is asked.

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

/// Those that it answers to.
pub(super) fn spoken_by(config: &ServerConfig) -> Vec<&'static SupportedProtocolVersion> {
    let mut config = config.clone();
    // Nobody's callback is to see a client that is none.
    config.cert_resolver = Arc::new(Nobody);
    config.key_log = Arc::new(NoKeyLog);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    let config = Arc::new(config);
    let speaks = |version: &&'static SupportedProtocolVersion| !matches!(without_fork(|| without_logging(|| greet(&config, version))), Err(error) if is_not_spoken(&error));
    rustls::ALL_VERSIONS.iter().copied().filter(speaks).collect()
}

/// Whether the two sides merely do not speak this version, or not with this kind of key.
pub(super) fn is_not_spoken(error: &Error) -> bool {
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

/// Stands where the roster of a generation will stand.
#[derive(Debug)]
pub(super) struct Nobody;

impl ResolvesServerCert for Nobody {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// Sends a client's first words that offer nothing but `version`.
fn greet(
    config: &Arc<ServerConfig>,
    version: &'static SupportedProtocolVersion,
) -> Result<(), Error> {
    let Ok(builder) = ClientConfig::builder_with_provider(config.crypto_provider().clone())
        .with_protocol_versions(&[version])
    else {
        // The provider has no cipher suite of this version, so the server does not speak it.
        return Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into());
    };
    let client = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(config.clone())?;
    let mut said = Vec::new();
    client.write_tls(&mut said).map_err(|error| Error::General(error.to_string()))?;
    server.read_tls(&mut &*said).map_err(|error| Error::General(error.to_string()))?;
    server.process_new_packets().map(|_| ())
}
