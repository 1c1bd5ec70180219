//! A path that the host configured: of a file, or of a directory whose files are read.

use std::path::{Path, PathBuf};

use super::directory_files::FileFilter;
use super::file::{MAX_FILE_SIZE, MAX_TRUST_FILE_SIZE};

/// A path that the host configured: a file, or a directory of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourcePath {
    pub(crate) path: PathBuf,
    /// Which files of a directory are read. `None` if only a file is allowed.
    pub(super) filter: Option<FileFilter>,
}

impl SourcePath {
    /// Creates the source for one file of an identity, or for the file of ticket keys.
    pub(crate) fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), filter: None }
    }

    /// Creates a source of a trust store: a file, or a directory of files.
    pub(crate) fn file_or_directory(path: &Path, filter: FileFilter) -> Self {
        Self { path: path.to_owned(), filter: Some(filter) }
    }

    /// Returns whether the path can only name a directory, because it ends in a slash.
    pub(super) fn ends_in_slash(&self) -> bool {
        self.path.as_os_str().as_encoded_bytes().ends_with(b"/")
    }

    /// Returns the largest size that a file of this source may have (G17).
    pub(super) fn max_file_size(&self) -> usize {
        if self.filter.is_some() { MAX_TRUST_FILE_SIZE } else { MAX_FILE_SIZE }
    }
}
