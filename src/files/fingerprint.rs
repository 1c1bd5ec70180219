//! Computes fingerprints of a unit's files. A poll skips reading files whose fingerprint is still the same.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::file::{FileBytes, FileStamp};
use super::metadata_snapshot::MetadataSnapshot;
use super::path_resolver::{Lookup, PathResolver};
use super::source_path::SourcePath;
use crate::error::Error;

/// The coarsest step of a file system's clock (FAT). A file that changed less than this before it was read may change
/// again without a new stamp.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// The stamps (metadata) of a unit's files, and the lookups of the names that led to them, from when they were read.
///
/// If the fingerprint is still the same, a poll may postpone reading the files. It does not prove that the content is
/// the same: only the digest of the bytes does (G1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    lookups: Vec<Vec<Lookup>>,
    stamps: Vec<FileStamp>,
}

impl Fingerprint {
    /// Returns the fingerprint of the `files` that `metadata` lists and that were read at `read_at` or later.
    ///
    /// Returns `None` if a later change might leave the stamps as they are, so that the next poll must read the files.
    /// That is so if a file changed less than [`CLOCK_STEP`] before `read_at`, or is on a file system whose stamps may
    /// change late. Also returns `None` if a file could not be read, or if only the kernel knows where its path leads.
    pub(super) fn new<'a>(
        metadata: &MetadataSnapshot,
        files: impl IntoIterator<Item = &'a Result<FileBytes, Error>>,
        read_at: SystemTime,
    ) -> Option<Self> {
        if metadata.is_opaque() {
            return None;
        }
        let limit = read_at.duration_since(UNIX_EPOCH).ok()?.checked_sub(CLOCK_STEP)?;
        let stamp_of = |file: &Result<FileBytes, Error>| {
            let file = file.as_ref().ok().filter(|file| file.has_prompt_stamp)?;
            file.stamp.is_older_than(limit).then_some(file.stamp)
        };
        let stamps = files.into_iter().map(stamp_of).collect::<Option<_>>()?;
        Some(Self { lookups: metadata.lookups_by_name().cloned().collect(), stamps })
    }

    /// Returns whether the files of `sources` have this fingerprint now. Reads links, directories and metadata, but
    /// opens no file.
    pub(crate) fn matches(&self, sources: &[SourcePath], resolver: &mut PathResolver) -> bool {
        let metadata = MetadataSnapshot::of(sources, resolver);
        metadata.error().is_none()
            && self.lookups.iter().eq(metadata.lookups_by_name())
            && self.stamps.iter().copied().map(Some).eq(metadata.files().map(|file| file.stamp))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::super::directory_files::FileFilter;
    use super::super::file::tests::read_path;
    use super::super::metadata_snapshot::ScannedFile;
    use super::*;

    const AN_HOUR: Duration = Duration::from_secs(3600);

    /// Reads the files of `sources`, and returns their fingerprint as if they had been read at `read_at`.
    fn fingerprint(sources: &[SourcePath], read_at: SystemTime) -> Option<Fingerprint> {
        let metadata = MetadataSnapshot::of(sources, &mut PathResolver::default());
        let read = |file: &ScannedFile| {
            read_path(&file.target).map_err(|cause| Error::at(&file.path, cause))
        };
        let files: Vec<_> = metadata.files().map(read).collect();
        Fingerprint::new(&metadata, &files, read_at)
    }

    #[test]
    fn g1_file_that_changed_recently_has_no_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "x").unwrap();
        let now = SystemTime::now();
        let at = |read_at| fingerprint(&[SourcePath::file(&path)], read_at);
        assert_eq!(at(now), None);
        assert!(at(now + AN_HOUR).is_some());
        assert_eq!(at(now - AN_HOUR), None, "a clock that was set back");
        let proc = SourcePath::file(Path::new("/proc/self/status"));
        assert_eq!(fingerprint(&[proc], now + AN_HOUR), None, "stamps without meaning");
    }

    #[test]
    fn g1_file_that_only_the_kernel_finds_has_no_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "x").unwrap();
        let file = fs::File::open(&path).unwrap();
        let through = SourcePath::file(format!("/dev/fd/{}", file.as_raw_fd()).as_ref());
        let take = || fingerprint(std::slice::from_ref(&through), SystemTime::now() + AN_HOUR);
        assert!(take().is_some());
        fs::remove_file(&path).unwrap();
        assert_eq!(take(), None);
    }

    #[test]
    fn g1_every_change_of_a_file_changes_its_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&path, "x").unwrap();
        symlink("file", &link).unwrap();
        let sources = [SourcePath::file(&link)];
        let take = || fingerprint(&sources, SystemTime::now() + AN_HOUR).unwrap();
        let matches = |before: &Fingerprint| before.matches(&sources, &mut PathResolver::default());
        let before = take();
        assert!(matches(&before));

        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "y").unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert!(!matches(&before), "same size, inode and mtime: only the ctime differs");

        let before = take();
        fs::hard_link(&path, dir.path().join("other")).unwrap();
        assert!(!matches(&before), "another hard link: only the ctime differs");
        let before = take();
        fs::remove_file(&link).unwrap();
        symlink("other", &link).unwrap();
        assert!(!matches(&before), "the same file through another link");
        fs::remove_file(&link).unwrap();
        assert!(!matches(&before), "no file");
    }

    #[test]
    fn g1_every_change_of_a_directory_changes_its_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("roots")).unwrap();
        let sources = [FileFilter::Certificates, FileFilter::Crls]
            .map(|filter| SourcePath::file_or_directory(&path("roots"), filter));
        let set_up = || {
            fs::remove_dir_all(path("roots")).unwrap();
            fs::create_dir(path("roots")).unwrap();
            fs::write(path("roots/a.pem"), "x").unwrap();
            symlink("nowhere", path("roots/dangling.pem")).unwrap();
            fingerprint(&sources, SystemTime::now() + AN_HOUR).unwrap()
        };
        let matches = |before: &Fingerprint| before.matches(&sources, &mut PathResolver::default());
        let before = set_up();
        assert!(matches(&before));
        fs::write(path("roots/README"), "not accepted").unwrap();
        fs::write(path("roots/.hidden.pem"), "not accepted").unwrap();
        assert!(matches(&before));
        let changes: [(&str, &dyn Fn()); 8] = [
            ("added", &|| fs::write(path("roots/b.pem"), "y").unwrap()),
            ("added for one of the sources", &|| fs::write(path("roots/b.crl"), "y").unwrap()),
            ("removed", &|| fs::remove_file(path("roots/a.pem")).unwrap()),
            ("renamed", &|| fs::rename(path("roots/a.pem"), path("roots/b.pem")).unwrap()),
            ("written", &|| fs::write(path("roots/a.pem"), "y").unwrap()),
            ("target of a dangling link", &|| fs::write(path("roots/nowhere"), "y").unwrap()),
            ("moved away", &|| fs::rename(path("roots"), path("gone")).unwrap()),
            ("file replaced by a directory", &|| {
                fs::remove_file(path("roots/a.pem")).unwrap();
                fs::create_dir(path("roots/a.pem")).unwrap();
            }),
        ];
        for (name, change) in changes {
            let before = set_up();
            change();
            assert!(!matches(&before), "{name}");
            let _ = fs::rename(path("gone"), path("roots"));
        }
    }
}
