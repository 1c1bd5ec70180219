//! Finds secrets in memory that a test frees.

#![allow(unsafe_code, reason = "an allocator; each block is argued for")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::slice;

/// How many bytes of the secret are searched for: its first ones.
const PIECE: usize = 16;

thread_local! {
    static WATCHED: Cell<Option<[u8; PIECE]>> = const { Cell::new(None) };
    static FOUND: Cell<usize> = const { Cell::new(0) };
}

/// Runs `body`, and returns how many of the blocks that this thread frees in it contain `secret`.
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

// SAFETY: the system's allocator does the work. The default `realloc` allocates, copies and frees, so `dealloc` also
// checks blocks that grow.
unsafe impl GlobalAlloc for Inspector {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout whose size is not zero. The block is zeroed because `dealloc` reads all
        // of it.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Ok(Some(piece)) = WATCHED.try_with(Cell::get) {
            // SAFETY: the block is live, and `alloc` zeroed it, so all of its bytes are initialised.
            let bytes = unsafe { slice::from_raw_parts(block, layout.size()) };
            if bytes.windows(PIECE).any(|window| window == piece) {
                FOUND.set(FOUND.get() + 1);
            }
        }
        // SAFETY: the caller promises that `alloc` returned the block for this layout.
        unsafe { System.dealloc(block, layout) }
    }
}
