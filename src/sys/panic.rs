//! Turns a panic into an error message, and prints nothing.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use super::scope::Scope;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`. If it panics, returns the panic's message and location as the error (G12).
///
/// What a panicking `body` leaves incomplete must be dropped with it, or be behind a [`Mutex`](super::Mutex), whose
/// documentation says why that is enough. Both hold for every caller.
pub(crate) fn catch_panic<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    // Not a Once: if a process forks while another thread is inside the Once, the child waits for ever.
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
    // Loaded first: a swap on every call would move the cache line from CPU to CPU.
    if !IS_INSTALLED.load(Ordering::Acquire) && !IS_INSTALLED.swap(true, Ordering::SeqCst) {
        install_hook();
    }
    let scope = Scope::enter(&DEPTH);
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    drop(scope);
    result.map_err(|_| {
        let message = MESSAGE.try_with(RefCell::take).ok().flatten();
        message.unwrap_or_else(|| "a panic without a message".to_owned())
    })
}

/// Installs a panic hook that stores messages inside `catch_panic`, and calls the previous hook everywhere else.
///
/// In a C or C++ program, the hook belongs to the copy of the Rust runtime that is linked with this library. In a Rust
/// program, all of the program shares it.
fn install_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if DEPTH.get() == 0 {
            previous(info);
        } else {
            // On a thread that is being torn down, MESSAGE may be destroyed already.
            let _ = MESSAGE.try_with(|message| message.replace(Some(message_of(info))));
        }
    }));
}

fn message_of(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic");
    match info.location() {
        Some(at) => format!("{message} ({}:{})", at.file(), at.line()),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caught_panic_returns_its_message_and_location() {
        let message = catch_panic(|| -> () { panic!("the sky is {}", "falling") }).unwrap_err();
        assert!(message.starts_with("the sky is falling (src/sys/panic.rs:"), "{message}");
    }

    #[test]
    fn nested_panic_is_caught_by_the_inner_call() {
        let outer = catch_panic(|| catch_panic(|| -> () { panic!("inner") }).is_err());
        assert_eq!(outer, Ok(true));
    }
}
