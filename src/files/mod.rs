//! Reads the files of a unit as they are at one moment, and within size limits.
//!
//! Also records every name that the kernel looks up on the way to the files, so that `watch` can watch these names.

mod blind_spot;
mod content_snapshot;
mod destination;
mod digest;
mod directory_files;
mod file;
mod fingerprint;
mod metadata_snapshot;
mod open_directories;
mod path_resolver;
mod platform_roots_path;
mod read_failure;
mod source_path;
#[cfg(test)]
mod tests_consistency;

pub(crate) use blind_spot::{BlindReason, BlindSpot};
pub(crate) use content_snapshot::{Snapshot, SnapshotFile, digest_of, take_snapshot};
pub(crate) use digest::Digest;
pub(crate) use directory_files::{FileFilter, MAX_FILES_IN_DIRECTORY};
pub(crate) use file::{FileBytes, MAX_FILE_SIZE, MAX_TRUST_FILE_SIZE, MAX_TRUST_SIZE};
pub(crate) use fingerprint::Fingerprint;
pub(crate) use path_resolver::{Lookup, LookupKind, PathResolver};
pub(crate) use platform_roots_path::platform_roots_path;
pub(crate) use source_path::SourcePath;
