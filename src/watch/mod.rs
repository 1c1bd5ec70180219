//! The kernel's notifications: one notifier for the process, told which directories matter to whom.

mod interests;
mod notifier;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::error::Error;
use crate::source::Lookup;
use interests::Interests;
use notifier::Notifier;

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

/// What the kernel told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch<'a> {
    /// The entry is another one now: created, renamed, removed, or its permissions changed.
    Changed(&'a Path),
    /// Bytes were written to the file, and the writer still has it open.
    Written(&'a Path),
    /// A writer has closed the file.
    Closed(&'a Path),
    /// Something may have been missed: everything is to be looked at.
    Everything,
}

/// Somebody who wants to know.
pub(crate) trait Observer: Send + Sync {
    /// Called on the notifier's thread; must be quick, and take no lock that is held while following.
    fn touched(&self, touch: Touch<'_>);
}

/// Who follows: unique in the process.
pub(crate) type ObserverId = u64;

/// What following came to.
pub(crate) struct Followed {
    /// Something was not followed before: what happened there until now may have been missed.
    pub(crate) look_again: bool,
    /// Why a directory that decides cannot be watched.
    pub(crate) trouble: Option<Error>,
}

/// Watches directories for all handles of the process.
///
/// Directories are watched, not files: a file that is renamed over is another inode, and only its
/// directory tells.
pub(crate) struct Watcher {
    interests: Arc<Interests>,
    // Started with the first directory; taken away when it fails, and tried again.
    notifier: Mutex<Option<Notifier>>,
}

impl Watcher {
    pub(crate) fn new() -> Self {
        Self { interests: Arc::default(), notifier: Mutex::new(None) }
    }

    /// Follows exactly these lookups from now on, in place of those that `id` followed before.
    pub(crate) fn follow(
        &self,
        id: ObserverId,
        observer: &Weak<dyn Observer>,
        lookups: &[Lookup],
    ) -> Followed {
        let mut notifier = self.notifier.lock().unwrap_or_else(PoisonError::into_inner);
        let mut followed =
            Followed { look_again: self.interests.follow(id, observer, lookups), trouble: None };
        let running = match notifier.as_mut() {
            Some(running) => running,
            None => match Notifier::start(&self.interests) {
                Ok(started) => notifier.insert(started),
                Err(error) => return Followed { trouble: Some(error), ..followed },
            },
        };
        let watched = running.arm(&self.interests, lookups, &mut followed);
        if self.interests.set_directories(id, watched) {
            running.disarm_unwanted(&self.interests);
        }
        if !running.is_alive() {
            // Nothing that it watched is watched any more, for anybody. All will follow anew.
            self.interests.disarmed_below(Path::new("/"));
            *notifier = None;
            let gone = "its thread has gone, or could not be started";
            followed.trouble = Some(Error::system("inotify is not available", &gone));
            followed.look_again = false;
            self.interests.tell_others(id, Touch::Everything);
        }
        followed
    }

    /// Follows nothing any more for `id`.
    pub(crate) fn unfollow(&self, id: ObserverId) {
        let mut notifier = self.notifier.lock().unwrap_or_else(PoisonError::into_inner);
        self.interests.remove(id);
        if let Some(notifier) = notifier.as_mut() {
            notifier.disarm_unwanted(&self.interests);
        }
    }
}
