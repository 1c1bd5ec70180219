//! Notifies units when the kernel reports a change to one of their files.
//!
//! The process has one [`Watcher`] with one inotify instance, however many handles it opens: the kernel limits the
//! instances of a user (`fs.inotify.max_user_instances`).
//!
//! The watcher watches every name that the kernel looks up to reach a file (its [`Lookup`]s), and not only the file. A
//! file that is replaced by a rename is another inode, which no watch of the old inode reports. The directory does.

mod inotify;
mod subscriptions;
mod targets;
#[cfg(test)]
mod tests_directories;

use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub(crate) use self::inotify::testing;

use self::inotify::{Backend, WatchOutcome};
use crate::error::Error;
use crate::files::Lookup;
use crate::sys::HandleId;
use crate::sys::{Mutex, MutexGuard};
use subscriptions::Subscriptions;

/// How the changes of a handle's files are detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchState {
    /// Only when the host requests a reload.
    Off,
    /// By polling, as configured.
    Polling,
    /// By notifications, and a poll besides.
    Notified,
    /// By polling alone, because notifications are not available (G19).
    Degraded,
}

/// A change that the kernel reported, with its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// The entry was created, renamed, removed or replaced, or its permissions changed.
    Changed(&'a Path),
    /// Bytes were written to the file, and the writer still has it open.
    Written(&'a Path),
    /// A writer has closed the file.
    Closed(&'a Path),
}

/// Receives the changes to the files of one handle.
///
/// The thread that reads notifications calls it while it holds the watcher's lock. An implementation must return
/// quickly and must not call the watcher, which would wait for that lock for ever.
pub(crate) trait Observer: Send + Sync {
    /// Reports a change to a file of `unit`, or to a name on the way to it.
    fn touched(&self, unit: usize, change: Change<'_>);

    /// Reports that changes may have been missed: every unit has to be scanned.
    fn missed(&self);
}

/// The result of [`Watcher::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// No event was queued.
    Nothing,
    /// There were events, and none concerns a subscriber.
    Irrelevant,
    /// At least one observer was notified.
    Notified,
}

/// The result of [`Watcher::subscribe`].
#[derive(Default)]
pub(crate) struct Subscribed {
    /// Whether the unit has to be scanned again. If a path was not watched for it before, changes until now may have
    /// been missed (G1).
    pub(crate) needs_scan: bool,
    /// The reason why a path cannot be watched.
    pub(crate) error: Option<Error>,
    /// Whether other units were notified. Their worker may be asleep, and has to be woken.
    pub(crate) notified_others: bool,
}

/// How long after a failure inotify is not started again.
///
/// A failure triggers a scan of everything, and the scan subscribes again. If that started inotify, an instance that
/// always fails would be restarted in a loop, and the degraded state never reported (G19). The next poll starts it.
const RESTART_DELAY: Duration = Duration::from_millis(250);

/// Watches the files of all handles of the process.
#[derive(Default)]
pub(crate) struct Watcher(Mutex<WatcherState>);

#[derive(Default)]
struct WatcherState {
    subscriptions: Subscriptions,
    /// `None` before the first subscription, and after a failure until inotify is started again.
    backend: Option<Backend>,
    /// The latest failure, and its time.
    failed: Option<(Error, Instant)>,
}

impl Watcher {
    /// Subscribes one unit of the handle `id` to changes of `lookups`, in place of its earlier subscriptions.
    pub(crate) fn subscribe(
        &self,
        (id, unit): (HandleId, usize),
        observer: &Weak<dyn Observer>,
        lookups: &[Lookup],
    ) -> Subscribed {
        let mut state = self.state();
        let WatcherState { subscriptions, backend, failed } = &mut *state;
        let has_new = subscriptions.replace((id, unit), observer, lookups);
        let running = match backend {
            Some(running) => running,
            None => match start(failed.as_ref()) {
                Ok(started) => backend.insert(started),
                // No scan is needed: without notifications it would find the same as the one before.
                Err(error) => return Subscribed { error: Some(error), ..Subscribed::default() },
            },
        };
        let WatchOutcome { is_new, error, moved } = running.watch((id, unit), lookups);
        // The end of a watch discards its queued events. The other subscribers of these paths will find the new watch
        // in place when they subscribe, and would miss the change (G1).
        let mut notified_others = false;
        for path in &moved {
            notified_others |= subscriptions.notify_others(path, (id, unit));
        }
        Subscribed { needs_scan: has_new || is_new, error, notified_others }
    }

    /// Removes the subscriptions of every unit of the handle `id`.
    pub(crate) fn unsubscribe(&self, id: HandleId) {
        let mut state = self.state();
        for subscriber in state.subscriptions.remove_handle(id) {
            if let Some(backend) = &mut state.backend {
                backend.unwatch(subscriber);
            }
        }
    }

    /// Returns the descriptor that becomes readable when events are queued. It is valid until [`Watcher::read`] fails.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.state().backend.as_ref().map(Backend::descriptor)
    }

    /// Returns a duplicate of the descriptor, for a caller that polls it together with others.
    ///
    /// After a failure of inotify it is another one.
    pub(crate) fn notifier(&self) -> Option<Arc<OwnedFd>> {
        self.state().backend.as_mut().and_then(Backend::notifier)
    }

    /// Closes the parent's notifications in a forked child; the parent keeps receiving them.
    ///
    /// If a thread of the parent held the lock during the fork, the state may be inconsistent, and is left alone.
    pub(crate) fn abandon(&self) {
        if let Some(mut state) = self.0.try_lock()
            && let Some(backend) = state.backend.take()
        {
            backend.abandon();
        }
    }

    /// Reads the queued events, and notifies the observers that they concern.
    ///
    /// If reading fails, no file is watched any more. All observers are notified, and their units subscribe again.
    pub(crate) fn read(&self) -> ReadOutcome {
        let mut state = self.state();
        let WatcherState { subscriptions, backend, failed } = &mut *state;
        let Some(running) = backend else { return ReadOutcome::Nothing };
        match running.read() {
            Err(error) => {
                *backend = None;
                *failed = Some((Error::system("inotify failed", &error), Instant::now()));
                subscriptions.notify_all_missed();
                ReadOutcome::Notified
            }
            Ok(events) if events.is_empty() => ReadOutcome::Nothing,
            Ok(events) => match events.iter().filter(|event| subscriptions.notify(event)).count() {
                0 => ReadOutcome::Irrelevant,
                _ => ReadOutcome::Notified,
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, WatcherState> {
        self.0.lock()
    }
}

fn start(failed: Option<&(Error, Instant)>) -> Result<Backend, Error> {
    match failed {
        Some((error, at)) if at.elapsed() < RESTART_DELAY => Err(error.clone()),
        _ => Backend::start(),
    }
}

/// One unit of one handle.
type Subscriber = (HandleId, usize);

/// An observer whose handle may have been closed.
type WeakObserver = Weak<dyn Observer>;

/// An event of the backend, with its path in place of the kernel's watch descriptor.
#[derive(Debug, PartialEq, Eq)]
enum BackendEvent {
    Changed(Arc<Path>),
    Written(Arc<Path>),
    Closed(Arc<Path>),
    /// The kernel has dropped events.
    Overflow,
}

#[cfg(test)]
#[path = "tests_files.rs"]
mod tests;
