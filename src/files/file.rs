//! Reads one regular file whole, up to a size limit, and reports if it changes during the read.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::Cause;
use crate::sys::is_on_local_file_system;

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
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    mode: u32,
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

/// Reads the file at `path` if it has at most `limit` bytes.
///
/// FIFOs and devices are refused without being opened (G17): opening a FIFO can block, and opening a device can have
/// side effects.
pub(super) fn read(path: &Path, limit: usize) -> Result<FileBytes, Cause> {
    only_regular(fs::metadata(path)?.file_type())?;
    // A FIFO may have replaced the file since the first check. O_NONBLOCK keeps open(2) from waiting for a writer,
    // and the second check refuses the FIFO.
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
    let has_prompt_stamp = is_on_local_file_system(&file);
    Ok(FileBytes { bytes, mode: metadata.mode(), stamp, has_prompt_stamp })
}

/// Reads to the end of the file. `size` is only a hint for the buffer: files in `/proc` report 0.
fn read_bounded(mut file: &File, size: u64, limit: usize) -> Result<Zeroizing<Vec<u8>>, Cause> {
    let too_large = Cause::TooLarge { limit };
    let room = usize::try_from(size).unwrap_or(usize::MAX);
    if room > limit {
        return Err(too_large);
    }
    // One byte more than expected, because the last read, which finds the end of the file, needs some room as well.
    let mut buffer = Zeroizing::new(vec![0; (room + 1).max(4096)]);
    let mut length = 0;
    loop {
        if length == buffer.len() {
            // Not by `Vec::resize`, which would free the old buffer, and any key in it, without wiping.
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
        assert_eq!(read(&path, MAX_FILE_SIZE).ok().unwrap().bytes.len(), MAX_FILE_SIZE);
        file.write_all(b"x").unwrap();
        assert_eq!(cause_of(&path), Cause::TooLarge { limit: MAX_FILE_SIZE });
    }

    #[test]
    fn file_with_wrong_size_is_read_to_its_end() {
        // Files in /proc report a size of 0.
        let read = read("/proc/self/status".as_ref(), MAX_FILE_SIZE).ok().unwrap();
        assert!(read.bytes.starts_with(b"Name:"));
    }
}
