//! Notifies units when the kernel reports a change to one of their files.
//!
//! For each of the two runtimes the process has one [`Watcher`] with one inotify instance, however many handles it
//! opens. The kernel limits the instances of a user (`fs.inotify.max_user_instances`).
//!
//! The watcher watches every name that the kernel looks up to reach a file (its [`Lookup`]s), and not only the file. If
//! another file is renamed over a file, a watch of the file itself reports nothing of the new one, which is another
//! inode. A watch of the directory reports the rename.

mod change_receiver;
mod inotify;
mod inotify_errors;
mod subscriptions;
#[cfg(test)]
mod tests_directory_sources;
mod watch_paths;
mod watch_plan;

use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub(crate) use self::inotify_errors::testing;
pub(crate) use change_receiver::{Change, ChangeReceiver};

use self::inotify::Backend;
use crate::error::Error;
use crate::files::Lookup;
use crate::sys::HandleId;
use crate::sys::{Mutex, MutexGuard};
use subscriptions::Subscriptions;
use watch_plan::{WatchOutcome, WatchPlan};

/// How the changes of a handle's files are detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchState {
    /// Only when the host requests a reload.
    Off,
    /// By polling alone, as the host has configured.
    Polling,
    /// By notifications of the kernel. Polls find changes of which there is no notification, as on network file
    /// systems.
    Notified,
    /// By polling alone, because notifications of the kernel are not available (G19).
    Degraded,
}

/// The result of [`Watcher::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// The kernel had queued no event.
    Nothing,
    /// There were events, but none concerns a unit: for example, another file in the same directory changed.
    Irrelevant,
    /// At least one observer was notified, of a change or that changes may have been missed.
    Notified,
}

/// The result of [`Watcher::subscribe`].
#[derive(Default)]
pub(crate) struct Subscribed {
    /// Whether the unit has to be scanned again. If a path was not watched for it before, changes until now may have
    /// been missed (G1).
    pub(crate) needs_scan: bool,
    /// Whether writes to the unit's files until now may not have been reported, as after a directory was replaced. Then
    /// it is not known whether a process has one of them open for writing (G4).
    pub(crate) missed_writes: bool,
    /// The reason why a path cannot be watched, or why inotify cannot be used at all.
    pub(crate) error: Option<Error>,
    /// Whether other units were notified, whose paths this call found to lead elsewhere. Their worker may be asleep, so
    /// the caller has to wake it.
    pub(crate) notified_others: bool,
}

/// How long inotify is not started again after a failure.
///
/// A failure makes a scan of all units due, which subscribes them again after the quiet time, 50 ms by default. If that
/// scan started inotify, an instance that always fails would be restarted in a loop, and the degraded state would never
/// be reported (G19). The first poll or request after the delay starts it.
const RESTART_DELAY: Duration = Duration::from_millis(250);

/// Watches the files of all handles that use the same runtime.
#[derive(Default)]
pub(crate) struct Watcher(Mutex<WatcherState>);

#[derive(Default)]
struct WatcherState {
    subscriptions: Subscriptions,
    /// The running inotify instance. `None` before the first subscription, and after a failure until the next start.
    backend: Option<Backend>,
    /// How many instances were started.
    starts: u64,
    /// The latest failure of a running inotify instance, and its time.
    failed: Option<(Error, Instant)>,
}

