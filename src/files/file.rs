//! Reads one regular file whole, up to a size limit, and reports if it changes during the read.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::error::Cause;
use crate::readers::{closing, touching};
use crate::sys::{Directory, SecretBytes, is_on_local_file_system};

/// The size limit of a file of an identity, or of ticket keys. A certificate chain has a few kilobytes.
pub(crate) const MAX_FILE_SIZE: usize = 1024 * 1024;

/// The size limit of a file of roots or revocation lists. A list has about 40 bytes per revoked certificate.
pub(crate) const MAX_TRUST_FILE_SIZE: usize = 32 * 1024 * 1024;

/// The size limit of all roots and revocation lists of a trust store together.
pub(crate) const MAX_TRUST_SIZE: usize = 64 * 1024 * 1024;

/// Permission bit: every user may read.
const READABLE_BY_OTHERS: u32 = 0o004;

/// The content of a file at one moment. The bytes may be a key, so they are wiped on drop (G18).
pub(crate) struct FileBytes {
    pub(crate) bytes: SecretBytes,
    mode: u32,
    /// How many names the file has.
    link_count: u64,
    pub(super) stamp: FileStamp,
    /// Whether the file system changes a file's stamp together with its content, and not later.
    pub(super) has_prompt_stamp: bool,
}

impl FileBytes {
    /// Returns the modification time in seconds since 1970.
    pub(crate) fn modified(&self) -> i64 {
        self.stamp.modified.0
    }

    pub(crate) fn is_readable_by_others(&self) -> bool {
        self.mode & READABLE_BY_OTHERS != 0
    }

    /// Notes that only the kernel finds the file. If the file has no name either, no other user can open it: the mode
    /// of a memfd lets every user read it, and none can.
    pub(super) fn end_at_opaque_path(&mut self) {
        if self.link_count == 0 {
            self.mode &= !READABLE_BY_OTHERS;
        }
    }
}

/// The metadata by which a change of a file is noticed. A different stamp means a change, but an equal stamp proves
/// nothing (G1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// Returns whether the file was last modified, and its metadata last changed, before `limit`, which counts from
    /// 1970.
    pub(super) fn is_older_than(&self, limit: Duration) -> bool {
        let limit =
            (i64::try_from(limit.as_secs()).unwrap_or(i64::MAX), i64::from(limit.subsec_nanos()));
        self.modified < limit && self.changed < limit
    }

    /// Returns the device and the number of the inode.
    pub(super) fn inode(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads the file at `path`, an entry of `directory`, if it has at most `limit` bytes.
pub(super) fn read(directory: &Directory, path: &Path, limit: usize) -> Result<FileBytes, Cause> {
    let Some(name) = path.file_name() else { return Err(Cause::NotRegular("directory")) };
    let file = touching(path, || directory.open_file(name))?.map_err(Cause::NotRegular)?;
    let read = read_open(&file, path, limit);
    // On a network file system, close(2) may wait for the server.
    closing(path, || drop(file));
    read
}

fn read_open(file: &File, path: &Path, limit: usize) -> Result<FileBytes, Cause> {
    let metadata = touching(path, || file.metadata())?;
    let stamp = FileStamp::of(&metadata);
    let bytes = read_bounded(file, path, (metadata.size(), limit))?;
    if FileStamp::of(&touching(path, || file.metadata())?) != stamp {
        return Err(Cause::Unstable);
    }
    if bytes.is_empty() {
        return Err(Cause::Empty);
    }
    let has_prompt_stamp = touching(path, || Ok(is_on_local_file_system(file)))?;
    let (mode, link_count) = (metadata.mode(), metadata.nlink());
    Ok(FileBytes { bytes, mode, link_count, stamp, has_prompt_stamp })
}

/// Reads to the end of the file at `path`. `size` is only a hint for the buffer: files in `/proc` report 0.
fn read_bounded(
    mut file: &File,
    path: &Path,
    (size, limit): (u64, usize),
) -> Result<SecretBytes, Cause> {
    let too_large = Cause::TooLarge { limit };
    let room = usize::try_from(size).unwrap_or(usize::MAX);
    if room > limit {
        return Err(too_large);
    }
    // One byte more than expected, because the last read, which finds the end of the file, needs some room as well.
    let mut buffer = SecretBytes::zeroed((room + 1).max(4096));
    let mut length = 0;
    loop {
        if length == buffer.len() {
            let mut larger = SecretBytes::zeroed(buffer.len() * 2);
            larger[..length].copy_from_slice(&buffer);
            buffer = larger;
        }
        match touching(path, || file.read(&mut buffer[length..])) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if length > limit {
            return Err(too_large);
        }
    }
    buffer.truncate(length);
    Ok(buffer)
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;

    /// Reads the file at `path`.
    pub(in crate::files) fn read_path(path: &Path) -> Result<FileBytes, Cause> {
        let directory = Directory::open(path.parent().unwrap())?;
        read(&directory, path, MAX_FILE_SIZE)
    }

    fn cause_of(path: &Path) -> Cause {
        read_path(path).err().expect("must be refused")
    }

    #[test]
    fn g2_file_is_of_the_directory_that_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["one", "two"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("file"), name).unwrap();
        }
        let directory = Directory::open(&path("one")).unwrap();
        fs::rename(path("one"), path("spare")).unwrap();
        fs::rename(path("two"), path("one")).unwrap();
        let read = read(&directory, "file".as_ref(), MAX_FILE_SIZE).ok().unwrap();
        assert_eq!(&read.bytes[..], b"one");
    }

    #[test]
    fn g17_non_regular_file_is_refused_without_blocking() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let socket = dir.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(cause_of(&fifo), Cause::NotRegular("FIFO"));
        assert_eq!(cause_of(&socket), Cause::NotRegular("socket"));
        assert_eq!(cause_of(dir.path()), Cause::NotRegular("directory"));
        assert_eq!(cause_of("/dev/zero".as_ref()), Cause::NotRegular("character device"));
    }

    #[test]
    fn missing_empty_and_too_large_files_have_different_causes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(cause_of(&path), Cause::NotFound);
        assert_eq!(cause_of(&path.join("below")), Cause::NotFound);
        let mut file = File::create(&path).unwrap();
        assert_eq!(cause_of(&path), Cause::Empty);
        assert_eq!(cause_of(&path.join("below")), Cause::NotFound);
        file.write_all(&vec![b'x'; MAX_FILE_SIZE]).unwrap();
        assert_eq!(read_path(&path).ok().unwrap().bytes.len(), MAX_FILE_SIZE);
        file.write_all(b"x").unwrap();
        assert_eq!(cause_of(&path), Cause::TooLarge { limit: MAX_FILE_SIZE });
    }

    #[test]
    fn file_with_wrong_size_is_read_to_its_end() {
        // Files in /proc report a size of 0.
        let read = read_path("/proc/self/status".as_ref()).ok().unwrap();
        assert!(read.bytes.starts_with(b"Name:"));
    }
}
