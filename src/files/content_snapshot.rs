//! Reads all files of a unit as they are at one moment.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::blind_spot::BlindSpot;
use super::digest::Digest;
use super::file::{FileBytes, MAX_TRUST_SIZE};
use super::fingerprint::Fingerprint;
use super::metadata_snapshot::MetadataSnapshot;
use super::open_directories::OpenDirectories;
use super::path_resolver::{Lookup, PathResolver};
use super::read_failure;
use super::source_path::SourcePath;
use crate::error::{Cause, Error};

/// How many times the files are read if they change during each read. After the last one the error is reported.
const ATTEMPTS: usize = 5;

/// One file of a source, with its content or the error of reading it.
pub(crate) struct SnapshotFile {
    /// The index of the source.
    pub(crate) source: usize,
    pub(crate) path: PathBuf,
    pub(crate) is_in_directory: bool,
    pub(crate) read: Result<FileBytes, Error>,
}

/// The files of some sources at one moment.
pub(crate) struct Snapshot {
    /// The files in the order of the sources, and within a directory in the order of names.
    ///
    /// An error here concerns all files: they kept changing, are too large together, or a directory cannot be listed.
    /// If one file cannot be read, its own `read` has the error.
    pub(crate) files: Result<Vec<SnapshotFile>, Error>,
    /// Every name that was looked up, and every directory that was listed.
    pub(crate) lookups: Vec<Lookup>,
    /// The fingerprint by which a poll may skip reading the files. `None` if the next poll must read them.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// The paths whose renewals may go unseen, or be seen late.
    pub(crate) blind_spots: Vec<BlindSpot>,
}

impl SnapshotFile {
    /// Returns the digest of this file alone.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of_file(&self.read)
    }
}

/// Returns the digest of a unit's files.
///
/// The digest depends on which source has which content, and not on the names of the files in a directory: renaming a
/// root changes nothing (G5).
pub(crate) fn digest_of(files: &[SnapshotFile]) -> Digest {
    Digest::of_unit(files.iter().map(|file| (file.source, file.digest())))
}

/// Reads all files of `sources` as they are at one moment (G2).
///
/// The files are listed with their stamps, read, and listed again. If the three do not agree, all is done again,
/// because the first file may have been replaced by the time the last one is read. A list is made file by file, so a
/// directory that is swapped back and forth may give a mixed list. The files themselves are of one directory.
///
/// Of a directory, each file is read once, however many names lead to it. Entries other than regular files are
/// skipped and never opened (G17).
pub(crate) fn take_snapshot(sources: &[SourcePath]) -> Snapshot {
    let mut attempts_left = ATTEMPTS;
    loop {
        attempts_left -= 1;
        let read_at = SystemTime::now();
        let before = MetadataSnapshot::of(sources, &mut PathResolver::default());
        let files = read_files(&before);
        let after = MetadataSnapshot::of(sources, &mut PathResolver::default());
        let changed = before.first_change(&after).or_else(|| changed_file(&before, &files));
        let files = match changed {
            Some(_) if attempts_left > 0 => continue,
            Some(path) => Err(Error::at(path, Cause::Unstable)),
            None => files,
        };
        let fingerprint = files.as_deref().ok().and_then(|files| {
            Fingerprint::new(&after, files.iter().map(|file| &file.read), read_at)
        });
        let blind_spots = after.blind_spots();
        return Snapshot { files, lookups: after.lookups(), fingerprint, blind_spots };
    }
}

fn read_files(metadata: &MetadataSnapshot) -> Result<Vec<SnapshotFile>, Error> {
    if let Some(error) = metadata.error() {
        return Err(error.clone());
    }
    let mut room = MAX_TRUST_SIZE;
    let mut files = Vec::new();
    let mut directories = OpenDirectories::default();
    for scanned in metadata.files() {
        let source = metadata.source(scanned.source);
        let max_size = source.max_file_size();
        let is_misnamed = source.ends_in_slash() && !scanned.is_in_directory;
        let mut read = if is_misnamed && scanned.stamp.is_some() {
            Err(Cause::NotDirectory)
        } else {
            directories.read(&scanned.target, room.min(max_size))
        };
        if let Ok(file) = &mut read
            && scanned.is_opaque()
        {
            file.end_at_opaque_path();
        }
        match &read {
            Ok(file) => room -= file.bytes.len(),
            Err(Cause::TooLarge { limit }) if *limit < max_size => {
                let why = "the limit is for all roots and revocation lists together".to_owned();
                let cause = Cause::TooLarge { limit: MAX_TRUST_SIZE };
                return Err(Error::at(&source.path, cause).with_explanation(Some(why)));
            }
            Err(_) => {}
        }
        files.push(SnapshotFile {
            source: scanned.source,
            path: scanned.path.clone(),
            is_in_directory: scanned.is_in_directory,
            read: read
                .map_err(|cause| read_failure::explained(&scanned.path, &scanned.target, cause)),
        });
    }
    Ok(files)
}

