//! Turns the outcome of each C function into its return value. A panic never reaches C (G12), and every failure becomes
//! the thread's last error.

use std::ptr;

use super::last_error;
use super::result::certreload_result;
use crate::error::{Cause, Error};
use crate::sys::catch_panic;

/// The value that a C function returns when it fails.
pub(crate) trait Failed {
    /// Returns the failing value for `error`.
    fn failed(error: &Error) -> Self;
}

/// Runs the body of a C function.
///
/// A failure, a panic included, becomes the function's failing return value and this thread's last error.
pub(crate) fn boundary<T: Failed>(body: impl FnOnce() -> Result<T, Error>) -> T {
    match catch_panic(body) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => fail(&error),
        Err(panic) => fail(&Error::new(Cause::Panic(panic))),
    }
}

#[cold]
fn fail<T: Failed>(error: &Error) -> T {
    last_error::set(error);
    T::failed(error)
}

impl Failed for certreload_result {
    fn failed(error: &Error) -> Self {
        error.into()
    }
}

impl Failed for () {
    fn failed(_: &Error) {}
}

impl<T> Failed for *const T {
    fn failed(_: &Error) -> Self {
        ptr::null()
    }
}

impl<T> Failed for *mut T {
    fn failed(_: &Error) -> Self {
        ptr::null_mut()
    }
}

impl Failed for usize {
    fn failed(_: &Error) -> Self {
        0
    }
}

impl Failed for u32 {
    fn failed(_: &Error) -> Self {
        0
    }
}

impl Failed for bool {
    fn failed(_: &Error) -> Self {
        false
    }
}

impl Failed for u64 {
    fn failed(_: &Error) -> Self {
        0
    }
}

impl Failed for i64 {
    fn failed(_: &Error) -> Self {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::super::last_error::certreload_last_error;
    use super::*;

    fn last_error_text() -> String {
        // SAFETY: the text lives until the next failing call on this thread.
        unsafe { CStr::from_ptr(certreload_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn body_that_panics_returns_a_code_and_stores_a_message() {
        let result: certreload_result = boundary(|| panic!("a test panics"));
        assert_eq!(result, certreload_result::Panic);
        assert!(last_error_text().contains("a test panics"), "{}", last_error_text());
    }

    #[test]
    fn body_that_fails_returns_a_code_and_stores_a_message() {
        let result: certreload_result =
            boundary(|| Err(Error::at("/etc/tls/key.pem".as_ref(), Cause::Permission)));
        assert_eq!(result, certreload_result::FilePermission);
        assert_eq!(last_error_text(), "/etc/tls/key.pem: permission denied (read)");
    }
}
