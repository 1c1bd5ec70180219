//! Which path matters to whom.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{BackendEvent, Change, Subscriber, WeakObserver};
use crate::files::{FileFilter, Lookup, LookupKind};
use crate::sys::HandleId;

/// Every follower with the paths that it looks up, and the directories that it lists.
#[derive(Default)]
pub(super) struct Subscriptions {
    listeners: HashMap<HandleId, WeakObserver>,
    following: BTreeMap<Subscriber, HashSet<Subscription>>,
    followers: HashMap<PathBuf, BTreeSet<Subscriber>>,
    listers: HashMap<PathBuf, BTreeSet<(Subscriber, FileFilter)>>,
}

/// What one follower wants to know of.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Subscription {
    /// The entry at this path.
    Path(PathBuf),
    /// Every entry of this directory whose name counts, those included that are not there yet.
    Entries(PathBuf, FileFilter),
}

impl Subscriptions {
    /// Puts `lookups` in the place of what `follower` followed; tells whether any of them is new:
    /// what happened there until now was not told to it, even if the place was watched for others.
    pub(super) fn follow(
        &mut self,
        follower: Subscriber,
        listener: &WeakObserver,
        lookups: &[Lookup],
    ) -> bool {
        let interests: HashSet<_> = lookups.iter().flat_map(Subscription::of).collect();
        let before = self.forget(follower);
        let gained = !interests.is_subset(&before);
        for interest in &interests {
            match interest {
                Subscription::Path(path) => {
                    self.followers.entry(path.clone()).or_default().insert(follower);
                }
                Subscription::Entries(path, takes) => {
                    self.listers.entry(path.clone()).or_default().insert((follower, *takes));
                }
            }
        }
        self.following.insert(follower, interests);
        self.listeners.entry(follower.0).or_insert_with(|| listener.clone());
        gained
    }

    /// Forgets every unit of `id`, and tells which they were.
    pub(super) fn remove(&mut self, id: HandleId) -> Vec<Subscriber> {
        let units: Vec<_> =
            self.following.range((id, 0)..=(id, usize::MAX)).map(|(unit, _)| *unit).collect();
        for follower in &units {
            self.forget(*follower);
        }
        self.listeners.remove(&id);
        units
    }

    fn forget(&mut self, follower: Subscriber) -> HashSet<Subscription> {
        let interests = self.following.remove(&follower).unwrap_or_default();
        for interest in &interests {
            match interest {
                Subscription::Path(path) => take_out(&mut self.followers, path, &follower),
                Subscription::Entries(path, takes) => {
                    take_out(&mut self.listers, path, &(follower, *takes));
                }
            }
        }
        interests
    }

    /// Tells whoever looks up the path in question, or lists it; false where nobody does.
    pub(super) fn tell(&self, news: &BackendEvent) -> bool {
        match news {
            BackendEvent::Changed(path) => self.touch(path, Change::Changed(path)),
            BackendEvent::Written(path) => self.touch(path, Change::Written(path)),
            BackendEvent::Closed(path) => self.touch(path, Change::Closed(path)),
            BackendEvent::Overflow => {
                self.tell_all();
                true
            }
        }
    }

    /// Tells everybody that something may have been missed.
    pub(super) fn tell_all(&self) {
        for observer in self.listeners.values().filter_map(WeakObserver::upgrade) {
            observer.missed();
        }
    }

    /// Reports to every follower but `one` that the entry at `path` changed; returns whether there is another.
    pub(super) fn tell_others(&self, path: &Path, one: Subscriber) -> bool {
        let mut has_others = false;
        for follower in self.followers_of(path) {
            if follower != one {
                has_others = true;
                self.touch_one(follower, Change::Changed(path));
            }
        }
        has_others
    }

    fn touch(&self, path: &Path, touch: Change<'_>) -> bool {
        let followers = self.followers_of(path);
        for follower in &followers {
            self.touch_one(*follower, touch);
        }
        !followers.is_empty()
    }

    fn touch_one(&self, (id, unit): Subscriber, touch: Change<'_>) {
        if let Some(observer) = self.listeners.get(&id).and_then(WeakObserver::upgrade) {
            observer.touched(unit, touch);
        }
    }

    fn followers_of(&self, path: &Path) -> BTreeSet<Subscriber> {
        self.followers
            .get(path)
            .into_iter()
            .flatten()
            .chain(self.listers_of(path))
            .copied()
            .collect()
    }

    /// Those to whom the entry at `path` is one of a directory's that they list.
    fn listers_of<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Subscriber> {
        let listers = path.parent().and_then(|directory| self.listers.get(directory));
        let counts = |takes: FileFilter| path.file_name().is_some_and(|name| takes.takes(name));
        let listers = listers.into_iter().flatten();
        listers.filter(move |(_, takes)| counts(*takes)).map(|(follower, _)| follower)
    }
}

impl Subscription {
    fn of(lookup: &Lookup) -> impl Iterator<Item = Self> {
        let entries = match lookup.kind {
            LookupKind::Listing(takes) => Some(Self::Entries(lookup.path(), takes)),
            _ => None,
        };
        std::iter::once(Self::Path(lookup.path())).chain(entries)
    }
}

/// Takes `one` out of those at `path`.
fn take_out<T: Ord>(map: &mut HashMap<PathBuf, BTreeSet<T>>, path: &Path, one: &T) {
    if let Some(all) = map.get_mut(path) {
        all.remove(one);
        if all.is_empty() {
            map.remove(path);
        }
    }
}
