//! Finds out where a path leads, and whether the kernel goes there, too.
//!
//! The links of procfs are *magic*: the kernel follows them to an object, and not to what `readlink(2)` returns.
//! `/proc/PID/root` leads to the root of another process, `/proc/self/fd/5` to whatever is open there, also if that
//! was deleted or never had a name. The text of such a link may name another file, or none. So behind a link of procfs
//! the own walk is compared with the kernel's, and the kernel is right.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::path_resolver::{Lookup, PathResolver, ResolvedPath};
use crate::readers::touching;

/// Where a path leads.
pub(super) struct Destination {
    /// Every name that is looked up on the way. If the destination is opaque, only those up to the magic link.
    pub(super) lookups: Vec<Lookup>,
    /// A path to the destination. It has no symbolic links, unless the destination is opaque.
    pub(super) target: PathBuf,
    pub(super) metadata: io::Result<Metadata>,
    /// Whether only the kernel finds the destination: it may have no path, so that no directory can be watched for it.
    pub(super) is_opaque: bool,
}

impl Destination {
    /// Follows `path`, which is absolute.
    pub(super) fn of(path: &Path, resolver: &mut PathResolver) -> Self {
        let ResolvedPath { mut lookups, target, magic } = resolver.resolve(path);
        let metadata = touching(&target, || fs::metadata(&target));
        if let Some(magic) = magic {
            // If this call blocks, it counts for the mount of procfs. That of the destination is not known.
            let by_kernel = touching(&magic.path, || fs::metadata(&magic.path));
            if !is_same(&metadata, &by_kernel) {
                lookups.truncate(magic.lookup_count);
                return Self { lookups, target: magic.path, metadata: by_kernel, is_opaque: true };
            }
        }
        Self { lookups, target, metadata, is_opaque: false }
    }
}

/// Returns whether two paths led to the same inode, or were refused for the same reason.
fn is_same(one: &io::Result<Metadata>, other: &io::Result<Metadata>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        (Err(one), Err(other)) => one.kind() == other.kind(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::files::{BlindReason, BlindSpot, FileFilter, LookupKind, SourcePath, take_snapshot};

    fn of(path: &Path) -> Destination {
        Destination::of(path, &mut PathResolver::default())
    }

    fn path_of(fd: &impl AsRawFd) -> PathBuf {
        format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
    }

    #[test]
    fn g1_open_file_is_followed_by_its_path_until_it_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("file");
        let file = File::create(&path).unwrap();
        let through = of(&path_of(&file));
        assert!(!through.is_opaque);
        assert_eq!(through.target, path);
        assert_eq!(through.lookups.last().unwrap().kind, LookupKind::File);
        // Another file has the path now, and the descriptor leads to the first one.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another").unwrap();
        let through = of(&path_of(&file));
        assert!(through.is_opaque);
        assert_eq!(through.metadata.unwrap().ino(), file.metadata().unwrap().ino());
        assert_eq!(through.lookups.last().unwrap().kind, LookupKind::Link);
        assert!(through.lookups.iter().all(|lookup| !lookup.path().starts_with(dir.path())));
    }

    #[test]
    fn object_without_a_path_is_opaque_and_a_closed_descriptor_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, _writer) = std::io::pipe().unwrap();
        let link = dir.path().join("link");
        symlink(format!("/dev/fd/{}", pipe.as_raw_fd()), &link).unwrap();
        let through = of(&link);
        assert!(through.is_opaque);
        assert!(!through.metadata.unwrap().is_file());
        assert!(through.target.starts_with("/proc"));
        let closed = of(Path::new("/proc/self/fd/1000000"));
        assert!(!closed.is_opaque);
        assert_eq!(closed.metadata.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn opaque_file_with_two_names_in_a_directory_is_read_once_and_reported() {
        let dir = tempfile::tempdir().unwrap();
        let deleted = dir.path().join("deleted");
        let mut file = File::create(&deleted).unwrap();
        file.write_all(b"x").unwrap();
        let number = file.as_raw_fd();
        fs::remove_file(&deleted).unwrap();
        for (name, process) in [("a.pem", "self"), ("b.pem", "thread-self")] {
            let target = format!("/proc/{process}/fd/{number}");
            symlink(target, dir.path().join(name)).unwrap();
        }
        let source = SourcePath::file_or_directory(dir.path(), FileFilter::Certificates);
        let snapshot = take_snapshot(&[source]);
        assert_eq!(snapshot.files.unwrap().len(), 1);
        let path = dir.path().join("a.pem");
        assert_eq!(snapshot.blind_spots, [BlindSpot { path, reason: BlindReason::Opaque }]);
    }
}
