//! Keeps the host's signals away from threads that are not its own.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::mem::MaybeUninit;
use std::ptr;

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
