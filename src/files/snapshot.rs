//! Files that are named one by one, and those that lie in a directory: read as one.

use std::path::{Path, PathBuf};
use std::slice;
use std::time::SystemTime;

use super::digest::{ATTEMPTS, Digest, digest_of, digest_of_sets};
use super::directory::SourcePath;
use super::file;
use super::file::{FileBytes, MAX_TRUST_FILE_SIZE, MAX_TRUST_SIZE};
use super::fingerprint::Fingerprint;
use super::resolve::{Lookup, PathResolver};
use super::scan::{Scan, ScannedFile};
use crate::error::{Cause, Error};

/// One file of a place.
pub(crate) struct SnapshotFile {
    /// Which of the places it is of.
    pub(crate) place: usize,
    pub(crate) path: PathBuf,
    pub(crate) is_in_directory: bool,
    pub(crate) read: Result<FileBytes, Error>,
}

/// What was found at some places at one moment.
pub(crate) struct Snapshot {
    /// In the order of the places, and within a directory in that of names: of an empty directory
    /// there are none. An error is places that never held still or hold too much, or a directory that
    /// cannot be listed.
    pub(crate) files: Result<Vec<SnapshotFile>, Error>,
    /// Every name that was looked up, and every directory that was listed.
    pub(crate) lookups: Vec<Lookup>,
    /// Where it says anything, of what was read.
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// Reads everything at `places`, all of it as it is at one moment (G2).
///
/// Of a directory the files are read whose names count ([`FileFilter`]), each of them once however many
/// names lead to it; what is no regular file there is passed over, and never opened (G17).
pub(crate) fn take_snapshot(places: &[SourcePath]) -> Snapshot {
    let mut attempts = 1;
    loop {
        let read_at = SystemTime::now();
        // Each link is followed once, so that files which are reached through one link, as those of
        // a Kubernetes volume are, come from one directory.
        let before = Scan::of(places, &mut PathResolver::default());
        let files = read(&before, places);
        // When the last file has been read the first one may have been replaced already.
        let after = Scan::of(places, &mut PathResolver::default());
        let moved = moved(&before, &after, &files, places);
        if moved.is_some() && attempts < ATTEMPTS {
            attempts += 1;
            continue;
        }
        let moved = moved.map(|path| Error::at(path, Cause::Unstable));
        let files = moved.map_or(files, Err);
        let fingerprint = files.as_ref().ok().and_then(|files| {
            let trails = after.trails().cloned().collect();
            Fingerprint::of_read(files.iter().map(|file| &file.read), trails, read_at)
        });
        return Snapshot { files, lookups: after.lookups(), fingerprint };
    }
}

/// Whether everything at `places` looks as it did. Reads links, directories and stamps, and no file.
pub(crate) fn still_holds(
    fingerprint: &Fingerprint,
    places: &[SourcePath],
    way: &mut PathResolver,
) -> bool {
    let now = Scan::of(places, way);
    let paths = now.spots().map(|spot| spot.path.as_path());
    now.trouble().is_none() && fingerprint.is_of(now.trails(), paths)
}

/// The digest of what the files hold, each place for itself. By which names a directory holds it, and
/// how often, is no difference (G5).
pub(crate) fn digest_of_snapshot(files: &[SnapshotFile]) -> Digest {
    let of_file = |file: &SnapshotFile| (file.place, digest_of(slice::from_ref(&file.read)));
    digest_of_sets(&files.iter().map(of_file).collect())
}

fn read(survey: &Scan, places: &[SourcePath]) -> Result<Vec<SnapshotFile>, Error> {
    if let Some(error) = survey.trouble() {
        return Err(error.clone());
    }
    let mut room = MAX_TRUST_SIZE;
    let mut files = Vec::new();
    for spot in survey.spots() {
        let read = file::read(&spot.target, room.min(MAX_TRUST_FILE_SIZE));
        match &read {
            Ok(file) => room -= file.bytes.len(),
            Err(Cause::TooLarge { limit }) if *limit < MAX_TRUST_FILE_SIZE => {
                return Err(too_much(&places[spot.place].path));
            }
            Err(_) => {}
        }
        let ScannedFile { place, path, is_in_directory, .. } = spot;
        files.push(SnapshotFile {
            place: *place,
            path: path.clone(),
            is_in_directory: *is_in_directory,
            read: read.map_err(|cause| Error::at(path, cause)),
        });
    }
    Ok(files)
}

fn too_much(path: &Path) -> Error {
    let why = "the limit is for all roots and revocation lists together";
    Error::at(path, Cause::TooLarge { limit: MAX_TRUST_SIZE }).under(Some(why.to_owned()))
}

/// Which path did not hold still, if any.
fn moved<'a>(
    before: &'a Scan,
    after: &Scan,
    files: &Result<Vec<SnapshotFile>, Error>,
    places: &'a [SourcePath],
) -> Option<&'a Path> {
    if let Some(place) = before.differs_at(after) {
        return Some(&places[place].path);
    }
    let files = files.as_deref().unwrap_or_default();
    let mut read = before.spots().zip(files);
    let (spot, _) = read.find(|(spot, file)| match &file.read {
        Ok(file) => !file.is_still_at(&spot.path),
        Err(error) => error.cause == Cause::Unstable || spot.has_gone(&error.cause),
    })?;
    Some(&spot.path)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    use super::super::directory::FileFilter;
    use super::super::resolve::LookupKind;
    use super::*;

    fn roots(path: impl Into<PathBuf>) -> SourcePath {
        SourcePath { path: path.into(), takes: FileFilter::Certificates }
    }

    fn crls(path: impl Into<PathBuf>) -> SourcePath {
        SourcePath { path: path.into(), takes: FileFilter::Crls }
    }

    /// The file names and what they hold, where all of them can be read.
    fn held(places: &[SourcePath]) -> Vec<(usize, String, String)> {
        let files = take_snapshot(places).files.unwrap();
        let one = |file: SnapshotFile| {
            let name = file.path.file_name().unwrap().to_str().unwrap().to_owned();
            let bytes = file.read.ok().unwrap().bytes;
            (file.place, name, String::from_utf8(bytes.to_vec()).unwrap())
        };
        files.into_iter().map(one).collect()
    }

    fn names(places: &[SourcePath]) -> Vec<String> {
        held(places).into_iter().map(|(_, name, _)| name).collect()
    }

    fn error_of(places: &[SourcePath]) -> Error {
        take_snapshot(places).files.err().expect("must be refused")
    }

    #[test]
    fn files_and_directories_are_read_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["roots", "roots/sub.pem", "lists"] {
            fs::create_dir(path(name)).unwrap();
        }
        for name in ["any.name", "roots/b.pem", "roots/a.crt", "roots/README", "lists/x.crl"] {
            fs::write(path(name), name).unwrap();
        }
        symlink("roots", path("link")).unwrap();
        let places = [roots(path("any.name")), roots(path("link")), crls(path("lists"))];
        let expected = [
            (0, "any.name", "any.name"),
            (1, "a.crt", "roots/a.crt"),
            (1, "b.pem", "roots/b.pem"),
            (2, "x.crl", "lists/x.crl"),
        ];
        let expected =
            expected.map(|(place, name, text)| (place, name.to_owned(), text.to_owned()));
        assert_eq!(held(&places), expected);
        let in_directory: Vec<_> =
            take_snapshot(&places).files.unwrap().iter().map(|file| file.is_in_directory).collect();
        assert_eq!(in_directory, [false, true, true, true]);
        let named = &take_snapshot(&places).files.unwrap()[1].path.clone();
        assert_eq!(*named, path("link/a.crt"), "as the host called it");
        fs::remove_file(path("lists/x.crl")).unwrap();
        assert_eq!(
            names(&[crls(path("lists"))]),
            [""; 0],
            "nothing is there, and that is no error"
        );
    }

    #[test]
    fn g17_what_is_no_file_is_passed_over_in_a_directory_and_never_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("good.pem"), "x").unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("fifo.pem")).status().unwrap();
        assert!(made.success());
        let _listener = UnixListener::bind(path("socket.pem")).unwrap();
        fs::create_dir(path("directory.pem")).unwrap();
        symlink("/dev/zero", path("zero.pem")).unwrap();
        symlink("fifo.pem", path("link.pem")).unwrap();
        symlink("nowhere", path("dangling.pem")).unwrap();
        symlink("loop.pem", path("loop.pem")).unwrap();
        assert_eq!(names(&[roots(dir.path())]), ["good.pem"]);
        let gathered = take_snapshot(&[roots(path("fifo.pem"))]).files.unwrap();
        let cause = gathered[0].read.as_ref().err().unwrap().cause.clone();
        assert_eq!(cause, Cause::NotRegular("FIFO"), "where it was named itself");
    }

    #[test]
    fn one_bad_file_is_a_result_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("empty.pem"), "").unwrap();
        fs::write(dir.path().join("good.pem"), "x").unwrap();
        let large = File::create(dir.path().join("large.pem")).unwrap();
        large.set_len(MAX_TRUST_FILE_SIZE as u64 + 1).unwrap();
        let files =
            take_snapshot(&[roots(dir.path()), roots(dir.path().join("missing"))]).files.unwrap();
        let causes: Vec<_> = files.iter().map(|file| file.read.as_ref().err()).collect();
        let causes: Vec<_> = causes.iter().map(|error| error.map(|error| &error.cause)).collect();
        let too_large = Cause::TooLarge { limit: MAX_TRUST_FILE_SIZE };
        assert_eq!(causes, [Some(&Cause::Empty), None, Some(&too_large), Some(&Cause::NotFound)]);
    }

    #[test]
    fn g17_all_files_together_have_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        let add = |name: &str, size: usize| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_len(size as u64).unwrap();
        };
        add("1.crl", MAX_TRUST_FILE_SIZE);
        add("2.crl", MAX_TRUST_FILE_SIZE);
        assert_eq!(names(&[crls(dir.path())]), ["1.crl", "2.crl"]);
        add("3.crl", 1);
        let error = error_of(&[crls(dir.path())]);
        assert_eq!(error.cause, Cause::TooLarge { limit: MAX_TRUST_SIZE });
        assert_eq!(error.path.as_deref(), Some(dir.path()));
    }

    #[test]
    fn a_directory_that_cannot_be_listed_is_an_error_and_still_followed() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..=super::super::directory::MAX_FILES_IN_DIRECTORY {
            fs::write(dir.path().join(format!("{number}.pem")), "x").unwrap();
        }
        let gathered = take_snapshot(&[roots(dir.path())]);
        let error = gathered.files.err().unwrap();
        assert!(matches!(error.cause, Cause::TooManyFiles { .. }), "{error}");
        let is_listing = |lookup: &Lookup| matches!(lookup.kind, LookupKind::Listing(_));
        assert!(gathered.lookups.iter().any(is_listing));
        assert!(gathered.fingerprint.is_none());
    }

    #[test]
    fn a_file_with_several_names_is_read_once_by_that_which_people_know() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), "x").unwrap();
        for link in ["0123abcd.0", "89abcdef.0"] {
            symlink("ca.pem", dir.path().join(link)).unwrap();
        }
        assert_eq!(names(&[roots(dir.path())]), ["ca.pem"]);
        fs::rename(dir.path().join("ca.pem"), dir.path().join("ca")).unwrap();
        for link in ["0123abcd.0", "89abcdef.0"] {
            fs::remove_file(dir.path().join(link)).unwrap();
            symlink("ca", dir.path().join(link)).unwrap();
        }
        assert_eq!(names(&[roots(dir.path())]), ["0123abcd.0"], "there is no other");
    }

    #[test]
    fn every_name_that_counts_is_followed_whether_it_is_read_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("..2026")).unwrap();
        fs::write(root.join("..2026/ca.pem"), "x").unwrap();
        symlink("..2026", root.join("..data")).unwrap();
        symlink("..data/ca.pem", root.join("ca.pem")).unwrap();
        symlink("elsewhere/ca.pem", root.join("dangling.pem")).unwrap();
        let lookups = take_snapshot(&[roots(&root)]).lookups;
        let below = |lookup: &Lookup| {
            let path = lookup.path();
            let below = path.strip_prefix(&root).ok()?.to_str()?.to_owned();
            (lookup.kind != LookupKind::Directory).then_some((below, lookup.kind))
        };
        let below: Vec<_> = lookups.iter().filter_map(below).collect();
        let expected = [
            ("", LookupKind::Listing(FileFilter::Certificates)),
            ("ca.pem", LookupKind::Link),
            ("..data", LookupKind::Link),
            ("..2026/ca.pem", LookupKind::File),
            ("dangling.pem", LookupKind::Link),
            ("elsewhere", LookupKind::Missing),
        ];
        assert_eq!(below, expected.map(|(path, kind)| (path.to_owned(), kind)));
    }

    #[test]
    fn g5_what_a_directory_holds_counts_and_not_by_which_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let digest = || digest_of_snapshot(&take_snapshot(&[roots(dir.path())]).files.unwrap());
        fs::write(path("a.pem"), "one").unwrap();
        fs::write(path("b.pem"), "two").unwrap();
        let before = digest();
        fs::rename(path("a.pem"), path("z.crt")).unwrap();
        fs::copy(path("b.pem"), path("copy.pem")).unwrap();
        fs::write(path("README"), "of no interest").unwrap();
        assert_eq!(digest(), before);
        fs::write(path("copy.pem"), "three").unwrap();
        assert_ne!(digest(), before);
        let of = |places: &[SourcePath]| digest_of_snapshot(&take_snapshot(places).files.unwrap());
        let (a, b) = (roots(path("z.crt")), roots(path("b.pem")));
        assert_ne!(of(&[a.clone(), b.clone()]), of(&[b, a]), "of which place it is counts");
    }

    #[test]
    fn g1_every_change_of_a_directory_shows_in_its_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("roots")).unwrap();
        let places = [roots(path("roots")), crls(path("roots"))];
        let set_up = || {
            fs::remove_dir_all(path("roots")).unwrap();
            fs::create_dir(path("roots")).unwrap();
            fs::write(path("roots/a.pem"), "x").unwrap();
            symlink("nowhere", path("roots/dangling.pem")).unwrap();
            // Read a while after it was written, so that stamps prove something.
            let old = std::time::SystemTime::now() + Duration::from_secs(3600);
            let survey = Scan::of(&places, &mut PathResolver::default());
            let files = read(&survey, &places).unwrap();
            let trails = survey.trails().cloned().collect();
            Fingerprint::of_read(files.iter().map(|file| &file.read), trails, old).unwrap()
        };
        let holds =
            |before: &Fingerprint| still_holds(before, &places, &mut PathResolver::default());
        let before = set_up();
        assert!(holds(&before));
        fs::write(path("roots/README"), "of no interest").unwrap();
        fs::write(path("roots/.hidden.pem"), "of no interest").unwrap();
        assert!(holds(&before));
        let changes: [(&str, &dyn Fn()); 8] = [
            ("added", &|| fs::write(path("roots/b.pem"), "y").unwrap()),
            ("added for one of the places", &|| fs::write(path("roots/b.crl"), "y").unwrap()),
            ("removed", &|| fs::remove_file(path("roots/a.pem")).unwrap()),
            ("renamed", &|| fs::rename(path("roots/a.pem"), path("roots/b.pem")).unwrap()),
            ("written", &|| fs::write(path("roots/a.pem"), "y").unwrap()),
            ("leads somewhere", &|| fs::write(path("roots/nowhere"), "y").unwrap()),
            ("moved away", &|| fs::rename(path("roots"), path("gone")).unwrap()),
            ("a directory", &|| {
                fs::remove_file(path("roots/a.pem")).unwrap();
                fs::create_dir(path("roots/a.pem")).unwrap();
            }),
        ];
        for (name, change) in changes {
            let before = set_up();
            change();
            assert!(!holds(&before), "{name}");
            let _ = fs::rename(path("gone"), path("roots"));
        }
    }

    #[test]
    fn a_file_that_was_written_a_moment_ago_leaves_no_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            take_snapshot(&[roots(dir.path())]).fingerprint.is_some(),
            "there is nothing in it"
        );
        fs::write(dir.path().join("a.pem"), "x").unwrap();
        assert!(take_snapshot(&[roots(dir.path())]).fingerprint.is_none());
    }
}
