//! Clocks that wake whoever waits.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells when the wall clock is set, forward or back.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    // A timer that is never due: the kernel cancels it when the clock is set.
    fd: OwnedFd,
}

impl ClockWatch {
    pub(crate) fn new() -> io::Result<Self> {
        let watch = Self { fd: timer()? };
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
        set(&self.fd, NEVER);
    }
}

impl AsRawFd for ClockWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Becomes readable at a time that is set, and when the wall clock is.
#[derive(Debug)]
pub(crate) struct Timer {
    // By the wall clock, for such a timer the kernel cancels when that is set; whoever is woken sets the
    // alarm again, by the new one.
    fd: OwnedFd,
}

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { fd: timer()? })
    }

    /// Sets the alarm off in so long a time, or only when the clock is set. What it was set to before,
    /// and that it went off, is forgotten.
    pub(crate) fn set(&self, limit: Option<Duration>) {
        let at = || {
            let at = limit.and_then(|limit| SystemTime::now().checked_add(limit));
            let at = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            at.filter(|at| *at < NEVER).unwrap_or(NEVER)
        };
        // Perhaps the clock was set between when it was read here and now: once more, by the new one.
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

/// The year 4000: a time that the timer takes, and that does not come.
const NEVER: Duration = Duration::from_secs(64_060_588_800);

fn timer() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: no pointers; the result is checked before it is owned.
    let fd = unsafe { libc::timerfd_create(libc::CLOCK_REALTIME, flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just opened and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Done,
    /// Done too, but the clock was set since the timer was looked at last.
    CancelledBefore,
}

/// Sets a timer to a time since 1970.
fn set(timer: &OwnedFd, at: Duration) -> Setting {
    let value = libc::timespec {
        tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: at.subsec_nanos().into(),
    };
    let once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let setting = libc::itimerspec { it_interval: once, it_value: value };
    let flags = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
    // SAFETY: a live itimerspec, and no place for the old one. Should the kernel refuse, the clock is
    // looked at all the same, only later.
    let result = unsafe {
        libc::timerfd_settime(timer.as_raw_fd(), flags, &raw const setting, ptr::null_mut())
    };
    if result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ECANCELED) {
        Setting::CancelledBefore
    } else {
        Setting::Done
    }
}

#[cfg(test)]
mod tests {
    use super::super::poller::wait_readable;
    use super::*;

    #[test]
    fn an_alarm_goes_off_and_is_silent_when_it_is_set_again() {
        let alarm = Timer::new().unwrap();
        let goes_off = |limit| wait_readable([Some(alarm.fd.as_raw_fd())], limit) == [true];
        alarm.set(Some(Duration::ZERO));
        assert!(goes_off(None));
        assert!(goes_off(Some(Duration::ZERO)), "it goes on until it is set anew");
        alarm.set(Some(Duration::from_secs(3600)));
        assert!(!goes_off(Some(Duration::ZERO)));
        alarm.set(Some(Duration::from_millis(5)));
        assert!(goes_off(None));
        alarm.set(None);
        assert!(!goes_off(Some(Duration::ZERO)));
    }
}
