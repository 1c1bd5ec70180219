//! What to load and how to watch it: plain data.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Cause, Error};

/// Everything that opening a handle needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The files of each identity; the first is the default identity.
    pub(crate) identities: Vec<IdentityFiles>,
    /// ALPN protocols, preferred first; empty leaves it to the template.
    pub(crate) alpn: Vec<Vec<u8>>,
    /// A config of the host's, whose every setting but the identity is kept.
    pub(crate) template: Option<Arc<rustls::ServerConfig>>,
    pub(crate) watch: WatchMode,
    pub(crate) poll_interval: Duration,
    pub(crate) settle_quiet: Duration,
    pub(crate) settle_timeout: Duration,
    /// How long before notAfter a renewal should have come: zero for never, `None` for the default.
    pub(crate) expiry_warning: Option<Duration>,
    /// What the host calls the handle, if anything.
    pub(crate) name: Option<Arc<str>>,
}

/// Where one identity's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityFiles {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ocsp: Option<PathBuf>,
}

/// How changes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchMode {
    Auto,
    Poll,
    Off,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            alpn: Vec::new(),
            template: None,
            watch: WatchMode::Auto,
            poll_interval: Duration::from_secs(10),
            settle_quiet: Duration::from_millis(50),
            settle_timeout: Duration::from_secs(5),
            expiry_warning: None,
            name: None,
        }
    }
}

impl Options {
    /// The options as a handle keeps them: something to load, and every path made absolute, so that
    /// a later `chdir` of the host changes nothing.
    pub(crate) fn fixed(&self) -> Result<Self, Error> {
        if self.identities.is_empty() {
            return Err(Error::new(Cause::NothingToLoad));
        }
        let identities =
            self.identities.iter().map(IdentityFiles::fixed).collect::<Result<_, Error>>()?;
        Ok(Self { identities, ..self.clone() })
    }
}

impl IdentityFiles {
    fn fixed(&self) -> Result<Self, Error> {
        Ok(Self {
            chain: absolute(&self.chain)?,
            key: absolute(&self.key)?,
            ocsp: self.ocsp.as_deref().map(absolute).transpose()?,
        })
    }

    /// Every file of the identity.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.chain), Some(&self.key), self.ocsp.as_ref()]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| Error::at(path, error))
}
