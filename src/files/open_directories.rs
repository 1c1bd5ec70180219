//! Keeps the directories open whose files are read, so that all files below one path come from the same directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::file::{self, FileBytes};
use crate::error::Cause;
use crate::readers::touching;
use crate::sys::Directory;

/// How many directories are open at once while files are read. Links of one source may lead to as many directories.
const MAX_OPEN_DIRECTORIES: usize = 16;

/// The directories of the files that are read. Each is opened once: if two directories are swapped back and forth, the
/// files that are read are all of one of them, and the stamps of the lists show whether it is the right one.
#[derive(Default)]
pub(super) struct OpenDirectories(HashMap<PathBuf, Directory>);

impl OpenDirectories {
    /// Reads the file at `target`, a path without links, if it has at most `limit` bytes.
    pub(super) fn read(&mut self, target: &Path, limit: usize) -> Result<FileBytes, Cause> {
        let Some(parent) = target.parent() else { return Err(Cause::NotRegular("directory")) };
        if let Some(directory) = self.0.get(parent) {
            return file::read(directory, target, limit);
        }
        if self.0.len() == MAX_OPEN_DIRECTORIES {
            self.0.clear();
        }
        let directory = touching(parent, || Directory::open(parent))?;
        let directory = self.0.entry(parent.to_owned()).or_insert(directory);
        file::read(directory, target, limit)
    }
}
