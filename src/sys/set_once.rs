//! A global reference that is set once, without a lock.

#![allow(unsafe_code, reason = "one dereference, which is argued for")]

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A reference that lives as long as the process and is set at most once.
///
/// Not a `OnceLock`: if a process forks while another thread initialises a `OnceLock`, the child waits for that thread
/// for ever, because threads are not inherited (G11). Here, threads that find no value may each prepare one, and the
/// first that is set is kept.
pub(super) struct SetOnce<T: 'static>(AtomicPtr<T>);

impl<T: Sync> SetOnce<T> {
    pub(super) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Returns the value, or `None` if it is not set yet. Async-signal-safe: one atomic load.
    pub(super) fn get(&self) -> Option<&'static T> {
        // SAFETY: the pointer is null or comes from the `&'static T` that `set` stored with release ordering, so it
        // is aligned, points to an initialised value for as long as the process lives, and is never written through.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Sets the value, unless it is set already. Returns the value that is kept.
    pub(super) fn set(&self, value: &'static T) -> &'static T {
        let new = ptr::from_ref(value).cast_mut();
        let _ = self.0.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
        self.get().unwrap_or(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_once_keeps_the_first_value() {
        static VALUE: SetOnce<u32> = SetOnce::new();
        assert_eq!(VALUE.get(), None);
        assert_eq!((VALUE.set(&1), VALUE.set(&2), VALUE.get()), (&1, &1, Some(&1)));
    }
}
