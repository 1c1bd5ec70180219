//! Loads one unit: reads its files at one moment, compares them with what is loaded, and parses new content.

use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

use super::configured_files::{ConfiguredFiles, Purpose, TrustFiles};
use super::file_warnings::{FileWarning, file_warnings};
use super::findings::Failure;
use super::unit_read::ReadFiles;
use crate::error::{Cause, Error};
use crate::files::{
    Digest, Fingerprint, Lookup, MAX_FILE_SIZE, SnapshotFile, SourcePath, digest_of, take_snapshot,
};
use crate::options::{IdentityBytes, IdentityFiles, KeyPassword, Options};
use crate::pki::{
    GivenPassword, Identity, IdentityInput, Password, Staple, TicketFile, TicketKeys, Trust,
    TrustContext, TrustFile, TrustInput, needs_password,
};
use crate::tls::{BaseConfig, UnitContent};

/// The content of a unit, compared with what is loaded.
pub(super) enum Loaded {
    /// The content is that of the loaded version.
    Same,
    /// The content is that of a new version that was parsed before, and waits.
    Waiting(Digest),
    /// A new version, and the digest of the content that it was made from.
    New(UnitContent, Digest),
}

/// The inputs of loading besides files.
#[derive(Clone, Copy)]
pub(super) struct LoadContext<'a> {
    pub(super) provider: &'a Arc<CryptoProvider>,
    pub(super) options: &'a Options,
    pub(super) now: i64,
    /// The issuers in the chains of the handle's identities. They may have issued certificates of peers, too, and so
    /// sign revocation lists.
    pub(super) authorities: &'a [CertificateDer<'static>],
    /// Whether a certificate is accepted that has expired or is not valid yet.
    pub(super) accepts_any_date: bool,
}

impl<'a> LoadContext<'a> {
    pub(super) fn new(
        base_config: &'a BaseConfig,
        options: &'a Options,
        now: i64,
        authorities: &'a [CertificateDer<'static>],
    ) -> Self {
        let provider = base_config.provider();
        Self { provider, options, now, authorities, accepts_any_date: false }
    }
}

/// What a load found out about the files themselves, whether or not their content can be used.
#[derive(Default)]
pub(super) struct FoundFiles {
    /// Every name that was looked up and every directory that was listed to find the files, as found right after they
    /// were read. The watches of the unit are set on these.
    pub(super) lookups: Vec<Lookup>,
    /// `None` if the timestamps of the files prove too little, such as soon after a change.
    pub(super) fingerprint: Option<Fingerprint>,
    /// The digest of all files; `None` if they could not be read at one moment.
    pub(super) digest: Option<Digest>,
    /// Warnings about the files themselves; `None` if they could not be read at one moment.
    pub(super) warnings: Option<Vec<FileWarning>>,
}

/// The content that is not parsed again: that of the version in service, that of a new version that waits, and that of
/// a failure.
#[derive(Clone, Copy, Default)]
pub(super) struct KnownContent<'a> {
    pub(super) serving: Option<(&'a UnitContent, Digest)>,
    pub(super) waiting: Option<Digest>,
    pub(super) permanent: Option<&'a PermanentFailure>,
}

/// What was read of a unit.
struct ReadUnit<'a> {
    files: &'a [SnapshotFile],
    /// The password that the host gave, if it was asked.
    password: Cell<Option<Password>>,
}

/// The digest of content that failed, and its failure. The same content would always fail in the same way.
pub(super) type PermanentFailure = (Digest, Failure);

/// Loads the unit with these `files`, which were read as `read`.
///
/// Content is not parsed again if it is `known`. Otherwise each poll would repeat the work, and ask the host for the
/// password again.
pub(super) fn load(
    files: &ConfiguredFiles,
    read: ReadFiles,
    known: &KnownContent<'_>,
    with: &LoadContext<'_>,
) -> (Result<Loaded, Failure>, FoundFiles) {
    let (snapshot, password) = (read.snapshot, Cell::new(read.password));
    let KnownContent { serving, waiting, permanent } = *known;
    let found = FoundFiles { lookups: snapshot.lookups, ..FoundFiles::default() };
    let read = match snapshot.files {
        Ok(read) => without_unused_password(files, read),
        Err(error) => return (Err(Failure { error, digest: None }), found),
    };
    let digest = digest_of(&read);
    let loaded = match (serving, permanent) {
        (Some((_, known)), _) if known == digest => Ok(Loaded::Same),
        (_, Some((known, failure))) if *known == digest => Err(failure.clone()),
        _ if waiting == Some(digest) => Ok(Loaded::Waiting(digest)),
        _ => match parse(files, &ReadUnit { files: &read, password }, serving, with) {
            Ok(part) => Ok(Loaded::New(part, digest)),
            Err(error) => {
                Err(Failure { digest: Some(digest_of_failure(files, &error, &read)), error })
            }
        },
    };
    let warnings = Some(file_warnings(files, &read, snapshot.blind_spots, with.options));
    let fingerprint = snapshot.fingerprint;
    (loaded, FoundFiles { fingerprint, digest: Some(digest), warnings, ..found })
}

