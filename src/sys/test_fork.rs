//! Runs a part of a test in a forked child.

#![allow(unsafe_code, reason = "fork; each block is argued for")]

use rustix::process::{Pid, WaitOptions, waitpid};

/// Forks, and returns whether `body` returns true in the child. The child then ends.
///
/// The child has only the calling thread: `body` must not take a lock that another thread of the test may hold.
pub(crate) fn is_true_in_child(body: impl FnOnce() -> bool) -> bool {
    // Installs the fork handlers, as the load of every handle does.
    super::fork_delay::without_fork(|| {});
    // SAFETY: the child runs `body`, which follows the rule above, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let status = i32::from(!body());
        // SAFETY: no pointers. Ends the child without running exit handlers, which belong to the parent.
        unsafe { libc::_exit(status) };
    }
    let child = Pid::from_raw(child).expect("fork failed");
    let (_, status) = waitpid(Some(child), WaitOptions::empty()).unwrap().unwrap();
    status.exit_status() == Some(0)
}
