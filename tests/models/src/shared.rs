//! What threads share, by the names of std and of two crates, as loom sees it.

pub(crate) use std::sync::{Arc, PoisonError, TryLockError, Weak};

pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};

pub(crate) mod hint {
    pub(crate) use loom::hint::spin_loop;
}

pub(crate) mod thread {
    pub(crate) use loom::thread::{ThreadId, current};

    /// Sleeping is letting others go first.
    pub(crate) fn sleep(_: std::time::Duration) {
        loom::thread::yield_now();
    }
}

/// loom's, with a default.
pub(crate) struct Condvar(loom::sync::Condvar);

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    pub(crate) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> std::sync::LockResult<MutexGuard<'a, T>> {
        self.0.wait(guard)
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: std::time::Duration,
    ) -> std::sync::LockResult<(MutexGuard<'a, T>, loom::sync::WaitTimeoutResult)> {
        self.0.wait_timeout(guard, limit)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Time stands still, but for a test that says how much has passed.
pub(crate) mod time {
    pub(crate) use std::time::Duration;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Instant(pub(crate) Duration);

    impl Instant {
        pub(crate) fn now() -> Self {
            Self(Duration::ZERO)
        }
    }

    impl std::ops::Add<Duration> for Instant {
        type Output = Self;

        fn add(self, more: Duration) -> Self {
            Self(self.0 + more)
        }
    }
}

loom::thread_local! {
    static SHELF: std::cell::Cell<usize> = std::cell::Cell::new(0);
}

pub(crate) fn shard_of_this_thread() -> usize {
    SHELF.with(std::cell::Cell::get)
}

/// Which shard this thread takes from.
pub(crate) fn go_to_shard(at: usize) {
    SHELF.with(|shard| shard.set(at));
}

/// A lock that is only ever tried, and that tells of itself; loom's alone takes no turns at its release.
pub(crate) mod spin {
    use std::ops::{Deref, DerefMut};

    use loom::sync::atomic::{AtomicBool, Ordering};

    pub(crate) struct SpinMutex<T> {
        mutex: loom::sync::Mutex<T>,
        was_taken: AtomicBool,
        is_taken: AtomicBool,
    }

    pub(crate) struct SpinMutexGuard<'a, T> {
        guard: loom::sync::MutexGuard<'a, T>,
        is_taken: &'a AtomicBool,
    }

    impl<T> SpinMutex<T> {
        pub(crate) fn new(value: T) -> Self {
            let (was_taken, is_taken) = (AtomicBool::new(false), AtomicBool::new(false));
            Self { mutex: loom::sync::Mutex::new(value), was_taken, is_taken }
        }

        pub(crate) fn try_lock(&self) -> Option<SpinMutexGuard<'_, T>> {
            let guard = self.mutex.try_lock().ok()?;
            self.is_taken.store(true, Ordering::SeqCst);
            self.was_taken.store(true, Ordering::SeqCst);
            Some(SpinMutexGuard { guard, is_taken: &self.is_taken })
        }

        pub(crate) fn was_taken(&self) -> bool {
            self.was_taken.load(Ordering::SeqCst)
        }

        pub(crate) fn is_taken(&self) -> bool {
            self.is_taken.load(Ordering::SeqCst)
        }
    }

    impl<T> Deref for SpinMutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.guard
        }
    }

    impl<T> DerefMut for SpinMutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.guard
        }
    }

    impl<T> Drop for SpinMutexGuard<'_, T> {
        fn drop(&mut self) {
            self.is_taken.store(false, Ordering::SeqCst);
        }
    }
}

/// What arc-swap promises: a load that gives what was stored, in some order of the stores, and sees
/// all that was done before that store. What it holds on to is its own affair, and nobody's here.
pub(crate) mod arc_swap {
    use std::sync::{Arc, Mutex};

    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    pub(crate) type Guard<T> = T;

    /// Only swapped here: the sink that is kept for forked children.
    #[derive(Default)]
    pub(crate) struct ArcSwapOption<T>(Mutex<Option<Arc<T>>>);

    impl<T> ArcSwapOption<T> {
        pub(crate) fn swap(&self, next: Option<Arc<T>>) -> Option<Arc<T>> {
            std::mem::replace(&mut *self.0.lock().unwrap(), next)
        }

        pub(crate) fn empty() -> Self {
            Self(Mutex::new(None))
        }
    }

    pub(crate) struct ArcSwap<T> {
        newest: AtomicUsize,
        stored: Mutex<Vec<Arc<T>>>,
        visits: Visits,
        gone: AtomicBool,
    }

    /// Whether a load has begun, and whether one has ended.
    #[derive(Default)]
    pub(crate) struct Visits(AtomicBool, AtomicBool);

    impl Visits {
        pub(crate) fn has_begun(&self) -> bool {
            self.0.load(Ordering::SeqCst)
        }

        pub(crate) fn has_ended(&self) -> bool {
            self.1.load(Ordering::SeqCst)
        }
    }

    impl<T> ArcSwap<T> {
        pub(crate) fn new(first: Arc<T>) -> Self {
            let stored = Mutex::new(vec![first]);
            let (visits, gone) = (Visits::default(), AtomicBool::new(false));
            Self { newest: AtomicUsize::new(0), stored, visits, gone }
        }

        /// From here on nobody may look.
        pub(crate) fn be_gone(&self) {
            self.gone.store(true, Ordering::SeqCst);
        }

        pub(crate) fn load(&self) -> Arc<T> {
            assert!(!self.gone.load(Ordering::SeqCst), "looked at what is gone");
            let at = self.newest.load(Ordering::SeqCst);
            self.stored.lock().unwrap()[at].clone()
        }

        pub(crate) fn visits(&self) -> &Visits {
            &self.visits
        }

        pub(crate) fn load_full(&self) -> Arc<T> {
            self.visits.0.store(true, Ordering::SeqCst);
            let loaded = self.load();
            self.visits.1.store(true, Ordering::SeqCst);
            loaded
        }

        pub(crate) fn store(&self, next: Arc<T>) {
            let mut stored = self.stored.lock().unwrap();
            stored.push(next);
            let at = stored.len() - 1;
            drop(stored);
            self.newest.store(at, Ordering::SeqCst);
        }
    }
}
