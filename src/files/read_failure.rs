//! Explains why a file cannot be read. "permission denied" and "no such file" alone make an operator check every
//! directory and link on the way (G24).

use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Cause, Error};
use crate::readers::touching;
use crate::sys::{effective_user, may_read, may_search};

/// Returns the failure of the file or directory at `path`, which leads to `target`, a path without links.
///
/// If permission was denied, the message names the first directory on the way that may not be searched, or else the
/// target. If the file is missing, the message names the first directory on the way that is missing, or else the file
/// that a link leads to.
pub(super) fn explained(path: &Path, target: &Path, cause: Cause) -> Error {
    let why = match cause {
        Cause::Permission => who_denies(target),
        Cause::NotFound => what_is_missing(path, target),
        _ => None,
    };
    Error::at(path, cause).with_explanation(why)
}

fn who_denies(target: &Path) -> Option<String> {
    let is_denied = |path: &Path, check: fn(&Path) -> io::Result<()>| {
        touching(path, || check(path)).is_err_and(is_permission)
    };
    let denying = directories(target).find(|directory| is_denied(directory, may_search));
    let (what, path) = match denying {
        Some(directory) => ("search the directory", directory),
        None if is_denied(target, may_read) => ("read", target),
        // It is permitted by now, or a security module decides by more than the path.
        None => return None,
    };
    Some(format!("user {} may not {what} {}", effective_user(), path.display()))
}

fn what_is_missing(path: &Path, target: &Path) -> Option<String> {
    let metadata = |path: &Path| touching(path, || fs::symlink_metadata(path));
    let gap = directories(target).find_map(|directory| match metadata(directory) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{} is not a directory", directory.display())),
        Err(_) => Some(format!("the directory {} does not exist", directory.display())),
    });
    let leads = || format!("the path leads to {}", target.display());
    match gap {
        Some(gap) if path == target => Some(gap),
        Some(gap) => Some(format!("{}, and {gap}", leads())),
        // The path names the file that is missing, so there is nothing to add.
        None if path == target => None,
        None => Some(format!("{}, which does not exist", leads())),
    }
}

/// Returns the directories on the way to `target`, from the root down.
fn directories(target: &Path) -> impl Iterator<Item = &Path> {
    let directories: Vec<_> = target.ancestors().skip(1).collect();
    directories.into_iter().rev()
}

#[allow(clippy::needless_pass_by_value, reason = "the type of a predicate of results")]
fn is_permission(error: io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::files::{SourcePath, take_snapshot};

    #[test]
    fn g24_missing_file_names_the_directory_or_the_link_that_is_at_fault() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name).display().to_string();
        fs::create_dir(root.join("live")).unwrap();
        fs::write(root.join("file"), "x").unwrap();
        symlink("../archive/c1.pem", root.join("live/deep.pem")).unwrap();
        symlink("../c1.pem", root.join("live/flat.pem")).unwrap();
        symlink("live", root.join("current")).unwrap();
        let leads = "; the path leads to ";
        let cases = [
            ("gone.pem", String::new()),
            ("a/b/c.pem", format!("; the directory {} does not exist", at("a"))),
            ("file/c.pem", format!("; {} is not a directory", at("file"))),
            ("live/flat.pem", format!("{leads}{}, which does not exist", at("c1.pem"))),
            ("current/c.pem", format!("{leads}{}, which does not exist", at("live/c.pem"))),
            (
                "live/deep.pem",
                format!(
                    "{leads}{}, and the directory {} does not exist",
                    at("archive/c1.pem"),
                    at("archive")
                ),
            ),
        ];
        for (name, why) in cases {
            let files = take_snapshot(&[SourcePath::file(&root.join(name))]).files.unwrap();
            let error = files[0].read.as_ref().err().unwrap().to_string();
            assert_eq!(error, format!("{}: no such file (read){why}", at(name)));
        }
    }
}
