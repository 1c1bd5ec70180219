//! Each thread's last failure, in full.

use std::cell::RefCell;
use std::ffi::{CString, c_char};

use super::cast::to_c_text;
use crate::error::Error;

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// Remembers `error` as this thread's last failure.
pub(crate) fn set(error: &Error) {
    let text = to_c_text(&error.to_string());
    // A thread that is being torn down has no last error any more; there is nobody to read it.
    let _ = LAST.try_with(|last| *last.borrow_mut() = text);
}

/// Tell the last failure on this thread in full: stage, path and reason, fit to print in a log.
///
/// Each thread has its own. A call that succeeds leaves it as it was.
///
/// @return         the text; "" where no call has failed on this thread; never NULL
/// Ownership:      borrowed; until the next certreload call on this thread that fails
/// Threads:        any thread, concurrently; do not hand the pointer to another thread
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_last_error() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}
