//! The kernel's notifications: one inotify instance for the process, told which places matter to whom.

mod inotify;
mod subscriptions;
mod targets;
#[cfg(test)]
mod tests_directories;

use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub(crate) use self::inotify::testing;

use self::inotify::Backend;
use crate::error::Error;
use crate::files::Lookup;
use crate::sys::HandleId;
use crate::sys::{Mutex, MutexGuard};
use subscriptions::Subscriptions;

/// How changes are being found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchState {
    /// Not at all.
    Off,
    /// By polling, as asked.
    Polling,
    /// By notifications, and a poll besides.
    Notified,
    /// By polling alone, because notifications could not be had.
    Degraded,
}

/// What the kernel told of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// The entry is another one now: created, renamed, removed, or its permissions changed.
    Changed(&'a Path),
    /// Bytes were written to the file, and the writer still has it open.
    Written(&'a Path),
    /// A writer has closed the file.
    Closed(&'a Path),
}

/// Somebody who wants to know. Is told by whoever reads.
pub(crate) trait Observer: Send + Sync {
    /// Something was seen on the way to a file of `unit`. Must be quick, and not follow.
    fn touched(&self, unit: usize, touch: Change<'_>);

    /// Something may have been missed: everything is to be looked at.
    fn missed(&self);
}

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    Nothing,
    /// All of it was of no use to anybody.
    ForNobody,
    /// Somebody was told.
    ForSomebody,
}

/// What following came to.
#[derive(Default)]
pub(crate) struct Subscribed {
    /// Something was not followed before: what happened there until now may have been missed.
    pub(crate) look_again: bool,
    /// Why a place cannot be watched.
    pub(crate) trouble: Option<Error>,
    /// Other followers have something to do, and the thread that works for them may sleep.
    pub(crate) touched_others: bool,
    /// Paths whose old watch ended, because they lead to another inode now or to none.
    moved: Vec<PathBuf>,
}

/// How long a kernel that failed is not asked again. The look that its failure sets off is not to
/// start it, or it would fail over and over, and nobody be told. The next poll asks.
const REST_AFTER_FAILURE: Duration = Duration::from_millis(250);

/// Watches for all handles of the process.
///
/// The way to a file is watched, not only the file: what is renamed over is another inode, and only
/// its directory tells.
#[derive(Default)]
pub(crate) struct Watcher(Mutex<WatcherState>);

#[derive(Default)]
struct WatcherState {
    interests: Subscriptions,
    /// Started with the first unit; taken away when it fails, and tried again.
    kernel: Option<Backend>,
    /// Why it was taken away last, and when.
    failed: Option<(Error, Instant)>,
}

impl Watcher {
    /// Follows exactly these lookups for one unit of `id` from now on, in place of those before.
    pub(crate) fn follow(
        &self,
        (id, unit): (HandleId, usize),
        observer: &Weak<dyn Observer>,
        lookups: &[Lookup],
    ) -> Subscribed {
        let mut state = self.state();
        let WatcherState { interests, kernel, failed } = &mut *state;
        let look_again = interests.follow((id, unit), observer, lookups);
        let mut followed = Subscribed { look_again, ..Subscribed::default() };
        let running = match kernel {
            Some(running) => running,
            None => match started(failed.as_ref()) {
                Ok(started) => kernel.insert(started),
                // Nothing is seen that was not seen before.
                Err(error) => return Subscribed { trouble: Some(error), ..Subscribed::default() },
            },
        };
        running.watch((id, unit), lookups, &mut followed);
        // The kernel's events about an old watch mean nothing any more once it has ended. The
        // others who follow these paths find them armed already, and would miss the change (G1).
        for path in &followed.moved {
            followed.touched_others |= interests.tell_others(path, (id, unit));
        }
        followed
    }

    /// Follows nothing any more for any unit of `id`.
    pub(crate) fn unfollow(&self, id: HandleId) {
        let mut state = self.state();
        for follower in state.interests.remove(id) {
            if let Some(kernel) = &mut state.kernel {
                kernel.forget(follower);
            }
        }
    }

    /// Becomes readable when the kernel has something to tell. Only [`Watcher::read`] closes it.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.state().kernel.as_ref().map(Backend::descriptor)
    }

    /// The same as a descriptor of its own, for those who listen to several; another one after the
    /// kernel failed.
    pub(crate) fn notifier(&self) -> Option<Arc<OwnedFd>> {
        self.state().kernel.as_mut().and_then(Backend::notifier)
    }

    /// In a child that was forked: gives up the parent's notifications, unless a thread of the parent's
    /// was at them. The parent goes on with them.
    pub(crate) fn abandon(&self) {
        if let Some(mut state) = self.0.try_lock()
            && let Some(kernel) = state.kernel.take()
        {
            kernel.abandon();
        }
    }

    /// Takes what the kernel tells, and passes it on.
    pub(crate) fn read(&self) -> ReadOutcome {
        let mut state = self.state();
        let WatcherState { interests, kernel, failed } = &mut *state;
        let Some(running) = kernel else { return ReadOutcome::Nothing };
        let mut told = Vec::new();
        if let Err(error) = running.read(&mut told) {
            // Nothing that it watched is watched any more. All will follow anew.
            *kernel = None;
            *failed = Some((Error::system("inotify failed", &error), Instant::now()));
            interests.tell_all();
            return ReadOutcome::ForSomebody;
        }
        match told.iter().filter(|news| interests.tell(news)).count() {
            _ if told.is_empty() => ReadOutcome::Nothing,
            0 => ReadOutcome::ForNobody,
            _ => ReadOutcome::ForSomebody,
        }
    }

    fn state(&self) -> MutexGuard<'_, WatcherState> {
        self.0.lock()
    }
}

fn started(failed: Option<&(Error, Instant)>) -> Result<Backend, Error> {
    match failed {
        Some((error, at)) if at.elapsed() < REST_AFTER_FAILURE => Err(error.clone()),
        _ => Backend::start(),
    }
}

/// One unit of one observer.
type Subscriber = (HandleId, usize);

/// An observer that may have gone.
type WeakObserver = Weak<dyn Observer>;

/// What the kernel told, in paths.
#[derive(Debug, PartialEq, Eq)]
enum BackendEvent {
    Changed(Arc<Path>),
    Written(Arc<Path>),
    Closed(Arc<Path>),
    Overflow,
}

#[cfg(test)]
#[path = "tests_watch.rs"]
mod tests;
