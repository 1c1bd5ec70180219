//! Closes, in a forked child, the copies of the library's descriptors that the child inherited and does not use.

#![allow(unsafe_code, reason = "one system call, which is argued for")]

use std::os::fd::RawFd;

use super::fork_delay::is_forked_outside_sections;

/// The kind of an inherited descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InheritedFd {
    Event,
    Timer,
    Poller,
    Notifications,
}

impl InheritedFd {
    /// Closes `descriptor` if it is still of this kind.
    ///
    /// In the child, the host may have closed all inherited descriptors. A file that it opened afterwards may have the
    /// same number, and must stay open. If there is no /proc to check that, the descriptor stays open, too. It also stays
    /// open if the fork did not wait until other threads had finished opening descriptors: then the number may be wrong.
    ///
    /// The caller must neither close nor use the number afterwards.
    pub(crate) fn close(self, descriptor: RawFd) {
        if !is_forked_outside_sections() {
            return;
        }
        let target = std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
        if target.is_ok_and(|target| target.as_os_str() == self.proc_name()) {
            // SAFETY: no pointers. /proc shows a descriptor of the kind that the library opened under this number. The
            // caller closes and uses it no more, so the number is not closed twice.
            unsafe { libc::close(descriptor) };
        }
    }

    /// Returns where the link `/proc/self/fd/N` of such a descriptor leads.
    fn proc_name(self) -> &'static str {
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
    use std::os::fd::{AsFd, AsRawFd, IntoRawFd};

    use super::super::test_fork::is_true_in_child;
    use super::super::waker::Waker;
    use super::*;

    #[test]
    fn close_of_another_kind_leaves_the_descriptor_open() {
        assert!(is_true_in_child(|| {
            let waker = Waker::new().unwrap();
            InheritedFd::Timer.close(waker.as_raw_fd());
            let (_read_end, write_end) = std::io::pipe().unwrap();
            InheritedFd::Event.close(write_end.as_raw_fd());
            waker.as_fd().try_clone_to_owned().is_ok()
                && write_end.as_fd().try_clone_to_owned().is_ok()
        }));
    }

    /// Runs in a forked child, where no other thread opens a file that gets the closed number.
    #[test]
    fn close_of_the_same_kind_closes_the_descriptor() {
        assert!(is_true_in_child(|| {
            let descriptor = Waker::new().unwrap().as_fd().try_clone_to_owned().unwrap();
            let descriptor = descriptor.into_raw_fd();
            let link = format!("/proc/self/fd/{descriptor}");
            let was_open = std::fs::read_link(&link).is_ok();
            InheritedFd::Event.close(descriptor);
            was_open && std::fs::read_link(&link).is_err()
        }));
    }
}
