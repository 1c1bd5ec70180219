//! From the files of one identity to an identity, or to why not: read, parse, validate.

use std::path::Path;

use rustls::crypto::CryptoProvider;

use crate::error::Error;
use crate::material::{Identity, Parts, Staple, Warnings};
use crate::options::IdentityFiles;
use crate::source::{Digest, FileBytes, digest_of, read_together};

/// Permission bit: everybody may read.
const READABLE_BY_OTHERS: u32 = 0o004;

/// What the files of a unit hold.
pub(super) struct Loaded {
    /// What they held when they were read; `None` where they never held still.
    pub(super) digest: Option<Digest>,
    /// What to make of it; `None` where it is what `known` stands for already.
    pub(super) identity: Result<Option<Identity>, Error>,
}

/// Reads and checks the files of an identity, unless they hold what `known` is the digest of.
pub(super) fn load(
    files: &IdentityFiles,
    known: Option<Digest>,
    provider: &CryptoProvider,
    now: i64,
) -> Loaded {
    let paths: Vec<&Path> = files.paths().collect();
    let read = match read_together(&paths) {
        Ok(read) => read,
        Err(error) => {
            return Loaded { digest: None, identity: Err(error) };
        }
    };
    let digest = digest_of(&read);
    let identity =
        if known == Some(digest) { Ok(None) } else { make(files, read, provider, now).map(Some) };
    Loaded { digest: Some(digest), identity }
}

fn make(
    files: &IdentityFiles,
    read: Vec<Result<FileBytes, Error>>,
    provider: &CryptoProvider,
    now: i64,
) -> Result<Identity, Error> {
    let mut read = read.into_iter();
    // `read_together` answers in the order of `IdentityFiles::paths`: chain, key, staple.
    let mut next = || read.next().unwrap_or_else(|| Err(missing(files)));
    let (chain, key) = (next()?, next()?);
    let staple = files.ocsp.as_ref().map(|_| next());
    let parts = Parts {
        chain: (&files.chain, &chain.bytes),
        key: (&files.key, &key.bytes),
        staple: match &staple {
            None => Staple::NotAskedFor,
            Some(Ok(file)) => Staple::Bytes(&file.bytes),
            Some(Err(_)) => Staple::Unreadable,
        },
    };
    let key_readable = key.mode & READABLE_BY_OTHERS != 0;
    let warnings = Warnings { key_readable, ..Warnings::default() };
    Identity::new(&parts, provider, now).map(|identity| identity.with_warnings(warnings))
}

fn missing(files: &IdentityFiles) -> Error {
    Error::at(&files.chain, crate::error::Cause::NotFound)
}
