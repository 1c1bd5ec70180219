//! Files that are named one by one, and those that lie in a directory: read as one.

use std::path::PathBuf;

use super::file::FileBytes;
use super::fingerprint::Fingerprint;
use super::trail::{Lookup, Way};
use crate::error::Error;

/// What is named: a file, or a directory of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) takes: Takes,
}

/// Which files of a directory count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Certificates,
    Crls,
}

/// One file of a place.
pub(crate) struct GatheredFile {
    /// Which of the places it is of.
    pub(crate) place: usize,
    pub(crate) path: PathBuf,
    pub(crate) is_in_directory: bool,
    pub(crate) read: Result<FileBytes, Error>,
}

/// What was found at some places at one moment.
pub(crate) struct Gathered {
    /// In the order of the places, and within a directory in that of names. An error is places that never held
    /// still, or a directory that cannot be listed.
    pub(crate) files: Result<Vec<GatheredFile>, Error>,
    /// Every name that was looked up, and every directory that was listed.
    pub(crate) lookups: Vec<Lookup>,
    /// Where it says anything, of what was read.
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// Reads everything at `places`, all of it as it is at one moment (G2).
pub(crate) fn gather(_places: &[Place]) -> Gathered {
    Gathered { files: Ok(Vec::new()), lookups: Vec::new(), fingerprint: None }
}

/// Whether everything at `places` looks as it did. Reads links, directories and stamps, and no file.
pub(crate) fn still_holds(_fingerprint: &Fingerprint, _places: &[Place], _way: &mut Way) -> bool {
    false
}
