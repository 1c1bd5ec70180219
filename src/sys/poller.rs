//! Waits for several descriptors at once, by `poll(2)`, and combines several into one that a host can poll, by
//! `epoll(7)`.

#![allow(unsafe_code, reason = "one system call, which is argued for")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::fork_delay::without_fork;

/// A descriptor (an epoll instance) that is readable while any of the descriptors that were added to it is readable.
#[derive(Debug)]
pub(crate) struct Poller {
    fd: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { fd: without_fork(|| epoll::create(CreateFlags::CLOEXEC))? })
    }

    /// Adds `descriptor` to the set. It must be removed before it is closed.
    pub(crate) fn add(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::add(&self.fd, descriptor, NO_DATA, EventFlags::IN)?)
    }

    /// Considers a `descriptor` of the set if `listens`. Otherwise ignores it, until the next call for it.
    pub(crate) fn listen(&self, descriptor: BorrowedFd<'_>, listens: bool) -> io::Result<()> {
        let events = if listens { EventFlags::IN } else { EventFlags::empty() };
        Ok(epoll::modify(&self.fd, descriptor, NO_DATA, events)?)
    }

    /// Removes `descriptor` from the set.
    pub(crate) fn remove(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.fd, descriptor)?)
    }
}

/// The data that `epoll_wait(2)` would return for a readable descriptor. The library never calls that function: a
/// thread that polls the set only needs to know that some descriptor is readable.
const NO_DATA: EventData = EventData::new_u64(0);

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Poller {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Blocks until one of `descriptors` is readable, `limit` has passed, or a signal handler ran. Returns which of the
/// descriptors are readable.
///
/// A descriptor `None` is never readable. A limit `None` waits for the descriptors alone.
///
/// Calls libc's `poll`, because `rustix::event::poll` has no way to leave out a descriptor. It also takes only borrowed
/// descriptors, which a caller does not have if another module owns the descriptor.
pub(crate) fn wait_readable<const N: usize>(
    descriptors: [Option<RawFd>; N],
    limit: Option<Duration>,
) -> [bool; N] {
    // poll(2) ignores negative descriptors.
    let mut polls = descriptors.map(|descriptor| libc::pollfd {
        fd: descriptor.unwrap_or(-1),
        events: libc::POLLIN,
        revents: 0,
    });
    // Rounded up, because a wait that ends before the deadline would be followed by further waits of 0 ms.
    let milliseconds = limit.map_or(-1, |limit| {
        i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    });
    // SAFETY: `polls` is a live array of N pollfds. For a descriptor that is not open the kernel sets POLLNVAL, so it
    // is returned as readable. After a signal (EINTR) none is: the callers check what is due, and wait again.
    let ready = unsafe { libc::poll(polls.as_mut_ptr(), N as libc::nfds_t, milliseconds) };
    polls.map(|poll| ready > 0 && poll.revents != 0)
}

#[cfg(test)]
mod tests {
    use super::super::waker::Waker;
    use super::*;

    #[test]
    fn poller_is_readable_while_one_of_its_descriptors_is() {
        let (poller, wakers) =
            (Poller::new().unwrap(), [Waker::new().unwrap(), Waker::new().unwrap()]);
        for waker in &wakers {
            poller.add(waker.as_fd()).unwrap();
        }
        let is_ready = || wait_readable([Some(poller.as_raw_fd())], Some(Duration::ZERO)) == [true];
        assert!(!is_ready());
        wakers[1].wake();
        assert!(is_ready());
        poller.listen(wakers[1].as_fd(), false).unwrap();
        assert!(!is_ready());
        poller.listen(wakers[1].as_fd(), true).unwrap();
        assert!(is_ready(), "level-triggered");
        poller.remove(wakers[1].as_fd()).unwrap();
        assert!(!is_ready());
    }
}
