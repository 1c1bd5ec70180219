//! Marks the time in which what others write to the log is about nobody's connection.

use std::cell::Cell;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `body`; records that libraries inside make on this thread meanwhile are not for the host.
pub(crate) fn hushed<T>(body: impl FnOnce() -> T) -> T {
    let _until_dropped = Hush::new();
    body()
}

/// Whether this thread is inside [`hushed`].
pub(crate) fn is_hushed() -> bool {
    // A thread that is being torn down is inside nothing.
    DEPTH.try_with(Cell::get).unwrap_or(0) > 0
}

/// Ends also where a panic leaves.
struct Hush;

impl Hush {
    fn new() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Hush {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::guarded;

    #[test]
    fn a_thread_is_hushed_inside_alone_and_a_panic_ends_it() {
        assert!(!is_hushed());
        hushed(|| {
            assert!(hushed(is_hushed));
            assert!(is_hushed());
            let elsewhere = std::thread::spawn(is_hushed);
            assert!(!elsewhere.join().unwrap());
        });
        assert!(guarded(|| hushed(|| -> () { panic!("inside") })).is_err());
        assert!(!is_hushed());
    }
}
