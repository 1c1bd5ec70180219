//! Writers that put one file after another in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::sites::{replace, write_private};
use super::writers::Writer;

/// How long a slow writer rests between two halves: its pace, and not a wait for anything. Longer than
/// it takes a poll to see the first, and shorter than the quiet time of whoever only polls.
const REST: Duration = Duration::from_millis(40);

/// Puts `text` in the place of what `path` holds.
pub fn write(writer: Writer, path: &Path, text: &str, number: u32) {
    let text = &padded(writer, text);
    match writer {
        Writer::Rename | Writer::RenameKeyFirst => replace(path, text),
        Writer::Rsync => {
            let hidden = beside(path, &format!(".{{}}.{number:06x}"));
            write_private(&hidden, text);
            fs::rename(&hidden, path).unwrap();
        }
        Writer::InPlace | Writer::InPlaceKeyFirst => in_pieces(path, text),
        Writer::Cat => {
            let new = beside(path, "{}.issued");
            write_private(&new, text);
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec cat \"$1\" > \"$2\"", "sh"]).arg(&new).arg(path);
            assert!(shell.status().unwrap().success());
        }
        Writer::Lego => write_private(path, text),
        Writer::Slow => {
            let mut file = truncated(path);
            // Where a reader cannot tell that it is not all: behind a certificate, if more follow.
            let middle = text.rfind("-----BEGIN").filter(|at| *at > 0);
            let (first, second) = text.split_at(middle.unwrap_or(text.len() / 2));
            file.write_all(first.as_bytes()).unwrap();
            std::thread::sleep(REST);
            file.write_all(second.as_bytes()).unwrap();
        }
        Writer::Overwrite => overwrite(path, text),
        Writer::Sparse => sparse(path, text),
        Writer::Mapped => mapped(path, text),
        Writer::SameSizeAndTime => {
            let modified = fs::metadata(path).unwrap().modified().unwrap();
            let file = truncated(path);
            file.write_all_at(text.as_bytes(), 0).unwrap();
            file.set_modified(modified).unwrap();
        }
        Writer::RenameSameSizeAndTime => {
            let modified = fs::metadata(path).unwrap().modified().unwrap();
            let new = beside(path, "{}.restored");
            write_private(&new, text);
            File::options().append(true).open(&new).unwrap().set_modified(modified).unwrap();
            fs::rename(&new, path).unwrap();
        }
        Writer::Recreate => {
            fs::remove_file(path).unwrap();
            write_private(path, text);
        }
        Writer::Editor => {
            let old = beside(path, "{}~");
            fs::rename(path, &old).unwrap();
            write_private(path, text);
            fs::remove_file(&old).unwrap();
        }
        Writer::ExchangeFiles => {
            let new = beside(path, "{}.exchanged");
            write_private(&new, text);
            exchange(&new, path);
        }
        Writer::HardLink => {
            let elsewhere = beside(path, &format!("{{}}.{number}"));
            write_private(&elsewhere, text);
            fs::remove_file(path).unwrap();
            fs::hard_link(&elsewhere, path).unwrap();
        }
        Writer::FileOrLink => {
            if number.is_multiple_of(2) {
                let target = beside(path, &format!("{{}}.{number}"));
                write_private(&target, text);
                relink(&target, path);
            } else {
                replace(path, text);
            }
        }
        _ => panic!("{writer:?} writes more than files"),
    }
}

/// Writers that keep the length keep it by filling up.
pub fn padded(writer: Writer, text: &str) -> String {
    match writer {
        Writer::SameSizeAndTime | Writer::RenameSameSizeAndTime => format!("{text:\n<4096}"),
        _ => text.to_owned(),
    }
}

/// Another file in the same directory; `{}` stands for the name.
fn beside(path: &Path, pattern: &str) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    path.with_file_name(pattern.replace("{}", name))
}

fn truncated(path: &Path) -> File {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap()
}

fn in_pieces(path: &Path, text: &str) {
    let mut file = truncated(path);
    for piece in text.as_bytes().chunks(100) {
        file.write_all(piece).unwrap();
    }
}

/// Piece by piece over what is there: for a while the file is new in front and old behind.
fn overwrite(path: &Path, text: &str) {
    let mut file = File::options().write(true).open(path).unwrap();
    for piece in text.as_bytes().chunks(100) {
        file.write_all(piece).unwrap();
    }
    file.set_len(text.len() as u64).unwrap();
}

fn sparse(path: &Path, text: &str) {
    let mut file = truncated(path);
    file.set_len(text.len() as u64).unwrap();
    let half = text.len() / 2;
    file.seek(SeekFrom::Start(half as u64)).unwrap();
    file.write_all(&text.as_bytes()[half..]).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&text.as_bytes()[..half]).unwrap();
}

/// Stores into a shared mapping: the kernel tells of no write, only of the file being closed.
fn mapped(path: &Path, text: &str) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    file.set_len(text.len() as u64).unwrap();
    Mapping::new(&file, text.len()).store(text.as_bytes());
}

/// A shared mapping of a whole file.
pub struct Mapping {
    start: *mut u8,
    length: usize,
}

impl Mapping {
    pub fn new(file: &File, length: usize) -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping of an open file, wherever the kernel likes.
        let start = unsafe {
            let anywhere = std::ptr::null_mut();
            libc::mmap(anywhere, length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(start, libc::MAP_FAILED);
        Self { start: start.cast(), length }
    }

    pub fn store(&self, bytes: &[u8]) {
        assert!(bytes.len() <= self.length);
        // SAFETY: `length` bytes are mapped for writing; whoever else reads them does so by read(2).
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start, bytes.len());
            assert_eq!(libc::msync(self.start.cast(), self.length, libc::MS_SYNC), 0);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and unmapped once.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

/// Exchanges two entries in one step.
pub fn exchange(one: &Path, other: &Path) {
    let c_path = |path: &Path| std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    let (one, other) = (c_path(one), c_path(other));
    let here = libc::AT_FDCWD;
    // SAFETY: two C strings.
    let done =
        unsafe { libc::renameat2(here, one.as_ptr(), here, other.as_ptr(), libc::RENAME_EXCHANGE) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Makes `link` lead to `target`, in one step.
pub fn relink(target: &Path, link: &Path) {
    let temporary = link.with_file_name("new-link");
    symlink(target, &temporary).unwrap();
    fs::rename(&temporary, link).unwrap();
}
