//! Returns and clears the failures of option functions, which the options remember until a handle is opened.

use super::options_object::certreload_options;
use crate::ffi::cast;
use crate::ffi::panic_boundary::boundary;
use crate::ffi::result::certreload_result;

/// Returns the first failure that the options remember, for a host that handles failures before it opens a handle.
///
/// This call is never necessary: certreload_open() and certreload_check() return the same failure.
///
/// @param options  must not be NULL; borrowed for the call
/// @return         OK if no certreload_options_* function has failed on these options; NULL_PARAMETER if options is
///                 NULL; else the result of the first function that failed, with its message in
///                 certreload_last_error()
/// Ownership:      options stay the caller's
/// Threads:        any thread, concurrently, while no thread changes options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_error(
    options: *const certreload_options,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow(options, "options")? }.complete()?;
        Ok(certreload_result::Ok)
    })
}

/// Forgets the latest failure that the options remember, so that they can be opened without the setting that failed.
///
/// For a host that can run without that setting, or has another value for it: call this function right after the one
/// that failed. Every setting is as it was before that call. Earlier failures stay remembered, because a failure that
/// the host has not handled could open a weaker server (G22).
///
/// @param options  must not be NULL; changed
/// @return         the result that is forgotten, with its message in certreload_last_error(); OK if there was no
///                 failure; NULL_PARAMETER if options is NULL
/// Ownership:      options stay the caller's
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_clear_error(
    options: *mut certreload_options,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        let options = unsafe { cast::borrow_mut(options, "options")? };
        options.forget_latest().map_or(Ok(certreload_result::Ok), Err)
    })
}
