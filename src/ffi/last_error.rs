//! Each thread's last failure, in full.

use std::cell::Cell;
use std::ffi::c_char;

use super::cast::to_c_text;
use crate::error::Error;

/// Room for a message with the longest path there is (`PATH_MAX` is 4096), its NUL included.
const ROOM: usize = 8192;

thread_local! {
    /// At one place for as long as the thread lives: a pointer to it that is kept too long shows
    /// another message, and never memory that was given back. Made with the first failure.
    static LAST: Cell<Option<Box<[u8; ROOM]>>> = const { Cell::new(None) };
}

/// Remembers `error` as this thread's last failure.
pub(crate) fn set(error: &Error) {
    let text = to_c_text(&error.to_string());
    // A thread that is being torn down has no last error any more; there is nobody to read it.
    let _ = LAST.try_with(|last| {
        let mut room = last.take().unwrap_or_else(|| Box::new([0; ROOM]));
        let bytes = text.as_bytes();
        let length = bytes.len().min(ROOM - 1);
        room[..length].copy_from_slice(&bytes[..length]);
        room[length] = 0;
        last.set(Some(room));
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
    LAST.try_with(|last| {
        let room = last.take();
        let text = room.as_ref().map_or(c"".as_ptr(), |room| room.as_ptr().cast());
        last.set(room);
        text
    })
    .unwrap_or(c"".as_ptr())
}
