//! A candidate: the configurations that were built from newly loaded content and are not published yet.

use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};

use super::base_config::{BaseConfig, Configs};
use super::cert_resolver::CertResolver;
use super::duplicate_names::DuplicateNames;
use super::generation::{Generation, GenerationInfo};
use super::self_check;
use super::session_scope::GenerationScope;
use super::unit_content::{AbsentUnit, IdentitySlot, UnitContents};
use crate::error::{Cause, Error};
use crate::options::Role;
use crate::pki::Identity;

/// The configurations of a possible next generation. If a check fails, they are dropped, and the current generation
/// stays (G3).
pub(crate) struct Candidate {
    resolver: Arc<CertResolver>,
    config: Arc<ServerConfig>,
    client: Option<Arc<ClientConfig>>,
    parts: UnitContents,
    scope: GenerationScope,
    /// Whether there are configurations of rustls, which handshakes can prove.
    has_rustls: bool,
}

impl Candidate {
    /// Builds the configurations of a generation with the content `parts`.
    pub(crate) fn new(base: &BaseConfig, parts: UnitContents) -> Result<Self, Error> {
        let Configs { resolver, server, client, scope } = base.build(&parts)?;
        let has_rustls = base.has_rustls();
        Ok(Self { resolver, config: server, client, parts, scope, has_rustls })
    }

    /// Completes TLS handshakes in memory with the identity at `index` (G16).
    ///
    /// There is one handshake for each role that presents the identity, in each protocol version that the role's
    /// configuration allows. Returns whether the server asks clients for certificates. Without configurations of rustls
    /// there is none: adapters prove the identity.
    pub(crate) fn self_check(&self, index: usize) -> Result<bool, Cause> {
        let identity = self.parts.identities[index].loaded().filter(|_| self.has_rustls);
        let Some(identity) = identity else { return Ok(false) };
        let asks_clients = identity.role() == Role::Server
            && self_check::check_server(&self.config, &self.resolver, identity)?;
        let presented = self.parts.client_identity();
        match &self.client {
            Some(config) if presented.is_some_and(|other| Arc::ptr_eq(other, identity)) => {
                self_check::check_client(config, identity)?;
            }
            _ => {}
        }
        Ok(asks_clients)
    }

    /// Checks a new trust store: completes handshakes with the first identity of each role.
    ///
    /// All connections of a role use the same trust store, so one identity of each role is enough.
    pub(crate) fn self_check_trust(&self) -> Result<(), Cause> {
        let first = |role: Role| {
            let is_loaded = |slot: &IdentitySlot| slot.role() == role && slot.loaded().is_some();
            self.parts.identities.iter().position(is_loaded)
        };
        let both = first(Role::Server).into_iter().chain(first(Role::Client));
        both.map(|index| self.self_check(index)).try_for_each(|checked| checked.map(|_| ()))
    }

    /// Returns whether an identity of the server role has `name`, exactly or by a wildcard.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.resolver.has_name(name)
    }

    /// Returns the loaded identities of the server role.
    pub(crate) fn server_identities(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.parts.loaded().filter(|identity| identity.role() == Role::Server)
    }

    /// Returns the kind of unit that every handshake lacks, if there is one.
    pub(crate) fn refusal(&self) -> Option<AbsentUnit> {
        self.parts.refusal()
    }

    /// Returns the first name of the first identity, if the client role has no identity to present.
    ///
    /// Without an identity that was added for it, the client role presents the first identity. It cannot do so if that
    /// certificate does not allow client authentication.
    pub(crate) fn client_without_identity(&self) -> Option<String> {
        self.client.as_ref()?;
        if self.parts.identities.iter().any(|slot| slot.role() == Role::Client) {
            return None;
        }
        let first = self.parts.identities.first()?.loaded()?;
        let name = first.names().first().map(|name| name.to_string_lossy().into_owned());
        self.parts.client_identity().is_none().then(|| name.unwrap_or_default())
    }

    /// Returns the names that an identity has but would never serve, because an earlier identity has them too.
    pub(crate) fn duplicates(&self) -> &DuplicateNames {
        self.resolver.duplicates()
    }

    /// Makes the candidate a generation.
    pub(crate) fn accept(self, info: GenerationInfo) -> Generation {
        let Self { resolver, config, client, parts, scope, .. } = self;
        Generation { info, resolver, config, client, parts, scope }
    }
}
