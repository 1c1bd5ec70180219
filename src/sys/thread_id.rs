//! Numbers for the threads of a process.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a thread, unique in the process.
///
/// Not the standard library's: its thread id is not available on a thread that is being torn down, where a destructor
/// of the host's may close a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ThreadId(u64);

thread_local! {
    /// 0 if the thread has no number yet. The value has no destructor, so it can be read until the thread ends.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

impl ThreadId {
    /// Returns a number for a thread that is about to start.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes this the number of the current thread, which must not have one yet.
    pub(crate) fn take(self) {
        CURRENT.set(self.0);
    }

    /// Returns the number of the current thread.
    pub(crate) fn current() -> Self {
        if CURRENT.get() == 0 {
            Self::new().take();
        }
        Self(CURRENT.get())
    }
}
