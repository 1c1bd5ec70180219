//! The race windows of `load`, as `run.sh` inserts them into arc-swap.

use std::cell::{Cell, RefCell};
use std::sync::Once;

/// How many windows there are: see `run.sh`.
pub const WINDOWS: usize = 5;

type InWindow = Box<dyn FnMut(usize)>;

thread_local! {
    static ENTERED: Cell<[usize; WINDOWS]> = const { Cell::new([0; WINDOWS]) };
    static IN_WINDOW: RefCell<Option<InWindow>> = const { RefCell::new(None) };
}

/// Calls `in_window` with the index of each window, from 0 on, that this thread enters while `load` runs. It
/// must not use arc-swap itself.
pub fn with_windows<T>(in_window: impl FnMut(usize) + 'static, load: impl FnOnce() -> T) -> T {
    static SET: Once = Once::new();
    SET.call_once(|| arc_swap::race_window::set_hook(enter));
    IN_WINDOW.set(Some(Box::new(in_window)));
    let loaded = load();
    IN_WINDOW.take();
    loaded
}

/// Returns how often this thread has entered each window inside of `with_windows`: a test that never gets into
/// them would pass with any arc-swap.
pub fn entered() -> [usize; WINDOWS] {
    ENTERED.get()
}

fn enter(window: usize) {
    IN_WINDOW.with_borrow_mut(|in_window| {
        if let Some(in_window) = in_window {
            let mut entered = ENTERED.get();
            entered[window - 1] += 1;
            ENTERED.set(entered);
            in_window(window - 1);
        }
    });
}
