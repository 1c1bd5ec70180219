//! Each thread's last failure, in full.

use std::cell::RefCell;
use std::ffi::{CString, c_char};

use super::event::to_c_text;
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

/// The text of it; "" where there is none.
pub(crate) fn as_ptr() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}
