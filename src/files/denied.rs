//! Finds out who denies access to a file: "permission denied" alone makes an operator check every directory on the way
//! (G24).

use std::io;
use std::path::Path;

use crate::error::{Cause, Error};
use crate::readers::touching;
use crate::sys::{effective_user, may_read, may_search};

/// Returns the failure of the file or directory at `path`, which leads to `target`, a path without links.
///
/// If permission was denied, the message names the first directory on the way that may not be searched, or else the
/// target.
pub(super) fn failure(path: &Path, target: &Path, cause: Cause) -> Error {
    let why = (cause == Cause::Permission).then(|| who_denies(target)).flatten();
    Error::at(path, cause).with_explanation(why)
}

fn who_denies(target: &Path) -> Option<String> {
    let is_denied = |path: &Path, check: fn(&Path) -> io::Result<()>| {
        touching(path, || check(path)).is_err_and(is_permission)
    };
    let directories: Vec<_> = target.ancestors().skip(1).collect();
    let denying = directories.into_iter().rev().find(|directory| is_denied(directory, may_search));
    let (what, path) = match denying {
        Some(directory) => ("search the directory", directory),
        None if is_denied(target, may_read) => ("read", target),
        // It is permitted by now, or a security module decides by more than the path.
        None => return None,
    };
    Some(format!("user {} may not {what} {}", effective_user(), path.display()))
}

#[allow(clippy::needless_pass_by_value, reason = "the type of a predicate of results")]
fn is_permission(error: io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