impl Watcher {
    /// Subscribes one unit of the handle `id` to changes of `lookups`, in place of its earlier subscriptions. From then
    /// on [`Watcher::read`] notifies `observer` of these changes. Does nothing if the observer is closed.
    ///
    /// Blocks while a mount of the paths does not answer; other callers do not wait for that.
    pub(crate) fn subscribe(
        &self,
        (id, unit): (HandleId, usize),
        observer: &Weak<dyn ChangeReceiver>,
        lookups: &[Lookup],
    ) -> Subscribed {
        let mut state = self.state();
        if observer.upgrade().is_none_or(|observer| observer.is_closed()) {
            return Subscribed::default();
        }
        let has_new = state.subscriptions.replace((id, unit), observer, lookups);
        let backend = match state.running() {
            Ok(backend) => backend,
            // No further scan is needed: it would only find changes between the previous scan and the start of a
            // watch, and no watch starts. The next poll finds them.
            Err(error) => {
                let error = Some(error);
                return Subscribed { error, missed_writes: true, ..Subscribed::default() };
            }
        };
        let mut plan = WatchPlan::new(backend, (id, unit), lookups);
        let start = state.starts;
        let mut remote = None;
        loop {
            drop(state);
            remote = remote.or(plan.add());
            state = self.state();
            let same_start = state.starts == start;
            let WatcherState { subscriptions, backend, .. } = &mut *state;
            let Some(backend) = backend.as_mut().filter(|_| same_start) else {
                // inotify failed in between. Its observers have been notified.
                return Subscribed {
                    needs_scan: true,
                    missed_writes: true,
                    ..Subscribed::default()
                };
            };
            match plan.finish(backend) {
                Err(again) => plan = again,
                Ok(WatchOutcome { is_new, missed_writes, error, moved }) => {
                    let notified_others = subscriptions.notify_moved(&moved, (id, unit));
                    let (needs_scan, error) = (has_new || is_new, error.or(remote));
                    let missed_writes = has_new || missed_writes;
                    return Subscribed { needs_scan, missed_writes, error, notified_others };
                }
            }
        }
    }

    /// Removes the subscriptions of every unit of the handle `id`. Returns whether units of other handles were notified,
    /// so that the caller has to wake their worker.
    pub(crate) fn unsubscribe(&self, id: HandleId) -> bool {
        let mut state = self.state();
        let WatcherState { subscriptions, backend, .. } = &mut *state;
        let mut notified_others = false;
        for subscriber in subscriptions.remove_handle(id) {
            let moved = backend.as_mut().map(|backend| backend.unwatch(subscriber));
            notified_others |= subscriptions.notify_moved(&moved.unwrap_or_default(), subscriber);
        }
        notified_others
    }

    /// Removes the subscriptions of one unit, which has no files any more. Returns as [`Watcher::unsubscribe`].
    pub(crate) fn unsubscribe_unit(&self, subscriber: (HandleId, usize)) -> bool {
        let mut state = self.state();
        let WatcherState { subscriptions, backend, .. } = &mut *state;
        subscriptions.remove(subscriber);
        let moved = backend.as_mut().map(|backend| backend.unwatch(subscriber));
        subscriptions.notify_moved(&moved.unwrap_or_default(), subscriber)
    }

    /// Returns the descriptor that becomes readable when events are queued. It is valid until [`Watcher::read`] fails.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.state().backend.as_ref().map(Backend::descriptor)
    }

    /// Returns a duplicate of that descriptor, which stays open as long as the caller keeps it. For a caller that adds
    /// it to an epoll set, from which it must be removed before it is closed.
    ///
    /// After a failure of inotify, the new instance has another descriptor.
    pub(crate) fn notifier(&self) -> Option<Arc<OwnedFd>> {
        self.state().backend.as_mut().and_then(Backend::notifier)
    }

    /// Closes the child's copies of the inotify descriptors in a forked child. The parent keeps its notifications.
    ///
    /// If a thread of the parent held the lock during the fork, it is never released in the child. The descriptors then
    /// stay open.
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
        let WatcherState { subscriptions, backend, failed, .. } = &mut *state;
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

impl WatcherState {
    /// Returns the running inotify instance. Starts one if there is none.
    fn running(&mut self) -> Result<&mut Backend, Error> {
        if self.backend.is_none() {
            match &self.failed {
                Some((error, at)) if at.elapsed() < RESTART_DELAY => return Err(error.clone()),
                _ => self.backend = Some(Backend::start()?),
            }
            self.starts += 1;
        }
        self.backend.as_mut().ok_or_else(|| Error::invalid("inotify is not running"))
    }
}

#[cfg(test)]
#[path = "tests_file_sources.rs"]
mod tests;
