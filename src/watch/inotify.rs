//! Watches files through one inotify instance, with one watch for each inode.
//!
//! **One watch for each inode.** inotify identifies a watch by inode, not by path. Adding a second path of an inode
//! returns the watch that exists, and changes its mask, which is its set of events (inotify(7)). Two paths have one
//! inode if, for example, a directory is mounted in two places. So the [`Backend`] records which paths lead to each
//! watch, and how many subscribers need which events at each path. The mask of a watch contains the events that all of
//! its paths need together. When no path needs a watch any more, it is removed.
//!
//! **A watch stays with its inode** when the path leads to another one. Only the kernel knows where a path leads. So
//! each time a unit subscribes, the backend adds the watches again. If the kernel returns another watch descriptor than
//! before, the path leads to another inode now. A unit subscribes after each scan. A rename between two scans is
//! reported by the watch of the directory.
//!
//! **Lost events.** If the kernel's queue is full (`fs.inotify.max_queued_events`), the kernel drops events and reports
//! `IN_Q_OVERFLOW` in their place, which names no path. All observers are notified that changes may have been missed
//! (G19). When a watch is removed, queued events of that watch are ignored, because its paths are unknown by then. So
//! that no change is missed, all subscribers of these paths are notified (`WatchOutcome::moved`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inotify::{Event, EventMask, Inotify, WatchDescriptor, WatchMask};

use super::change_receiver::Subscriber;
use super::inotify_errors::{cause_of, describe_start_error, testing};
use super::watch_paths::{Target, WatchKind};
use crate::error::{Cause, Error};
use crate::sys::{InheritedFd, without_fork};

/// An event of inotify, with the path that it concerns in place of the kernel's watch descriptor.
/// [`Change`](super::Change) describes all but the last.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BackendEvent {
    Changed(Arc<Path>),
    Inode(Arc<Path>),
    Written(Arc<Path>),
    Closed(Arc<Path>),
    /// The kernel has dropped events, because its queue was full.
    Overflow,
}

/// The size in bytes of the buffer for one read of events. Some hundred events fit.
const BUFFER_SIZE: usize = 16 * 1024;
/// Limits one call of [`Backend::read`] to some thousand events, so that a busy directory does not occupy the thread.
/// The descriptor stays readable while events are left.
const MAX_READS: usize = 8;

/// An inotify instance, its watches, and the paths that each subscriber (a unit of a handle) needs.
pub(super) struct Backend {
    pub(super) inotify: Inotify,
    notifier: Option<Arc<OwnedFd>>,
    watches: HashMap<WatchDescriptor, InodeWatch>,
    paths: HashMap<PathBuf, WatchedPath>,
    pub(super) needs: BTreeMap<Subscriber, Needs>,
    /// How many plans were made, and how many of them are not finished.
    pub(super) plans: u64,
    pub(super) plans_in_progress: usize,
    /// Watches that no path leads to, but that the kernel still has.
    pub(super) unneeded: Vec<WatchDescriptor>,
}

/// What a subscriber needs to have watched.
pub(super) struct Needs {
    /// The number of the latest plan.
    pub(super) plan: u64,
    pub(super) targets: Vec<Target>,
}

/// A watch of the kernel, which watches one inode.
struct InodeWatch {
    mask: WatchMask,
    /// The paths that lead to the inode.
    paths: BTreeSet<PathBuf>,
}

/// A path that at least one subscriber needs to have watched.
#[derive(Default)]
pub(super) struct WatchedPath {
    /// The watch of the inode that the path led to last. `None` if it cannot be watched.
    watch: Option<WatchDescriptor>,
    /// How many subscribers need each of [`WatchKind::ALL`].
    pub(super) needed: [usize; WatchKind::ALL.len()],
}

impl Backend {
    pub(super) fn start() -> Result<Self, Error> {
        let started = if testing::fault() == testing::START_FAILS {
            Err(io::Error::from_raw_os_error(libc::EMFILE))
        } else {
            without_fork(Inotify::init)
        };
        let inotify = started.map_err(|error| {
            let what = "inotify is not available";
            Error::new(Cause::System { what, reason: describe_start_error(&error) })
        })?;
        Ok(Self {
            inotify,
            notifier: None,
            watches: HashMap::new(),
            paths: HashMap::new(),
            needs: BTreeMap::new(),
            plans: 0,
            plans_in_progress: 0,
            unneeded: Vec::new(),
        })
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.inotify.as_raw_fd()
    }

