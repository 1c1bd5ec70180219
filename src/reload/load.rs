//! From the files of one identity to an identity, or to why not: read, parse, validate.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::load_trust::{load_ticket_keys, load_trust};
use super::loading::{
    FoundFiles, LoadContext, Loaded, PermanentFailure, is_readable_by_others, readable,
};
use super::outcome::Failure;
use super::unit_files::UnitFiles;
use crate::error::{Cause, Error};
use crate::files::{
    Digest, FileBytes, Fingerprint, MAX_FILE_SIZE, PathResolver, digest_of, digest_of_parts,
    read_consistently,
};
use crate::options::{IdentityBytes, IdentityFiles, KeyPassword};
use crate::pki::{Identity, IdentityInput, Password, Staple, Warning, takes_password};
use crate::tls::Part;

/// Reads and checks the files of a unit, unless they hold what `serving` was made from, or what is known to
/// be `hopeless`.
pub(super) fn load(
    files: &UnitFiles,
    serving: Option<(&Part, Digest)>,
    hopeless: Option<&PermanentFailure>,
    with: &LoadContext<'_>,
) -> (Result<Loaded, Failure>, FoundFiles) {
    let known = serving.map(|(_, digest)| digest);
    match (files, serving) {
        (UnitFiles::Identity(files), _) => load_identity(files, known, hopeless, with),
        (UnitFiles::Trust(files), Some((Part::Trust(before), _))) => {
            load_trust(files, known, Some(before), hopeless, with)
        }
        (UnitFiles::Trust(files), _) => load_trust(files, None, None, hopeless, with),
        (UnitFiles::TicketKeys(path), Some((Part::TicketKeys(before), _))) => {
            load_ticket_keys(path, known, Some(before), with.now)
        }
        (UnitFiles::TicketKeys(path), _) => load_ticket_keys(path, None, None, with.now),
    }
}

fn load_identity(
    files: &IdentityFiles,
    known: Option<Digest>,
    hopeless: Option<&PermanentFailure>,
    with: &LoadContext<'_>,
) -> (Result<Loaded, Failure>, FoundFiles) {
    let paths: Vec<&Path> = files.paths().collect();
    let read_at = SystemTime::now();
    let read = read_consistently(&paths);
    let mut way = PathResolver::default();
    let trails: Vec<_> = paths.iter().map(|path| way.trail(path)).collect();
    let lookups = trails.concat();
    match read {
        Ok(read) => {
            let fingerprint = Fingerprint::of_read(&read, trails, read_at);
            // A password that no key takes is no part of this identity, and a change of it is none.
            let takes_none = files.password_file().is_some() && !is_encrypted(&read);
            let read = &read[..read.len() - usize::from(takes_none)];
            let digest = digest_of(read);
            let exposed = exposed(files, read);
            let loaded = match hopeless {
                _ if known == Some(digest) => Ok(Loaded::Same),
                Some((known, failure)) if *known == digest => Err(failure.clone()),
                _ => match make(files, read, with) {
                    Ok(identity) => Ok(Loaded::New(as_part(identity, with), digest)),
                    Err(error) => Err(Failure { digest: about(&error, &paths, read), error }),
                },
            };
            (loaded, FoundFiles { lookups, fingerprint, digest: Some(digest), exposed })
        }
        Err(error) => {
            (Err(Failure { error, digest: None }), FoundFiles { lookups, ..FoundFiles::default() })
        }
    }
}

