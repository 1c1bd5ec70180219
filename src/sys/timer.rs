//! Timers that follow the wall clock, and report that the clock was set.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// A descriptor that becomes readable when the wall clock is set, forward or back.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    // A timer that never expires: the kernel cancels it when the clock is set.
    fd: OwnedFd,
}

impl ClockWatch {
    pub(crate) fn new() -> io::Result<Self> {
        let watch = Self { fd: create()? };
        watch.arm();
        Ok(watch)
    }

    /// Makes the descriptor unreadable until the clock is set again.
    pub(crate) fn rearm(&self) {
        // The read makes the descriptor unreadable. It fails with ECANCELED, and does not block.
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

/// A descriptor that becomes readable at a time that is set, and when the wall clock is set.
#[derive(Debug)]
pub(crate) struct Timer {
    // A timer of the wall clock, because only such a timer is cancelled when that clock is set. The thread that wakes
    // sets the timer again, by the new clock.
    fd: OwnedFd,
}

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { fd: create()? })
    }

    /// Arms the timer to expire after `limit`, or, for `None`, only when the wall clock is set. Replaces the
    /// earlier setting, and makes the descriptor unreadable if the timer has expired.
    pub(crate) fn set(&self, limit: Option<Duration>) {
        let at = || {
            let at = limit.and_then(|limit| SystemTime::now().checked_add(limit));
            let at = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            at.filter(|at| *at < NEVER).unwrap_or(NEVER)
        };
        // If the clock was set after it was read here, the expiry is wrong: compute it again by the new clock.
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

/// The year 4000: the kernel accepts this time, and it is never reached.
const NEVER: Duration = Duration::from_secs(64_060_588_800);

fn create() -> io::Result<OwnedFd> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    Ok(timerfd_create(TimerfdClockId::Realtime, flags)?)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Done,
    /// The timer is set, but the clock was set since the timer was last set or read.
    CancelledBefore,
}

/// Sets a timer to expire once, at a time since 1970, or when the system's clock is set.
fn set(timer: &OwnedFd, at: Duration) -> Setting {
    set_with(timer, at, TimerfdTimerFlags::CANCEL_ON_SET)
}

fn set_with(timer: &OwnedFd, at: Duration, cancel: TimerfdTimerFlags) -> Setting {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let expiry = Timespec::try_from(at).unwrap_or(Timespec { tv_sec: i64::MAX, ..zero });
    let value = Itimerspec { it_interval: zero, it_value: expiry };
    match timerfd_settime(timer, TimerfdTimerFlags::ABSTIME | cancel, &value) {
        Err(Errno::CANCELED) => Setting::CancelledBefore,
        // A kernel without CANCEL_ON_SET, such as gVisor's, still gets the expiry. It reports no set clock, and the
        // next poll notices it.
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

    /// A flag that this kernel does not know has the effect of `CANCEL_ON_SET` on one that lacks that flag.
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
