//! The way to a file: every name that the kernel looks up, and in which directory, links included.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::directory::FileFilter;

/// As many links as the kernel follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// One name that is looked up on the way. Whoever changes the entry changes where the way leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lookup {
    /// The directory, free of links.
    pub(crate) directory: PathBuf,
    /// The name in it.
    pub(crate) name: OsString,
    /// What stands there.
    pub(crate) kind: LookupKind,
}

/// What a name on the way stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LookupKind {
    /// A directory that leads on.
    Directory,
    /// A link.
    Link,
    /// The end of the way: the file itself.
    File,
    /// The end of the way: a directory whose entries count, as far as their names do.
    Listing(FileFilter),
    /// Nothing that could be found: the way ends here for now.
    Missing,
}

impl Lookup {
    /// The entry as a path free of links.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }
}

/// Follows links, each of them once: however fast a link is swapped, two paths that go through it
/// are resolved to the same target.
#[derive(Default)]
pub(crate) struct PathResolver {
    seen: HashMap<PathBuf, PathEntry>,
}

#[derive(Clone)]
enum PathEntry {
    Link(PathBuf),
    Other,
    Missing,
}

impl PathResolver {
    /// Every lookup on the way to `path`, which is absolute, as far as it leads.
    pub(crate) fn trail(&mut self, path: &Path) -> Vec<Lookup> {
        self.follow(path).0
    }

    /// The same, and where `path` leads: a path free of links.
    pub(super) fn follow(&mut self, path: &Path) -> (Vec<Lookup>, PathBuf) {
        let mut lookups = Vec::new();
        let target = self.walk(path, &mut |lookup| lookups.push(lookup));
        // In a loop of links the kernel is left to say so.
        (lookups, target.unwrap_or_else(|| path.to_owned()))
    }

    /// Where `path`, which is absolute, leads: a path free of links.
    pub(super) fn resolve(&mut self, path: &Path) -> PathBuf {
        // In a loop of links the kernel is left to say so.
        self.walk(path, &mut |_| {}).unwrap_or_else(|| path.to_owned())
    }

    /// Walks from the root to the file at `path`; `None` where links lead in a loop.
    fn walk(&mut self, path: &Path, look_up: &mut dyn FnMut(Lookup)) -> Option<PathBuf> {
        let mut ahead: VecDeque<OsString> = names(path).collect();
        let mut directory = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                directory.pop();
                continue;
            }
            let whole = directory.join(&name);
            let entry = self.look(&whole);
            let kind = match entry {
                PathEntry::Link(_) => LookupKind::Link,
                PathEntry::Other if ahead.is_empty() => LookupKind::File,
                PathEntry::Other => LookupKind::Directory,
                PathEntry::Missing => LookupKind::Missing,
            };
            look_up(Lookup { directory: directory.clone(), name, kind });
            match entry {
                PathEntry::Link(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.is_absolute() {
                        directory = PathBuf::from("/");
                    }
                    for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                        ahead.push_front(name);
                    }
                }
                PathEntry::Other => directory = whole,
                // The rest is left to the kernel, which says what is missing.
                PathEntry::Missing => {
                    return Some(ahead.into_iter().fold(whole, |way, name| way.join(name)));
                }
            }
        }
        Some(directory)
    }

    fn look(&mut self, path: &Path) -> PathEntry {
        if let Some(entry) = self.seen.get(path) {
            return entry.clone();
        }
        let entry = match fs::read_link(path) {
            Ok(target) => PathEntry::Link(target),
            // The kernel's answer for what is there and no link.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => PathEntry::Other,
            Err(_) => PathEntry::Missing,
        };
        self.seen.insert(path.to_owned(), entry.clone());
        entry
    }
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
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

    /// The lookups below `root` that are more than a directory on the way, as paths relative to it.
    fn deciding(root: &Path, path: &Path) -> Vec<(String, LookupKind)> {
        PathResolver::default()
            .trail(path)
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
    fn every_link_of_a_kubernetes_volume_is_on_the_trail() {
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
        assert_eq!(deciding(root, &root.join("tls.crt")), expected);
    }

    #[test]
    fn every_link_of_certbot_is_on_the_trail() {
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
        assert_eq!(deciding(root, &root.join("live/a/fullchain.pem")), expected);
    }

    #[test]
    fn a_loop_of_links_ends_and_a_missing_path_is_told_as_far_as_it_leads() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        assert!(PathResolver::default().trail(&root.path().join("a")).len() <= MAX_LINKS + 10);
        let missing = root.path().join("not/there/yet.pem");
        let nothing = expected(&[("not", LookupKind::Missing)]);
        assert_eq!(deciding(root.path(), &missing), nothing);
        assert_eq!(PathResolver::default().resolve(&missing), missing);
    }
}
