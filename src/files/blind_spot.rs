//! Files whose renewals may go unseen, or be seen late.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::readers::is_mount_point;

/// A path whose renewals may go unseen, or be seen late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlindSpot {
    /// The path as the host configured it, or an entry of a configured directory.
    pub(crate) path: PathBuf,
    pub(crate) reason: BlindReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlindReason {
    /// Only the kernel knows where the path leads, so only a poll finds changes.
    Opaque,
    /// The file is mounted by itself, and was deleted or replaced where it is mounted from.
    DeletedBelowMount,
}

/// Returns whether `target`, a path without links, shows a file that no directory has any more, because the file itself
/// is mounted there. A renewal by rename at the other end of such a mount is never seen here.
///
/// A link count of 0 alone proves nothing: some FUSE file systems report 0 for every file, and a file may be replaced
/// between its lookup and `fstat(2)`. A mount point cannot be replaced by a rename.
pub(super) fn is_deleted_below_mount(target: &Path, metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.nlink() == 0 && is_mount_point(target)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn file_without_a_name_is_deleted_below_a_mount_only_at_a_mount_point() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("file");
        let file = File::create(&path).unwrap();
        let mount_point = Path::new("/proc");
        assert!(!is_deleted_below_mount(mount_point, &file.metadata().unwrap()), "has a name");
        fs::remove_file(&path).unwrap();
        let deleted = file.metadata().unwrap();
        assert!(is_deleted_below_mount(mount_point, &deleted));
        // As in the moment after another file was renamed over it, or on a FUSE file system that counts no links.
        assert!(!is_deleted_below_mount(&path, &deleted));
    }
}
