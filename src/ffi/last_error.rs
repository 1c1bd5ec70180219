//! Each thread's last failure, in full.

use std::cell::Cell;
use std::ffi::c_char;
use std::ptr;

use super::cast::to_c_text;
use crate::error::Error;

/// Room for a message with the longest path there is (`PATH_MAX` is 4096), its NUL included.
const ROOM: usize = 8192;

/// At one place for as long as the thread lives: a pointer to it that is kept too long shows another
/// message, and never memory that was given back. Made with the first failure.
struct MessageSlot(Cell<*mut [u8; ROOM]>);

impl Drop for MessageSlot {
    fn drop(&mut self) {
        if !self.0.get().is_null() {
            // SAFETY: from Box::into_raw in `set`, and nobody's after this thread.
            drop(unsafe { Box::from_raw(self.0.get()) });
        }
    }
}

thread_local! {
    static LAST: MessageSlot = const { MessageSlot(Cell::new(ptr::null_mut())) };
}

/// Remembers `error` as this thread's last failure.
pub(crate) fn set(error: &Error) {
    let text = to_c_text(&error.to_string());
    let length = text.as_bytes().len().min(ROOM - 1);
    // A thread that is being torn down has no last error any more; there is nobody to read it.
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

/// Tell the last failure on this thread in full: stage, path and reason, fit to print in a log.
///
/// Each thread has its own. A call that succeeds leaves it as it was, and so does certreload_reload(), which may run
/// in a signal handler. In C, arguments are evaluated in any order: keep the result of a call first, then call this.
///
/// @return         the text, cut at 8191 bytes; "" where no call has failed on this thread; never NULL
/// Ownership:      borrowed; until the next certreload call on this thread that fails, which writes another text there
/// Threads:        any thread, concurrently; do not hand the pointer to another thread
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_last_error() -> *const c_char {
    let place = LAST.try_with(|last| last.0.get()).unwrap_or(ptr::null_mut());
    if place.is_null() { c"".as_ptr() } else { place.cast_const().cast() }
}
