//! How the trust is doing: roots, revocation lists, and the files that they come from.

use std::ffi::c_char;

use super::fill::write_cut;
use super::{CERTRELOAD_MAX_FAILURE_TEXT, CERTRELOAD_MAX_PATH_TEXT, certreload_health};
use crate::error::{Cause, Error};
use crate::ffi::boundary::boundary;
use crate::ffi::cast;
use crate::ffi::handle::certreload_handle;
use crate::ffi::result::certreload_result;

/// How what peers are checked against is doing. Times are seconds since 1970-01-01 UTC.
///
/// The struct may grow at the end; `size` tells how much of it the library filled in. Fields beyond that are not written:
/// zero the struct first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct certreload_trust_status {
    /// How many bytes of this struct were filled in.
    pub size: usize,
    /// How good it is, whatever the identities are: EXPIRED where a revocation list has expired and that counts.
    pub health: certreload_health,
    /// OK, or why its files cannot be used: that of last_failure.
    pub last_result: certreload_result,
    /// Since when health is what it is; see certreload_status.
    pub health_since: i64,
    /// Roots that clients are checked against.
    pub client_roots: usize,
    /// Roots that servers are checked against.
    pub server_roots: usize,
    /// Revocation lists.
    pub crls: usize,
    /// Entries of all of them.
    pub revoked: usize,
    /// The earliest nextUpdate of all lists; 0 where there is none.
    pub next_update: i64,
    /// When the first of their warning windows begins; 0 where there is none.
    pub expiring_from: i64,
    /// When it last changed, or was loaded first.
    pub renewed_at: i64,
    /// The number of the generation that came with that; 0 where it is not known (in a forked child).
    pub renewed_generation: u64,
    /// When its files were last looked at, whatever that came to.
    pub last_checked_at: i64,
    /// CERTRELOAD_WARNING_* bits of what serves.
    pub warnings: u32,
    /// 1 while its files look half-written and are waited for; else 0.
    pub pending: u32,
    /// RELOAD_FAILED events about it since it was last good; 0 where its files are good.
    pub consecutive_failures: u64,
    /// When the failure in last_failure was told; 0 where none stands.
    pub last_failure_at: i64,
    /// The failure that stands, in one line of UTF-8, cut to fit; "" where none stands. It goes with the next success.
    pub last_failure: [c_char; CERTRELOAD_MAX_FAILURE_TEXT],
    /// Its first file or directory as the host spelled it (made absolute), fit to print, cut to fit.
    pub path: [c_char; CERTRELOAD_MAX_PATH_TEXT],
}

/// Tell how the trust of a handle is doing.
///
/// @param handle       must not be NULL
/// @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
/// @param status_size  sizeof(certreload_trust_status) of the header that the program was compiled with
/// @return             OK; NULL_PARAMETER; INVALID_PARAMETER where status_size is below 16 or above 65536; NOT_CONFIGURED where
///                     the handle has no roots; CLOSED
/// Ownership:          a copy; nothing to free
/// Threads:            any thread, concurrently
/// Signals:            not async-signal-safe
/// Blocks:             never for long: waits for no reload
/// Since:              0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_get_trust_status(
    handle: *mut certreload_handle,
    status_out: *mut certreload_trust_status,
    status_size: usize,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle.cast_const(), "handle")? };
        let nothing = || Error::new(Cause::NotConfigured("roots to check peers with"));
        let status = handle.trust_status()?.ok_or_else(nothing)?;
        // SAFETY: the caller vouches for status_size writable bytes.
        unsafe { write_cut(status, status_out, status_size)? };
        Ok(certreload_result::Ok)
    })
}
