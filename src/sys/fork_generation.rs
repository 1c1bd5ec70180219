//! Distinguishes a process from the processes forked from it.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::mapped_words::{OnFork, map_words};
use super::set_once::SetOnce;

/// A number that a process does not have in common with the processes forked from it.
///
/// A process id is no such number: a child in a new PID namespace may have the id of its parent. Reading a
/// process id is also a system call; reading this number is an atomic load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForkGeneration(u64);

/// Holds the number in memory that the kernel zeroes in a forked child; [`UNAVAILABLE`] if there is no such memory.
static NUMBER: SetOnce<AtomicU64> = SetOnce::new();
/// The word in [`NUMBER`] if the kernel cannot zero memory in children. Process ids are used instead.
static UNAVAILABLE: AtomicU64 = AtomicU64::new(0);
/// The highest number that this process or one of its ancestors has taken.
static HIGHEST: AtomicU64 = AtomicU64::new(0);

impl ForkGeneration {
    const NONE: Self = Self(0);

    /// Returns the number of this process, and takes a new one if the process has none yet.
    pub(crate) fn now() -> Self {
        let number = NUMBER.get().unwrap_or_else(map_number);
        if is_unavailable(number) {
            return Self(process::id().into());
        }
        if number.load(Ordering::SeqCst) == 0 {
            let next = HIGHEST.fetch_add(1, Ordering::SeqCst) + 1;
            // If another thread was faster, its number is as new as this one, and is kept.
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

/// A [`ForkGeneration`] that signal handlers may read while it is set.
#[derive(Debug)]
pub(crate) struct ForkGenerationCell(AtomicU64);

impl ForkGenerationCell {
    /// Creates a cell that belongs to no process.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(ForkGeneration::NONE.0))
    }

    pub(crate) fn set(&self, generation: ForkGeneration) {
        self.0.store(generation.0, Ordering::SeqCst);
    }

    /// Returns whether the cell belongs to the current process. Async-signal-safe, as [`ForkGeneration::is_now`].
    pub(crate) fn is_now(&self) -> bool {
        let generation = ForkGeneration(self.0.load(Ordering::SeqCst));
        generation != ForkGeneration::NONE && generation.is_now()
    }
}

#[cold]
fn map_number() -> &'static AtomicU64 {
    let word = map_words(OnFork::Zeroed).map(|[word]| word);
    // If two threads come at once, the memory of the second one stays mapped, unused.
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
    fn g11_fork_generation_of_a_child_differs_from_its_parents() {
        let parents = ForkGeneration::now();
        assert_eq!(ForkGeneration::now(), parents);
        assert!(parents.is_now());
        assert!(is_true_in_child(|| {
            let has_none_yet = !parents.is_now() && !ForkGenerationCell::new().is_now();
            let own = ForkGeneration::now();
            has_none_yet && own != parents && own.is_now() && !parents.is_now()
        }));
    }
}
