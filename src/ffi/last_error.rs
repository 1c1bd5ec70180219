//! The last failure of each thread, in full.

use std::cell::Cell;
use std::ffi::c_char;
use std::ptr;

use super::cast::to_c_text;
use crate::error::Error;

/// Size of the message buffer: the longest path (`PATH_MAX` is 4096) fits, and so does the NUL.
const ROOM: usize = 8192;

/// A buffer that stays at one address as long as its thread lives, allocated at the first failure. A pointer that is
/// kept too long then shows another message, and never freed memory.
struct MessageSlot(Cell<*mut [u8; ROOM]>);

impl Drop for MessageSlot {
    fn drop(&mut self) {
        if !self.0.get().is_null() {
            // SAFETY: from Box::into_raw in `set`; no other thread has the pointer.
            drop(unsafe { Box::from_raw(self.0.get()) });
        }
    }
}

thread_local! {
    static LAST: MessageSlot = const { MessageSlot(Cell::new(ptr::null_mut())) };
}

/// Stores `error` as the last failure of this thread.
pub(crate) fn set(error: &Error) {
    let text = to_c_text(&error.to_string());
    let length = text.as_bytes().len().min(ROOM - 1);
    // A thread that is ending has lost its slot, and no code of the host runs on it any more.
    let _ = LAST.try_with(|last| {
        if last.0.get().is_null() {
            last.0.set(Box::into_raw(Box::new([0; ROOM])));
        }
        let room = last.0.get().cast::<u8>();
        // SAFETY: `room` has ROOM bytes, of which only this thread knows; `length` and the NUL fit.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr().cast(), room, length);
            room.add(length).write(0);
        }
    });
}

/// Returns the last failure on this thread in full: stage, path and reason, fit to print in a log.
///
/// Each thread has its own. A call that succeeds does not change it. Neither does certreload_reload(), which may run
/// in a signal handler. In C, arguments are evaluated in any order: store the result of a call first, then call this
/// function.
///
/// @return     the text, cut at 8191 bytes; "" if no call has failed on this thread; never NULL
/// Ownership:  borrowed, until the next certreload call on this thread that fails, which overwrites the text
/// Threads:    any thread, concurrently; do not pass the pointer to another thread
/// Signals:    not async-signal-safe
/// Blocks:     never
/// Since:      0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_last_error() -> *const c_char {
    let place = LAST.try_with(|last| last.0.get()).unwrap_or(ptr::null_mut());
    if place.is_null() { c"".as_ptr() } else { place.cast_const().cast() }
}
