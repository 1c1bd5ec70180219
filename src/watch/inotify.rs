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
//! that no change is missed, all subscribers of these paths are notified ([`WatchOutcome::moved`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inotify::{Event, EventMask, Inotify, WatchDescriptor, WatchMask};

use super::change_receiver::Subscriber;
use super::watch_paths::{Target, WatchKind, targets_of};
use crate::error::{Cause, Error};
use crate::files::Lookup;
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
    inotify: Inotify,
    notifier: Option<Arc<OwnedFd>>,
    watches: HashMap<WatchDescriptor, InodeWatch>,
    paths: HashMap<PathBuf, WatchedPath>,
    targets: BTreeMap<Subscriber, Vec<Target>>,
}

/// A watch of the kernel, which watches one inode.
struct InodeWatch {
    mask: WatchMask,
    /// The paths that lead to the inode.
    paths: BTreeSet<PathBuf>,
}

/// A path that at least one subscriber needs to have watched.
#[derive(Default)]
struct WatchedPath {
    /// The watch of the inode that the path led to last. `None` if it cannot be watched.
    watch: Option<WatchDescriptor>,
    /// How many subscribers need each of [`WatchKind::ALL`].
    needed: [usize; WatchKind::ALL.len()],
}

/// The result of [`Backend::watch`].
#[derive(Default)]
pub(super) struct WatchOutcome {
    /// Whether changes until now may have been missed: a path was not watched before, or for fewer events, or it is
    /// missing although it was there when it was looked up.
    pub(super) is_new: bool,
    /// Whether writes until now may not have been reported: a directory with files was not watched before. The watch of
    /// a file does not count, because that of its directory reports the same writes.
    pub(super) missed_writes: bool,
    /// The reason why a path cannot be watched, with that path. If there are several, the first.
    pub(super) error: Option<Error>,
    /// Paths whose watch ended because they lead to another inode now, or to none. Their other subscribers must be
    /// notified, because queued events of the old watch are lost.
    pub(super) moved: Vec<PathBuf>,
}

