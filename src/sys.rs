//! The few system calls that std lacks, each wrapped to be safe.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// Wakes a thread that waits; may be rung from a signal handler.
#[derive(Debug)]
pub(crate) struct Bell {
    // An eventfd: a counter, so any number of rings before the next wait are one.
    fd: OwnedFd,
}

impl Bell {
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
        // SAFETY: errno's address is this thread's own and always valid; the buffer is a live u64,
        // which is what an eventfd takes; the descriptor lives as long as self.
        unsafe {
            let errno = libc::__errno_location();
            let before = *errno;
            let one = 1_u64;
            libc::write(self.fd.as_raw_fd(), (&raw const one).cast(), size_of::<u64>());
            *errno = before;
        }
    }

    /// Waits until the bell was rung or the time is up; `None` waits for the bell alone.
    pub(crate) fn wait(&self, limit: Option<Duration>) {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // Rounded up, so that a deadline is never found to be a little in the future.
        let milliseconds = limit.map_or(-1, |limit| {
            i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        // SAFETY: one live pollfd; and the buffer is a live u64. An early return (EINTR) is no
        // harm, for the caller looks at what there is to do and waits again.
        unsafe {
            if libc::poll(&raw mut poll, 1, milliseconds) > 0 {
                let mut count = 0_u64;
                libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>());
            }
        }
    }
}

/// Runs `body` with every signal blocked on this thread, so that threads that it starts are born
/// with every signal blocked: the host's signals belong to the host's threads.
pub(crate) fn with_signals_blocked<T>(body: impl FnOnce() -> T) -> T {
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: a mask that pthread_sigmask filled in.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
        }
    }
    let mut before = MaybeUninit::uninit();
    let mut all = MaybeUninit::uninit();
    // SAFETY: sigfillset and pthread_sigmask initialise what they are given; with these arguments
    // they cannot fail (POSIX: only an invalid `how` can).
    let _restore = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        Restore(before.assume_init())
    };
    body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_rung_before_the_wait_is_not_missed() {
        let bell = Bell::new().unwrap();
        bell.ring();
        bell.ring();
        bell.wait(None);
    }

    #[test]
    fn ringing_keeps_errno() {
        let bell = Bell::new().unwrap();
        for _ in 0..3 {
            // SAFETY: this thread's errno.
            unsafe { *libc::__errno_location() = libc::ENOENT };
            bell.ring();
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOENT));
        }
    }
}
