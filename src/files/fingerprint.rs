//! What the file system says of a unit's files: a hint that they changed, and how far to trust it.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::file::{FileBytes, FileStamp};
use super::resolve::{Lookup, PathResolver};
use crate::error::Error;

/// A file that was changed less than this before it was read may change again without its stamp
/// telling: the clocks of file systems tick, some of them in steps of two seconds (FAT).
const SETTLED: Duration = Duration::from_secs(2);

/// The stamps of a unit's files, and the way to each of them, as they were when the files were read.
///
/// Equal fingerprints say that reading can wait, and never that the content is the same: only the
/// digest of the bytes says that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    stamps: Vec<FileStamp>,
    trails: Vec<Vec<Lookup>>,
}

impl Fingerprint {
    /// Of files that were read at `read_at` or later; `None` where their stamps prove too little: a
    /// file that could not be read, that changed a moment before, or that lies on a file system
    /// whose stamps may be late.
    pub(crate) fn of_read<'a>(
        files: impl IntoIterator<Item = &'a Result<FileBytes, Error>>,
        trails: Vec<Vec<Lookup>>,
        read_at: SystemTime,
    ) -> Option<Self> {
        let read_at = read_at.duration_since(UNIX_EPOCH).ok()?.checked_sub(SETTLED)?;
        let stamp_of = |file: &Result<FileBytes, Error>| {
            let file = file.as_ref().ok().filter(|file| file.stamps_are_prompt)?;
            file.stamp.is_older_than(read_at).then_some(file.stamp)
        };
        let stamps = files.into_iter().map(stamp_of).collect::<Option<_>>()?;
        Some(Self { stamps, trails })
    }

    /// Whether the files look as they did. Reads links and stamps, and no file.
    pub(crate) fn still_holds(&self, paths: &[&Path], way: &mut PathResolver) -> bool {
        let trails: Vec<_> = paths.iter().map(|path| way.trail(path)).collect();
        self.is_of(&trails, paths.iter().copied())
    }

    /// Whether the ways are these, and the files at `paths`, which they lead to, look as they did.
    pub(super) fn is_of<'a>(
        &self,
        trails: impl IntoIterator<Item = &'a Vec<Lookup>>,
        paths: impl IntoIterator<Item = &'a Path>,
    ) -> bool {
        let stamps = paths.into_iter().map(FileStamp::at);
        self.trails.iter().eq(trails) && self.stamps.iter().copied().map(Some).eq(stamps)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::digest::read_consistently;
    use super::*;

    /// The fingerprint of the file at `path` as it would be for one who reads it in an hour.
    fn fingerprint(path: &Path, read_at: SystemTime) -> Option<Fingerprint> {
        let read = read_consistently(&[path]).ok().unwrap();
        Fingerprint::of_read(&read, vec![PathResolver::default().trail(path)], read_at)
    }

    #[test]
    fn a_file_that_was_changed_a_moment_ago_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "x").unwrap();
        let now = SystemTime::now();
        assert_eq!(fingerprint(&path, now), None);
        assert!(fingerprint(&path, now + Duration::from_secs(3600)).is_some());
        assert_eq!(fingerprint(&path, now - Duration::from_secs(3600)), None, "a clock set back");
        let later = now + Duration::from_secs(3600);
        assert_eq!(fingerprint("/proc/self/status".as_ref(), later), None, "stamps say nothing");
    }

    #[test]
    fn g1_every_change_but_none_shows() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&path, "x").unwrap();
        symlink("file", &link).unwrap();
        let later = SystemTime::now() + Duration::from_secs(3600);
        let before = fingerprint(&link, later).unwrap();
        let holds = || before.still_holds(&[&link], &mut PathResolver::default());
        assert!(holds());

        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "y").unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert!(!holds(), "same size, inode and mtime: only the ctime tells");

        let before = fingerprint(&link, later).unwrap();
        fs::hard_link(&path, dir.path().join("other")).unwrap();
        let before_link = fingerprint(&link, later).unwrap();
        assert!(
            !before.still_holds(&[&link], &mut PathResolver::default()),
            "a link more: the ctime tells"
        );
        fs::remove_file(&link).unwrap();
        symlink("other", &link).unwrap();
        assert!(
            !before_link.still_holds(&[&link], &mut PathResolver::default()),
            "the same file, another way"
        );
        fs::remove_file(&link).unwrap();
        assert!(!before_link.still_holds(&[&link], &mut PathResolver::default()), "no file at all");
    }
}
