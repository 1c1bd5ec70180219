//! Wakes a waiting thread, from any thread and from signal handlers.

#![allow(unsafe_code, reason = "the eventfd, and the one write that signal handlers make to it")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::fork_delay::without_fork;

/// A descriptor that becomes readable when a thread or a signal handler calls [`Self::wake`].
#[derive(Debug)]
pub(crate) struct Waker {
    // An eventfd is a counter, so any number of calls of `wake` before the next wait wake once.
    fd: OwnedFd,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        // Not by rustix, which calls syscall(2). ThreadSanitizer must see a call of eventfd(2). Then it knows that a
        // write to the descriptor happens before the read that follows, and reports no race.
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd =
            without_fork(|| unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) });
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is a descriptor that was just opened, and no other code owns it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Wakes the waiting thread. If no thread waits, the next wait returns at once.
    ///
    /// Async-signal-safe (G9): one `write(2)`, and `errno` is restored. The write fails only if the counter is at its
    /// maximum; then the descriptor is readable already.
    pub(crate) fn wake(&self) {
        wake_descriptor(self.fd.as_raw_fd());
    }

    /// Forgets all calls of [`Self::wake`] so far: the descriptor is unreadable until the next call.
    pub(crate) fn drain(&self) {
        // The read does not block. It fails if there was no call, and then there is nothing to forget.
        let _ = rustix::io::read(&self.fd, &mut [0_u8; size_of::<u64>()]);
    }
}

/// Does what [`Waker::wake`] does, for code that has only the number of the descriptor. Ignores a negative number.
///
/// Calls libc's `write` and not that of rustix, because `errno` must be restored afterwards. `tests/signal_safety`
/// checks in the machine code that signal handlers call no other function.
pub(crate) fn wake_descriptor(descriptor: RawFd) {
    let one = 1_u64;
    // SAFETY: the address of this thread's errno is always valid. The buffer is a live u64, which is what an eventfd
    // takes. If the descriptor is not open, the kernel returns an error.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
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
    use std::fs::File;
    use std::time::Duration;

    use super::super::poller::wait_readable;
    use super::*;

    #[test]
    fn waker_called_before_the_wait_wakes_once() {
        let waker = Waker::new().unwrap();
        let is_readable =
            |limit| wait_readable([Some(waker.as_raw_fd()), None], limit) == [true, false];
        waker.wake();
        waker.wake();
        assert!(is_readable(None));
        waker.drain();
        assert!(!is_readable(Some(Duration::ZERO)));
        waker.drain();
    }

    #[test]
    fn g9_wake_keeps_errno_even_if_its_write_fails() {
        let waker = Waker::new().unwrap();
        File::open("/no/such/file").unwrap_err();
        for descriptor in [waker.as_raw_fd(), -1] {
            wake_descriptor(descriptor);
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOENT));
        }
    }
}
