//! Blocks signals on the library's threads, so that the host's threads handle them.

#![allow(unsafe_code, reason = "calls of libc; each block is argued for")]

use std::mem::MaybeUninit;
use std::ptr;

/// Runs `body` with all signals blocked on this thread.
///
/// A thread that `body` starts inherits the mask, so it never runs the host's signal handlers (G10). Blocking
/// signals on the new thread itself would leave a moment in which it runs them.
pub(crate) fn with_signals_blocked<T>(body: impl FnOnce() -> T) -> T {
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: `self.0` is a valid mask: the earlier call of pthread_sigmask wrote it.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
        }
    }
    let mut before = MaybeUninit::uninit();
    let mut all = MaybeUninit::uninit();
    // SAFETY: sigfillset and pthread_sigmask write the sets that they are given. They fail only for an invalid signal
    // number or `how` (POSIX), and neither is passed.
    let _restore = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        Restore(before.assume_init())
    };
    body()
}
