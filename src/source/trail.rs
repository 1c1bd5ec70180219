//! The way to a file: every name that the kernel looks up, and in which directory, links included.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// One name that is looked up on the way. Whoever changes the entry changes where the way leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// The directory, free of links.
    pub(crate) directory: PathBuf,
    /// The name in it.
    pub(crate) name: OsString,
    /// The file itself or a link: what writers change. Else a directory that leads the way.
    pub(crate) decides: bool,
}

/// Every lookup on the way to `path`, which is absolute; what does not exist yet is told as it would
/// be looked up.
pub(crate) fn trail(path: &Path) -> Vec<Lookup> {
    let mut lookups = Vec::new();
    walk(path, &mut |link| fs::read_link(link).ok(), &mut |lookup| lookups.push(lookup));
    lookups
}

/// Follows links, each of them once: however fast a link is swapped, two paths that go through it
/// are resolved to the same target.
#[derive(Default)]
pub(super) struct Way {
    seen: HashMap<PathBuf, Option<PathBuf>>,
}

impl Way {
    /// Where `path`, which is absolute, leads: a path free of links.
    pub(super) fn resolve(&mut self, path: &Path) -> PathBuf {
        let mut read_link = |link: &Path| {
            let read = || fs::read_link(link).ok();
            self.seen.entry(link.to_owned()).or_insert_with(read).clone()
        };
        // In a loop of links the kernel is left to say so.
        walk(path, &mut read_link, &mut |_| {}).unwrap_or_else(|| path.to_owned())
    }
}

/// Walks from the root to the file at `path`; `None` where links lead in a loop.
fn walk(
    path: &Path,
    read_link: &mut dyn FnMut(&Path) -> Option<PathBuf>,
    look_up: &mut dyn FnMut(Lookup),
) -> Option<PathBuf> {
    let mut ahead: VecDeque<OsString> = names(path).collect();
    let mut directory = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            directory.pop();
            continue;
        }
        let link = read_link(&directory.join(&name));
        let decides = link.is_some() || ahead.is_empty();
        look_up(Lookup { directory: directory.clone(), name: name.clone(), decides });
        match link {
            Some(target) => {
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
            None => directory.push(&name),
        }
    }
    Some(directory)
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

    /// The deciding lookups below `root`, as paths relative to it.
    fn deciding(root: &Path, path: &Path) -> Vec<String> {
        trail(path)
            .iter()
            .filter(|lookup| lookup.decides)
            .filter_map(|lookup| {
                let whole = lookup.directory.join(&lookup.name);
                Some(whole.strip_prefix(root).ok()?.to_str()?.to_owned())
            })
            .collect()
    }

    #[test]
    fn every_link_of_a_kubernetes_volume_is_on_the_trail() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("..2026_11")).unwrap();
        fs::write(root.join("..2026_11/tls.crt"), "x").unwrap();
        symlink("..2026_11", root.join("..data")).unwrap();
        symlink("..data/tls.crt", root.join("tls.crt")).unwrap();
        let expected = ["tls.crt", "..data", "..2026_11/tls.crt"];
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
        let expected = ["live/a/fullchain.pem", "archive/a/fullchain7.pem"];
        assert_eq!(deciding(root, &root.join("live/a/fullchain.pem")), expected);
    }

    #[test]
    fn a_loop_of_links_ends_and_a_missing_path_is_told_to_its_end() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        assert!(trail(&root.path().join("a")).len() <= MAX_LINKS + 10);
        let missing = root.path().join("not/there/yet.pem");
        assert_eq!(deciding(root.path(), &missing), ["not/there/yet.pem"]);
    }
}
