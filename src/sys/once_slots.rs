//! A few values that are set at most once each, and are read without a lock.

#![allow(unsafe_code, reason = "ownership behind atomic pointers; each block is argued for")]

use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// `COUNT` values of which each is set at most once. They are dropped together with this object.
///
/// Not an array of `OnceLock`: if a process forks while another thread sets a `OnceLock`, the child waits for that
/// thread for ever, because threads are not inherited (G11).
pub(crate) struct OnceSlots<T, const COUNT: usize>([AtomicPtr<T>; COUNT]);

impl<T: Send + Sync, const COUNT: usize> OnceSlots<T, COUNT> {
    /// Returns the value at `index`, if it has been set. One atomic load.
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let slot = self.0.get(index)?;
        // SAFETY: the pointer is null or comes from `Box::into_raw` in `set`, which stored it with release ordering.
        // The value is neither moved nor freed before `drop`, which has exclusive access.
        unsafe { slot.load(Ordering::Acquire).as_ref() }
    }

    /// Sets the value at `index`. Returns it back if the value has been set already, or `index` does not exist.
    pub(crate) fn set(&self, index: usize, value: T) -> Result<(), T> {
        let Some(slot) = self.0.get(index) else { return Err(value) };
        let new = Box::into_raw(Box::new(value));
        match slot.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            // SAFETY: `new` comes from `Box::into_raw` above, and was not stored.
            Err(_) => Err(*unsafe { Box::from_raw(new) }),
        }
    }
}

impl<T, const COUNT: usize> Default for OnceSlots<T, COUNT> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())))
    }
}

impl<T, const COUNT: usize> Drop for OnceSlots<T, COUNT> {
    fn drop(&mut self) {
        for slot in &self.0 {
            let pointer = slot.load(Ordering::Acquire);
            if !pointer.is_null() {
                // SAFETY: it comes from `Box::into_raw` in `set`, and `&mut self` proves that no reader is left.
                drop(unsafe { Box::from_raw(pointer) });
            }
        }
    }
}

impl<T, const COUNT: usize> fmt::Debug for OnceSlots<T, COUNT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceSlots")
    }
}

// SAFETY: `get` gives references to other threads, and `drop` may run on another thread than `set`.
unsafe impl<T: Send + Sync, const COUNT: usize> Sync for OnceSlots<T, COUNT> {}
// SAFETY: as above.
unsafe impl<T: Send, const COUNT: usize> Send for OnceSlots<T, COUNT> {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn slot_keeps_its_first_value_and_drops_it_once() {
        let value = Arc::new(1);
        let slots = OnceSlots::<Arc<i32>, 2>::default();
        assert!(slots.get(0).is_none() && slots.get(2).is_none());
        assert!(slots.set(0, value.clone()).is_ok());
        assert!(slots.set(0, Arc::new(2)).is_err_and(|refused| *refused == 2), "set twice");
        assert!(slots.set(2, Arc::new(3)).is_err(), "there are two slots");
        assert_eq!((slots.get(0).map(|kept| **kept), slots.get(1)), (Some(1), None));
        assert_eq!(Arc::strong_count(&value), 2);
        drop(slots);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