    /// Returns a duplicate of the inotify descriptor. It stays open as long as the caller keeps it, even if this
    /// backend ends, because the caller must remove it from its epoll set before it is closed. `None` if there is no
    /// free descriptor.
    pub(super) fn notifier(&mut self) -> Option<Arc<OwnedFd>> {
        if self.notifier.is_none() {
            self.notifier =
                without_fork(|| self.inotify.as_fd().try_clone_to_owned()).ok().map(Arc::new);
        }
        self.notifier.clone()
    }

    /// Closes the descriptors in a forked child, without removing the watches of the parent (G11).
    ///
    /// Both processes have the same inotify instance, so removing a watch here would remove it for the parent.
    pub(super) fn abandon(self) {
        let Self { inotify, notifier, .. } = self;
        InheritedFd::Notifications.close(inotify.as_raw_fd());
        if let Some(notifier) = &notifier {
            InheritedFd::Notifications.close(notifier.as_raw_fd());
        }
        // If they were dropped, they would close the same descriptor numbers again, which may belong to other files by
        // then.
        std::mem::forget((inotify, notifier));
    }

    /// Ends the watches that only `subscriber` needs. Returns paths whose other subscribers must be notified, as
    /// `WatchOutcome::moved`.
    pub(super) fn unwatch(&mut self, subscriber: Subscriber) -> Vec<PathBuf> {
        let needs = self.needs.remove(&subscriber).map(|needs| needs.targets);
        self.release(&needs.unwrap_or_default())
    }

