//! Numbers for the threads of a process.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a thread, unique in the process.
///
/// Replaces the standard library's thread id, which is not available while the destructors at the end of a thread run.
/// A destructor of the host's may close a handle there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ThreadId(u64);

thread_local! {
    /// The number of this thread, 0 if it has none yet. The value has no destructor, so it can be read until the thread
    /// ends.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

impl ThreadId {
    /// Returns a new number for a thread that is about to start. The caller thus knows the number, and the new thread
    /// calls [`Self::take`].
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes this the number of the current thread, which must not have one yet.
    pub(crate) fn take(self) {
        CURRENT.set(self.0);
    }

    /// Returns the number of the current thread, and gives it one if it has none yet.
    pub(crate) fn current() -> Self {
        if CURRENT.get() == 0 {
            Self::new().take();
        }
        Self(CURRENT.get())
    }
}
