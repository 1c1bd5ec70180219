//! What has been read and built, and is not accepted yet.

use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};

use super::base_config::{BaseConfig, Configs};
use super::cert_resolver::{CertResolver, Duplicates};
use super::generation::Generation;
use super::parts::Parts;
use super::self_check;
use crate::error::{Cause, Error};
use crate::files::Digest;
use crate::options::Role;
use crate::pki::Warnings;

/// What has been read and built, and not yet accepted.
pub(crate) struct Candidate {
    resolver: Arc<CertResolver>,
    config: Arc<ServerConfig>,
    client: Option<Arc<ClientConfig>>,
    parts: Parts,
}

impl Candidate {
    /// Builds the configs that would serve `parts`.
    pub(crate) fn new(base: &BaseConfig, parts: Parts) -> Result<Self, Error> {
        let Configs { resolver, server, client } = base.configs(&parts)?;
        Ok(Self { resolver, config: server, client, parts })
    }

    /// Completes a TLS handshake in memory with the identity at `index` in each of its roles, in every
    /// protocol version that the config allows (G16). Tells whether clients are asked for certificates.
    pub(crate) fn prove(&self, index: usize) -> Result<bool, Cause> {
        let identity = &self.parts.identities[index];
        let asks = identity.role() == Role::Server
            && self_check::prove(&self.config, &self.resolver, index)?;
        let presented = self.parts.client_identity();
        match &self.client {
            Some(config) if presented.is_some_and(|other| Arc::ptr_eq(other, identity)) => {
                self_check::prove_client(config, identity)?;
            }
            _ => {}
        }
        Ok(asks)
    }

    /// Completes handshakes with what every connection has in common: configs whose trust is new.
    pub(crate) fn prove_trust(&self) -> Result<(), Cause> {
        let identities = self.parts.identities.iter();
        let server = identities.clone().position(|identity| identity.role() == Role::Server);
        let client = identities.clone().position(|identity| identity.role() == Role::Client);
        server.into_iter().chain(client).try_for_each(|index| self.prove(index).map(|_| ()))
    }

    /// Whether some identity has `name`, exactly or by a wildcard.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.resolver.covers(name)
    }

    /// The name of the first identity, where the client role would present it, and it is for servers alone.
    pub(crate) fn client_without_identity(&self) -> Option<String> {
        let first = self.parts.identities.first().filter(|_| self.client.is_some())?;
        let name = first.names().first().map(|name| name.to_string_lossy().into_owned());
        self.parts.client_identity().is_none().then(|| name.unwrap_or_default())
    }

    /// Names that identities would never serve.
    pub(crate) fn duplicates(&self) -> &Duplicates {
        self.resolver.duplicates()
    }

    /// Makes it a generation. Its identities were made from `contents`, and the next generation is to stand on
    /// the same foundation.
    pub(crate) fn accept(
        self,
        number: u64,
        loaded_at: i64,
        warnings: Warnings,
        contents: Vec<Digest>,
        base_config: Arc<BaseConfig>,
    ) -> Generation {
        let Self { resolver, config, client, parts } = self;
        Generation {
            number,
            loaded_at,
            warnings,
            resolver,
            config,
            client,
            parts,
            contents,
            base_config,
        }
    }
}
