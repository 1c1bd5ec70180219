//! Logs that peers are refused because nothing has been loaded to serve or to check them with.
//!
//! The peer sees an alert, and the host only a general error of rustls. So without a line of the log, an operator would
//! look for the fault at the peer (G24).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use log::warn;

use super::unit_content::{AbsentUnit, UnitContents};
use crate::clock::unix_now;
use crate::options::{Options, Role};
use crate::sys::LOG_TARGET;

/// The minute in which a line was last written. Every peer can cause refusals, and must not fill the log with them.
static LAST_MINUTE: AtomicI64 = AtomicI64::new(i64::MIN);

/// The first files of a handle, which name what is missing.
#[derive(Debug)]
pub(super) struct FirstFiles {
    identity: Option<Arc<Path>>,
    trust: Option<Arc<Path>>,
}

/// Why every handshake of one generation is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    path: Arc<Path>,
    reason: &'static str,
}

impl FirstFiles {
    pub(super) fn of(options: &Options) -> Self {
        let mut identities = options.identities.iter();
        let identity = identities.find(|files| files.role == Role::Server);
        let trust = &options.trust;
        let roots = trust.client_roots.as_ref().or(trust.server_roots.as_ref());
        Self {
            identity: identity.map(|files| files.chain.as_path().into()),
            trust: roots.map(PathBuf::as_path).map(Arc::from),
        }
    }

    /// Returns why every handshake is refused with the content `parts`, if that is so.
    pub(super) fn refusal(&self, parts: &UnitContents) -> Option<Refusal> {
        let (path, reason) = match parts.refusal()? {
            AbsentUnit::Trust => (&self.trust, "the trust store has not been loaded"),
            _ => (&self.identity, "no identity has been loaded yet"),
        };
        let path = path.clone().unwrap_or_else(|| Path::new("").into());
        Some(Refusal { path, reason })
    }
}

impl Refusal {
    /// Logs that `peer` is refused, at most once a minute in the process.
    pub(super) fn log(&self, peer: &str) {
        let minute = unix_now().div_euclid(60);
        if LAST_MINUTE.swap(minute, Ordering::Relaxed) != minute {
            let Self { path, reason } = self;
            let path = path.display();
            warn!(
                target: LOG_TARGET,
                "{path}: {reason}; {peer} was refused; correct the files, no restart is needed"
            );
        }
    }
}
