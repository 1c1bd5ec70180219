//! Suppresses, on one thread, the log records of dependencies about handshakes that the library makes with itself.

use std::cell::Cell;

use super::nesting_depth::Scope;

/// The log target of all lines that this library writes. Lines of its dependencies, such as rustls, have other targets.
pub(crate) const LOG_TARGET: &str = "certreload";

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `body`. Log records that dependencies make in it, on this thread, do not reach the host's log.
///
/// The handshakes of self-checks run inside it. What rustls logs about them would look like a connection of a client.
pub(crate) fn without_logging<T>(body: impl FnOnce() -> T) -> T {
    let _scope = Scope::enter(&DEPTH);
    body()
}

/// Returns whether this thread is inside [`without_logging`], so that records of dependencies are to be dropped.
pub(crate) fn is_logging_disabled() -> bool {
    DEPTH.get() > 0
}

#[cfg(test)]
mod tests {
    use super::super::catch_panic::catch_panic;
    use super::*;

    #[test]
    fn without_logging_affects_its_own_thread_until_it_returns_or_panics() {
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
