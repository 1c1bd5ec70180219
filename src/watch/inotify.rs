//! Watches files through one inotify instance, with one watch for each inode.
//!
//! **One watch for each inode.** inotify identifies a watch by inode, not by path. Adding a second path of an inode
//! returns the watch that exists, and changes its mask (inotify(7)). Two paths have one inode if, for example, a
//! directory is mounted in two places. So the backend records which paths lead to each watch, and how many subscribers
//! need which events at each path. The mask of a watch is what all of its paths need together. A watch ends with its
//! last path.
//!
//! **A watch stays with its inode** when the path leads to another one. Only the kernel knows where a path leads, so
//! the backend adds the watch again each time a unit subscribes, and compares the descriptors. A unit subscribes after
//! each scan. A rename in between is reported by a watch of the directory.
//!
//! **Lost events.** If the kernel's queue is full (`fs.inotify.max_queued_events`), the kernel drops events and reports
//! `IN_Q_OVERFLOW` in their place, which names no path. All observers are notified that changes may have been missed
//! (G19). When a watch is removed, queued events of that watch are ignored, because its paths are unknown by then.
//! [`WatchOutcome::moved`] makes up for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inotify::{Event, EventMask, Inotify, WatchDescriptor, WatchMask};

use super::targets::{Target, WatchKind, targets_of};
use super::{BackendEvent, Subscriber};
use crate::error::{Cause, Error};
use crate::files::Lookup;
use crate::sys::InheritedFd;

/// Room for some hundred events.
const BUFFER_SIZE: usize = 16 * 1024;
/// Limits one call of [`Backend::read`] to some thousand events, so that a busy directory does not occupy the thread.
/// The descriptor stays readable while events are left.
const MAX_READS: usize = 8;

/// An inotify instance, and what it watches for each subscriber.
pub(super) struct Backend {
    inotify: Inotify,
    notifier: Option<Arc<OwnedFd>>,
    watches: HashMap<WatchDescriptor, InodeWatch>,
    paths: HashMap<PathBuf, WatchedPath>,
    targets: BTreeMap<Subscriber, Vec<Target>>,
}

/// The watch of one inode.
struct InodeWatch {
    mask: WatchMask,
    /// The paths that lead to the inode.
    paths: BTreeSet<PathBuf>,
}

/// A path that at least one subscriber needs.
#[derive(Default)]
struct WatchedPath {
    /// The watch of the inode that the path led to last. `None` if it cannot be watched.
    watch: Option<WatchDescriptor>,
    /// How many subscribers need each of [`WatchKind::ALL`].
    needed: [usize; WatchKind::ALL.len()],
}

/// What [`Backend::watch`] found: whether changes may have been missed, what cannot be watched, and which paths lead
/// elsewhere now.
#[derive(Default)]
pub(super) struct WatchOutcome {
    /// Whether a target is watched for more than before, or was missing: earlier changes may have been missed.
    pub(super) is_new: bool,
    /// The first target that cannot be watched, with the reason.
    pub(super) error: Option<Error>,
    /// Paths whose watch ended because they lead to another inode now, or to none.
    pub(super) moved: Vec<PathBuf>,
}