/// Checks an identity that was handed over, unless it is what `known` is the digest of. `files` name its
/// parts.
pub(super) fn load_memory(
    files: &IdentityFiles,
    bytes: &IdentityBytes,
    known: Option<Digest>,
    with: &LoadContext<'_>,
) -> Result<Loaded, Failure> {
    let chain = (files.chain.as_path(), &bytes.chain[..]);
    let key = (files.key.as_path(), &bytes.key[..]);
    let staple = bytes.ocsp.as_deref();
    let digest = digest_of_parts([chain.1, key.1].into_iter().chain(staple));
    if known == Some(digest) {
        return Ok(Loaded::Same);
    }
    let identity = within_limits([chain, key]).and_then(|()| {
        let password = || match &files.password {
            Some(KeyPassword::File(path)) => {
                let read = read_consistently(&[path])?;
                let line = |file: FileBytes| first_line(&file.bytes);
                read.into_iter().next().transpose().map(|file| file.map(line))
            }
            Some(KeyPassword::Callback(callback)) => Ok(callback.ask(&files.key)),
            None => Ok(None),
        };
        let staple = match (staple, &files.ocsp) {
            (Some(der), Some(path)) => Staple::Bytes(path, der),
            _ => Staple::NotAskedFor,
        };
        let (role, password) = (files.role, &password as _);
        Identity::new(
            &IdentityInput { role, chain, key, password, staple },
            with.provider,
            with.now,
        )
    });
    match identity {
        Ok(identity) => Ok(Loaded::New(as_part(identity, with), digest)),
        Err(error) => Err(Failure { error, digest: Some(digest) }),
    }
}

fn as_part(identity: Identity, with: &LoadContext<'_>) -> Part {
    Part::Identity(Arc::new(identity.with_expiry_warning(with.options.expiry_warning)))
}

fn within_limits(parts: [(&Path, &[u8]); 2]) -> Result<(), Error> {
    for (path, bytes) in parts {
        if bytes.is_empty() {
            return Err(Error::at(path, Cause::Empty));
        }
        if bytes.len() > MAX_FILE_SIZE {
            return Err(Error::at(path, Cause::TooLarge { limit: MAX_FILE_SIZE }));
        }
    }
    Ok(())
}

/// What every user may read, and should not: the key, and the password where there is one.
fn exposed(files: &IdentityFiles, read: &[Result<FileBytes, Error>]) -> Vec<Warning> {
    let secret = |path: &&Path| {
        *path == files.key || files.password_file().is_some_and(|password| password == path)
    };
    let read = files.paths().zip(read).filter(|(path, _)| secret(path));
    let exposed = read.filter(|(_, file)| file.as_ref().is_ok_and(is_readable_by_others));
    let mut warnings: Vec<_> = exposed.map(|(path, _)| readable(path)).collect();
    // A chain and its key may share one file.
    warnings.dedup();
    warnings
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
    with: &LoadContext<'_>,
) -> Result<Identity, Error> {
    // `read_consistently` answers in the order of `IdentityFiles::paths`: chain, key, staple, password.
    let mut read = read.iter().map(|file| file.as_ref().map_err(Clone::clone));
    let (Some(chain), Some(key)) = (read.next().transpose()?, read.next().transpose()?) else {
        return Err(Error::at(&files.chain, Cause::NotFound));
    };
    let staple_file = files.ocsp.as_deref().and_then(|path| Some((path, read.next()?)));
    let staple = match &staple_file {
        None => Staple::NotAskedFor,
        Some((path, Ok(file))) => Staple::Bytes(path, &file.bytes),
        Some((path, Err(error))) => Staple::Unreadable(path, &error.cause),
    };
    let password_file = read.next();
    let ask = || match (&files.password, &password_file) {
        (Some(KeyPassword::File(_)), Some(Ok(file))) => Ok(Some(first_line(&file.bytes))),
        (Some(KeyPassword::File(_)), Some(Err(error))) => Err(error.clone()),
        (Some(KeyPassword::Callback(callback)), _) => Ok(callback.ask(&files.key)),
        _ => Ok(None),
    };
    let parts = IdentityInput {
        role: files.role,
        chain: (&files.chain, &chain.bytes),
        key: (&files.key, &key.bytes),
        password: &ask,
        staple,
    };
    Identity::new(&parts, with.provider, with.now)
}

/// The password in a file: its first line, without what ends it.
fn first_line(bytes: &[u8]) -> Password {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let line = &bytes[..end];
    Zeroizing::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}
