//! Marks the time in which what others write to the log is about nobody's connection.

use std::cell::Cell;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `body`; records that libraries inside make on this thread meanwhile are not for the host.
pub(crate) fn without_logging<T>(body: impl FnOnce() -> T) -> T {
    let _until_dropped = Hush::new();
    body()
}

/// Whether this thread is inside [`without_logging`].
pub(crate) fn is_logging_disabled() -> bool {
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
    use super::super::panic::catch_panic;
    use super::*;

    #[test]
    fn a_thread_is_hushed_inside_alone_and_a_panic_ends_it() {
        assert!(!is_logging_disabled());
        without_logging(|| {
            assert!(without_logging(is_logging_disabled));
            assert!(is_logging_disabled());
            let elsewhere = std::thread::spawn(is_logging_disabled);
            assert!(!elsewhere.join().unwrap());
        });
        assert!(catch_panic(|| without_logging(|| -> () { panic!("inside") })).is_err());
        assert!(!is_logging_disabled());
    }
}
