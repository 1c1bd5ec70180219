//! A mutex and a condition variable that work as before after a panic.
//!
//! If a thread panics while it holds the lock of a standard mutex, each later `lock` returns an error. The caller
//! decides whether to use the data. In this library the answer is always the same: use the data.
//!
//! - Every panic is caught. `catch_panic` surrounds each call of the C API, each *step* of a handle (doing what is due
//!   for it), each reading of file notifications, each load, each self-check and each callback. The process continues
//!   (G12), so the same locks are taken again. If their errors counted, one panic would disable a handle for good. But
//!   a unit that fails must not disturb others (G3).
//! - The data is usable after a panic. Loads and self-checks, whose course depends on the content of files, run inside
//!   their own `catch_panic` and return a value. Only then is locked state changed, by insertions, removals and
//!   assignments of complete values. A panic between two such changes can lose a report, but leaves no incomplete
//!   value. The next step or poll compares the files with what is loaded, so no renewal is lost (G1).

use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

pub(crate) use std::sync::MutexGuard;

/// A mutex whose data stays available after a panic. The module's documentation says why that is safe.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(data: T) -> Self {
        Self(std::sync::Mutex::new(data))
    }

    /// Blocks until no other thread holds the lock, and takes it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock, or returns `None` if a thread holds it. Never blocks.
    ///
    /// In a forked child, `lock` could block for ever: a lock that a thread of the parent held at the time of the fork
    /// is never released there.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// A condition variable for a [`Mutex`].
#[derive(Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    /// Releases the lock, blocks until notified, and takes the lock again. May return without a notification, so
    /// callers check their condition in a loop.
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Self::wait`], but blocks for `limit` at most. Does not return whether `limit` has passed: callers that need
    /// to know read a clock.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> MutexGuard<'a, T> {
        self.0.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::catch_panic::catch_panic;
    use super::*;

    #[test]
    fn mutex_after_a_panic_under_its_lock_keeps_its_data() {
        let mutex = Mutex::new(1);
        let panicked = catch_panic(|| {
            let mut guard = mutex.lock();
            *guard = 2;
            panic!("with the lock held");
        });
        assert!(panicked.is_err() && mutex.0.is_poisoned());
        assert_eq!(*mutex.lock(), 2);
        assert_eq!(mutex.try_lock().as_deref(), Some(&2));
        let condvar = Condvar::new();
        assert_eq!(*condvar.wait_timeout(mutex.lock(), Duration::from_millis(1)), 2);
    }

    #[test]
    fn try_lock_of_a_held_mutex_returns_none() {
        let mutex = Mutex::new(());
        let _held = mutex.lock();
        assert!(mutex.try_lock().is_none());
    }
}
