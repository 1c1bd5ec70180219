//! Which path matters to whom.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Follower, Listener, News, ObserverId, Touch};
use crate::source::Lookup;

/// Every follower with the paths that it looks up.
#[derive(Default)]
pub(super) struct Interests {
    listeners: HashMap<ObserverId, Listener>,
    following: BTreeMap<Follower, HashSet<PathBuf>>,
    followers: HashMap<PathBuf, BTreeSet<Follower>>,
}

impl Interests {
    /// Puts `lookups` in the place of what `follower` followed; tells whether any of them is new:
    /// what happened there until now was not told to it, even if the place was watched for others.
    pub(super) fn follow(
        &mut self,
        follower: Follower,
        listener: &Listener,
        lookups: &[Lookup],
    ) -> bool {
        let paths: HashSet<_> = lookups.iter().map(Lookup::path).collect();
        let before = self.forget(follower);
        let gained = !paths.is_subset(&before);
        for path in &paths {
            self.followers.entry(path.clone()).or_default().insert(follower);
        }
        self.following.insert(follower, paths);
        self.listeners.entry(follower.0).or_insert_with(|| listener.clone());
        gained
    }

    /// Forgets every unit of `id`, and tells which they were.
    pub(super) fn remove(&mut self, id: ObserverId) -> Vec<Follower> {
        let units: Vec<_> =
            self.following.range((id, 0)..=(id, usize::MAX)).map(|(unit, _)| *unit).collect();
        for follower in &units {
            self.forget(*follower);
        }
        self.listeners.remove(&id);
        units
    }

    fn forget(&mut self, follower: Follower) -> HashSet<PathBuf> {
        let paths = self.following.remove(&follower).unwrap_or_default();
        for path in &paths {
            if let Some(followers) = self.followers.get_mut(path) {
                followers.remove(&follower);
                if followers.is_empty() {
                    self.followers.remove(path);
                }
            }
        }
        paths
    }

    /// Tells whoever looks up the path in question; false where nobody does.
    pub(super) fn tell(&self, news: &News) -> bool {
        match news {
            News::Changed(path) => self.touch(path, Touch::Changed(path)),
            News::Written(path) => self.touch(path, Touch::Written(path)),
            News::Closed(path) => self.touch(path, Touch::Closed(path)),
            News::Overflow => {
                self.tell_all();
                true
            }
        }
    }

    /// Tells everybody that something may have been missed.
    pub(super) fn tell_all(&self) {
        for observer in self.listeners.values().filter_map(Listener::upgrade) {
            observer.missed();
        }
    }

    fn touch(&self, path: &Path, touch: Touch<'_>) -> bool {
        let Some(followers) = self.followers.get(path) else { return false };
        for (id, unit) in followers {
            if let Some(observer) = self.listeners.get(id).and_then(Listener::upgrade) {
                observer.touched(*unit, touch);
            }
        }
        true
    }
}