/// Loads an identity that the host pushed as `bytes`, unless `known` is their digest. `names` has the paths that name
/// its parts in messages.
pub(super) fn load_memory(
    names: &IdentityFiles,
    bytes: &IdentityBytes,
    known: Option<Digest>,
    with: &LoadContext<'_>,
) -> Result<Loaded, Failure> {
    let chain = (names.chain.as_path(), &bytes.chain[..]);
    let key = (names.key.as_path(), &bytes.key[..]);
    let staple = bytes.ocsp.as_deref();
    let digest = Digest::of_parts([chain.1, key.1].into_iter().chain(staple));
    if known == Some(digest) {
        return Ok(Loaded::Same);
    }
    let identity = check_sizes([chain, key]).and_then(|()| {
        let password = || match &names.password {
            Some(KeyPassword::File(path)) => read_password(path),
            Some(KeyPassword::Callback(callback)) => {
                Ok(callback.ask(&names.key).map(GivenPassword::of_callback))
            }
            None => Ok(None),
        };
        let staple = match (staple, &names.ocsp) {
            (Some(der), Some(path)) => Staple::Bytes(path, der),
            _ => Staple::NotAskedFor,
        };
        let input = IdentityInput {
            role: names.role,
            index: names.index,
            tls: with.options.tls,
            exports_key: with.options.exports_keys,
            chain,
            key,
            password: &password,
            staple,
            accepts_any_date: with.accepts_any_date,
        };
        new_identity(&input, with)
    });
    match identity {
        Ok(part) => Ok(Loaded::New(part, digest)),
        Err(error) => Err(Failure { error, digest: Some(digest) }),
    }
}

/// Returns the issuers in the chains of the identities in `serving`, for the trust store alone.
///
/// Identities come before the trust store among the units, so that these issuers are known when it is loaded.
pub(super) fn authorities_for<'a>(
    files: &ConfiguredFiles,
    serving: impl Iterator<Item = &'a UnitContent>,
) -> Vec<CertificateDer<'static>> {
    let ConfiguredFiles::Trust(_) = files else { return Vec::new() };
    let chains = serving.filter_map(UnitContent::as_identity).map(|identity| identity.chain());
    let authorities: HashSet<_> = chains.flat_map(|chain| chain.iter().skip(1)).collect();
    authorities.into_iter().cloned().collect()
}

/// Drops the password file, the last file of an identity, if the key is not encrypted. The password is then no part of
/// the identity, and a changed password is no change of the unit (G5).
fn without_unused_password(
    files: &ConfiguredFiles,
    mut read: Vec<SnapshotFile>,
) -> Vec<SnapshotFile> {
    let has_password = files.as_identity().is_some_and(|files| files.password_file().is_some());
    let key = read.get(1).and_then(|key| key.read.as_ref().ok());
    if has_password && !key.is_some_and(|key| needs_password(&key.bytes)) {
        read.pop();
    }
    read
}

/// Returns the digest of the content that `error` is about.
///
/// If the fault is in the named file alone, a change of another file must not report the same failure again (G3).
/// An error of a trust store that names a file is about that file. An error of an identity may be about two files, such
/// as a key that does not match its chain. In that case the digest is that of all files.
fn digest_of_failure(files: &ConfiguredFiles, error: &Error, read: &[SnapshotFile]) -> Digest {
    let is_of_one_file =
        matches!(files, ConfiguredFiles::Trust(_)) || error.cause.concerns_one_file();
    let mut named = read.iter().filter(|_| is_of_one_file);
    let named = named.find(|file| error.path.as_deref() == Some(&file.path));
    named.map_or_else(|| digest_of(read), SnapshotFile::digest)
}

/// Parses and validates the files that were `read`. A new trust store and new ticket keys are compared with `before`,
/// the part that is served.
fn parse(
    files: &ConfiguredFiles,
    unit: &ReadUnit<'_>,
    serving: Option<(&UnitContent, Digest)>,
    with: &LoadContext<'_>,
) -> Result<UnitContent, Error> {
    let read = unit.files;
    match (files, serving.map(|(part, _)| part)) {
        (ConfiguredFiles::Identity(files), _) => parse_identity(files, unit, with),
        (ConfiguredFiles::Trust(files), Some(UnitContent::Trust(before))) => {
            parse_trust(files, read, Some(before), with)
        }
        (ConfiguredFiles::Trust(files), _) => parse_trust(files, read, None, with),
        (ConfiguredFiles::TicketKeys(_), Some(UnitContent::TicketKeys(before))) => {
            parse_ticket_keys(read, Some(before), with.now)
        }
        (ConfiguredFiles::TicketKeys(_), _) => parse_ticket_keys(read, None, with.now),
    }
}

