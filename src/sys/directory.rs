//! Opens the files of a directory by its descriptor: all files then come from the same directory, even if another one
//! takes its name between two reads.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, open, openat, statat};

/// A directory that stays the same, whatever its path leads to later.
pub(crate) struct Directory(OwnedFd);

impl Directory {
    /// Opens the directory at `path`. As for a lookup by path, only search permission is needed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Opens the entry `name` for reading. `Ok(Err(kind))` if it is something other than a file.
    ///
    /// FIFOs and devices are refused without being opened (G17): opening a FIFO can block, and opening a device can
    /// have side effects.
    pub(crate) fn open_file(&self, name: &OsStr) -> io::Result<Result<File, &'static str>> {
        if let Some(kind) = special_kind(statat(&self.0, name, AtFlags::empty())?.st_mode) {
            return Ok(Err(kind));
        }
        // A FIFO may have replaced the file since the first check. O_NONBLOCK keeps openat(2) from waiting for a writer,
        // and the second check refuses the FIFO.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::empty())?;
        let kind = special_kind(fstat(&file)?.st_mode);
        Ok(kind.map_or_else(|| Ok(File::from(file)), Err))
    }
}

/// Returns the kind of an entry by its mode; `None` for a file.
fn special_kind(mode: u32) -> Option<&'static str> {
    Some(match FileType::from_raw_mode(mode) {
        FileType::RegularFile => return None,
        FileType::Directory => "directory",
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Symlink | FileType::Unknown => "special file",
    })
}
