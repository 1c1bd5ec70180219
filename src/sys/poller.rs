//! Several descriptors that are waited for as one.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// Readable when one of its descriptors is.
#[derive(Debug)]
pub(crate) struct Poller {
    fd: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was just opened and belongs to nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// From now on `descriptor` counts. It has to be taken out before it is closed.
    pub(crate) fn add(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor.as_raw_fd(), libc::EPOLLIN)
    }

    /// Lets a `descriptor` count that is among them, or be passed over for now.
    pub(crate) fn listen(&self, descriptor: BorrowedFd<'_>, listens: bool) -> io::Result<()> {
        let events = if listens { libc::EPOLLIN } else { 0 };
        self.control(libc::EPOLL_CTL_MOD, descriptor.as_raw_fd(), events)
    }

    /// `descriptor` counts no more.
    pub(crate) fn remove(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, descriptor.as_raw_fd(), 0)
    }

    fn control(&self, operation: i32, descriptor: RawFd, events: i32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: 0 };
        // SAFETY: a live epoll_event; the kernel checks the numbers.
        let result = unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), operation, descriptor, ptr::from_mut(&mut event))
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

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

/// Waits until one of `descriptors` is readable or the time is up, and tells which are; `None`
/// among them is never ready, and as a limit waits for them alone.
pub(crate) fn wait_readable<const N: usize>(
    descriptors: [Option<RawFd>; N],
    limit: Option<Duration>,
) -> [bool; N] {
    // poll(2) passes over what is negative.
    let mut polls = descriptors.map(|descriptor| libc::pollfd {
        fd: descriptor.unwrap_or(-1),
        events: libc::POLLIN,
        revents: 0,
    });
    // Rounded up, so that a deadline is never found to be a little in the future.
    let milliseconds = limit.map_or(-1, |limit| {
        i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    });
    // SAFETY: N live pollfds. An early return (EINTR) is no harm, for the caller looks at what
    // there is to do and waits again.
    let ready = unsafe { libc::poll(polls.as_mut_ptr(), N as libc::nfds_t, milliseconds) };
    polls.map(|poll| ready > 0 && poll.revents != 0)
}

#[cfg(test)]
mod tests {
    use super::super::waker::Waker;
    use super::*;

    #[test]
    fn one_of_them_is_all_of_them() {
        let (epoll, bells) =
            (Poller::new().unwrap(), [Waker::new().unwrap(), Waker::new().unwrap()]);
        for bell in &bells {
            epoll.add(bell.as_fd()).unwrap();
        }
        let is_ready = || wait_readable([Some(epoll.as_raw_fd())], Some(Duration::ZERO)) == [true];
        assert!(!is_ready());
        bells[1].ring();
        assert!(is_ready());
        epoll.listen(bells[1].as_fd(), false).unwrap();
        assert!(!is_ready());
        epoll.listen(bells[1].as_fd(), true).unwrap();
        assert!(is_ready(), "level-triggered");
        epoll.remove(bells[1].as_fd()).unwrap();
        assert!(!is_ready());
    }
}
