//! The watches that a unit needs, which are added without the watcher's lock.
//!
//! To add a watch, the kernel looks up a path. If the mount of the path does not answer, that blocks for ever, and
//! every thread that needs the watcher's lock would wait as well (G21).

use std::io;
use std::path::PathBuf;

use inotify::{WatchDescriptor, WatchMask, Watches};

use super::change_receiver::Subscriber;
use super::inotify::{Backend, Needs};
use super::watch_paths::{Target, WatchKind, targets_of};
use crate::error::{Cause, Error};
use crate::files::Lookup;
use crate::readers::{remote_file_system, touching};

/// The watches to add for one unit.
pub(super) struct WatchPlan {
    subscriber: Subscriber,
    /// Identifies the plan: a later plan of the same unit takes its place.
    number: u64,
    watches: Watches,
    targets: Vec<PlannedTarget>,
    /// The paths of the unit's earlier plan.
    before: Vec<Target>,
    outcome: WatchOutcome,
}

struct PlannedTarget {
    target: Target,
    mask: WatchMask,
    watch_before: Option<WatchDescriptor>,
    /// The result of adding the watch. `None` before.
    added: Option<io::Result<WatchDescriptor>>,
}

/// The result of [`WatchPlan::finish`].
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

impl WatchPlan {
    /// Plans the watches of the paths that `lookups` need ([`targets_of`]) for `subscriber`, in place of its earlier paths.
    /// The caller then adds them without a lock, and calls [`WatchPlan::finish`].
    ///
    /// The earlier paths are released after the new ones are watched. A watch that both need is thus not removed and
    /// added again, which would lose the events in between.
    pub(super) fn new(
        backend: &mut Backend,
        subscriber: Subscriber,
        lookups: &[Lookup],
    ) -> Box<Self> {
        let targets = targets_of(lookups);
        for Target { path, kind } in &targets {
            backend.entry(path).needed[*kind as usize] += 1;
        }
        backend.plans += 1;
        backend.plans_in_progress += 1;
        let number = backend.plans;
        let before =
            backend.needs.insert(subscriber, Needs { plan: number, targets: targets.clone() });
        let planned = |target: Target| PlannedTarget {
            mask: backend.mask_of(&target.path),
            watch_before: backend.watch_of(&target.path),
            target,
            added: None,
        };
        Box::new(Self {
            subscriber,
            number,
            targets: targets.into_iter().map(planned).collect(),
            watches: backend.inotify.watches(),
            before: before.map(|before| before.targets).unwrap_or_default(),
            outcome: WatchOutcome::default(),
        })
    }

    /// Adds the watches that have not been added yet. Returns an error if the kernel does not notify of all changes of a
    /// path, because other machines can change it.
    pub(super) fn add(&mut self) -> Option<Error> {
        let mut remote = None;
        for planned in self.targets.iter_mut().filter(|planned| planned.added.is_none()) {
            let path = &planned.target.path;
            // MASK_ADD keeps the events that another path of the same inode needs.
            let mask = planned.mask | WatchMask::DONT_FOLLOW | WatchMask::MASK_ADD;
            planned.added = Some(touching(path, || self.watches.add(path, mask)));
            if remote.is_none() {
                remote = remote_file_system(path).map(|name| Error::at(path, not_notified(&name)));
            }
        }
        remote
    }

    /// Records the watches that were added. Returns the plan again if some are to be added once more: the kernel's limit
    /// of watches was reached, and the watches of earlier paths have ended since.
    pub(super) fn finish(
        mut self: Box<Self>,
        backend: &mut Backend,
    ) -> Result<WatchOutcome, Box<Self>> {
        let needs = backend.needs.get(&self.subscriber);
        let is_current = needs.is_some_and(|needs| needs.plan == self.number);
        let mut again = Vec::new();
        for planned in std::mem::take(&mut self.targets) {
            if planned.is_refused_by_limit() && !self.before.is_empty() && is_current {
                // The path leads to another inode now: a watch of the same inode would not count again.
                backend.detach(&planned.target.path);
                again.push(PlannedTarget { added: None, ..planned });
            } else if is_current {
                self.outcome.record(backend, planned);
            } else {
                // The unit has another plan by now, or none.
                backend.unneeded.extend(planned.added.and_then(Result::ok));
            }
        }
        self.outcome.moved.extend(backend.release(&std::mem::take(&mut self.before)));
        backend.plans_in_progress -= 1;
        backend.remove_unneeded();
        if again.is_empty() {
            return Ok(self.outcome);
        }
        backend.plans_in_progress += 1;
        self.targets = again;
        Err(self)
    }
}

impl PlannedTarget {
    fn is_refused_by_limit(&self) -> bool {
        let error = self.added.as_ref().and_then(|added| added.as_ref().err());
        error.is_some_and(|error| error.raw_os_error() == Some(libc::ENOSPC))
    }
}

impl WatchOutcome {
    fn record(&mut self, backend: &mut Backend, planned: PlannedTarget) {
        let PlannedTarget { target: Target { path, kind }, mask, watch_before, added } = planned;
        // Nothing was added for an interrupted read, which is repeated. An existing watch is kept.
        let Some(added) = added else { return };
        if added.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            return;
        }
        // Another unit may have recorded this watch since the plan was made, and with it changes that this unit missed.
        self.is_new |= added.as_ref().is_ok_and(|added| watch_before.as_ref() != Some(added));
        let recorded = backend.record(&path, mask, added);
        if watch_before.is_some() && backend.watch_of(&path) != watch_before {
            self.moved.push(path.clone());
        }
        self.missed_writes |= kind == WatchKind::Files && recorded != Ok(false);
        match recorded {
            Ok(is_new) => self.is_new |= is_new,
            // The path was there when it was looked up, so it was removed since then: a change.
            Err(Cause::NotFound) => self.is_new = true,
            Err(Cause::Permission) if !kind.must_be_readable() => {}
            Err(cause) => {
                self.error.get_or_insert(Error::at(&path, cause));
            }
        }
    }
}

fn not_notified(file_system: &str) -> Cause {
    Cause::Io(format!(
        "is on a network file system ({file_system}), which does not report changes by other machines"
    ))
}
