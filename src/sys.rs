//! The few system calls that std lacks, each wrapped to be safe.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
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

    /// Forgets the rings so far.
    pub(crate) fn hush(&self) {
        let mut count = 0_u64;
        // SAFETY: the buffer is a live u64; an eventfd that was not rung has nothing to read, and
        // does not block.
        unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Tells when the wall clock is set, forward or back.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    // A timer that is never due: the kernel cancels it when the clock is set.
    fd: OwnedFd,
}

impl ClockWatch {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_REALTIME, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was just opened and belongs to nobody else.
        let watch = Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } };
        watch.arm();
        Ok(watch)
    }

    /// Takes note that the clock was set, and waits for the next time.
    pub(crate) fn rearm(&self) {
        let mut count = 0_u64;
        // SAFETY: the buffer is a live u64; reading (which fails with ECANCELED) is what makes the
        // descriptor unreadable again, and does not block.
        unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
        self.arm();
    }

    fn arm(&self) {
        // The year 4000: a time that the timer takes, and that does not come.
        let never = libc::timespec { tv_sec: 64_060_588_800, tv_nsec: 0 };
        let once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = libc::itimerspec { it_interval: once, it_value: never };
        let flags = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
        // SAFETY: a live itimerspec, and no place for the old one. Should the kernel refuse, the
        // clock is looked at all the same, only later.
        unsafe {
            libc::timerfd_settime(self.fd.as_raw_fd(), flags, &raw const setting, ptr::null_mut());
        }
    }
}

impl AsRawFd for ClockWatch {
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

/// Whether `file` is on a file system of this machine, whose time stamps change with the file. Those
/// of network file systems are late, and those of layered and unknown ones may be.
pub(crate) fn is_on_local_file_system(file: &File) -> bool {
    // The numbers of linux/magic.h and of the file systems' own sources.
    const LOCAL: [i64; 9] = [
        0xef53,      // ext2, ext3, ext4
        0x5846_5342, // XFS
        0x9123_683e, // Btrfs
        0xf2f5_2010, // F2FS
        0x2fc1_2fc1, // ZFS
        0xca45_1a4e, // bcachefs
        0x0102_1994, // tmpfs
        0x8584_58f6, // ramfs
        0x7371_7368, // squashfs
    ];
    let mut about = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: an open descriptor and room for the answer, which is read only where there is one.
    let kind = unsafe {
        if libc::fstatfs(file.as_raw_fd(), about.as_mut_ptr()) != 0 {
            return false;
        }
        about.assume_init().f_type
    };
    LOCAL.contains(&kind)
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
        let is_rung = |limit| wait_readable([Some(bell.as_raw_fd()), None], limit) == [true, false];
        bell.ring();
        bell.ring();
        assert!(is_rung(None));
        bell.hush();
        assert!(!is_rung(Some(Duration::ZERO)));
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
