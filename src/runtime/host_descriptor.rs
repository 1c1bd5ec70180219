//! The descriptor that wakes a host which runs the steps itself: for requests, deadlines, notifications and events.
//!
//! The host has one descriptor to poll, whatever the library waits for. It is an epoll instance, which is readable if
//! one of its descriptors is. The descriptors that make a step due form a second instance inside it. A thread that
//! waits in `reload_wait` polls that one: it must wake for steps, and not for events that the host has not fetched.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use super::notification_throttle::Throttle;
use crate::events::EventQueue;
use crate::sys::{InheritedFd, Poller, Timer, Waker};
use crate::sys::{Mutex, MutexGuard};
use crate::watch::{ReadOutcome, Watcher};

/// The descriptors that wake the host to run steps of one handle, or to take the handle's events.
pub(super) struct HostLoop {
    // The pollers are declared first, so that they are dropped before the descriptors that they poll.
    /// Readable if a step is due, or events wait for the host.
    all: Poller,
    /// Readable if a step is due.
    work: Poller,
    waker: Arc<Waker>,
    timer: Timer,
    notifier: Mutex<Notifier>,
}

/// The descriptor of the kernel's change notifications, as this handle polls it. All handles with the HOST runtime
/// share the descriptor.
#[derive(Default)]
struct Notifier {
    /// Kept open here, because a descriptor must not be closed while it is polled.
    descriptor: Option<Arc<OwnedFd>>,
    throttle: Throttle,
    is_paused: bool,
}

impl HostLoop {
    pub(super) fn new(events: &EventQueue) -> io::Result<Self> {
        let host_loop = Self {
            all: Poller::new()?,
            work: Poller::new()?,
            waker: Arc::new(Waker::new()?),
            timer: Timer::new()?,
            notifier: Mutex::default(),
        };
        host_loop.work.add(host_loop.waker.as_fd())?;
        host_loop.work.add(host_loop.timer.as_fd())?;
        host_loop.all.add(host_loop.work.as_fd())?;
        events.with_descriptor(|events| host_loop.all.add(events)).transpose()?;
        Ok(host_loop)
    }

    /// Returns the waker of the host.
    pub(super) fn waker(&self) -> &Arc<Waker> {
        &self.waker
    }

    /// Returns the descriptor that is readable if a step is due, or events wait for the host.
    pub(super) fn descriptor(&self) -> RawFd {
        self.all.as_raw_fd()
    }

    /// Returns the descriptor that is readable if a step is due.
    pub(super) fn work_descriptor(&self) -> RawFd {
        self.work.as_raw_fd()
    }

    /// Reads the kernel's notifications, and clears the wake-ups so far, before a step does all that is due.
    pub(super) fn begin(&self, watcher: &Watcher) {
        let mut notifier = self.notifier();
        let now = Instant::now();
        if notifier.throttle.until(now).is_none() && watcher.read() == ReadOutcome::Irrelevant {
            notifier.throttle.read_in_vain(now);
        }
        drop(notifier);
        self.waker.drain();
    }

    /// Makes the descriptor readable at `next`, and for notifications of the kernel.
    pub(super) fn end(&self, watcher: &Watcher, next: Option<Instant>) {
        let mut notifier = self.notifier();
        let now = Instant::now();
        notifier.listen_to(watcher.notifier(), &self.work);
        let paused_until = notifier.throttle.until(now);
        notifier.pause(paused_until.is_some(), &self.work);
        let next = [next, paused_until].into_iter().flatten().min();
        self.timer.set(next.map(|next| next.saturating_duration_since(now)));
    }

    /// Closes, in a forked child, the child's copies of the parent's descriptors. The descriptor of the kernel's
    /// notifications stays open, because the watcher closes it.
    pub(super) fn abandon(self) {
        InheritedFd::Poller.close(self.all.as_raw_fd());
        InheritedFd::Poller.close(self.work.as_raw_fd());
        InheritedFd::Event.close(self.waker.as_raw_fd());
        InheritedFd::Timer.close(self.timer.as_fd().as_raw_fd());
        // Prevent a second close by the destructors: the numbers may belong to other descriptors by then.
        std::mem::forget(self);
    }

    fn notifier(&self) -> MutexGuard<'_, Notifier> {
        self.notifier.lock()
    }
}

impl Notifier {
    /// Polls `now` instead of the earlier descriptor. If the kernel refuses `now`, periodic scans still find changes.
    fn listen_to(&mut self, now: Option<Arc<OwnedFd>>, poller: &Poller) {
        let same = |a: &Option<Arc<OwnedFd>>, b: &Option<Arc<OwnedFd>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        if same(&self.descriptor, &now) {
            return;
        }
        if let Some(before) = &self.descriptor {
            let _ = poller.remove(before.as_fd());
        }
        self.descriptor = now.filter(|descriptor| poller.add(descriptor.as_fd()).is_ok());
        self.is_paused = false;
    }

    /// Stops polling the descriptor, or starts again. During a pause of reading, unread notifications must not wake the
    /// host.
    fn pause(&mut self, pauses: bool, poller: &Poller) {
        if let Some(descriptor) = &self.descriptor
            && pauses != self.is_paused
        {
            let _ = poller.listen(descriptor.as_fd(), !pauses);
            self.is_paused = pauses;
        }
    }
}
