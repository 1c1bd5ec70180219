//! The kernel's notifications: one inotify instance for the process, told which places matter to whom.

mod interests;
mod kernel;
mod places;

use std::os::fd::RawFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::Error;
use crate::source::Lookup;
use interests::Interests;
use kernel::Kernel;

pub(crate) use kernel::testing;

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
pub(crate) enum Touch<'a> {
    /// The entry is another one now: created, renamed, removed, or its permissions changed.
    Changed(&'a Path),
    /// Bytes were written to the file, and the writer still has it open.
    Written(&'a Path),
    /// A writer has closed the file.
    Closed(&'a Path),
}

/// Somebody who wants to know.
pub(crate) trait Observer: Send + Sync {
    /// Something was seen on the way to a file of `unit`. Must be quick, and not follow.
    fn touched(&self, unit: usize, touch: Touch<'_>);

    /// Something may have been missed: everything is to be looked at.
    fn missed(&self);
}

/// Who follows: unique in the process.
pub(crate) type ObserverId = u64;

/// What following came to.
#[derive(Default)]
pub(crate) struct Followed {
    /// Something was not followed before: what happened there until now may have been missed.
    pub(crate) look_again: bool,
    /// Why a place cannot be watched.
    pub(crate) trouble: Option<Error>,
}

/// Watches for all handles of the process.
///
/// The way to a file is watched, not only the file: what is renamed over is another inode, and only
/// its directory tells.
#[derive(Default)]
pub(crate) struct Watcher(Mutex<State>);

#[derive(Default)]
struct State {
    interests: Interests,
    /// Started with the first unit; taken away when it fails, and tried again.
    kernel: Option<Kernel>,
}

impl Watcher {
    /// Follows exactly these lookups for one unit of `id` from now on, in place of those before.
    pub(crate) fn follow(
        &self,
        (id, unit): (ObserverId, usize),
        observer: &Weak<dyn Observer>,
        lookups: &[Lookup],
    ) -> Followed {
        let mut state = self.state();
        let State { interests, kernel } = &mut *state;
        let mut followed =
            Followed { look_again: interests.follow((id, unit), observer, lookups), trouble: None };
        let running = match kernel {
            Some(running) => running,
            None => match Kernel::start() {
                Ok(started) => kernel.insert(started),
                Err(error) => return Followed { trouble: Some(error), ..followed },
            },
        };
        running.watch((id, unit), lookups, &mut followed);
        followed
    }

    /// Follows nothing any more for any unit of `id`.
    pub(crate) fn unfollow(&self, id: ObserverId) {
        let mut state = self.state();
        for follower in state.interests.remove(id) {
            if let Some(kernel) = &mut state.kernel {
                kernel.forget(follower);
            }
        }
    }

    /// Becomes readable when the kernel has something to tell. Only [`Watcher::read`] closes it.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.state().kernel.as_ref().map(Kernel::descriptor)
    }

    /// Takes what the kernel tells, and passes it on; tells whether all of it was of no use to anybody.
    pub(crate) fn read(&self) -> bool {
        let mut state = self.state();
        let State { interests, kernel } = &mut *state;
        let Some(running) = kernel else { return false };
        let mut told = Vec::new();
        if running.read(&mut told).is_err() {
            // Nothing that it watched is watched any more. All will follow anew.
            *kernel = None;
            interests.tell_all();
            return false;
        }
        let useful = told.iter().filter(|news| interests.tell(news)).count();
        useful == 0 && !told.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One unit of one observer.
type Follower = (ObserverId, usize);

/// An observer that may have gone.
type Listener = Weak<dyn Observer>;

/// What the kernel told, in paths.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Changed(Arc<Path>),
    Written(Arc<Path>),
    Closed(Arc<Path>),
    Overflow,
}
