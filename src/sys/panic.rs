//! Runs code so that a panic becomes a message, and nothing is printed.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static WORDS: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`; a panic in it is caught and comes back as what it said and where.
///
/// Whatever a panicking `body` leaves half-done must be behind a lock that is taken anew, or be
/// dropped with it: both hold for every caller here.
pub(crate) fn catch_panic<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    // Not a Once: a child that was forked meanwhile would wait for it.
    static IS_QUIET: AtomicBool = AtomicBool::new(false);
    // Loaded first: a swap by every call of every thread would make processors pass its cache line around.
    if !IS_QUIET.load(Ordering::Acquire) && !IS_QUIET.swap(true, Ordering::SeqCst) {
        stay_quiet_inside();
    }
    DEPTH.set(DEPTH.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|_| {
        let words = WORDS.try_with(RefCell::take).ok().flatten();
        words.unwrap_or_else(|| "a panic without words".to_owned())
    })
}

/// The panic hook belongs to the copy of the Rust runtime that is linked with this library; in a
/// Rust program it is shared, so a panic outside of `catch_panic` goes to whatever hook there was.
fn stay_quiet_inside() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if DEPTH.get() == 0 {
            previous(info);
        } else {
            // A thread that is being torn down has no place for words any more.
            let _ = WORDS.try_with(|words| words.replace(Some(words_of(info))));
        }
    }));
}

fn words_of(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let words = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic");
    match info.location() {
        Some(at) => format!("{words} ({}:{})", at.file(), at.line()),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_words_and_its_place() {
        let words = catch_panic(|| -> () { panic!("the sky is {}", "falling") }).unwrap_err();
        assert!(words.starts_with("the sky is falling (src/sys/panic.rs:"), "{words}");
    }

    #[test]
    fn a_nested_panic_is_caught_by_the_inner_guard() {
        let outer = catch_panic(|| catch_panic(|| -> () { panic!("inner") }).is_err());
        assert_eq!(outer, Ok(true));
    }
}
