//! Shows tests what is left in memory that they give back.

#![allow(unsafe_code, reason = "an allocator; each block argues for itself")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::slice;

/// So many bytes of a secret are looked for.
const PIECE: usize = 16;

thread_local! {
    static WATCHED: Cell<Option<[u8; PIECE]>> = const { Cell::new(None) };
    static FOUND: Cell<usize> = const { Cell::new(0) };
}

/// Runs `body`, and counts the blocks that this thread frees in it with `secret` in them.
pub(crate) fn freed_with<T>(secret: &[u8], body: impl FnOnce() -> T) -> (usize, T) {
    FOUND.set(0);
    WATCHED.set(secret.first_chunk().copied());
    let result = body();
    assert!(WATCHED.take().is_some(), "the secret is too short");
    (FOUND.get(), result)
}

struct Inspector;

#[global_allocator]
static INSPECTOR: Inspector = Inspector;

// SAFETY: the system's allocator does the work. A block that grows is moved by the default `realloc`, which allocates,
// copies and frees, as an allocator may.
unsafe impl GlobalAlloc for Inspector {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Ok(Some(piece)) = WATCHED.try_with(Cell::get) {
            // SAFETY: the block is live and was zeroed at first, so all of it may be read.
            let bytes = unsafe { slice::from_raw_parts(block, layout.size()) };
            if bytes.windows(PIECE).any(|window| window == piece) {
                FOUND.set(FOUND.get() + 1);
            }
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}