impl Backend {
    pub(super) fn start() -> Result<Self, Error> {
        let started = if testing::fault() == testing::START_FAILS {
            Err(io::Error::from_raw_os_error(libc::EMFILE))
        } else {
            Inotify::init()
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

    /// Returns a duplicate of the descriptor, which stays open while the caller keeps it.
    pub(super) fn notifier(&mut self) -> Option<Arc<OwnedFd>> {
        if self.notifier.is_none() {
            self.notifier = self.inotify.as_fd().try_clone_to_owned().ok().map(Arc::new);
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
        // Dropped, they would close the same descriptor numbers again, which may belong to other files by then.
        std::mem::forget((inotify, notifier));
    }

    /// Watches every target of `lookups` for `subscriber`, and no other path for it.
    ///
    /// The earlier targets are released last: a watch that both need is not removed and added again, which would lose
    /// the events in between.
    pub(super) fn watch(&mut self, subscriber: Subscriber, lookups: &[Lookup]) -> WatchOutcome {
        let mut outcome = WatchOutcome::default();
        let targets = targets_of(lookups);
        for Target { path, kind } in &targets {
            self.entry(path).needed[*kind as usize] += 1;
        }
        let mut before = self.targets.insert(subscriber, targets.clone()).unwrap_or_default();
        for Target { path, kind } in &targets {
            let watch_before = self.watch_of(path);
            let mut armed = self.arm(path);
            if armed == Err(limit_reached()) {
                // The watches of the earlier targets often make enough room.
                self.release(&std::mem::take(&mut before));
                armed = self.arm(path);
            }
            if watch_before.is_some() && self.watch_of(path) != watch_before {
                outcome.moved.push(path.clone());
            }
            match armed {
                Ok(is_new) => outcome.is_new |= is_new,
                // The path was there when it was looked up.
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

    /// Releases everything that is watched for `subscriber`.
    pub(super) fn unwatch(&mut self, subscriber: Subscriber) {
        let targets = self.targets.remove(&subscriber).unwrap_or_default();
        self.release(&targets);
    }

    /// Returns the events that the kernel has queued, in order. Equal events in a row are returned once.
    ///
    /// Events in a row are often equal: a write is reported by the file's watch and by the directory's. A large file is
    /// written in many steps.
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
            } else {
                BackendEvent::Changed(path)
            }
        });
        translated.collect()
    }

    /// Forgets a watch that the kernel has removed, because its inode was deleted or its file system unmounted.
    ///
    /// The event has been reported to the subscribers of its paths, who scan and subscribe again.
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
    fn arm(&mut self, path: &Path) -> Result<bool, Cause> {
        let needed = self.mask_of(path);
        // MASK_ADD keeps the events that another path of the same inode needs.
        let mask = needed | WatchMask::DONT_FOLLOW | WatchMask::MASK_ADD;
        let descriptor = self.inotify.watches().add(path, mask).map_err(|error| {
            // If permission was withdrawn, the existing watch is kept: it reports when permission returns.
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

    /// Counts the targets of one subscriber out, and reduces their watches to what other subscribers need.
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

    /// Separates `path` from its watch, and removes a watch that has no other path.
    fn detach(&mut self, path: &Path) {
        let Some(descriptor) = self.paths.get_mut(path).and_then(|entry| entry.watch.take()) else {
            return;
        };
        let Some(watch) = self.watches.get_mut(&descriptor) else { return };
        watch.paths.remove(path);
        if watch.paths.is_empty() {
            self.watches.remove(&descriptor);
            // This fails if the kernel has removed the watch already.
            let _ = self.inotify.watches().remove(descriptor);
        }
    }

    /// Removes the events from the watch of `path` that no subscriber needs any more.
    ///
    /// Without this, a directory that once contained a file, and now is only on the way to one, would keep reporting
    /// its entries.
    fn narrow(&mut self, path: &Path) {
        let Some(descriptor) = self.watch_of(path) else { return };
        let Some(watch) = self.watches.get(&descriptor) else { return };
        let needed = watch.paths.iter().map(|path| self.mask_of(path));
        let needed = needed.fold(WatchMask::empty(), |all, mask| all | mask);
        // Only removes events. `arm` adds them, and returns that they are new.
        let kept = watch.mask & needed;
        if watch.mask == kept {
            return;
        }
        // Without MASK_ADD the kernel replaces the mask.
        let Ok(again) = self.inotify.watches().add(path, kept | WatchMask::DONT_FOLLOW) else {
            return;
        };
        if again != descriptor {
            // The path leads to another inode by now, whose watch was just created or changed. It is removed. If it
            // served another path, the kernel reports IN_IGNORED, and the subscribers of that path subscribe again.
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

/// Faults that tests inject, for the whole process.
pub(crate) mod testing {
    use std::sync::atomic::{AtomicU8, Ordering};

    pub(crate) const NONE: u8 = 0;
    /// inotify cannot be started, and a running instance fails.
    pub(crate) const START_FAILS: u8 = 1;
    /// inotify can be started, and fails when events are read.
    pub(crate) const READ_FAILS: u8 = 2;

    static FAULT: AtomicU8 = AtomicU8::new(NONE);

    pub(crate) fn set_fault(fault: u8) {
        FAULT.store(fault, Ordering::SeqCst);
    }

    pub(super) fn fault() -> u8 {
        FAULT.load(Ordering::SeqCst)
    }
}
