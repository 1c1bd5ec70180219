//! What the configs of all generations have in common: everything but the identities.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ResolvesServerCert, ServerSessionMemoryCache};

use super::roster::Roster;
use super::{Alive, Candidate};
use crate::error::{Cause, Error};
use crate::material::Identity;
use crate::options::Options;
use crate::sys::unforked;

/// Sessions that TLS 1.2 clients resume by id; tickets need no memory here.
const SESSION_CACHE: usize = 1024;

/// The settings that every generation of a handle shares, session tickets included: a client that
/// comes back after a renewal resumes (G14).
#[derive(Debug)]
pub(crate) struct Foundation {
    config: ServerConfig,
    owns_sessions: bool,
    alive: Alive,
}

impl Foundation {
    pub(crate) fn new(options: &Options, alive: Alive) -> Result<Self, Error> {
        let mut config = match &options.template {
            Some(template) => ServerConfig::clone(template),
            None => default_config()?,
        };
        if !options.alpn.is_empty() {
            config.alpn_protocols.clone_from(&options.alpn);
        }
        let mut foundation = Self { config, owns_sessions: options.template.is_none(), alive };
        foundation.forget_sessions()?;
        Ok(foundation)
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        self.config.crypto_provider()
    }

    /// The same, but no session that was begun before can be resumed. A template's sessions are its
    /// owner's.
    pub(crate) fn without_sessions(&self) -> Result<Self, Error> {
        let (config, alive) = (self.config.clone(), self.alive.clone());
        let mut fresh = Self { config, owns_sessions: self.owns_sessions, alive };
        fresh.forget_sessions()?;
        Ok(fresh)
    }

    fn forget_sessions(&mut self) -> Result<(), Error> {
        if self.owns_sessions {
            self.config.ticketer =
                unforked(aws_lc_rs::Ticketer::new).map_err(|error| refused(&error))?;
            self.config.session_storage = ServerSessionMemoryCache::new(SESSION_CACHE);
        }
        Ok(())
    }

    /// Builds the config that would serve `identities`, of which there is at least one.
    pub(crate) fn candidate(&self, identities: Vec<Arc<Identity>>) -> Candidate {
        let roster = Arc::new(Roster::new(identities, self.alive.token()));
        let mut config = self.config.clone();
        config.cert_resolver = roster.clone();
        Candidate { roster, config: Arc::new(config) }
    }
}

/// The provider that the host has made its process's default, if it has; none is installed here.
fn default_config() -> Result<ServerConfig, Error> {
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Nobody));
    Ok(config)
}

fn refused(error: &rustls::Error) -> Error {
    Error::new(Cause::Tls(error.to_string()))
}

/// Stands where a generation's roster will stand.
#[derive(Debug)]
struct Nobody;

impl ResolvesServerCert for Nobody {
    fn resolve(
        &self,
        _: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
}
