//! Asks the kernel which access to a path it denies, for messages about files that cannot be read.

use std::io;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::geteuid;

/// Fails if this process may not look up names in the directory at `path`.
pub(crate) fn may_search(path: &Path) -> io::Result<()> {
    check(path, Access::EXEC_OK)
}

/// Fails if this process may not read the file or directory at `path`.
pub(crate) fn may_read(path: &Path) -> io::Result<()> {
    check(path, Access::READ_OK)
}

/// Returns the number of the user with whose rights the process opens files.
pub(crate) fn effective_user() -> u32 {
    geteuid().as_raw()
}

fn check(path: &Path, access: Access) -> io::Result<()> {
    // Without EACCESS, access(2) asks for the real user.
    Ok(accessat(CWD, path, access, AtFlags::EACCESS)?)
}
