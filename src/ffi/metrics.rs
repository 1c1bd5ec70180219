//! Handles in the text format of Prometheus, for the host's own metrics page.

use std::ffi::c_char;
use std::ptr;

use super::boundary::boundary;
use super::cast;
use super::cast::Out;
use super::handle::certreload_handle;
use super::result::certreload_result;
use crate::error::{Cause, Error};
use crate::status::write_metrics;

/// The largest number of handles on one page.
pub const CERTRELOAD_MAX_PAGE_HANDLES: usize = 100000;

/// Write what there is to measure of a handle in the Prometheus text format, version 0.0.4.
///
/// For a page that the host serves as "text/plain; version=0.0.4". Of the handle: certreload_reloads_total{result=
/// "reloaded"|"unchanged"|"failed"}, certreload_generation, certreload_generations_alive,
/// certreload_last_reload_timestamp_seconds, certreload_last_check_timestamp_seconds, certreload_health{state} and
/// certreload_watch_state{state}, where the state that it is in is 1 and the others are 0. Of each identity, with the
/// labels identity (the path of its chain) and name (its first name): certreload_not_before_timestamp_seconds,
/// certreload_not_after_timestamp_seconds, certreload_consecutive_failures and certreload_identity_health{state}. An
/// identity that was added twice is written once. Of a handle that checks peers: certreload_trust_client_roots,
/// certreload_trust_server_roots, certreload_trust_crls, certreload_trust_revoked, certreload_trust_consecutive_failures,
/// certreload_trust_renewed_timestamp_seconds, certreload_crl_next_update_timestamp_seconds (where there are lists) and
/// certreload_trust_health{state}. Every series has the label handle where
/// certreload_options_set_name() gave the handle a name. A process with several handles writes them with
/// certreload_write_metrics_page(): two pages pasted together are not valid.
///
/// The page may grow between two calls, so ask until it fits; the first round of this loop asks for the size:
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
/// @return            OK; BUFFER_TOO_SMALL, and of the text nothing is written: where size is not 0, buffer is "";
///                    NULL_PARAMETER, which a NULL buffer with another size is too; INVALID_PARAMETER if size is above
///                    PTRDIFF_MAX; CLOSED
/// Ownership:         a copy; nothing to free
/// Threads:           any thread, concurrently
/// Signals:           not async-signal-safe
/// Blocks:            never for long: waits for no reload; some microseconds for each identity
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_write_metrics(
    handle: *mut certreload_handle,
    buffer: *mut c_char,
    size: usize,
    needed_out: *mut usize,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, room for `size` bytes and a place to write, or
        // NULL.
        unsafe {
            let handle = cast::arc_clone(handle.cast_const(), "handle")?;
            let needed = cast::out(needed_out, "needed_out")?;
            let room = room(buffer, size)?;
            let snapshot = handle.snapshot()?;
            write_to(room, needed, || write_metrics(&[snapshot]))
        }
    })
}

/// Write what there is to measure of several handles as one page, as certreload_write_metrics() does of one.
///
/// Every series has the label handle: the name that certreload_options_set_name() gave, or the position in handles. No
/// two may be the same: a reader refuses a page that has a series twice.
///
/// @param handles     count open handles, none NULL; NULL only with count 0
/// @param count       at most CERTRELOAD_MAX_PAGE_HANDLES
/// @param buffer      as with certreload_write_metrics()
/// @param size        likewise
/// @param needed_out  likewise
/// @return            likewise; INVALID_PARAMETER also if count is too large, or two handles have the same label, which
///                    the message names
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
        let mut snapshots = Vec::with_capacity(pointers.len());
        // SAFETY: the caller passes open handles, room for `size` bytes and a place to write, or
        // NULL.
        unsafe {
            let needed = cast::out(needed_out, "needed_out")?;
            let room = room(buffer, size)?;
            for (index, handle) in pointers.iter().enumerate() {
                let handle = cast::arc_clone(handle.cast_const(), "handles")
                    .map_err(|_| Error::null(format!("handles[{index}]")))?;
                snapshots.push(handle.snapshot()?);
            }
            write_to(room, needed, || write_metrics(&snapshots))
        }
    })
}

/// Checks a buffer of the caller's.
fn room(buffer: *mut c_char, size: usize) -> Result<(*mut c_char, usize), Error> {
    cast::at_most(size, cast::MAX_BUFFER_SIZE, "size")?;
    if buffer.is_null() && size > 0 {
        return Err(Error::null("buffer"));
    }
    Ok((buffer, size))
}

/// Writes what `text` gives, or nothing but a NUL where it does not fit.
///
/// # Safety
/// The room is writable, and nobody else uses it during the call.
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
            // SAFETY: the caller's promise: there is room for one byte.
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
