//! Keeps forks out of the middle of what a child could not go on from.
//!
//! A child has the locks of its parent, and not the threads that would let them go. Those of this library
//! are left behind as they are, with what they guard; those of the cryptography below it cannot be: a thread that draws random
//! numbers while the process is forked leaves a lock that the child waits for, for ever. And what is wiped
//! soon, the bytes of a key file, is never wiped in a child that was forked before.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Nobody waits longer than that: a host may hold locks of its own around a fork that whoever is inside
/// waits for.
const PATIENCE: Duration = Duration::from_secs(1);
/// From one look to the next while waiting. Forks and handshakes seldom meet, and are both slow.
const NAP: Duration = Duration::from_micros(50);

/// Threads that are inside.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// Threads that fork at this moment.
static FORKING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// How many times this thread is inside.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs `body`, and lets no other thread fork meanwhile. A fork of this very thread, in a callback on
/// the way, goes ahead.
pub(crate) fn without_fork<T>(body: impl FnOnce() -> T) -> T {
    let _inside = Inside::enter();
    body()
}

struct Inside;

impl Inside {
    fn enter() -> Self {
        watch_for_forks();
        if DEPTH.get() == 0 {
            let deadline = Instant::now() + PATIENCE;
            INSIDE.fetch_add(1, Ordering::SeqCst);
            while FORKING.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
                INSIDE.fetch_sub(1, Ordering::SeqCst);
                thread::sleep(NAP);
                INSIDE.fetch_add(1, Ordering::SeqCst);
            }
        }
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            INSIDE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn watch_for_forks() {
    // Not a Once: a child that was forked meanwhile would wait for it.
    static IS_WATCHING: AtomicBool = AtomicBool::new(false);
    if !IS_WATCHING.swap(true, Ordering::SeqCst) {
        // SAFETY: three functions that take nothing, give nothing back and do not unwind. The C library
        // forgets them when this one is unloaded. Where it has no memory for them forks are not waited
        // for, which is what a program without this has.
        unsafe { libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child)) };
    }
}

extern "C" fn before() {
    let deadline = Instant::now() + PATIENCE;
    FORKING.fetch_add(1, Ordering::SeqCst);
    while INSIDE.load(Ordering::SeqCst) > usize::from(DEPTH.get() > 0) && Instant::now() < deadline
    {
        thread::sleep(NAP);
    }
}

extern "C" fn after_in_parent() {
    FORKING.fetch_sub(1, Ordering::SeqCst);
}

extern "C" fn after_in_child() {
    // This thread is the only one.
    FORKING.store(0, Ordering::SeqCst);
    INSIDE.store(usize::from(DEPTH.get() > 0), Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Forks; the exit status of the child is whether `is_good` there.
    fn fork_and_see(is_good: impl FnOnce() -> bool) {
        // SAFETY: the child looks at atomics, and ends without running anything of the parent's.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(i32::from(!is_good()));
            }
            let mut status = -1;
            libc::waitpid(child, &raw mut status, 0);
            assert_eq!(status, 0);
        }
    }

    #[test]
    fn g11_a_fork_waits_for_others_and_not_for_itself() {
        static IS_DONE: AtomicBool = AtomicBool::new(false);
        let (entered, others_entered) = mpsc::channel();
        let other = thread::spawn(move || {
            without_fork(|| {
                entered.send(()).unwrap();
                thread::sleep(Duration::from_millis(100));
                IS_DONE.store(true, Ordering::SeqCst);
            });
        });
        others_entered.recv().unwrap();
        fork_and_see(|| IS_DONE.load(Ordering::SeqCst) && INSIDE.load(Ordering::SeqCst) == 0);
        other.join().unwrap();

        let started = Instant::now();
        without_fork(|| {
            without_fork(|| {
                fork_and_see(|| INSIDE.load(Ordering::SeqCst) == 1 && DEPTH.get() == 2);
            });
        });
        assert!(started.elapsed() < PATIENCE, "it waited for itself");
        assert_eq!(DEPTH.get(), 0);
    }
}
