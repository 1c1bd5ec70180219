//! What loading a unit takes, and what it comes to.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use super::settle::Failure;
use crate::generation::Part;
use crate::material::{Warning, WarningKind};
use crate::options::Options;
use crate::source::{Digest, FileBytes, Fingerprint, Lookup};

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
pub(super) struct Loading<'a> {
    pub(super) provider: &'a Arc<CryptoProvider>,
    pub(super) options: &'a Options,
    pub(super) now: i64,
}

/// How the files were found, whatever they hold.
#[derive(Default)]
pub(super) struct Found {
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
pub(super) type Hopeless = (Digest, Failure);

pub(super) fn is_readable_by_others(file: &FileBytes) -> bool {
    file.mode & READABLE_BY_OTHERS != 0
}

/// The warning that the secret at `path` is none.
pub(super) fn readable(path: &Path) -> Warning {
    Warning::new(WarningKind::KeyReadable, format!("every user may read {}", path.display()))
}
