//! Metrics of handles in the text format of Prometheus, for the host's own metrics page.

use std::ffi::c_char;
use std::ptr;

use super::cast;
use super::cast::Out;
use super::handle::certreload_handle;
use super::panic_boundary::boundary;
use super::result::certreload_result;
use crate::error::{Cause, Error};
use crate::status::write_metrics;

/// The most handles that certreload_write_metrics_page() accepts. A larger count is refused before the array is read.
pub const CERTRELOAD_MAX_PAGE_HANDLES: usize = 100000;

/// Writes the metrics of a handle in the Prometheus text format, version 0.0.4.
///
/// The host serves the page as "text/plain; version=0.0.4".
///
/// Series of the handle: certreload_reloads_total{result="reloaded"|"unchanged"|"failed"}, certreload_generation,
/// certreload_generations_alive, certreload_last_reload_timestamp_seconds, certreload_last_check_timestamp_seconds,
/// certreload_health{state} and certreload_watch_state{state}. The series of the state that is true has the value 1,
/// the others 0. For each warning that lasts there is certreload_warning{warning} with the value 1, else no series; the
/// label is what certreload_warning_str() returns.
///
/// Series of each identity, with the labels identity (the path of its chain) and name (its first name):
/// certreload_not_before_timestamp_seconds, certreload_not_after_timestamp_seconds,
/// certreload_chain_not_after_timestamp_seconds (the same, or that of an intermediate that clients need, if that is
/// earlier), certreload_consecutive_failures, certreload_identity_health{state} and, as long as a warning about the
/// identity lasts, certreload_identity_warning{warning}. An identity that was added twice is written once. Until an
/// identity has been loaded (state "missing"), its name is "", and it has no series with a date.
///
/// Series of a handle that checks peers: certreload_trust_client_roots, certreload_trust_server_roots,
/// certreload_trust_crls, certreload_trust_revoked, certreload_trust_consecutive_failures,
/// certreload_trust_renewed_timestamp_seconds, certreload_crl_next_update_timestamp_seconds (if there are lists),
/// certreload_trust_health{state} and, as long as a warning about the trust store lasts,
/// certreload_trust_warning{warning}.
///
/// If certreload_options_set_name() gave the handle a name, every series has the label handle. A process with several
/// handles calls certreload_write_metrics_page(). Two pages that are joined are not valid, because a page may describe
/// each metric only once.
///
/// The page may grow between two calls, so repeat until it fits. The first round of this loop gets the size:
///
/// ```c
/// char *page = NULL;
/// size_t size = 0, needed = 0;
/// while (certreload_write_metrics(handle, page, size, &needed) == CERTRELOAD_RESULT_BUFFER_TOO_SMALL) {
///     free(page);
///     page = malloc(size = needed);
///     if (page == NULL) break;
/// }
/// ```
///
/// @param handle      must not be NULL
/// @param buffer      for the text and its NUL, UTF-8; may be NULL with size 0
/// @param size        bytes in buffer, at most PTRDIFF_MAX
/// @param needed_out  must not be NULL; the size that the text needs, its NUL included; written on OK and
///                    BUFFER_TOO_SMALL
/// @return            OK; BUFFER_TOO_SMALL, and no text is written: if size is not 0, buffer is ""; NULL_PARAMETER,
///                    also if buffer is NULL and size is not 0; INVALID_PARAMETER if size is above PTRDIFF_MAX;
///                    CLOSED
/// Ownership:         a copy; nothing to free
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            never for long: waits for no reload; some microseconds for each identity
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_write_metrics(
    handle: *const certreload_handle,
    buffer: *mut c_char,
    size: usize,
    needed_out: *mut usize,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, room for `size` bytes and a place to write, or
        // NULL.
        unsafe {
            let handle = cast::arc_clone(handle, "handle")?;
            let needed = cast::out(needed_out, "needed_out")?;
            let room = room(buffer, size)?;
            let metrics = handle.metrics()?;
            write_to(room, needed, || write_metrics(&[metrics]))
        }
    })
}

/// Writes the metrics of several handles as one page, in the format of certreload_write_metrics().
///
/// Every series has the label handle: the name from certreload_options_set_name(), or the position in handles. No two
/// labels may be the same, because a reader refuses a page that has a series twice.
///
/// @param handles     count open handles, none NULL; NULL only with count 0
/// @param count       at most CERTRELOAD_MAX_PAGE_HANDLES
/// @param buffer      as for certreload_write_metrics()
/// @param size        likewise
/// @param needed_out  likewise
/// @return            likewise; INVALID_PARAMETER also if count is too large, or if two handles have the same label,
///                    which the message names
/// Ownership:         a copy; nothing to free
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            never for long: waits for no reload; some microseconds for each identity
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_write_metrics_page(
    handles: *const *mut certreload_handle,
    count: usize,
    buffer: *mut c_char,
    size: usize,
    needed_out: *mut usize,
) -> certreload_result {
    boundary(|| {
        let names = ("handles", "count");
        // SAFETY: the caller vouches for count pointers.
        let pointers = unsafe { cast::slice(handles, count, CERTRELOAD_MAX_PAGE_HANDLES, names)? };
        let mut all = Vec::with_capacity(pointers.len());
        // SAFETY: the caller passes open handles, room for `size` bytes and a place to write, or
        // NULL.
        unsafe {
            let needed = cast::out(needed_out, "needed_out")?;
            let room = room(buffer, size)?;
            for (index, handle) in pointers.iter().enumerate() {
                let handle = cast::arc_clone(handle.cast_const(), "handles")
                    .map_err(|_| Error::null(format!("handles[{index}]")))?;
                all.push(handle.metrics()?);
            }
            write_to(room, needed, || write_metrics(&all))
        }
    })
}

/// Returns the caller's buffer and its size, or an error if the size is impossible or the buffer is NULL.
fn room(buffer: *mut c_char, size: usize) -> Result<(*mut c_char, usize), Error> {
    cast::at_most(size, cast::MAX_BUFFER_SIZE, "size")?;
    if buffer.is_null() && size > 0 {
        return Err(Error::null("buffer"));
    }
    Ok((buffer, size))
}

/// Writes the result of `text`, or only a NUL if it does not fit.
///
/// # Safety
/// `buffer` has `size` writable bytes, and no other thread uses them during the call.
unsafe fn write_to(
    (buffer, size): (*mut c_char, usize),
    mut needed_out: Out<usize>,
    text: impl FnOnce() -> Result<String, Error>,
) -> Result<certreload_result, Error> {
    let text = text()?;
    let needed = text.len() + 1;
    needed_out.set(needed);
    if needed > size {
        if size > 0 {
            // SAFETY: the caller promises `size` writable bytes, and `size` is at least 1.
            unsafe { buffer.write(0) };
        }
        return Err(Error::new(Cause::BufferTooSmall { needed }));
    }
    // SAFETY: the caller's promise, and the text and its NUL fit.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, text.len());
        buffer.add(text.len()).write(0);
    }
    Ok(certreload_result::Ok)
}
