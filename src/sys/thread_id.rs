//! Tells threads apart.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a thread. The standard library's ids cannot be had on a thread that is being torn down,
/// and a destructor of the host's may close a handle there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ThreadId(u64);

thread_local! {
    /// 0 is none yet. It needs no destructor, so it is there to the last.
    static MINE: Cell<u64> = const { Cell::new(0) };
}

impl ThreadId {
    /// One for a thread that is about to begin.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes it that of this thread, which has none yet.
    pub(crate) fn take(self) {
        MINE.set(self.0);
    }

    /// That of this thread.
    pub(crate) fn mine() -> Self {
        if MINE.get() == 0 {
            Self::new().take();
        }
        Self(MINE.get())
    }
}
