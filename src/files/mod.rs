//! Reads the files behind a unit consistently, within limits, and names every directory on the way to them.

mod digest;
mod directory;
mod file;
mod fingerprint;
pub(crate) mod platform_roots;
mod resolve;
mod scan;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests_consistency;

pub(crate) use digest::{Digest, digest_of, digest_of_parts, read_consistently};
pub(crate) use directory::{FileFilter, MAX_FILES_IN_DIRECTORY, SourcePath};
pub(crate) use file::{FileBytes, MAX_FILE_SIZE, MAX_TRUST_FILE_SIZE, MAX_TRUST_SIZE};
pub(crate) use fingerprint::Fingerprint;
pub(crate) use platform_roots::platform_roots;
pub(crate) use resolve::{Lookup, LookupKind, PathResolver};
pub(crate) use snapshot::{Snapshot, SnapshotFile, digest_of_snapshot, still_holds, take_snapshot};
