//! Wakes a thread at a given time, and when the system clock is set.
//!
//! Some deadlines come from dates in certificates. If the clock is set, they are due sooner or later than the thread
//! expected when it began to wait.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::fork_delay::without_fork;

/// A descriptor that becomes readable when the system clock is set, forward or back.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    // A timer that never expires. When the clock is set, the kernel cancels the timer, which makes it readable.
    fd: OwnedFd,
}

impl ClockWatch {
    pub(crate) fn new() -> io::Result<Self> {
        let watch = Self { fd: create()? };
        watch.arm();
        Ok(watch)
    }

    /// Ends the readiness of the descriptor, so that `poll` reports it only when the clock is set again.
    pub(crate) fn rearm(&self) {
        // After the clock was set, the read fails with ECANCELED, and `poll` no longer reports the descriptor. The read
        // does not block, because the descriptor is non-blocking.
        let _ = rustix::io::read(&self.fd, &mut [0_u8; size_of::<u64>()]);
        self.arm();
    }

    fn arm(&self) {
        set(&self.fd, NEVER);
    }
}

impl AsRawFd for ClockWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// A descriptor that becomes readable when its time has come, or the system clock is set.
#[derive(Debug)]
pub(crate) struct Timer {
    // A timer by the system clock and not by the monotonic one, because only the former is cancelled when the system
    // clock is set. The thread that wakes then sets the timer again, by the new time.
    fd: OwnedFd,
}

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { fd: create()? })
    }

    /// Makes the descriptor readable after `limit`, or, for `None`, only when the system clock is set. Replaces the
    /// earlier setting, and makes the descriptor unreadable until then.
    pub(crate) fn set(&self, limit: Option<Duration>) {
        let at = || {
            let at = limit.and_then(|limit| SystemTime::now().checked_add(limit));
            let at = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            at.filter(|at| *at < NEVER).unwrap_or(NEVER)
        };
        // If the system clock was set after `at` read it, the expiry is wrong. Compute it again by the new time.
        if set(&self.fd, at()) == Setting::CancelledBefore {
            set(&self.fd, at());
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// An expiry that is never reached: the year 4000, which the kernel accepts.
const NEVER: Duration = Duration::from_secs(64_060_588_800);

fn create() -> io::Result<OwnedFd> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    Ok(without_fork(|| timerfd_create(TimerfdClockId::Realtime, flags))?)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Done,
    /// The timer is set. Before that, the system clock was changed, after the timer was last set or read.
    CancelledBefore,
}

/// Sets a timer to expire once: `at` after the start of 1970, or when the system clock is set.
fn set(timer: &OwnedFd, at: Duration) -> Setting {
    set_with(timer, at, TimerfdTimerFlags::CANCEL_ON_SET)
}

fn set_with(timer: &OwnedFd, at: Duration, cancel: TimerfdTimerFlags) -> Setting {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let expiry = Timespec::try_from(at).unwrap_or(Timespec { tv_sec: i64::MAX, ..zero });
    let value = Itimerspec { it_interval: zero, it_value: expiry };
    match timerfd_settime(timer, TimerfdTimerFlags::ABSTIME | cancel, &value) {
        Err(Errno::CANCELED) => Setting::CancelledBefore,
        // A kernel without CANCEL_ON_SET, such as gVisor's, refuses the flag. Without the flag the timer expires in
        // time, but does not report that the clock is set. The next poll then notices that a date has passed.
        Err(Errno::INVAL) => {
            let _ = timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &value);
            Setting::Done
        }
        _ => Setting::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::super::poller::wait_readable;
    use super::*;

    /// Passes a flag that no kernel knows. The kernel refuses it, as a kernel without `CANCEL_ON_SET` refuses that one.
    #[test]
    fn timer_expires_on_a_kernel_without_cancel_on_set() {
        let fd = create().unwrap();
        let unknown = TimerfdTimerFlags::from_bits_retain(1 << 20);
        assert_eq!(set_with(&fd, Duration::from_secs(1), unknown), Setting::Done);
        assert_eq!(wait_readable([Some(fd.as_raw_fd())], Some(Duration::from_secs(60))), [true]);
    }

    #[test]
    fn timer_is_readable_from_its_expiry_until_it_is_set_again() {
        let timer = Timer::new().unwrap();
        let is_readable = |limit| wait_readable([Some(timer.fd.as_raw_fd())], limit) == [true];
        timer.set(Some(Duration::ZERO));
        assert!(is_readable(None));
        assert!(is_readable(Some(Duration::ZERO)), "readable until it is set again");
        timer.set(Some(Duration::from_secs(3600)));
        assert!(!is_readable(Some(Duration::ZERO)));
        timer.set(Some(Duration::from_millis(5)));
        assert!(is_readable(None));
        timer.set(None);
        assert!(!is_readable(Some(Duration::ZERO)));
    }
}
