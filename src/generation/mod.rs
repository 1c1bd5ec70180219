//! A candidate and a generation: the config, who answers to which name, and the handshake that proves it.

mod client;
mod foundation;
mod parts;
mod roster;
mod self_check;
mod sessions;
mod versions;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::{ClientConfig, ServerConfig};

pub(crate) use foundation::Foundation;
pub(crate) use parts::{Part, Parts};
pub(crate) use roster::Duplicates;
use roster::Roster;

use crate::error::Cause;
use crate::material::{Identity, Trust, Warnings};
use crate::options::Role;
use crate::source::Digest;

/// What the fuzz targets reach besides.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    pub(crate) use super::sessions::fuzzing::ticket;
}

/// What has been read and built, and not yet accepted.
pub(crate) struct Candidate {
    roster: Arc<Roster>,
    config: Arc<ServerConfig>,
    client: Option<Arc<ClientConfig>>,
    parts: Parts,
}

impl Candidate {
    /// Completes a TLS handshake in memory with the identity at `index` in each of its roles, in every
    /// protocol version that the config allows (G16). Tells whether clients are asked for certificates.
    pub(crate) fn prove(&self, index: usize) -> Result<bool, Cause> {
        let identity = &self.parts.identities[index];
        let asks = identity.role() == Role::Server
            && self_check::prove(&self.config, &self.roster, index)?;
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
        self.roster.covers(name)
    }

    /// The name of the first identity, where the client role would present it, and it is for servers alone.
    pub(crate) fn client_without_identity(&self) -> Option<String> {
        let first = self.parts.identities.first().filter(|_| self.client.is_some())?;
        let name = first.names().first().map(|name| name.to_string_lossy().into_owned());
        self.parts.client_identity().is_none().then(|| name.unwrap_or_default())
    }

    /// Names that identities would never serve.
    pub(crate) fn duplicates(&self) -> &Duplicates {
        self.roster.duplicates()
    }

    /// Makes it a generation. Its identities were made from `contents`, and the next generation is to stand on
    /// the same foundation.
    pub(crate) fn accept(
        self,
        number: u64,
        loaded_at: i64,
        warnings: Warnings,
        contents: Vec<Digest>,
        foundation: Arc<Foundation>,
    ) -> Generation {
        let Self { roster, config, client, parts } = self;
        Generation {
            number,
            loaded_at,
            warnings,
            roster,
            config,
            client,
            parts,
            contents,
            foundation,
        }
    }
}

/// A numbered, immutable snapshot: what serves until another one is published.
///
/// Connections hold its config, and that holds the roster with the keys: their memory goes with the
/// last user (G8).
#[derive(Debug)]
pub(crate) struct Generation {
    number: u64,
    loaded_at: i64,
    warnings: Warnings,
    roster: Arc<Roster>,
    config: Arc<ServerConfig>,
    client: Option<Arc<ClientConfig>>,
    parts: Parts,
    contents: Vec<Digest>,
    foundation: Arc<Foundation>,
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
    pub(crate) fn foundation(&self) -> &Arc<Foundation> {
        &self.foundation
    }

    /// In the order in which they were added.
    pub(crate) fn identities(&self) -> &[Arc<Identity>] {
        &self.parts.identities
    }

    /// Where among them the one is that serves `name` of its own; `None` where nobody has that name.
    pub(crate) fn position_of(&self, name: &str) -> Option<usize> {
        self.roster.position_of(name)
    }

    /// The identity that serves `name`; `None` is a client that sent no name. There may be none to serve.
    pub(crate) fn select(&self, name: Option<&str>) -> Option<&Arc<Identity>> {
        self.roster.select(name)
    }

    /// The earliest notAfter of all identities.
    pub(crate) fn earliest_not_after(&self) -> i64 {
        self.identities().iter().map(|identity| identity.not_after()).min().unwrap_or(i64::MAX)
    }
}

/// Counts how many generations of one handle are in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alive(Arc<AtomicUsize>);

impl Alive {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn token(&self) -> AliveToken {
        self.0.fetch_add(1, Ordering::Relaxed);
        AliveToken(self.0.clone())
    }
}

/// Lives as long as one generation's keys do.
#[derive(Debug)]
struct AliveToken(Arc<AtomicUsize>);

impl Drop for AliveToken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
