//! Which path matters to whom, and which directories are armed: shared with the notifier's thread.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Observer, ObserverId, Touch};
use crate::source::Lookup;

/// A directory's identity: another directory at the same path needs a watch of its own.
pub(super) type DirectoryId = (u64, u64);

/// Locked for moments only, and never while the notifier is spoken to: its thread locks it too.
#[derive(Default)]
pub(super) struct Interests(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    observers: HashMap<ObserverId, Following>,
    /// Who looks up a path, for each path.
    lookups: HashMap<PathBuf, HashSet<ObserverId>>,
    armed: HashMap<PathBuf, DirectoryId>,
}

struct Following {
    observer: Weak<dyn Observer>,
    paths: HashSet<PathBuf>,
    directories: HashSet<PathBuf>,
}

impl Interests {
    /// Puts `lookups` in the place of what `id` followed; tells whether any of them is new: what
    /// happened there until now was not told to `id`, even if the directory was watched for others.
    pub(super) fn follow(
        &self,
        id: ObserverId,
        observer: &Weak<dyn Observer>,
        lookups: &[Lookup],
    ) -> bool {
        let mut tables = self.tables();
        let paths: HashSet<_> =
            lookups.iter().map(|lookup| lookup.directory.join(&lookup.name)).collect();
        let before = tables.remove(id);
        let gained = match &before {
            Some(before) => !paths.is_subset(&before.paths),
            None => true,
        };
        let directories = before.map(|before| before.directories).unwrap_or_default();
        for path in &paths {
            tables.lookups.entry(path.clone()).or_default().insert(id);
        }
        let following = Following { observer: observer.clone(), paths, directories };
        tables.observers.insert(id, following);
        gained
    }

    /// Notes which directories are watched for `id`; tells whether they are others than before.
    pub(super) fn set_directories(&self, id: ObserverId, directories: HashSet<PathBuf>) -> bool {
        let mut tables = self.tables();
        let Some(following) = tables.observers.get_mut(&id) else { return false };
        let changed = following.directories != directories;
        following.directories = directories;
        changed
    }

    pub(super) fn remove(&self, id: ObserverId) {
        self.tables().remove(id);
    }

    /// Tells everybody but `id`.
    pub(super) fn tell_others(&self, id: ObserverId, touch: Touch<'_>) {
        let others: Vec<_> = {
            let tables = self.tables();
            let others = tables.observers.iter().filter(|(other, _)| **other != id);
            others.filter_map(|(_, following)| following.observer.upgrade()).collect()
        };
        for observer in others {
            observer.touched(touch);
        }
    }

    /// Tells whoever looks up the path of `touch`.
    pub(super) fn tell(&self, touch: Touch<'_>) {
        for observer in self.whom(touch) {
            observer.touched(touch);
        }
    }

    fn whom(&self, touch: Touch<'_>) -> Vec<Arc<dyn Observer>> {
        let tables = self.tables();
        let observer = |id: &ObserverId| tables.observers.get(id)?.observer.upgrade();
        match touch {
            Touch::Everything => tables.observers.keys().filter_map(observer).collect(),
            Touch::Changed(path) | Touch::Written(path) | Touch::Closed(path) => {
                tables.lookups.get(path).into_iter().flatten().filter_map(observer).collect()
            }
        }
    }

    /// Notes that `directory` is about to be armed, and tells what that takes.
    pub(super) fn begin_arming(&self, directory: &Path, id: DirectoryId) -> Arming {
        let mut tables = self.tables();
        if tables.armed.get(directory) == Some(&id) {
            return Arming::Already;
        }
        // The kernel has one watch for a directory, and notify one path for a watch.
        let same = tables.armed.iter().find(|(other, armed)| **armed == id && *other != directory);
        if let Some((other, _)) = same {
            return Arming::UnderAnotherPath(other.clone());
        }
        tables.armed.insert(directory.to_owned(), id);
        Arming::Needed
    }

    /// Takes back the note that a directory is armed.
    pub(super) fn arming_failed(&self, directory: &Path) {
        self.tables().armed.remove(directory);
    }

    /// The watches of a directory that left its place, and of all below it, are worth nothing.
    pub(super) fn disarmed_below(&self, gone: &Path) {
        self.tables().armed.retain(|directory, _| !directory.starts_with(gone));
    }

    /// Takes out the armed directories that nobody wants any more.
    pub(super) fn take_unwanted(&self) -> Vec<PathBuf> {
        let mut tables = self.tables();
        let Tables { observers, armed, .. } = &mut *tables;
        let wanted: HashSet<&PathBuf> =
            observers.values().flat_map(|following| &following.directories).collect();
        let unwanted: Vec<_> =
            armed.keys().filter(|directory| !wanted.contains(directory)).cloned().collect();
        for directory in &unwanted {
            armed.remove(directory);
        }
        unwanted
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What arming a directory takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arming {
    Already,
    Needed,
    /// The same directory is armed by another way to it, and only that will be told of.
    UnderAnotherPath(PathBuf),
}

impl Tables {
    fn remove(&mut self, id: ObserverId) -> Option<Following> {
        let following = self.observers.remove(&id)?;
        for path in &following.paths {
            if let Some(ids) = self.lookups.get_mut(path) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.lookups.remove(path);
                }
            }
        }
        Some(following)
    }
}
