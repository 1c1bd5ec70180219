//! Counts for each thread how many calls of a certain function it is inside, such as `catch_panic` or `without_fork`.

use std::cell::Cell;
use std::thread::LocalKey;

/// The count of one function: how many calls of it the current thread is inside.
///
/// Declare it as `const { Cell::new(0) }`. Such a value has no destructor, so it can be used until the very end of the
/// thread, in destructors of other thread-local values too.
pub(super) type Depth = LocalKey<Cell<u32>>;

/// One counted call. The count goes down when the value is dropped, also if a panic drops it.
pub(super) struct Scope(&'static Depth);

impl Scope {
    #[inline]
    pub(super) fn enter(depth: &'static Depth) -> Self {
        depth.set(depth.get() + 1);
        Self(depth)
    }

    /// Returns whether this thread is inside one call only, the outermost one.
    pub(super) fn is_outermost(&self) -> bool {
        self.0.get() == 1
    }
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