impl Backend {
    pub(super) fn start() -> Result<Self, Error> {
        let started = if testing::fault() == testing::START_FAILS {
            Err(io::Error::from_raw_os_error(libc::EMFILE))
        } else {
            without_fork(Inotify::init)
        };
        let inotify = started.map_err(|error| {
            Error::system("inotify is not available", &describe_start_error(&error))
        })?;
        Ok(Self {
            inotify,
            notifier: None,
            watches: HashMap::new(),
            paths: HashMap::new(),
            targets: BTreeMap::new(),
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

    /// Watches the paths that `lookups` need ([`targets_of`]) for `subscriber`, in place of its earlier paths.
    ///
    /// The earlier paths are released after the new ones are watched. A watch that both need is thus not removed and
    /// added again, which would lose the events in between.
    pub(super) fn watch(&mut self, subscriber: Subscriber, lookups: &[Lookup]) -> WatchOutcome {
        let mut outcome = WatchOutcome::default();
        let targets = targets_of(lookups);
        for Target { path, kind } in &targets {
            self.entry(path).needed[*kind as usize] += 1;
        }
        let mut before = self.targets.insert(subscriber, targets.clone()).unwrap_or_default();
        for Target { path, kind } in &targets {
            let watch_before = self.watch_of(path);
            let mut added = self.add_watch(path);
            if added == Err(limit_reached()) {
                // The kernel's limit of watches is reached. Often it is enough to end the watches of the earlier paths.
                self.release(&std::mem::take(&mut before));
                added = self.add_watch(path);
            }
            if watch_before.is_some() && self.watch_of(path) != watch_before {
                outcome.moved.push(path.clone());
            }
            outcome.missed_writes |= *kind == WatchKind::Files && added != Ok(false);
            match added {
                Ok(is_new) => outcome.is_new |= is_new,
                // The path was there when it was looked up, so it was removed since then: a change.
                Err(Cause::NotFound) => outcome.is_new = true,
                Err(Cause::Permission) if !kind.must_be_readable() => {}
                Err(cause) => {
                    outcome.error.get_or_insert(Error::at(path, cause));
                }
            }
        }
        self.release(&before);
        outcome
    }

    /// Ends the watches that only `subscriber` needs.
    pub(super) fn unwatch(&mut self, subscriber: Subscriber) {
        let targets = self.targets.remove(&subscriber).unwrap_or_default();
        self.release(&targets);
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

    fn watch_of(&self, path: &Path) -> Option<WatchDescriptor> {
        self.paths.get(path).and_then(|entry| entry.watch.clone())
    }

    fn entry(&mut self, path: &Path) -> &mut WatchedPath {
        self.paths.entry(path.to_owned()).or_default()
    }

    /// Makes the kernel watch the inode that `path` leads to now, for the events that subscribers need there.
    ///
    /// Returns whether that inode was not watched for this path before, or not for all of these events.
    fn add_watch(&mut self, path: &Path) -> Result<bool, Cause> {
        let needed = self.mask_of(path);
        // MASK_ADD keeps the events that another path of the same inode needs.
        let mask = needed | WatchMask::DONT_FOLLOW | WatchMask::MASK_ADD;
        let descriptor = self.inotify.watches().add(path, mask).map_err(|error| {
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
    fn mask_of(&self, path: &Path) -> WatchMask {
        let Some(entry) = self.paths.get(path) else { return WatchMask::empty() };
        let needed = WatchKind::ALL.iter().filter(|kind| entry.needed[**kind as usize] > 0);
        needed.fold(WatchMask::empty(), |mask, kind| mask | kind.mask())
    }

    /// Records that one subscriber needs `targets` no more, and reduces their watches to what other subscribers need.
    fn release(&mut self, targets: &[Target]) {
        for Target { path, kind } in targets {
            self.entry(path).needed[*kind as usize] -= 1;
        }
        for Target { path, .. } in targets {
            if self.mask_of(path).is_empty() {
                self.detach(path);
                self.paths.remove(path);
            } else {
                self.narrow(path);
            }
        }
    }

    /// Records that `path` has no watch any more. If no other path leads to that watch, removes it from the kernel.
    fn detach(&mut self, path: &Path) {
        let Some(descriptor) = self.paths.get_mut(path).and_then(|entry| entry.watch.take()) else {
            return;
        };
        let Some(watch) = self.watches.get_mut(&descriptor) else { return };
        watch.paths.remove(path);
        if watch.paths.is_empty() {
            self.watches.remove(&descriptor);
            // An error means that the kernel has removed the watch already.
            let _ = self.inotify.watches().remove(descriptor);
        }
    }

    /// Removes those events from the mask of the watch of `path` that no subscriber needs any more.
    ///
    /// Otherwise a directory that once contained a configured file, and is only on the way to one now, would still
    /// report changes of all its entries.
    fn narrow(&mut self, path: &Path) {
        let Some(descriptor) = self.watch_of(path) else { return };
        let Some(watch) = self.watches.get(&descriptor) else { return };
        let needed = watch.paths.iter().map(|path| self.mask_of(path));
        let needed = needed.fold(WatchMask::empty(), |all, mask| all | mask);
        // Events that the watch lacks are not added here, but by `add_watch`, which returns that they are new.
        let kept = watch.mask & needed;
        if watch.mask == kept {
            return;
        }
        // Without MASK_ADD the kernel replaces the mask of the existing watch.
        let Ok(again) = self.inotify.watches().add(path, kept | WatchMask::DONT_FOLLOW) else {
            return;
        };
        if again != descriptor {
            // The path leads to another inode by now, so the call above created or changed the watch of that inode.
            // Remove that watch. If another path needs it, the kernel reports IN_IGNORED for it, and the subscribers of
            // that path subscribe again.
            let _ = self.inotify.watches().remove(again);
        } else if let Some(watch) = self.watches.get_mut(&descriptor) {
            watch.mask = kept;
        }
    }
}

fn cause_of(error: &io::Error) -> Cause {
    match error.raw_os_error() {
        Some(libc::ENOSPC) => limit_reached(),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => Cause::NotFound,
        Some(libc::EACCES) => Cause::Permission,
        _ => Cause::Io(format!("cannot be watched: {error}")),
    }
}

fn limit_reached() -> Cause {
    Cause::Io(
        "cannot be watched: the limit of inotify watches is reached (fs.inotify.max_user_watches)"
            .to_owned(),
    )
}

fn describe_start_error(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "the limit of inotify instances (fs.inotify.max_user_instances) or \
             of descriptors is reached"
            .to_owned(),
        _ => error.to_string(),
    }
}

/// Lets tests make inotify fail, in the whole process.
pub(crate) mod testing {
    use std::sync::atomic::{AtomicU8, Ordering};

    pub(crate) const NONE: u8 = 0;
    /// inotify cannot be started, and reading events from a running instance fails.
    pub(crate) const START_FAILS: u8 = 1;
    /// inotify can be started, but reading events fails.
    pub(crate) const READ_FAILS: u8 = 2;

    static FAULT: AtomicU8 = AtomicU8::new(NONE);

    pub(crate) fn set_fault(fault: u8) {
        FAULT.store(fault, Ordering::SeqCst);
    }

    pub(super) fn fault() -> u8 {
        FAULT.load(Ordering::SeqCst)
    }
}
