//! One file, read whole: only a regular one, only so much of it, and only if it held still.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::Cause;
use crate::sys::is_on_local_file_system;

/// The largest file of an identity. A chain of certificates has a few kilobytes.
pub(crate) const MAX_FILE_SIZE: usize = 1024 * 1024;

/// The largest file of roots or revocation lists: a list has some 40 bytes for each certificate.
pub(crate) const MAX_TRUST_FILE_SIZE: usize = 32 * 1024 * 1024;

/// The most that all files of roots and revocation lists hold together.
pub(crate) const MAX_TRUST_SIZE: usize = 64 * 1024 * 1024;

/// What a file held at one moment. It may be a key, so the bytes are wiped when they are dropped.
pub(crate) struct FileBytes {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(super) stamp: FileStamp,
    /// Whether the file system is one that changes a file's stamp together with the file.
    pub(super) stamps_are_prompt: bool,
}

impl FileBytes {
    /// When its bytes were last changed, as the file system has it: seconds since 1970.
    pub(crate) fn modified(&self) -> i64 {
        self.stamp.modified.0
    }

    /// Whether `path` still leads to the file that was read, and that looks untouched.
    pub(super) fn is_still_at(&self, path: &Path) -> bool {
        FileStamp::at(path) == Some(self.stamp)
    }
}

/// What the file system says of a file: a hint that it changed, never a proof that it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// Of what `path` leads to.
    pub(super) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }

    /// Whether both its times are before `limit`, counted from 1970.
    pub(super) fn is_older_than(&self, limit: Duration) -> bool {
        let limit =
            (i64::try_from(limit.as_secs()).unwrap_or(i64::MAX), i64::from(limit.subsec_nanos()));
        self.modified < limit && self.changed < limit
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

/// Reads the file at `path`, if it has no more than `limit` bytes.
///
/// Never blocks on what is not a regular file, and never opens a device, for that can have effects.
pub(super) fn read(path: &Path, limit: usize) -> Result<FileBytes, Cause> {
    only_regular(fs::metadata(path)?.file_type())?;
    // What was a regular file a moment ago may have become a FIFO: O_NONBLOCK keeps the open from
    // waiting for a writer, and the second look refuses it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)?;
    let metadata = file.metadata()?;
    only_regular(metadata.file_type())?;
    let stamp = FileStamp::of(&metadata);
    let bytes = read_bounded(&file, metadata.size(), limit)?;
    if FileStamp::of(&file.metadata()?) != stamp {
        return Err(Cause::Unstable);
    }
    if bytes.is_empty() {
        return Err(Cause::Empty);
    }
    let stamps_are_prompt = is_on_local_file_system(&file);
    Ok(FileBytes { bytes, mode: metadata.mode() & 0o7777, stamp, stamps_are_prompt })
}

/// Reads to the end, trusting the size only as a hint of how much room to make.
fn read_bounded(mut file: &File, size: u64, limit: usize) -> Result<Zeroizing<Vec<u8>>, Cause> {
    let too_large = Cause::TooLarge { limit };
    let room = usize::try_from(size).unwrap_or(usize::MAX);
    if room > limit {
        return Err(too_large);
    }
    // One byte more than expected, so that the end is seen without growing.
    let mut buffer = Zeroizing::new(vec![0; (room + 1).max(4096)]);
    let mut length = 0;
    loop {
        if length == buffer.len() {
            // Grown by hand: a Vec that grows by itself leaves what may be a key behind in memory.
            let mut larger = Zeroizing::new(vec![0; buffer.len() * 2]);
            larger[..length].copy_from_slice(&buffer);
            buffer = larger;
        }
        match file.read(&mut buffer[length..]) {
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

fn only_regular(kind: FileType) -> Result<(), Cause> {
    let name = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "directory",
        kind if kind.is_fifo() => "FIFO",
        kind if kind.is_socket() => "socket",
        kind if kind.is_char_device() => "character device",
        kind if kind.is_block_device() => "block device",
        _ => "special file",
    };
    Err(Cause::NotRegular(name))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn cause_of(path: &Path) -> Cause {
        read(path, MAX_FILE_SIZE).err().expect("must be refused")
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_without_blocking() {
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
    fn missing_empty_and_too_large_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(cause_of(&path), Cause::NotFound);
        assert_eq!(cause_of(&path.join("below")), Cause::NotFound);
        let mut file = File::create(&path).unwrap();
        assert_eq!(cause_of(&path), Cause::Empty);
        assert_eq!(cause_of(&path.join("below")), Cause::NotFound);
        file.write_all(&vec![b'x'; MAX_FILE_SIZE]).unwrap();
        assert_eq!(read(&path, MAX_FILE_SIZE).ok().unwrap().bytes.len(), MAX_FILE_SIZE);
        file.write_all(b"x").unwrap();
        assert_eq!(cause_of(&path), Cause::TooLarge { limit: MAX_FILE_SIZE });
    }

    #[test]
    fn a_file_that_lies_about_its_size_is_read_to_its_end() {
        // Files in /proc say that they have no size.
        let read = read("/proc/self/status".as_ref(), MAX_FILE_SIZE).ok().unwrap();
        assert!(read.bytes.starts_with(b"Name:"));
    }
}
