//! What wakes a host that does the work itself: one descriptor for requests, times and files.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::throttle::Throttle;
use crate::events::EventQueue;
use crate::sys::{InheritedFd, Poller, Timer, Waker};
use crate::watch::{ReadOutcome, Watcher};

/// One for each handle.
pub(super) struct HostLoop {
    // Dropped first, before what they listen to.
    /// Ready when there is work, or events for the host.
    all: Poller,
    /// Ready when there is work.
    work: Poller,
    bell: Arc<Waker>,
    alarm: Timer,
    notifier: Mutex<Notifier>,
}

/// The kernel's notifications, which all handles of hosts share.
#[derive(Default)]
struct Notifier {
    /// A descriptor of our own for it, so that nobody else closes what is listened to.
    descriptor: Option<Arc<OwnedFd>>,
    rest: Throttle,
    is_resting: bool,
}

impl HostLoop {
    pub(super) fn new(events: &EventQueue) -> io::Result<Self> {
        let host_loop = Self {
            all: Poller::new()?,
            work: Poller::new()?,
            bell: Arc::new(Waker::new()?),
            alarm: Timer::new()?,
            notifier: Mutex::default(),
        };
        host_loop.work.add(host_loop.bell.as_fd())?;
        host_loop.work.add(host_loop.alarm.as_fd())?;
        host_loop.all.add(host_loop.work.as_fd())?;
        events.with_bell(|bell| host_loop.all.add(bell)).transpose()?;
        Ok(host_loop)
    }

    /// Rung, it makes the host dispatch.
    pub(super) fn bell(&self) -> &Arc<Waker> {
        &self.bell
    }

    /// Readable when there is something to do or to take.
    pub(super) fn descriptor(&self) -> RawFd {
        self.all.as_raw_fd()
    }

    /// Readable when there is something to do, whatever waits for the host.
    pub(super) fn work_descriptor(&self) -> RawFd {
        self.work.as_raw_fd()
    }

    /// Takes what the kernel tells, and forgets the rings so far: all there is to do is looked for next.
    pub(super) fn begin(&self, watcher: &Watcher) {
        let mut notifier = self.notifier();
        let now = Instant::now();
        if notifier.rest.until(now).is_none() && watcher.read() == ReadOutcome::ForNobody {
            notifier.rest.read_for_nobody(now);
        }
        drop(notifier);
        self.bell.hush();
    }

    /// Wakes the host at `next`, or when the kernel tells of something.
    pub(super) fn end(&self, watcher: &Watcher, next: Option<Instant>) {
        let mut notifier = self.notifier();
        let now = Instant::now();
        notifier.listen_to(watcher.notifier(), &self.work);
        let rest_until = notifier.rest.until(now);
        notifier.rest(rest_until.is_some(), &self.work);
        let next = [next, rest_until].into_iter().flatten().min();
        self.alarm.set(next.map(|next| next.saturating_duration_since(now)));
    }

    /// In a child that was forked: closes the child's descriptors for what the parent goes on with; but
    /// for the notifier, which is the watcher's.
    pub(super) fn abandon(self) {
        InheritedFd::Poller.close(self.all.as_raw_fd());
        InheritedFd::Poller.close(self.work.as_raw_fd());
        InheritedFd::Event.close(self.bell.as_raw_fd());
        InheritedFd::Timer.close(self.alarm.as_fd().as_raw_fd());
        // Nobody closes the numbers again.
        std::mem::forget(self);
    }

    fn notifier(&self) -> MutexGuard<'_, Notifier> {
        self.notifier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notifier {
    /// Puts `now` in the place of the descriptor before. What the kernel refuses the poll makes up for.
    fn listen_to(&mut self, now: Option<Arc<OwnedFd>>, epoll: &Poller) {
        let same = |a: &Option<Arc<OwnedFd>>, b: &Option<Arc<OwnedFd>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        if same(&self.descriptor, &now) {
            return;
        }
        if let Some(before) = &self.descriptor {
            let _ = epoll.remove(before.as_fd());
        }
        self.descriptor = now.filter(|descriptor| epoll.add(descriptor.as_fd()).is_ok());
        self.is_resting = false;
    }

    fn rest(&mut self, rests: bool, epoll: &Poller) {
        if let Some(descriptor) = &self.descriptor
            && rests != self.is_resting
        {
            let _ = epoll.listen(descriptor.as_fd(), !rests);
            self.is_resting = rests;
        }
    }
}