fn parse_identity(
    files: &IdentityFiles,
    unit: &ReadUnit<'_>,
    with: &LoadContext<'_>,
) -> Result<UnitContent, Error> {
    // `read` has the order of `IdentityFiles::paths`: chain, key, staple, password. The last two are optional.
    let mut read = unit.files.iter().map(|file| file.read.as_ref().map_err(Clone::clone));
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
    let password = || match (&files.password, &password_file) {
        (Some(KeyPassword::File(path)), Some(Ok(file))) => {
            Ok(Some(GivenPassword::in_file(path, &file.bytes)))
        }
        (Some(KeyPassword::File(_)), Some(Err(error))) => Err(error.clone()),
        (Some(KeyPassword::Callback(_)), _) => {
            Ok(unit.password.take().map(GivenPassword::of_callback))
        }
        _ => Ok(None),
    };
    let input = IdentityInput {
        role: files.role,
        index: files.index,
        tls: with.options.tls,
        exports_key: with.options.exports_keys,
        chain: (&files.chain, &chain.bytes),
        key: (&files.key, &key.bytes),
        password: &password,
        staple,
        accepts_any_date: with.accepts_any_date,
    };
    new_identity(&input, with)
}

fn new_identity(input: &IdentityInput<'_>, with: &LoadContext<'_>) -> Result<UnitContent, Error> {
    let identity = Identity::new(input, with.provider, with.now)?;
    Ok(UnitContent::Identity(identity.with_expiry_warning(with.options.expiry_warning).into()))
}

/// Refuses pushed bytes of a size that would be refused in a file: none, or more than [`MAX_FILE_SIZE`].
fn check_sizes(parts: [(&Path, &[u8]); 2]) -> Result<(), Error> {
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

fn read_password(path: &Path) -> Result<Option<GivenPassword<'_>>, Error> {
    let file = take_snapshot(&[SourcePath::file(path)]).files?.pop();
    file.map(|file| file.read.map(|file| GivenPassword::in_file(path, &file.bytes))).transpose()
}

fn parse_trust(
    files: &TrustFiles,
    read: &[SnapshotFile],
    before: Option<&Trust>,
    with: &LoadContext<'_>,
) -> Result<UnitContent, Error> {
    // A trust store without one of its revocation lists would accept revoked certificates.
    if let Some(error) = read.iter().find_map(|file| file.read.as_ref().err()) {
        return Err(error.clone());
    }
    let files_for = |purpose: Purpose| {
        let matching = read.iter().filter(|file| files.sources[file.source].0 == purpose);
        matching.filter_map(as_trust_file).collect::<Vec<_>>()
    };
    let roots_for = |purpose: Purpose| -> Result<Option<Vec<TrustFile<'_>>>, Error> {
        let Some((_, source)) = files.sources.iter().find(|(other, _)| *other == purpose) else {
            return Ok(None);
        };
        let roots = files_for(purpose);
        if roots.is_empty() {
            let cause = Cause::NoCertificate(": no file in it has a fitting name".into());
            return Err(Error::at(&source.path, cause));
        }
        Ok(Some(roots))
    };
    let input = TrustInput {
        client_roots: roots_for(Purpose::ClientRoots)?,
        server_roots: roots_for(Purpose::ServerRoots)?,
        crls: files_for(Purpose::Crls),
        issuers: with.authorities.iter().map(|der| &der[..]).collect(),
    };
    let context = TrustContext {
        options: &files.options,
        provider: with.provider,
        tls: with.options.tls,
        now: with.now,
        previous: before,
    };
    let trust = Trust::new(&input, &context)?;
    Ok(UnitContent::Trust(trust.with_expiry_warning(with.options.expiry_warning).into()))
}

fn as_trust_file(file: &SnapshotFile) -> Option<TrustFile<'_>> {
    let bytes = &file.read.as_ref().ok()?.bytes;
    Some(TrustFile { path: &file.path, bytes, is_in_directory: file.is_in_directory })
}

fn parse_ticket_keys(
    read: &[SnapshotFile],
    before: Option<&TicketKeys>,
    now: i64,
) -> Result<UnitContent, Error> {
    // Ticket keys come from a file and not from a directory, so exactly one file was read.
    let [SnapshotFile { path, read, .. }] = read else {
        return Err(Error::new(Cause::NotFound));
    };
    let read = read.as_ref().map_err(Clone::clone)?;
    let file = TicketFile {
        path,
        bytes: &read.bytes,
        is_readable_by_others: read.is_readable_by_others(),
        modified: read.modified(),
    };
    TicketKeys::new(&file, now, before).map(|keys| UnitContent::TicketKeys(keys.into()))
}