    /// Returns the events that the kernel has queued, in order. Equal events in a row are returned once.
    ///
    /// Equal events often follow each other. A write is reported by the watch of the file and by that of its directory,
    /// and a large file is written in many steps.
    pub(super) fn read(&mut self) -> io::Result<Vec<BackendEvent>> {
        if testing::fault() != testing::NONE {
            return Err(io::ErrorKind::Other.into());
        }
        let mut translated = Vec::new();
        let mut buffer = [0; BUFFER_SIZE];
        for _ in 0..MAX_READS {
            let events: Vec<_> = match self.inotify.read_events(&mut buffer) {
                Ok(events) => events.map(|event| event.to_owned()).collect(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for event in &events {
                translated.extend(self.translate(event));
                if event.mask.contains(EventMask::IGNORED) {
                    self.forget(&event.wd);
                }
            }
            translated.dedup();
        }
        Ok(translated)
    }

    /// Returns one event for each path that leads to the inode of `event`; none if its watch has been removed.
    fn translate(&self, event: &Event<OsString>) -> Vec<BackendEvent> {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            return vec![BackendEvent::Overflow];
        }
        let Some(watch) = self.watches.get(&event.wd) else { return Vec::new() };
        let translated = watch.paths.iter().map(|path| {
            let path: Arc<Path> = match &event.name {
                Some(name) => path.join(name).into(),
                None => path.as_path().into(),
            };
            if event.mask.contains(EventMask::CLOSE_WRITE) {
                BackendEvent::Closed(path)
            } else if event.mask.contains(EventMask::MODIFY) {
                BackendEvent::Written(path)
            } else if event.name.is_none() || event.mask.contains(EventMask::ATTRIB) {
                BackendEvent::Inode(path)
            } else {
                BackendEvent::Changed(path)
            }
        });
        translated.collect()
    }

    /// Forgets a watch that the kernel has removed, because its inode was deleted or its file system unmounted.
    ///
    /// That event (`IN_IGNORED`) is reported to the subscribers of the watch's paths. They scan, and subscribe again.
    fn forget(&mut self, descriptor: &WatchDescriptor) {
        if let Some(watch) = self.watches.remove(descriptor) {
            for path in watch.paths {
                self.entry(&path).watch = None;
            }
        }
    }

    pub(super) fn watch_of(&self, path: &Path) -> Option<WatchDescriptor> {
        self.paths.get(path).and_then(|entry| entry.watch.clone())
    }

    pub(super) fn entry(&mut self, path: &Path) -> &mut WatchedPath {
        self.paths.entry(path.to_owned()).or_default()
    }

    /// Records the watch of the inode that `path` leads to now, which was added for the events in `needed`.
    ///
    /// Returns whether that inode was not watched for this path before, or not for all of these events.
    pub(super) fn record(
        &mut self,
        path: &Path,
        needed: WatchMask,
        added: io::Result<WatchDescriptor>,
    ) -> Result<bool, Cause> {
        let descriptor = added.map_err(|error| {
            // If this process may not read the path any more, an existing watch is kept. It reports a change of
            // permissions.
            if error.kind() != io::ErrorKind::PermissionDenied {
                self.detach(path);
            }
            cause_of(&error)
        })?;
        let has_moved = self.entry(path).watch.as_ref() != Some(&descriptor);
        if has_moved {
            self.detach(path);
            self.entry(path).watch = Some(descriptor.clone());
        }
        let watch = self
            .watches
            .entry(descriptor)
            .or_insert_with(|| InodeWatch { mask: WatchMask::empty(), paths: BTreeSet::new() });
        if has_moved {
            watch.paths.insert(path.to_owned());
        }
        let is_new = has_moved || !watch.mask.contains(needed);
        watch.mask |= needed;
        Ok(is_new)
    }

    /// Returns the events that subscribers need at `path`.
    pub(super) fn mask_of(&self, path: &Path) -> WatchMask {
        let Some(entry) = self.paths.get(path) else { return WatchMask::empty() };
        let needed = WatchKind::ALL.iter().filter(|kind| entry.needed[**kind as usize] > 0);
        needed.fold(WatchMask::empty(), |mask, kind| mask | kind.mask())
    }

    /// Records that one subscriber needs `targets` no more, and ends watches with events that no subscriber needs.
    ///
    /// Such a watch cannot be reduced: the kernel would look up its path, which may block. Returns the paths of ended
    /// watches that others need: their subscribers must be notified, and subscribe again.
    pub(super) fn release(&mut self, targets: &[Target]) -> Vec<PathBuf> {
        for Target { path, kind } in targets {
            let needed = &mut self.entry(path).needed[*kind as usize];
            *needed = needed.saturating_sub(1);
        }
        let mut ended = Vec::new();
        for Target { path, .. } in targets {
            if self.mask_of(path).is_empty() {
                self.detach(path);
                self.paths.remove(path);
            } else if self.is_wider_than_needed(path) {
                ended.extend(self.end_watch(path));
            }
        }
        ended
    }

    /// Records that `path` has no watch any more. If no other path leads to that watch, removes it from the kernel.
    pub(super) fn detach(&mut self, path: &Path) {
        let Some(descriptor) = self.paths.get_mut(path).and_then(|entry| entry.watch.take()) else {
            return;
        };
        let Some(watch) = self.watches.get_mut(&descriptor) else { return };
        watch.paths.remove(path);
        if watch.paths.is_empty() {
            self.watches.remove(&descriptor);
            self.unneeded.push(descriptor);
            self.remove_unneeded();
        }
    }

    /// Removes from the kernel the watches that no path leads to. While watches are being added, waits with that: the
    /// kernel may return one of these for an inode that is needed again.
    pub(super) fn remove_unneeded(&mut self) {
        if self.plans_in_progress > 0 {
            return;
        }
        for descriptor in std::mem::take(&mut self.unneeded) {
            if !self.watches.contains_key(&descriptor) {
                // An error means that the kernel has removed the watch already.
                let _ = self.inotify.watches().remove(descriptor);
            }
        }
    }

    /// Returns whether the watch of `path` has events that no subscriber needs any more.
    ///
    /// Otherwise a directory that once contained a configured file, and is only on the way to one now, would still
    /// report changes of all its entries.
    fn is_wider_than_needed(&self, path: &Path) -> bool {
        let descriptor = self.watch_of(path);
        let Some(watch) = descriptor.and_then(|it| self.watches.get(&it)) else { return false };
        let needed = watch.paths.iter().map(|path| self.mask_of(path));
        let needed = needed.fold(WatchMask::empty(), |all, mask| all | mask);
        !needed.contains(watch.mask)
    }

    /// Ends the watch of `path`, and returns all paths that lead to its inode.
    fn end_watch(&mut self, path: &Path) -> Vec<PathBuf> {
        let watch = self.watch_of(path).and_then(|it| Some(self.watches.get(&it)?.paths.clone()));
        let paths: Vec<_> = watch.into_iter().flatten().collect();
        for path in &paths {
            self.detach(path);
        }
        paths
    }
}
