//! The status of the trust store: roots, revocation lists, and their files.

use std::ffi::c_char;

use super::copy_out::write_cut;
use super::{CERTRELOAD_MAX_FAILURE_TEXT, CERTRELOAD_MAX_PATH_TEXT, certreload_health};
use crate::error::{Cause, Error};
use crate::ffi::cast;
use crate::ffi::handle::certreload_handle;
use crate::ffi::panic_boundary::boundary;
use crate::ffi::result::certreload_result;

/// The status of the trust store. Times are seconds since 1970-01-01 UTC.
///
/// The library sets `size` to the number of bytes that it wrote. The struct may grow at the end. Fields beyond `size`
/// are not written: zero the struct first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct certreload_trust_status {
    /// The number of bytes of this struct that were written.
    pub size: usize,
    /// The health of the trust store alone: EXPIRED if a revocation list has expired and CERTRELOAD_CRL_ALLOW_EXPIRED
    /// is not set.
    pub health: certreload_health,
    /// OK, or why its files cannot be used: the result of last_failure.
    pub last_result: certreload_result,
    /// Since when health has its present value; see certreload_status.
    pub health_since: i64,
    /// Number of roots that clients are checked against.
    pub client_roots: usize,
    /// Number of roots that servers are checked against.
    pub server_roots: usize,
    /// Number of revocation lists.
    pub crls: usize,
    /// Number of entries in all lists, each a revoked certificate.
    pub revoked: usize,
    /// The earliest nextUpdate of all lists; 0 if there is none.
    pub next_update: i64,
    /// When the first warning window of a list begins; 0 if there is none.
    pub expiring_from: i64,
    /// When the trust store last changed, or was loaded first; 0 in a forked child until the next change.
    pub renewed_at: i64,
    /// The number of the first generation with the present trust store; at first that of the open. 0 in a forked child,
    /// which does not know it, until the next change.
    pub renewed_generation: u64,
    /// When its files were last scanned, with any outcome.
    pub last_checked_at: i64,
    /// CERTRELOAD_WARNING_* bits of the trust store.
    pub warnings: u32,
    /// 1 while its files look incomplete and are retried; else 0.
    pub pending: u32,
    /// Number of RELOAD_FAILED events about the trust store since it was last good; 0 if its files are good.
    pub consecutive_failures: u64,
    /// When the failure in last_failure was reported; 0 if there is none.
    pub last_failure_at: i64,
    /// The unresolved failure, in one line of UTF-8, cut to fit; "" if there is none. The next success clears it.
    pub last_failure: [c_char; CERTRELOAD_MAX_FAILURE_TEXT],
    /// The first file or directory of the trust store as the host wrote it (made absolute), with "?" in place of
    /// control characters, cut to fit.
    pub path: [c_char; CERTRELOAD_MAX_PATH_TEXT],
}

/// Writes the status of the trust store of a handle.
///
/// @param handle       must not be NULL
/// @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
/// @param status_size  sizeof(certreload_trust_status) of the header that the program was compiled with
/// @return             OK; NULL_PARAMETER; INVALID_PARAMETER if status_size is below 16 or above 65536;
///                     NOT_CONFIGURED if the handle has no roots; CLOSED
/// Ownership:          a copy; nothing to free
/// Threads:            any thread, concurrently
/// Signals:            not async-signal-safe
/// Blocks:             never for long: waits for no reload
/// Since:              0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_get_trust_status(
    handle: *const certreload_handle,
    status_out: *mut certreload_trust_status,
    status_size: usize,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle, "handle")? };
        let nothing = || Error::new(Cause::NotConfigured("roots to check peers with"));
        let status = handle.trust_status()?.ok_or_else(nothing)?;
        // SAFETY: the caller vouches for status_size writable bytes.
        unsafe { write_cut(status, status_out, status_size)? };
        Ok(certreload_result::Ok)
    })
}
