//! The client role: the config that proves itself with an identity, and checks servers against the trust.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, SignatureScheme};

use super::AliveToken;
use super::sessions::Sessions;
use crate::clock::WallClock;
use crate::error::Error;
use crate::material::{Identity, Trust};
use crate::options::Options;

/// The settings that the client configs of all generations share.
#[derive(Debug)]
pub(super) struct ClientRole {
    config: ClientConfig,
    presenting: Mutex<Option<Arc<Presents>>>,
}

impl ClientRole {
    /// `None` where the options have no roots to check servers with.
    pub(super) fn new(
        options: &Options,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Self>, Error> {
        if options.trust.server_roots.is_none() {
            return Ok(None);
        }
        let mut config = match &options.client_template {
            Some(template) => ClientConfig::clone(template),
            None => default_config(provider)?,
        };
        if !options.alpn.is_empty() {
            config.alpn_protocols.clone_from(&options.alpn);
        }
        Ok(Some(Self { config, presenting: Mutex::new(None) }))
    }

    /// The config of one generation, which is `alive` as long as somebody has it.
    pub(super) fn config(
        &self,
        trust: &Trust,
        identity: Option<&Arc<Identity>>,
        sessions: &Arc<Sessions>,
        alive: Arc<AliveToken>,
    ) -> Option<ClientConfig> {
        let mut config = self.config.clone();
        config.dangerous().set_certificate_verifier(trust.server_verifier()?.clone());
        if let Some(identity) = identity {
            config.client_auth_cert_resolver = self.presenter(identity);
        }
        config.resumption = sessions.client();
        let time = config.time_provider;
        config.time_provider = Arc::new(Timed { time, _alive: alive });
        Some(config)
    }

    /// The one before, as long as it presents the same: rustls resumes no session that another one began, for
    /// that would be somebody else's.
    fn presenter(&self, identity: &Arc<Identity>) -> Arc<Presents> {
        let key = identity.certified_key();
        let mut presenting = self.presenting.lock().unwrap_or_else(PoisonError::into_inner);
        match &*presenting {
            Some(before) if Arc::ptr_eq(&before.0, key) => before.clone(),
            _ => presenting.insert(Arc::new(Presents(key.clone()))).clone(),
        }
    }
}

fn default_config(provider: &Arc<CryptoProvider>) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::tls(&error))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.time_provider = Arc::new(WallClock);
    Ok(config)
}

/// Proves itself with one identity, to whoever can check its signatures.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl ResolvesClientCert for Presents {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The clock of a config, which every connection keeps with its config, and with it the count of generations
/// that are alive.
#[derive(Debug)]
struct Timed {
    time: Arc<dyn TimeProvider>,
    _alive: Arc<AliveToken>,
}

impl TimeProvider for Timed {
    fn current_time(&self) -> Option<UnixTime> {
        self.time.current_time()
    }
}
