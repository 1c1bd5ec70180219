//! Bytes: stable, bounded reads of the files behind a unit, and the directories that lead to them.

mod file;
mod fingerprint;
mod gather;
mod listing;
#[cfg(test)]
mod moments;
mod platform_roots;
mod survey;
mod trail;
mod unit;

pub(crate) use file::{FileBytes, MAX_FILE_SIZE, MAX_TRUST_FILE_SIZE, MAX_TRUST_SIZE};
pub(crate) use fingerprint::Fingerprint;
pub(crate) use gather::{Gathered, GatheredFile, digest_of_gathered, gather, still_holds};
pub(crate) use listing::{MAX_FILES_IN_DIRECTORY, Place, Takes};
pub(crate) use platform_roots::platform_roots;
pub(crate) use trail::{Lookup, LookupKind, Way};
pub(crate) use unit::{Digest, digest_of, digest_of_parts, read_together};
