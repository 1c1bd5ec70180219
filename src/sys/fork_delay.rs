//! Delays a fork while another thread uses the cryptography library or has secrets in memory that it will wipe.
//!
//! - **Locks.** A child inherits its parent's locks, but not the threads that would release them. The child abandons
//!   the locks of this library together with the data behind them. It cannot abandon those of the cryptography library.
//!   If a thread drew random numbers at the time of the fork, the child waits for ever when it draws some itself (G11).
//! - **Secrets.** The bytes of a key file are wiped soon after they are read. A fork in between would leave a copy in
//!   the child for ever (G18).
//! - **Descriptors.** A fork copies the table of descriptors first and the memory later, while the other threads continue.
//!   If a descriptor is opened in between, its number may be in the child's memory, but the child has no such
//!   descriptor. If the child closed that number, it could close a file that it has opened itself.
//!
//! The time that a thread spends in [`without_fork`] is called a *section* here. A fork waits, for [`MAX_WAIT`] at
//! most, until no other thread is inside a section.

#![allow(unsafe_code, reason = "one call of libc, which is argued for")]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::nesting_depth::Scope;
use super::process_number::{ProcessNumber, ProcessNumberCell};

/// The longest time that a fork waits for sections, or a section for forks. Then it begins all the same, because the
/// wait may be a deadlock: a host may fork while it holds a lock that a thread inside a section waits for.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The time between two checks while a fork or a section waits. A condition variable cannot replace the checks, because
/// a fork would leave its lock held in the child. Forks and sections seldom meet, and both take longer than this.
const CHECK_INTERVAL: Duration = Duration::from_micros(50);

/// The number of threads inside a section.
static SECTIONS: AtomicUsize = AtomicUsize::new(0);
/// The number of threads that are inside `fork(2)`, or wait to begin.
static FORKING: AtomicUsize = AtomicUsize::new(0);
/// This process, if it is a child whose fork waited for the sections of other threads.
static FORKED_OUTSIDE_SECTIONS: ProcessNumberCell = ProcessNumberCell::new();

thread_local! {
    /// The number of sections that this thread is inside, one within another.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Whether the fork that this thread is about to make has waited until no other thread was inside a section.
    static HAS_WAITED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body`, and makes forks by other threads wait until it returns.
///
/// If `body` calls a callback of the host's, which forks on this thread, that fork does not wait for `body`.
pub(crate) fn without_fork<T>(body: impl FnOnce() -> T) -> T {
    let _section = Section::enter();
    body()
}

/// Returns whether this process is a child whose fork waited for the sections of other threads. So the child has every
/// descriptor whose number it finds in memory, unless the fork itself took longer than [`MAX_WAIT`]. This is not known
/// of a child that was made without `fork(3)`, because no handler ran.
pub(super) fn is_forked_outside_sections() -> bool {
    FORKED_OUTSIDE_SECTIONS.is_now()
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
            // A section adds itself to SECTIONS before it reads FORKING. A fork adds itself to FORKING before it reads
            // SECTIONS. So if both begin at once, at least one sees the other. If both do, the fork comes first.
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
    // Not a `std::sync::Once`: if a process forks while another thread is inside it, the child waits for ever.
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
    if !IS_INSTALLED.swap(true, Ordering::SeqCst) {
        // SAFETY: the three functions take and return nothing, and do not unwind. The C library removes them when this
        // library is unloaded. If the C library has no memory to register them, forks do not wait for sections.
        unsafe { libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child)) };
    }
}

/// Returns by how much this thread has raised SECTIONS: 1 if it is inside a section.
fn own_sections() -> usize {
    usize::from(DEPTH.get() > 0)
}

extern "C" fn before() {
    let deadline = Instant::now() + MAX_WAIT;
    FORKING.fetch_add(1, Ordering::SeqCst);
    // Sections that begin now wait, but are counted for a moment. So only one read of the number decides.
    let mut has_waited = SECTIONS.load(Ordering::SeqCst) <= own_sections();
    while !has_waited && Instant::now() < deadline {
        thread::sleep(CHECK_INTERVAL);
        has_waited = SECTIONS.load(Ordering::SeqCst) <= own_sections();
    }
    HAS_WAITED.set(has_waited);
}

extern "C" fn after_in_parent() {
    FORKING.fetch_sub(1, Ordering::SeqCst);
}

extern "C" fn after_in_child() {
    // The forking thread is the only one in the child.
    FORKING.store(0, Ordering::SeqCst);
    SECTIONS.store(own_sections(), Ordering::SeqCst);
    if HAS_WAITED.get() {
        FORKED_OUTSIDE_SECTIONS.set(ProcessNumber::now());
    }
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

        assert!(is_true_in_child(is_forked_outside_sections));
        assert!(!is_forked_outside_sections(), "this process is no child");

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

    /// The thread that stays in a section is in a child, because it would delay the forks of other tests.
    #[test]
    fn g11_child_of_a_fork_that_did_not_wait_does_not_trust_numbers_of_descriptors() {
        assert!(is_true_in_child(|| {
            let (entered, others_entered) = mpsc::channel();
            thread::spawn(move || {
                without_fork(|| {
                    entered.send(()).unwrap();
                    thread::sleep(10 * MAX_WAIT);
                });
            });
            others_entered.recv().unwrap();
            is_forked_outside_sections() && is_true_in_child(|| !is_forked_outside_sections())
        }));
    }
}
