//! The handles of a process that are driven alike, and the watch that they share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::Now;
use crate::watch::{ObserverId, Watcher};

/// What is worked on.
pub(super) trait Step: Send + Sync {
    /// Does what is due, and tells when there will be something to do again. Does not panic.
    fn step(&self, now: Now) -> Option<Instant>;

    /// Sees to it that a step is made.
    fn wake(&self);
}

/// Those that are open.
#[derive(Default)]
pub(super) struct Handles {
    watcher: Watcher,
    open: Mutex<BTreeMap<ObserverId, Weak<dyn Step>>>,
}

impl Handles {
    pub(super) fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    pub(super) fn register(&self, id: ObserverId, handle: Weak<dyn Step>) {
        self.open().insert(id, handle);
    }

    pub(super) fn deregister(&self, id: ObserverId) {
        self.open().remove(&id);
    }

    /// Every handle that is open. To be held for its own step alone: whoever closes it frees it then.
    pub(super) fn steps(&self) -> Vec<Weak<dyn Step>> {
        self.open().values().cloned().collect()
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<ObserverId, Weak<dyn Step>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
