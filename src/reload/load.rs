//! From the files of one identity to an identity, or to why not: read, parse, validate.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use zeroize::Zeroizing;

use super::settle::Failure;
use crate::error::{Cause, Error};
use crate::material::{Identity, Parts, Password, Staple, Warning, WarningKind, takes_password};
use crate::options::{IdentityFiles, KeyPassword};
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
    // A password that no key takes is no part of this identity, and a change of it is no change.
    let without_password = files.password_file().is_some() && !is_encrypted(read);
    let read = &read[..read.len() - usize::from(without_password)];
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

/// Whether the key, the second of a unit's files, takes a password.
fn is_encrypted(read: &[Result<FileBytes, Error>]) -> bool {
    matches!(read.get(1), Some(Ok(key)) if takes_password(&key.bytes))
}

fn make(
    files: &IdentityFiles,
    read: &[Result<FileBytes, Error>],
    provider: &CryptoProvider,
    now: i64,
) -> Result<Identity, Error> {
    // `read_together` answers in the order of `IdentityFiles::paths`: chain, key, staple, password.
    let mut read = read.iter().map(|file| file.as_ref().map_err(Clone::clone));
    let (Some(chain), Some(key)) = (read.next().transpose()?, read.next().transpose()?) else {
        return Err(Error::at(&files.chain, Cause::NotFound));
    };
    let staple = match files.ocsp.as_deref() {
        None => Staple::NotAskedFor,
        Some(path) => match read.next() {
            Some(Ok(file)) => Staple::Bytes(path, &file.bytes),
            _ => Staple::Unreadable(path),
        },
    };
    let password_file = read.next();
    let ask = || match (&files.password, &password_file) {
        (Some(KeyPassword::File(_)), Some(Ok(file))) => Ok(Some(first_line(&file.bytes))),
        (Some(KeyPassword::File(_)), Some(Err(error))) => Err(error.clone()),
        (Some(KeyPassword::Callback(callback)), _) => Ok(callback.ask(&files.key)),
        _ => Ok(None),
    };
    let parts = Parts {
        chain: (&files.chain, &chain.bytes),
        key: (&files.key, &key.bytes),
        password: &ask,
        staple,
    };
    let identity = Identity::new(&parts, provider, now)?;
    let password = password_file.as_ref().and_then(|file| file.as_ref().ok());
    let readable = [
        warn_of_readable(Some(&files.key), Some(key)),
        warn_of_readable(files.password_file(), password.copied()),
    ];
    Ok(identity.with_warnings(readable.into_iter().flatten()))
}

fn warn_of_readable(path: Option<&PathBuf>, file: Option<&FileBytes>) -> Option<Warning> {
    let (path, file) = (path?, file?);
    (file.mode & READABLE_BY_OTHERS != 0).then(|| {
        let text = format!("every user may read {}", path.display());
        Warning::new(WarningKind::KeyReadable, text)
    })
}

/// The password in a file: its first line, without what ends it.
fn first_line(bytes: &[u8]) -> Password {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let line = &bytes[..end];
    Zeroizing::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}
