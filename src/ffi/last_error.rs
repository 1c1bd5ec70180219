//! The last failure of each thread, in full.

use std::cell::Cell;
use std::ffi::c_char;
use std::ptr;

use super::cast::to_c_text;
use crate::error::Error;

/// Size of the message buffer: the longest path (`PATH_MAX` is 4096) fits, and so does the NUL.
const BUFFER_SIZE: usize = 8192;

/// The message buffer of one thread, allocated at the first failure and freed when the thread ends.
///
/// The buffer is reused and never moves. So if the host keeps a pointer too long, it reads a later message, but no
/// freed memory.
struct MessageSlot(Cell<*mut [u8; BUFFER_SIZE]>);

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
    let length = text.as_bytes().len().min(BUFFER_SIZE - 1);
    // A thread that is ending has lost its slot, and no code of the host runs on it any more.
    let _ = LAST.try_with(|last| {
        if last.0.get().is_null() {
            last.0.set(Box::into_raw(Box::new([0; BUFFER_SIZE])));
        }
        let room = last.0.get().cast::<u8>();
        // SAFETY: `room` has BUFFER_SIZE bytes, which only this thread uses; `length` bytes and the NUL fit.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr().cast(), room, length);
            room.add(length).write(0);
        }
    });
}

/// Returns the last failure on this thread in full: stage, path and reason, in one line with "?" in place of control
/// characters.
///
/// Each thread has its last failure. A call that succeeds does not change it. Neither does certreload_reload(), which
/// may run in a signal handler. C may evaluate the arguments of one call in any order. So do not write
/// printf("%d: %s", certreload_check(options), certreload_last_error()), but store the result first.
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
