//! Wakes whoever waits, from any thread and from signal handlers.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Wakes a thread that waits; may be rung from a signal handler.
#[derive(Debug)]
pub(crate) struct Waker {
    // An eventfd: a counter, so any number of rings before the next wait are one.
    fd: OwnedFd,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was just opened and belongs to nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Lets the waiting thread go, or the next wait return at once.
    ///
    /// Async-signal-safe: one `write(2)`, and `errno` is put back. The only way that the write can
    /// fail is a counter that is full, and then the bell rings already.
    pub(crate) fn ring(&self) {
        ring(self.fd.as_raw_fd());
    }

    /// Forgets the rings so far.
    pub(crate) fn hush(&self) {
        let mut count = 0_u64;
        // SAFETY: the buffer is a live u64; an eventfd that was not rung has nothing to read, and
        // does not block.
        unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

/// Rings a bell of which nothing but the descriptor's number is at hand; see [`Waker::ring`]. A number
/// below 0 is no bell.
pub(crate) fn ring(descriptor: RawFd) {
    // SAFETY: errno's address is this thread's own and always valid; the buffer is a live u64, which is
    // what an eventfd takes; a descriptor that is none is the kernel's to refuse.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let one = 1_u64;
        libc::write(descriptor, (&raw const one).cast(), size_of::<u64>());
        *errno = before;
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::poller::wait_readable;
    use super::*;

    #[test]
    fn a_bell_rung_before_the_wait_is_not_missed() {
        let bell = Waker::new().unwrap();
        let is_rung = |limit| wait_readable([Some(bell.as_raw_fd()), None], limit) == [true, false];
        bell.ring();
        bell.ring();
        assert!(is_rung(None));
        bell.hush();
        assert!(!is_rung(Some(Duration::ZERO)));
    }

    #[test]
    fn ringing_keeps_errno() {
        let bell = Waker::new().unwrap();
        for _ in 0..3 {
            // SAFETY: this thread's errno.
            unsafe { *libc::__errno_location() = libc::ENOENT };
            bell.ring();
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOENT));
        }
    }
}
