//! Turns a panic into an error message, and prints nothing.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use super::nesting_depth::Scope;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`. If it panics, returns the panic's message and location as the error (G12).
///
/// A value that `body` was changing when it panicked must not be used afterwards. Each caller ensures that. Either
/// `body` owns the value, which is dropped with it. Or the value is behind a [`Mutex`](super::Mutex) and changes only
/// in complete steps, as described there.
pub(crate) fn catch_panic<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    // Not a `std::sync::Once`: if a process forks while another thread is inside it, the child waits for ever.
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
    // The load comes first, because a swap on every call would move the cache line from CPU to CPU.
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

/// Installs a panic hook, which runs when a panic begins. Inside `catch_panic` the hook stores the message. Everywhere
/// else it calls the previous hook.
///
/// In a C or C++ program, the hook belongs to the copy of the Rust runtime that is linked with this library. A Rust
/// program shares its runtime with the library, so all of its panics call the hook.
fn install_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if DEPTH.get() == 0 {
            previous(info);
        } else {
            // In a destructor at the end of a thread, the thread-local MESSAGE may not exist any more. The error is
            // then "a panic without a message".
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
        assert!(message.starts_with("the sky is falling (src/sys/catch_panic.rs:"), "{message}");
    }

    #[test]
    fn nested_panic_is_caught_by_the_inner_call() {
        let outer = catch_panic(|| catch_panic(|| -> () { panic!("inner") }).is_err());
        assert_eq!(outer, Ok(true));
    }
}
