//! From the files of a trust, or of ticket keys, to what they mean, or to why not.

use std::path::Path;
use std::time::SystemTime;

use super::loading::{
    FoundFiles, LoadContext, Loaded, PermanentFailure, is_readable_by_others, readable,
};
use super::outcome::Failure;
use super::unit_files::{Purpose, TrustFiles};
use crate::error::{Cause, Error};
use crate::files::{
    Digest, Fingerprint, PathResolver, Snapshot, SnapshotFile, digest_of, digest_of_snapshot,
    read_consistently, take_snapshot,
};
use crate::pki::{TicketFile, TicketKeys, Trust, TrustFile, TrustInput};
use crate::tls::Part;

/// Reads and checks a trust, unless its files hold what `known` is the digest of, or what is known to be
/// `hopeless`.
pub(super) fn load_trust(
    files: &TrustFiles,
    known: Option<Digest>,
    before: Option<&Trust>,
    hopeless: Option<&PermanentFailure>,
    with: &LoadContext<'_>,
) -> (Result<Loaded, Failure>, FoundFiles) {
    let Snapshot { files: gathered, lookups, fingerprint } = take_snapshot(&files.places);
    let found = FoundFiles { lookups, ..FoundFiles::default() };
    let gathered = match gathered {
        Ok(gathered) => gathered,
        Err(error) => return (Err(Failure { error, digest: None }), found),
    };
    let digest = digest_of_snapshot(&gathered);
    let made = match hopeless {
        _ if known == Some(digest) => Ok(Loaded::Same),
        Some((known, failure)) if *known == digest => Err(failure.clone()),
        _ => make_trust(files, &gathered, before, with)
            .map(|trust| Loaded::New(Part::Trust(trust.into()), digest))
            .map_err(|error| Failure { digest: Some(about(&error, &gathered, digest)), error }),
    };
    (made, FoundFiles { fingerprint, digest: Some(digest), ..found })
}

/// The digest of the file that `error` names, so that a change of another one is no new failure; else of `all`.
fn about(error: &Error, gathered: &[SnapshotFile], all: Digest) -> Digest {
    let named = gathered.iter().find(|file| error.path.as_deref() == Some(&file.path));
    named.map_or(all, |file| digest_of(std::slice::from_ref(&file.read)))
}

fn make_trust(
    files: &TrustFiles,
    gathered: &[SnapshotFile],
    before: Option<&Trust>,
    with: &LoadContext<'_>,
) -> Result<Trust, Error> {
    if let Some(error) = gathered.iter().find_map(|file| file.read.as_ref().err()) {
        return Err(error.clone());
    }
    let of = |purpose: Purpose| {
        let read = move |file: &'_ SnapshotFile| files.purposes[file.place] == purpose;
        gathered.iter().filter(move |file| read(file)).filter_map(as_trust_file).collect::<Vec<_>>()
    };
    let roots = |purpose: Purpose| -> Result<Option<Vec<TrustFile<'_>>>, Error> {
        let Some(place) = files.purposes.iter().position(|other| *other == purpose) else {
            return Ok(None);
        };
        let roots = of(purpose);
        if roots.is_empty() {
            let path = &files.places[place].path;
            return Err(Error::at(
                path,
                Cause::NoCertificate(": no file in it has a fitting name"),
            ));
        }
        Ok(Some(roots))
    };
    let parts = TrustInput {
        client_roots: roots(Purpose::ClientRoots)?,
        server_roots: roots(Purpose::ServerRoots)?,
        crls: of(Purpose::Crls),
        issuers: with.authorities.iter().map(|der| &der[..]).collect(),
    };
    Trust::new(&parts, &files.options, with.provider, with.now, before)
        .map(|trust| trust.with_expiry_warning(with.options.expiry_warning))
}

fn as_trust_file(file: &SnapshotFile) -> Option<TrustFile<'_>> {
    let bytes = &file.read.as_ref().ok()?.bytes;
    Some(TrustFile { path: &file.path, bytes, is_in_directory: file.is_in_directory })
}

/// The same for a file of ticket keys.
pub(super) fn load_ticket_keys(
    path: &Path,
    known: Option<Digest>,
    before: Option<&TicketKeys>,
    now: i64,
) -> (Result<Loaded, Failure>, FoundFiles) {
    let read_at = SystemTime::now();
    let read = read_consistently(&[path]);
    let trails = vec![PathResolver::default().trail(path)];
    let found = FoundFiles { lookups: trails.concat(), ..FoundFiles::default() };
    let read = match read {
        Ok(read) => read,
        Err(error) => return (Err(Failure { error, digest: None }), found),
    };
    let digest = digest_of(&read);
    let fingerprint = Fingerprint::of_read(&read, trails, read_at);
    let file = match &read[0] {
        Ok(file) => file,
        Err(error) => {
            let failure = Failure { error: error.clone(), digest: None };
            return (Err(failure), found);
        }
    };
    let is_readable_by_others = is_readable_by_others(file);
    // Of what serves it is too late to refuse it.
    let exposed = is_readable_by_others.then(|| readable(path)).into_iter().collect();
    let found = FoundFiles { fingerprint, digest: Some(digest), exposed, ..found };
    if known == Some(digest) {
        return (Ok(Loaded::Same), found);
    }
    let bytes = &file.bytes;
    let file = TicketFile { path, bytes, is_readable_by_others, modified: file.modified() };
    let made = TicketKeys::new(&file, now, before)
        .map(|keys| Loaded::New(Part::TicketKeys(keys.into()), digest))
        .map_err(|error| Failure { error, digest: Some(digest) });
    (made, found)
}
