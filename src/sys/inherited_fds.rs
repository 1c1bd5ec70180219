//! Closes descriptors that a forked child inherited and does not use.

#![allow(unsafe_code, reason = "one system call, which is argued for")]

use std::os::fd::RawFd;

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
    /// The host may have closed the inherited descriptor in the child and opened another file, which then has the same
    /// number. If there is no /proc to check that, the descriptor stays open.
    ///
    /// The caller must neither close nor use the number afterwards.
    pub(crate) fn close(self, descriptor: RawFd) {
        let target = std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
        if target.is_ok_and(|target| target.as_os_str() == self.proc_name()) {
            // SAFETY: no pointers. As far as /proc shows, the library opened the descriptor; its owner in the library
            // is given up by the caller.
            unsafe { libc::close(descriptor) };
        }
    }

    /// The target of the descriptor's link in /proc.
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
        let waker = Waker::new().unwrap();
        InheritedFd::Timer.close(waker.as_raw_fd());
        waker.as_fd().try_clone_to_owned().unwrap();

        // If this closed the pipe, another test could reuse the number. So check that the pipe still transports bytes.
        let (mut read_end, write_end) = std::io::pipe().unwrap();
        InheritedFd::Event.close(write_end.as_raw_fd());
        std::io::Write::write_all(&mut &write_end, b"open").unwrap();
        drop(write_end);
        assert_eq!(std::io::read_to_string(&mut read_end).unwrap(), "open");
    }

    /// In a child, because there no other thread reuses the number.
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
