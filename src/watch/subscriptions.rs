//! Records which unit of which handle is to be notified of changes to which path.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::change_receiver::{Change, Subscriber, WeakReceiver};
use super::inotify::BackendEvent;
use crate::files::{FileFilter, Lookup, LookupKind};
use crate::sys::HandleId;

/// Every subscriber with the paths that it depends on, and the index from paths to subscribers.
#[derive(Default)]
pub(super) struct Subscriptions {
    observers: HashMap<HandleId, WeakReceiver>,
    by_subscriber: BTreeMap<Subscriber, HashSet<Subscription>>,
    by_path: PathIndex<Subscriber>,
    /// For each directory whose entries are read: its subscribers, and which names each of them reads.
    by_listed_directory: PathIndex<(Subscriber, FileFilter)>,
}

/// One path whose changes concern a subscriber.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Subscription {
    /// The entry at this path.
    Path(PathBuf),
    /// Every entry of this directory whose name passes the filter, present or future.
    Entries(PathBuf, FileFilter),
}

impl Subscriptions {
    /// Replaces the subscriptions of `subscriber` by those that `lookups` need.
    ///
    /// Returns whether any of them is new. If so, earlier changes of that path were not reported to `subscriber`, even
    /// if the path was watched for another subscriber.
    pub(super) fn replace(
        &mut self,
        subscriber: Subscriber,
        observer: &WeakReceiver,
        lookups: &[Lookup],
    ) -> bool {
        let subscriptions: HashSet<_> = lookups.iter().flat_map(Subscription::of).collect();
        let before = self.remove(subscriber);
        let has_new = !subscriptions.is_subset(&before);
        for subscription in &subscriptions {
            match subscription {
                Subscription::Path(path) => self.by_path.insert(path, subscriber),
                Subscription::Entries(path, filter) => {
                    self.by_listed_directory.insert(path, (subscriber, *filter));
                }
            }
        }
        self.by_subscriber.insert(subscriber, subscriptions);
        self.observers.entry(subscriber.0).or_insert_with(|| observer.clone());
        has_new
    }

    /// Removes every unit of the handle `id`, and returns the removed subscribers.
    pub(super) fn remove_handle(&mut self, id: HandleId) -> Vec<Subscriber> {
        let units: Vec<_> =
            self.by_subscriber.range((id, 0)..=(id, usize::MAX)).map(|(unit, _)| *unit).collect();
        for subscriber in &units {
            self.remove(*subscriber);
        }
        self.observers.remove(&id);
        units
    }

    pub(super) fn remove(&mut self, subscriber: Subscriber) -> HashSet<Subscription> {
        let subscriptions = self.by_subscriber.remove(&subscriber).unwrap_or_default();
        for subscription in &subscriptions {
            match subscription {
                Subscription::Path(path) => self.by_path.remove(path, &subscriber),
                Subscription::Entries(path, filter) => {
                    self.by_listed_directory.remove(path, &(subscriber, *filter));
                }
            }
        }
        subscriptions
    }

    /// Notifies every subscriber that `event` concerns. Returns whether there is one.
    pub(super) fn notify(&self, event: &BackendEvent) -> bool {
        match event {
            BackendEvent::Changed(path) => self.notify_path(path, Change::Changed(path)),
            BackendEvent::Inode(path) => self.notify_path(path, Change::Inode(path)),
            BackendEvent::Written(path) => self.notify_path(path, Change::Written(path)),
            BackendEvent::Closed(path) => self.notify_path(path, Change::Closed(path)),
            BackendEvent::Overflow => {
                self.notify_all_missed();
                true
            }
        }
    }

    /// Notifies every observer that changes may have been missed.
    pub(super) fn notify_all_missed(&self) {
        for observer in self.observers.values().filter_map(WeakReceiver::upgrade) {
            observer.missed();
        }
    }

    /// Reports to every subscriber but `one` that the entries at `moved` changed. Returns whether there is such a
    /// subscriber.
    ///
    /// The watches of these paths have ended or are new, and the queued events of the old ones are discarded. Other
    /// subscribers would find the new watches in place when they subscribe, and would miss the change (G1).
    pub(super) fn notify_moved(&self, moved: &[PathBuf], one: Subscriber) -> bool {
        let mut has_others = false;
        for (path, subscriber) in moved.iter().flat_map(|path| {
            self.subscribers_of(path).into_iter().map(move |subscriber| (path, subscriber))
        }) {
            if subscriber != one {
                has_others = true;
                self.notify_one(subscriber, Change::Changed(path));
            }
        }
        has_others
    }

    fn notify_path(&self, path: &Path, change: Change<'_>) -> bool {
        let subscribers = self.subscribers_of(path);
        for subscriber in &subscribers {
            self.notify_one(*subscriber, change);
        }
        !subscribers.is_empty()
    }

    fn notify_one(&self, (id, unit): Subscriber, change: Change<'_>) {
        if let Some(observer) = self.observers.get(&id).and_then(WeakReceiver::upgrade) {
            observer.touched(unit, change);
        }
    }

    fn subscribers_of(&self, path: &Path) -> BTreeSet<Subscriber> {
        self.by_path.get(path).chain(self.listing_subscribers_of(path)).copied().collect()
    }

    /// Returns the subscribers that list the directory of `path`, and whose filter accepts the name of `path`.
    fn listing_subscribers_of<'a>(
        &'a self,
        path: &'a Path,
    ) -> impl Iterator<Item = &'a Subscriber> {
        let entry = path.parent().zip(path.file_name());
        entry.into_iter().flat_map(|(directory, name)| {
            let listing = self.by_listed_directory.get(directory);
            listing
                .filter(move |(_, filter)| filter.accepts(name))
                .map(|(subscriber, _)| subscriber)
        })
    }
}

impl Subscription {
    fn of(lookup: &Lookup) -> impl Iterator<Item = Self> {
        let entries = match lookup.kind {
            LookupKind::Listing(filter) => Some(Self::Entries(lookup.path(), filter)),
            _ => None,
        };
        std::iter::once(Self::Path(lookup.path())).chain(entries)
    }
}

/// A map from each path to one or more values.
struct PathIndex<T>(HashMap<PathBuf, BTreeSet<T>>);

impl<T> Default for PathIndex<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Ord> PathIndex<T> {
    fn insert(&mut self, path: &Path, value: T) {
        self.0.entry(path.to_owned()).or_default().insert(value);
    }

    fn remove(&mut self, path: &Path, value: &T) {
        if let Some(values) = self.0.get_mut(path) {
            values.remove(value);
            if values.is_empty() {
                self.0.remove(path);
            }
        }
    }

    fn get(&self, path: &Path) -> impl Iterator<Item = &T> {
        self.0.get(path).into_iter().flatten()
    }
}
