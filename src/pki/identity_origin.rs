//! Where an identity was loaded from: its number within the handle, and its files.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The number and the files of an identity. If the host pushed its bytes, the paths are names such as `memory:0/chain`.
#[derive(Debug)]
pub(crate) struct IdentityOrigin {
    index: usize,
    chain_path: CString,
    key_path: CString,
}

impl IdentityOrigin {
    pub(super) fn new(index: usize, chain_path: &Path, key_path: &Path) -> Self {
        // A path that was opened, or that came from C, holds no NUL.
        let in_c = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
        Self { index, chain_path: in_c(chain_path), key_path: in_c(key_path) }
    }

    /// Returns the number of the identity, in the order in which identities were added.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn chain_path(&self) -> &CStr {
        &self.chain_path
    }

    pub(crate) fn key_path(&self) -> &CStr {
        &self.key_path
    }
}