/// Returns the path of the first file that had changed since `metadata` when it was read.
fn changed_file<'a>(
    metadata: &'a MetadataSnapshot,
    files: &Result<Vec<SnapshotFile>, Error>,
) -> Option<&'a Path> {
    let files = files.as_deref().unwrap_or_default();
    let mut pairs = metadata.files().zip(files);
    let changed = pairs.find(|(scanned, file)| scanned.contradicts(&file.read));
    changed.map(|(scanned, _)| scanned.path.as_path())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::super::directory_files::{FileFilter, MAX_FILES_IN_DIRECTORY};
    use super::super::file::{MAX_FILE_SIZE, MAX_TRUST_FILE_SIZE};
    use super::super::path_resolver::LookupKind;
    use super::*;

    fn roots(path: impl AsRef<Path>) -> SourcePath {
        SourcePath::file_or_directory(path.as_ref(), FileFilter::Certificates)
    }

    fn crls(path: impl AsRef<Path>) -> SourcePath {
        SourcePath::file_or_directory(path.as_ref(), FileFilter::Crls)
    }

    /// Returns source, name and content of each file.
    fn contents(sources: &[SourcePath]) -> Vec<(usize, String, String)> {
        let files = take_snapshot(sources).files.unwrap();
        let one = |file: SnapshotFile| {
            let name = file.path.file_name().unwrap().to_str().unwrap().to_owned();
            let bytes = file.read.ok().unwrap().bytes;
            (file.source, name, String::from_utf8(bytes.to_vec()).unwrap())
        };
        files.into_iter().map(one).collect()
    }

    fn names(sources: &[SourcePath]) -> Vec<String> {
        contents(sources).into_iter().map(|(_, name, _)| name).collect()
    }

    fn error_of(sources: &[SourcePath]) -> Error {
        take_snapshot(sources).files.err().expect("must be refused")
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
        let sources = [roots(path("any.name")), roots(path("link")), crls(path("lists"))];
        let expected = [
            (0, "any.name", "any.name"),
            (1, "a.crt", "roots/a.crt"),
            (1, "b.pem", "roots/b.pem"),
            (2, "x.crl", "lists/x.crl"),
        ];
        let expected =
            expected.map(|(source, name, text)| (source, name.to_owned(), text.to_owned()));
        assert_eq!(contents(&sources), expected);
        let in_directory: Vec<_> = take_snapshot(&sources)
            .files
            .unwrap()
            .iter()
            .map(|file| file.is_in_directory)
            .collect();
        assert_eq!(in_directory, [false, true, true, true]);
        let named = &take_snapshot(&sources).files.unwrap()[1].path.clone();
        assert_eq!(*named, path("link/a.crt"), "the path as the host configured it");
        fs::remove_file(path("lists/x.crl")).unwrap();
        assert_eq!(names(&[crls(path("lists"))]), [""; 0], "an empty directory is no error");
    }

    #[test]
    fn g17_non_regular_entry_of_a_directory_is_skipped_and_never_opened() {
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
        let snapshot = take_snapshot(&[roots(path("fifo.pem"))]).files.unwrap();
        let cause = snapshot[0].read.as_ref().err().unwrap().cause.clone();
        assert_eq!(cause, Cause::NotRegular("FIFO"), "a source itself");
    }

    #[test]
    fn file_that_cannot_be_read_is_an_error_of_this_file_only() {
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
    fn g17_file_source_refuses_a_directory_and_a_file_over_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chain.pem");
        let file = File::create(&path).unwrap();
        let cause = |path: &Path| {
            let files = take_snapshot(&[SourcePath::file(path)]).files.unwrap();
            files[0].read.as_ref().err().map(|error| error.cause.clone())
        };
        assert_eq!(cause(dir.path()), Some(Cause::NotRegular("directory")));
        file.set_len(MAX_FILE_SIZE as u64).unwrap();
        assert_eq!(cause(&path), None);
        file.set_len(MAX_FILE_SIZE as u64 + 1).unwrap();
        assert_eq!(cause(&path), Some(Cause::TooLarge { limit: MAX_FILE_SIZE }));
    }

    #[test]
    fn g17_files_that_are_too_large_together_are_refused() {
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
    fn directory_that_cannot_be_listed_is_an_error_with_lookups() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..=MAX_FILES_IN_DIRECTORY {
            fs::write(dir.path().join(format!("{number}.pem")), "x").unwrap();
        }
        let snapshot = take_snapshot(&[roots(dir.path())]);
        let error = snapshot.files.err().unwrap();
        assert!(matches!(error.cause, Cause::TooManyFiles { .. }), "{error}");
        let is_listing = |lookup: &Lookup| matches!(lookup.kind, LookupKind::Listing(_));
        assert!(snapshot.lookups.iter().any(is_listing));
        assert!(snapshot.fingerprint.is_none());
    }

    #[test]
    fn file_with_several_names_is_read_once_under_the_name_without_hash() {
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
        assert_eq!(names(&[roots(dir.path())]), ["0123abcd.0"], "the only name");
    }

    #[test]
    fn g2_read_that_contradicts_its_scan_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.pem");
        let sources = [SourcePath::file(&path)];
        let is_changed = |change: &dyn Fn()| {
            let metadata = MetadataSnapshot::of(&sources, &mut PathResolver::default());
            change();
            let files = read_files(&metadata);
            changed_file(&metadata, &files).is_some()
        };
        assert!(!is_changed(&|| ()), "a missing file");
        assert!(is_changed(&|| fs::write(&path, "x").unwrap()), "created");
        assert!(!is_changed(&|| ()), "an unchanged file");
        assert!(is_changed(&|| fs::write(&path, "xy").unwrap()), "written");
        assert!(is_changed(&|| fs::remove_file(&path).unwrap()), "removed");
    }

    #[test]
    fn g1_lookups_include_accepted_names_that_are_not_read() {
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
    fn g1_directory_whose_path_ends_in_dots_is_listed_itself() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("sub")).unwrap();
        let listed = |path: &Path| -> Vec<_> {
            let lookups = take_snapshot(&[roots(path)]).lookups;
            let is_listing = |lookup: &&Lookup| matches!(lookup.kind, LookupKind::Listing(_));
            lookups.iter().filter(is_listing).map(Lookup::path).collect()
        };
        assert_eq!(listed(&root.join("sub")), [root.join("sub")]);
        assert_eq!(listed(&root.join("sub/..")), [root]);
    }

    #[test]
    fn g5_digest_depends_on_the_content_of_a_directory_and_not_on_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let digest = || digest_of(&take_snapshot(&[roots(dir.path())]).files.unwrap());
        fs::write(path("a.pem"), "one").unwrap();
        fs::write(path("b.pem"), "two").unwrap();
        let before = digest();
        fs::rename(path("a.pem"), path("z.crt")).unwrap();
        fs::copy(path("b.pem"), path("copy.pem")).unwrap();
        fs::write(path("README"), "not accepted").unwrap();
        assert_eq!(digest(), before);
        fs::write(path("copy.pem"), "three").unwrap();
        assert_ne!(digest(), before);
        let of = |sources: &[SourcePath]| digest_of(&take_snapshot(sources).files.unwrap());
        let (a, b) = (roots(path("z.crt")), roots(path("b.pem")));
        assert_ne!(of(&[a.clone(), b.clone()]), of(&[b, a]), "the same files of swapped sources");
    }

    #[test]
    fn g1_snapshot_of_a_recently_written_file_has_no_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        assert!(take_snapshot(&[roots(dir.path())]).fingerprint.is_some(), "an empty directory");
        fs::write(dir.path().join("a.pem"), "x").unwrap();
        assert!(take_snapshot(&[roots(dir.path())]).fingerprint.is_none());
    }
}
