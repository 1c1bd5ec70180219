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
    /// Puts `lookups` in the place of what `id` followed.
    pub(super) fn follow(&self, id: ObserverId, observer: &Weak<dyn Observer>, lookups: &[Lookup]) {
        let mut tables = self.tables();
        let paths: HashSet<_> =
            lookups.iter().map(|lookup| lookup.directory.join(&lookup.name)).collect();
        if tables.observers.get(&id).is_some_and(|following| following.paths == paths) {
            return;
        }
        let directories =
            tables.remove(id).map(|following| following.directories).unwrap_or_default();
        for path in &paths {
            tables.lookups.entry(path.clone()).or_default().insert(id);
        }
        let following = Following { observer: observer.clone(), paths, directories };
        tables.observers.insert(id, following);
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
        match self.tables().armed.insert(directory.to_owned(), id) {
            None => Arming::New,
            Some(before) if before == id => Arming::Already,
            Some(_) => Arming::Replaced,
        }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arming {
    Already,
    New,
    /// Another directory stood at this path, and its watch must go first.
    Replaced,
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
