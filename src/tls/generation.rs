//! A generation: an immutable, numbered snapshot of all units with the TLS configurations built from them.

use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};

use super::base_config::BaseConfig;
use super::cert_resolver::CertResolver;
use super::session_scope::{GenerationScope, SessionScope};
use super::unit_content::UnitContents;
use crate::files::Digest;
use crate::options::Role;
use crate::pki::{Identity, Warnings};

/// A numbered, immutable snapshot of all units. It is current until the next one is published.
///
/// A connection keeps its configuration, and the configuration keeps the certificate resolver with the keys. So their
/// memory is released with the last connection, and not with the `Generation` (G8).
#[derive(Debug)]
pub(crate) struct Generation {
    pub(super) info: GenerationInfo,
    pub(super) resolver: Arc<CertResolver>,
    pub(super) config: Arc<ServerConfig>,
    pub(super) client: Option<Arc<ClientConfig>>,
    pub(super) parts: UnitContents,
    pub(super) scope: GenerationScope,
}

/// The facts about a generation that are known when it is published.
#[derive(Debug)]
pub(crate) struct GenerationInfo {
    pub(crate) number: u64,
    /// In seconds since 1970.
    pub(crate) loaded_at: i64,
    pub(crate) warnings: Warnings,
    /// The digest of each unit's content, in the order of [`UnitContents::iter`].
    pub(crate) contents: Vec<Digest>,
    /// The settings that the configurations were built with.
    pub(crate) base_config: Arc<BaseConfig>,
}

impl Generation {
    pub(crate) fn number(&self) -> u64 {
        self.info.number
    }

    /// Returns when the generation was published, in seconds since 1970.
    pub(crate) fn loaded_at(&self) -> i64 {
        self.info.loaded_at
    }

    pub(crate) fn warnings(&self) -> Warnings {
        self.info.warnings
    }

    pub(crate) fn server_config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Returns whether rustls has an identity for servers, loaded or not.
    pub(crate) fn serves(&self) -> bool {
        self.info.base_config.has_rustls()
            && self.parts.identities.iter().any(|slot| slot.role() == Role::Server)
    }

    /// Returns the configuration of the client role; `None` if the handle has no roots to verify servers with.
    pub(crate) fn client_config(&self) -> Option<&Arc<ClientConfig>> {
        self.client.as_ref()
    }

    pub(crate) fn parts(&self) -> &UnitContents {
        &self.parts
    }

    /// Returns the digest of each unit's files, in the order of [`UnitContents::iter`].
    pub(crate) fn contents(&self) -> &[Digest] {
        &self.info.contents
    }

    /// Returns the settings to build the next generation with, so that its sessions continue (G14).
    pub(crate) fn base_config(&self) -> &Arc<BaseConfig> {
        &self.info.base_config
    }

    /// Returns the identities that have been loaded, in the order in which they were added.
    pub(crate) fn identities(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.parts.loaded()
    }

    /// Returns the number of identities that have been loaded.
    pub(crate) fn identity_count(&self) -> usize {
        self.parts.loaded_count()
    }

    /// Returns whether nothing has been loaded, neither an identity nor the trust store.
    pub(crate) fn is_empty(&self) -> bool {
        self.identity_count() == 0 && self.parts.trust.is_none()
    }

    /// Returns the identity at `position` among those that have been loaded.
    pub(crate) fn identity(&self, position: usize) -> Option<&Arc<Identity>> {
        self.parts.loaded_at(position)
    }

    /// Returns the index, in the order in which identities were added, of the first that has been loaded with `name`.
    ///
    /// While some have not been loaded, a wildcard does not count: one of these may have the name exactly.
    pub(crate) fn position_of(&self, name: &str) -> Option<usize> {
        if self.parts.lacks_identities() {
            return self.resolver.exact_position_of(name);
        }
        self.resolver.position_of(name)
    }

    /// Returns whether nothing has been loaded for some of the identities.
    pub(crate) fn lacks_identities(&self) -> bool {
        self.parts.lacks_identities()
    }

    /// Returns the first identity that has `name` exactly, else the first with a wildcard for it.
    ///
    /// Without such an identity, or without a name, the result is the first identity for servers; `None` if there is
    /// none, or every handshake is refused. A handshake may choose another identity with that name, whose kind of key the client supports.
    pub(crate) fn select(&self, name: Option<&str>) -> Option<&Arc<Identity>> {
        self.resolver.select(name)
    }

    /// Returns whether every handshake is refused, because nothing has been loaded to check peers with.
    pub(crate) fn refuses(&self) -> bool {
        self.parts.lacks_trust()
    }

    /// Returns the identities for a client that asks for `name`, those preferred first, and whether they have that name.
    /// If none has, they are all identities for servers. There are none if no handshake can succeed.
    pub(crate) fn select_all<'a>(
        &'a self,
        name: Option<&'a str>,
    ) -> (impl Iterator<Item = &'a Arc<Identity>>, bool) {
        self.resolver.select_all(name)
    }

    /// Returns what the sessions of other TLS stacks are bound to; `None` if no session may be resumed.
    pub(crate) fn session_scope(&self) -> Option<SessionScope> {
        self.info.base_config.session_scope(&self.scope)
    }

    /// Returns the earliest notAfter of all identities, in seconds since 1970; `i64::MAX` if there is none.
    pub(crate) fn earliest_not_after(&self) -> i64 {
        self.identities().map(|identity| identity.not_after()).min().unwrap_or(i64::MAX)
    }
}
