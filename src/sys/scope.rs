//! Counts how deeply the current thread is nested in a scope.

use std::cell::Cell;
use std::thread::LocalKey;

/// How many scopes of one kind the current thread is inside.
///
/// Declare it as `const { Cell::new(0) }`: such a value has no destructor, so it can be read and changed until the very
/// end of the thread, in destructors of other thread-local values too.
pub(super) type Depth = LocalKey<Cell<u32>>;

/// One level of nesting; it ends when the value is dropped, also if a panic drops it.
pub(super) struct Scope(&'static Depth);

impl Scope {
    #[inline]
    pub(super) fn enter(depth: &'static Depth) -> Self {
        depth.set(depth.get() + 1);
        Self(depth)
    }

    /// Returns whether no other scope of this kind is around this one.
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
