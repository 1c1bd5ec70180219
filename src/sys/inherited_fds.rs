//! Descriptors that a forked child has of its parent, and has no use for.

#![allow(unsafe_code, reason = "a system call, which argues for itself")]

use std::os::fd::RawFd;

/// What a descriptor leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InheritedFd {
    Event,
    Timer,
    Poller,
    Notifications,
}

impl InheritedFd {
    /// Closes the descriptor, where the number still leads to such a thing: a host may have closed it
    /// in the child and opened something of its own, which has the number since. Where that cannot be
    /// told, for there is no /proc, it stays open.
    ///
    /// Whatever in this process has it for its own must not close it again, nor make use of it.
    pub(crate) fn close(self, descriptor: RawFd) {
        let leads_to = std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
        if leads_to.is_ok_and(|leads_to| leads_to.as_os_str() == self.name()) {
            // SAFETY: no pointers; the number is of what the library opened, as far as can be told.
            unsafe { libc::close(descriptor) };
        }
    }

    /// As /proc calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Event => "anon_inode:[eventfd]",
            Self::Timer => "anon_inode:[timerfd]",
            Self::Poller => "anon_inode:[eventpoll]",
            Self::Notifications => "anon_inode:inotify",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;
    use std::os::fd::{AsFd, AsRawFd, IntoRawFd};

    use super::super::waker::Waker;
    use super::*;

    #[test]
    fn what_has_the_number_of_a_bell_and_is_none_stays_open() {
        let bell = Waker::new().unwrap();
        InheritedFd::Timer.close(bell.as_raw_fd());
        bell.as_fd().try_clone_to_owned().unwrap();

        // The number may be another test's as soon as it is closed, so the end of the file tells.
        let (mut read_end, write_end) = std::io::pipe().unwrap();
        InheritedFd::Event.close(write_end.as_raw_fd());
        std::io::Write::write_all(&mut &write_end, b"open").unwrap();
        drop(write_end);
        assert_eq!(std::io::read_to_string(&mut read_end).unwrap(), "open");
    }

    #[test]
    fn what_is_still_a_bell_is_closed() {
        // SAFETY: the child makes system calls and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let descriptor = Waker::new().unwrap().as_fd().try_clone_to_owned().unwrap();
            let descriptor = descriptor.into_raw_fd();
            InheritedFd::Event.close(descriptor);
            // SAFETY: a number; and the end of the child.
            unsafe {
                let is_closed = libc::fcntl(descriptor, libc::F_GETFD) == -1
                    && Error::last_os_error().raw_os_error() == Some(libc::EBADF);
                libc::_exit(i32::from(!is_closed));
            }
        }
        let mut status = -1;
        // SAFETY: our own child, and a live int.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0);
    }
}
