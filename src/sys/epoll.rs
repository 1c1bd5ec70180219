//! Several descriptors that are waited for as one.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Readable when one of its descriptors is.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
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

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sys::{Bell, wait_readable};

    #[test]
    fn one_of_them_is_all_of_them() {
        let (epoll, bells) = (Epoll::new().unwrap(), [Bell::new().unwrap(), Bell::new().unwrap()]);
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
