//! Resolves paths as the kernel does and records every name that is looked up, symbolic links included.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::directory_files::FileFilter;
use crate::readers::{is_on_proc, touching};

/// The most symbolic links that one path may lead through: the kernel's own limit (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// A name that is looked up in a directory while a path is resolved. If this directory entry changes, the path may lead
/// to another file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lookup {
    /// The path of the directory, free of symbolic links.
    pub(crate) directory: PathBuf,
    /// The entry's name in the directory.
    pub(crate) name: OsString,
    /// What the entry is.
    pub(crate) kind: LookupKind,
}

/// What a looked-up entry is, and whether the path ends there. This decides what is watched to notice that the path
/// leads to another file, or that its content changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LookupKind {
    /// A directory that the path passes through.
    Directory,
    /// A symbolic link.
    Link,
    /// The end of the path: the file itself.
    File,
    /// The end of the path: a directory. The entries that the filter accepts are read.
    Listing(FileFilter),
    /// An entry that is missing or cannot be reached, for example because this process may not search its directory.
    /// The path leads no further until that changes.
    Missing,
}

impl Lookup {
    /// Returns the entry as a path free of links.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }
}

/// The result of resolving a path.
pub(crate) struct ResolvedPath {
    /// Every lookup, in order, up to the file or to the first missing name.
    pub(crate) lookups: Vec<Lookup>,
    /// Where the path leads: a path free of symbolic links, if the file exists.
    pub(super) target: PathBuf,
    /// The first link of procfs on the way. Behind it, the kernel may go elsewhere than to the target.
    pub(super) magic: Option<MagicLink>,
}

/// A link of procfs on the way of a path. The kernel follows it to an object, which its text need not name.
pub(super) struct MagicLink {
    /// How many lookups lead to the link, its own included.
    pub(super) lookup_count: usize,
    /// The link, and the names behind it: the rest of the way, for the kernel to go.
    pub(super) path: PathBuf,
}

/// Resolves paths, and reads each symbolic link only once for all of them.
///
/// Two paths through the same link therefore lead to the same directory, even if the link is swapped in between. For
/// example, all files behind the `..data` link of a Kubernetes volume come from one directory (G2).
#[derive(Default)]
pub(crate) struct PathResolver {
    entries: HashMap<PathBuf, PathEntry>,
}

#[derive(Clone)]
enum PathEntry {
    Link { target: PathBuf, is_on_proc: bool },
    Other,
    Missing,
}

impl PathResolver {
    /// Resolves `path`, which is absolute.
    ///
    /// Returns no error. If the file is missing, or links form a loop, the target is a path that cannot be opened
    /// either. A caller that opens it gets the kernel's error.
    pub(crate) fn resolve(&mut self, path: &Path) -> ResolvedPath {
        let mut lookups = Vec::new();
        let mut remaining: VecDeque<OsString> = names(path).collect();
        let mut directory = PathBuf::from("/");
        let mut links = 0;
        let mut magic = None;
        while let Some(name) = remaining.pop_front() {
            if name == ".." {
                directory.pop();
                continue;
            }
            let entry_path = directory.join(&name);
            let entry = self.entry(&entry_path);
            let kind = match entry {
                PathEntry::Link { .. } => LookupKind::Link,
                PathEntry::Other if remaining.is_empty() => LookupKind::File,
                PathEntry::Other => LookupKind::Directory,
                PathEntry::Missing => LookupKind::Missing,
            };
            lookups.push(Lookup { directory: directory.clone(), name, kind });
            match entry {
                PathEntry::Link { target, is_on_proc } => {
                    links += 1;
                    if links > MAX_LINKS {
                        return ResolvedPath { lookups, target: path.to_owned(), magic };
                    }
                    if is_on_proc && magic.is_none() {
                        let path = remaining.iter().fold(entry_path, |path, name| path.join(name));
                        magic = Some(MagicLink { lookup_count: lookups.len(), path });
                    }
                    if target.is_absolute() {
                        directory = PathBuf::from("/");
                    }
                    names(&target).rev().for_each(|name| remaining.push_front(name));
                }
                PathEntry::Other => directory = entry_path,
                PathEntry::Missing => {
                    let target = remaining.iter().fold(entry_path, |path, name| path.join(name));
                    return ResolvedPath { lookups, target, magic };
                }
            }
        }
        ResolvedPath { lookups, target: directory, magic }
    }

    fn entry(&mut self, path: &Path) -> PathEntry {
        if let Some(entry) = self.entries.get(path) {
            return entry.clone();
        }
        let entry = match touching(path, || fs::read_link(path)) {
            Ok(target) => PathEntry::Link { target, is_on_proc: is_on_proc(path) },
            // readlink(2) fails with EINVAL if the entry exists and is no link.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => PathEntry::Other,
            Err(_) => PathEntry::Missing,
        };
        self.entries.insert(path.to_owned(), entry.clone());
        entry
    }
}

fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Returns the lookups below `root` other than directories, as paths relative to `root`.
    fn lookups_below(root: &Path, path: &Path) -> Vec<(String, LookupKind)> {
        PathResolver::default()
            .resolve(path)
            .lookups
            .iter()
            .filter(|lookup| lookup.kind != LookupKind::Directory)
            .filter_map(|lookup| {
                let below = lookup.path().strip_prefix(root).ok()?.to_str()?.to_owned();
                Some((below, lookup.kind))
            })
            .collect()
    }

    fn expected(lookups: &[(&str, LookupKind)]) -> Vec<(String, LookupKind)> {
        lookups.iter().map(|(path, kind)| ((*path).to_owned(), *kind)).collect()
    }

    #[test]
    fn g1_file_of_kubernetes_volume_records_every_link() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("..2026_11")).unwrap();
        fs::write(root.join("..2026_11/tls.crt"), "x").unwrap();
        symlink("..2026_11", root.join("..data")).unwrap();
        symlink("..data/tls.crt", root.join("tls.crt")).unwrap();
        let expected = expected(&[
            ("tls.crt", LookupKind::Link),
            ("..data", LookupKind::Link),
            ("..2026_11/tls.crt", LookupKind::File),
        ]);
        assert_eq!(lookups_below(root, &root.join("tls.crt")), expected);
    }

    #[test]
    fn g1_file_of_certbot_records_every_link() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("archive/a")).unwrap();
        fs::create_dir_all(root.join("live/a")).unwrap();
        fs::write(root.join("archive/a/fullchain7.pem"), "x").unwrap();
        symlink("../../archive/a/fullchain7.pem", root.join("live/a/fullchain.pem")).unwrap();
        let expected = expected(&[
            ("live/a/fullchain.pem", LookupKind::Link),
            ("archive/a/fullchain7.pem", LookupKind::File),
        ]);
        assert_eq!(lookups_below(root, &root.join("live/a/fullchain.pem")), expected);
    }

    #[test]
    fn loop_of_links_ends_and_missing_path_is_recorded_up_to_the_gap() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        let looped = PathResolver::default().resolve(&root.path().join("a"));
        assert!(looped.lookups.len() <= MAX_LINKS + 10);
        let missing = root.path().join("not/there/yet.pem");
        let gap = expected(&[("not", LookupKind::Missing)]);
        assert_eq!(lookups_below(root.path(), &missing), gap);
        assert_eq!(PathResolver::default().resolve(&missing).target, missing);
    }
}
