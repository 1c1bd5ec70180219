//! A candidate and a generation: the config, who answers to which name, and the handshake that proves it.

mod foundation;
mod roster;
mod self_check;
mod sessions;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;

pub(crate) use foundation::Foundation;
pub(crate) use roster::Duplicates;
use roster::Roster;

use crate::error::Cause;
use crate::material::{Identity, Warnings};
use crate::source::Digest;

/// What has been read and built, and not yet accepted.
pub(crate) struct Candidate {
    roster: Arc<Roster>,
    config: Arc<ServerConfig>,
}

impl Candidate {
    /// Completes a TLS handshake in memory with the identity at `index`, in every protocol version
    /// that the config allows (G16).
    pub(crate) fn prove(&self, index: usize) -> Result<(), Cause> {
        self_check::prove(&self.config, &self.roster, index)
    }

    /// Whether some identity has `name`, exactly or by a wildcard.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.roster.covers(name)
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
        let Self { roster, config } = self;
        Generation { number, loaded_at, warnings, roster, config, contents, foundation }
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

    /// What each of [`Generation::identities`] was made from.
    pub(crate) fn contents(&self) -> &[Digest] {
        &self.contents
    }

    /// What the next generation is to be built on, so that sessions go on.
    pub(crate) fn foundation(&self) -> &Arc<Foundation> {
        &self.foundation
    }

    /// In the order in which they were added.
    pub(crate) fn identities(&self) -> &[Arc<Identity>] {
        self.roster.identities()
    }

    /// Where among them the one is that serves `name` of its own; `None` where nobody has that name.
    pub(crate) fn position_of(&self, name: &str) -> Option<usize> {
        self.roster.position_of(name)
    }

    /// The identity that serves `name`; `None` is a client that sent no name.
    pub(crate) fn select(&self, name: Option<&str>) -> &Arc<Identity> {
        self.roster.select(name)
    }

    /// The earliest notAfter of all identities.
    pub(crate) fn earliest_not_after(&self) -> i64 {
        self.identities().iter().map(|identity| identity.not_after()).min().unwrap_or(i64::MAX)
    }

    /// From when on one of the identities should have been renewed; `None` where nobody wants to be
    /// warned.
    pub(crate) fn expiring_from(&self) -> Option<i64> {
        self.identities().iter().filter_map(|identity| identity.expiring_from()).min()
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
