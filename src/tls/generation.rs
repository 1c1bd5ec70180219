//! An immutable, numbered snapshot: the configurations that serve until the next one is published.

use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};

use super::base_config::BaseConfig;
use super::cert_resolver::CertResolver;
use super::parts::Parts;
use crate::files::Digest;
use crate::pki::{Identity, Trust, Warnings};

/// A numbered, immutable snapshot: what serves until another one is published.
///
/// Connections hold its config, and that holds the roster with the keys: their memory goes with the
/// last user (G8).
#[derive(Debug)]
pub(crate) struct Generation {
    pub(super) number: u64,
    pub(super) loaded_at: i64,
    pub(super) warnings: Warnings,
    pub(super) resolver: Arc<CertResolver>,
    pub(super) config: Arc<ServerConfig>,
    pub(super) client: Option<Arc<ClientConfig>>,
    pub(super) parts: Parts,
    pub(super) contents: Vec<Digest>,
    pub(super) base_config: Arc<BaseConfig>,
}

impl Generation {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// When it was published: seconds since 1970.
    pub(crate) fn loaded_at(&self) -> i64 {
        self.loaded_at
    }

    pub(crate) fn warnings(&self) -> Warnings {
        self.warnings
    }

    pub(crate) fn server_config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Whether there is an identity to serve.
    pub(crate) fn serves(&self) -> bool {
        self.select(None).is_some()
    }

    /// `None` where the handle has no roots to check servers with.
    pub(crate) fn client_config(&self) -> Option<&Arc<ClientConfig>> {
        self.client.as_ref()
    }

    /// What it is made of.
    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(crate) fn trust(&self) -> Option<&Arc<Trust>> {
        self.parts.trust.as_ref()
    }

    /// What each of [`Generation::parts`] was made from.
    pub(crate) fn contents(&self) -> &[Digest] {
        &self.contents
    }

    /// What the next generation is to be built on, so that sessions go on.
    pub(crate) fn base_config(&self) -> &Arc<BaseConfig> {
        &self.base_config
    }

    /// In the order in which they were added.
    pub(crate) fn identities(&self) -> &[Arc<Identity>] {
        &self.parts.identities
    }

    /// Where among them the one is that serves `name` of its own; `None` where nobody has that name.
    pub(crate) fn position_of(&self, name: &str) -> Option<usize> {
        self.resolver.position_of(name)
    }

    /// The identity that serves `name`; `None` is a client that sent no name. There may be none to serve.
    pub(crate) fn select(&self, name: Option<&str>) -> Option<&Arc<Identity>> {
        self.resolver.select(name)
    }

    /// The earliest notAfter of all identities.
    pub(crate) fn earliest_not_after(&self) -> i64 {
        self.identities().iter().map(|identity| identity.not_after()).min().unwrap_or(i64::MAX)
    }
}
