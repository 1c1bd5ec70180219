//! From the files of one identity to an identity, or to why not: read, parse, validate.

use std::path::Path;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;

use super::settle::Failure;
use crate::error::{Cause, Error};
use crate::material::{Identity, Parts, Staple, Warnings};
use crate::options::IdentityFiles;
use crate::source::{Digest, FileBytes, Fingerprint, Lookup, Way, digest_of, read_together};

/// Permission bit: everybody may read.
const READABLE_BY_OTHERS: u32 = 0o004;

/// What the files of a unit hold, and the digest of that.
pub(super) enum Loaded {
    /// What is known already.
    Same,
    New(Identity, Digest),
}

/// How the files were found, whatever they hold.
#[derive(Default)]
pub(super) struct Found {
    /// Every name that was looked up on the way to any of them, found out after they were read.
    pub(super) lookups: Vec<Lookup>,
    /// Where it says anything.
    pub(super) fingerprint: Option<Fingerprint>,
}

/// Reads and checks the files of an identity, unless they hold what `known` is the digest of.
pub(super) fn load(
    files: &IdentityFiles,
    known: Option<Digest>,
    provider: &CryptoProvider,
    now: i64,
) -> (Result<Loaded, Failure>, Found) {
    let paths: Vec<&Path> = files.paths().collect();
    let read_at = SystemTime::now();
    let read = read_together(&paths);
    let mut way = Way::default();
    let trails: Vec<_> = paths.iter().map(|path| way.trail(path)).collect();
    let lookups = trails.concat();
    match read {
        Ok(read) => {
            let fingerprint = Fingerprint::of_read(&read, trails, read_at);
            (make_new(files, &paths, &read, known, provider, now), Found { lookups, fingerprint })
        }
        Err(error) => (Err(Failure { error, digest: None }), Found { lookups, fingerprint: None }),
    }
}

fn make_new(
    files: &IdentityFiles,
    paths: &[&Path],
    read: &[Result<FileBytes, Error>],
    known: Option<Digest>,
    provider: &CryptoProvider,
    now: i64,
) -> Result<Loaded, Failure> {
    let digest = digest_of(read);
    if known == Some(digest) {
        return Ok(Loaded::Same);
    }
    match make(files, read, provider, now) {
        Ok(identity) => Ok(Loaded::New(identity, digest)),
        Err(error) => Err(Failure { digest: about(&error, paths, read), error }),
    }
}

/// The digest of what `error` is about: of the file that it names where the fault is in that file
/// alone, so that a change of another file is no new failure; else of the whole unit.
fn about(error: &Error, paths: &[&Path], read: &[Result<FileBytes, Error>]) -> Option<Digest> {
    let named = paths.iter().position(|path| error.path.as_deref() == Some(*path));
    match named {
        Some(index) if error.cause.is_of_one_file() => {
            read[index].is_ok().then(|| digest_of(&read[index..=index]))
        }
        _ => Some(digest_of(read)),
    }
}

fn make(
    files: &IdentityFiles,
    read: &[Result<FileBytes, Error>],
    provider: &CryptoProvider,
    now: i64,
) -> Result<Identity, Error> {
    // `read_together` answers in the order of `IdentityFiles::paths`: chain, key, staple.
    let mut read = read.iter();
    let mut next = || read.next().map(|file| file.as_ref().map_err(Clone::clone)).transpose();
    let (Some(chain), Some(key)) = (next()?, next()?) else {
        return Err(Error::at(&files.chain, Cause::NotFound));
    };
    let staple = next();
    let parts = Parts {
        chain: (&files.chain, &chain.bytes),
        key: (&files.key, &key.bytes),
        staple: match staple {
            Ok(None) => Staple::NotAskedFor,
            Ok(Some(file)) => Staple::Bytes(&file.bytes),
            Err(_) => Staple::Unreadable,
        },
    };
    let key_readable = key.mode & READABLE_BY_OTHERS != 0;
    let warnings = Warnings { key_readable, ..Warnings::default() };
    Identity::new(&parts, provider, now).map(|identity| identity.with_warnings(warnings))
}
