//! Delays a fork while another thread does what a child could not finish.
//!
//! A child inherits its parent's locks, but not the threads that would release them. It abandons the locks of this
//! library together with what they guard. It cannot abandon the locks of the cryptography library: if the process forks
//! while a thread draws random numbers, the child waits for ever when it draws some itself (G11). Secrets are a second
//! reason: the bytes of a key file, which are wiped soon after they are read, would stay in the child for ever (G18).

#![allow(unsafe_code, reason = "one call of libc, which is argued for")]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::scope::Scope;

/// The longest time that a fork waits for sections, or a section for forks. Longer would risk a deadlock: a
/// host may fork while it holds a lock that a thread inside a section waits for.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The time between two checks while waiting. A lock and a condition variable are no choice, because a fork leaves them
/// locked in the child. Forks and sections seldom meet, and both take longer than this.
const CHECK_INTERVAL: Duration = Duration::from_micros(50);

/// The number of threads inside [`without_fork`].
static SECTIONS: AtomicUsize = AtomicUsize::new(0);
/// The number of threads that are forking.
static FORKING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// How many calls of [`without_fork`] this thread is inside.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `body`, and makes forks by other threads wait until it returns.
///
/// A fork by this thread, in a callback of the host's that `body` calls, does not wait.
pub(crate) fn without_fork<T>(body: impl FnOnce() -> T) -> T {
    let _section = Section::enter();
    body()
}

struct Section {
    scope: Scope,
}

impl Section {
    fn enter() -> Self {
        install_fork_handlers();
        let scope = Scope::enter(&DEPTH);
        if scope.is_outermost() {
            let deadline = Instant::now() + MAX_WAIT;
            SECTIONS.fetch_add(1, Ordering::SeqCst);
            // The section is announced before FORKING is read, and a fork is announced before SECTIONS is read: of two
            // that begin at once, at least one sees the other. If both do, the section steps back.
            while FORKING.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
                SECTIONS.fetch_sub(1, Ordering::SeqCst);
                thread::sleep(CHECK_INTERVAL);
                SECTIONS.fetch_add(1, Ordering::SeqCst);
            }
        }
        Self { scope }
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        if self.scope.is_outermost() {
            SECTIONS.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn install_fork_handlers() {
    // Not a Once: if a process forks while another thread is inside the Once, the child waits for ever.
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
    if !IS_INSTALLED.swap(true, Ordering::SeqCst) {
        // SAFETY: three functions that take and return nothing and do not unwind. The C library removes them when
        // this library is unloaded. If it has no memory for them, forks do not wait, as in a program without them.
        unsafe { libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child)) };
    }
}

/// The number of sections that this thread counts for.
fn own_sections() -> usize {
    usize::from(DEPTH.get() > 0)
}

extern "C" fn before() {
    let deadline = Instant::now() + MAX_WAIT;
    FORKING.fetch_add(1, Ordering::SeqCst);
    while SECTIONS.load(Ordering::SeqCst) > own_sections() && Instant::now() < deadline {
        thread::sleep(CHECK_INTERVAL);
    }
}

extern "C" fn after_in_parent() {
    FORKING.fetch_sub(1, Ordering::SeqCst);
}

extern "C" fn after_in_child() {
    // The forking thread is the only one in the child.
    FORKING.store(0, Ordering::SeqCst);
    SECTIONS.store(own_sections(), Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::test_fork::is_true_in_child;
    use super::*;

    #[test]
    fn g11_fork_waits_for_sections_of_other_threads_and_not_for_its_own() {
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
        let no_section = || SECTIONS.load(Ordering::SeqCst) == 0;
        assert!(is_true_in_child(|| IS_DONE.load(Ordering::SeqCst) && no_section()));
        other.join().unwrap();

        let started = Instant::now();
        without_fork(|| {
            without_fork(|| {
                let own_section = || SECTIONS.load(Ordering::SeqCst) == 1 && DEPTH.get() == 2;
                assert!(is_true_in_child(own_section));
            });
        });
        assert!(started.elapsed() < MAX_WAIT, "the fork waited for its own thread");
        assert_eq!(DEPTH.get(), 0);
    }
}
