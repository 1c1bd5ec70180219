//! Numbers processes, so that code in a forked child recognises objects of the parent.
//!
//! A child inherits the handles of its parent, but not the parent's threads, which work for these handles (G11).

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::memory_across_fork::{OnFork, map_words};
use super::set_once::SetOnce;

/// The number of a process, which differs from the numbers of its ancestors and of the processes forked from it.
///
/// Replaces the process id, because a child in a new PID namespace may have the id of its parent. Reading a process id
/// is also a system call; reading this number is an atomic load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessNumber(u64);

/// Points to the number of this process, 0 if it has none yet. The kernel zeroes that memory in a forked child, which
/// then takes another number. Points to [`UNAVAILABLE`] if the kernel offers no such memory.
static NUMBER: SetOnce<AtomicU64> = SetOnce::new();
/// Marks, as the target of [`NUMBER`], that the kernel cannot zero memory in children. Process ids then take the place
/// of numbers, and the value of this variable is not used.
static UNAVAILABLE: AtomicU64 = AtomicU64::new(0);
/// The highest number that this process or one of its ancestors has taken. A child inherits the value, and takes a
/// higher number.
static HIGHEST: AtomicU64 = AtomicU64::new(0);

impl ProcessNumber {
    const NONE: Self = Self(0);

    /// Returns the number of this process, and takes a new one if the process has none yet.
    pub(crate) fn now() -> Self {
        let number = NUMBER.get().unwrap_or_else(map_number);
        if is_unavailable(number) {
            return Self(process::id().into());
        }
        if number.load(Ordering::SeqCst) == 0 {
            let next = HIGHEST.fetch_add(1, Ordering::SeqCst) + 1;
            // If another thread has stored a number since the load above, that one is kept. This process uses it first.
            let _ = number.compare_exchange(0, next, Ordering::SeqCst, Ordering::SeqCst);
        }
        Self(number.load(Ordering::SeqCst))
    }

    /// Returns whether this is the number of the current process.
    ///
    /// Async-signal-safe (G9): atomic loads and, if the kernel cannot zero memory in children, `getpid(2)`.
    pub(crate) fn is_now(self) -> bool {
        self == Self::taken()
    }

    /// Returns the number of this process, or [`Self::NONE`] if it has not taken one.
    fn taken() -> Self {
        match NUMBER.get() {
            None => Self::NONE,
            Some(number) if is_unavailable(number) => Self(process::id().into()),
            Some(number) => Self(number.load(Ordering::SeqCst)),
        }
    }
}

/// A variable for the [`ProcessNumber`] of a process, for example the one that opened a descriptor. A signal handler
/// may read the variable at any time, even while a thread changes it.
#[derive(Debug)]
pub(crate) struct ProcessNumberCell(AtomicU64);

impl ProcessNumberCell {
    /// Creates a variable that names no process.
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(ProcessNumber::NONE.0))
    }

    pub(crate) fn set(&self, number: ProcessNumber) {
        self.0.store(number.0, Ordering::SeqCst);
    }

    /// Returns whether the current process is the one that was set. Async-signal-safe, as [`ProcessNumber::is_now`].
    pub(crate) fn is_now(&self) -> bool {
        let number = ProcessNumber(self.0.load(Ordering::SeqCst));
        number != ProcessNumber::NONE && number.is_now()
    }
}

#[cold]
fn map_number() -> &'static AtomicU64 {
    let word = map_words(OnFork::Zeroed).map(|[word]| word);
    // If two threads map memory at once, `set` keeps that of the first. The other mapping stays, unused: one page.
    NUMBER.set(word.unwrap_or(&UNAVAILABLE))
}

fn is_unavailable(number: &AtomicU64) -> bool {
    std::ptr::eq(number, &raw const UNAVAILABLE)
}

#[cfg(test)]
mod tests {
    use super::super::test_fork::is_true_in_child;
    use super::*;

    #[test]
    fn g11_process_number_of_a_child_differs_from_its_parents() {
        let parents = ProcessNumber::now();
        assert_eq!(ProcessNumber::now(), parents);
        assert!(parents.is_now());
        assert!(is_true_in_child(|| {
            let has_none_yet = !parents.is_now() && !ProcessNumberCell::new().is_now();
            let own = ProcessNumber::now();
            has_none_yet && own != parents && own.is_now() && !parents.is_now()
        }));
    }
}
