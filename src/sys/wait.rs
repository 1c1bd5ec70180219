//! Waits for several descriptors at a time.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::os::fd::RawFd;
use std::time::Duration;

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
