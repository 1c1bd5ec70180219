//! What loading a unit takes, and what it comes to.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

use super::outcome::Failure;
use super::unit_files::UnitFiles;
use crate::files::{Digest, FileBytes, Fingerprint, Lookup};
use crate::options::Options;
use crate::pki::{Warning, WarningKind};
use crate::tls::Part;

/// Permission bit: everybody may read.
const READABLE_BY_OTHERS: u32 = 0o004;

/// What the files of a unit hold, and the digest of that.
pub(super) enum Loaded {
    /// What is known already.
    Same,
    New(Part, Digest),
}

/// What loading takes besides files.
#[derive(Clone, Copy)]
pub(super) struct LoadContext<'a> {
    pub(super) provider: &'a Arc<CryptoProvider>,
    pub(super) options: &'a Options,
    pub(super) now: i64,
    /// What certifies the handle's own identities: it may certify peers, too, and revoke them.
    pub(super) authorities: &'a [CertificateDer<'static>],
}

/// How the files were found, whatever they hold.
#[derive(Default)]
pub(super) struct FoundFiles {
    /// Every name that was looked up on the way to any of them, found out after they were read.
    pub(super) lookups: Vec<Lookup>,
    /// Where it says anything, of what was read.
    pub(super) fingerprint: Option<Fingerprint>,
    /// Of the whole content.
    pub(super) digest: Option<Digest>,
    /// Secrets that every user may read.
    pub(super) exposed: Vec<Warning>,
}

/// Content that could not be used, and will be no better when it is read again.
pub(super) type PermanentFailure = (Digest, Failure);

pub(super) fn is_readable_by_others(file: &FileBytes) -> bool {
    file.mode & READABLE_BY_OTHERS != 0
}

/// The warning that the secret at `path` is none.
pub(super) fn readable(path: &Path) -> Warning {
    Warning::new(WarningKind::KeyReadable, format!("every user may read {}", path.display()))
}

/// What a trust may have to know, for the identities come before it: whoever certifies those that are `serving`.
pub(super) fn authorities_for<'a>(
    files: &UnitFiles,
    serving: impl Iterator<Item = &'a Part>,
) -> Vec<CertificateDer<'static>> {
    let UnitFiles::Trust(_) = files else { return Vec::new() };
    let authorities: HashSet<_> =
        serving.filter_map(Part::as_identity).flat_map(|it| it.chain().iter().skip(1)).collect();
    authorities.into_iter().cloned().collect()
}
