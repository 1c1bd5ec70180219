//! How a handle is doing, in numbers.

mod fill;
pub mod trust;

use std::ffi::c_char;

use super::boundary::boundary;
use super::cast;
use super::handle::certreload_handle;
use super::result::certreload_result;
use fill::write_cut;

/// Whether what serves is good, and whether it will stay so.
///
/// The worst that is true is told: EXPIRED before STALE before EXPIRING before OK. Of a handle it is the worst of its
/// identities; one that fails makes no other one STALE (certreload_get_identity_status()). Files that look half-written
/// and are waited for make nothing STALE yet.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_health {
    /// What serves is valid and equals the files.
    Ok = 0,
    /// Valid, but a renewal should have come: see certreload_options_set_expiry_warning_seconds().
    Expiring = 1,
    /// The files cannot be used, as RELOAD_FAILED told. What serves is still valid: the renewal needs a look, the
    /// service is not down.
    Stale = 2,
    /// A certificate that serves has expired.
    Expired = 3,
}

/// How changes are being found.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_watch_state {
    /// Not at all: CERTRELOAD_WATCH_OFF.
    Off = 0,
    /// By polling, as asked: CERTRELOAD_WATCH_POLL.
    Polling = 1,
    /// By the kernel's notifications, and a poll besides.
    Notified = 2,
    /// By polling alone, because notifications could not be had; they are tried again at each poll.
    Degraded = 3,
}

/// Room for the text of a failure, its NUL included.
pub const CERTRELOAD_MAX_FAILURE_TEXT: usize = 512;

/// Room for the path of an identity in its status, its NUL included: a path is rarely longer.
pub const CERTRELOAD_MAX_PATH_TEXT: usize = 512;

/// How a handle is doing. Times are seconds since 1970-01-01 UTC.
///
/// The struct may grow at the end; `size` tells how much of it the library filled in. Fields beyond that are not written:
/// zero the struct first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct certreload_status {
    /// How many bytes of this struct were filled in.
    pub size: usize,
    /// The number of the generation that serves; the first is 1, and numbers only grow.
    pub generation: u64,
    /// When that generation was published.
    pub loaded_at: i64,
    /// The earliest notAfter of all identities; INT64_MAX where there is none.
    pub earliest_not_after: i64,
    /// How good that is.
    pub health: certreload_health,
    /// What the last look at the files came to: OK, UNCHANGED, or why it failed.
    pub last_result: certreload_result,
    /// Generations published after the first.
    pub reloads: u64,
    /// Distinct failures told.
    pub failures: u64,
    /// Looks at the files that found nothing new.
    pub unchanged: u64,
    /// Identities in the generation that serves.
    pub identities: usize,
    /// Generations whose memory, keys included, lives: the current one, and those that somebody still holds: an
    /// acquired generation or config, or a connection, which rustls lets go of when its handshake is done.
    pub generations_alive: usize,
    /// How changes are being found.
    pub watch: certreload_watch_state,
    /// CERTRELOAD_WARNING_* bits of the generation that serves, until the next one comes. NAMES_LOST and EXPIRES_EARLIER are
    /// about the change that it came with; they and DUPLICATE_NAME, which is about several identities, are told here and
    /// in the RELOADED event. All others are about one identity and stand as long as it serves so; they are in
    /// certreload_identity_status, too.
    pub warnings: u32,
    /// Since when health is what it is. EXPIRED: the notAfter that was reached first; STALE: when the first of the
    /// failures that stand was told; EXPIRING: when the first warning window was reached; OK: the open, or when the last
    /// trouble ended. 0 where it is not known (in a forked child).
    pub health_since: i64,
    /// When the first of all warning windows begins: from then on health is EXPIRING at the best. 0 where no warning is
    /// wanted.
    pub expiring_from: i64,
    /// When files were last looked at, whatever that came to.
    pub last_checked_at: i64,
    /// RELOAD_FAILED events since the identities that fail were last good; 0 where none fails. A file that stays as bad
    /// as it was told counts once, however often it is looked at.
    pub consecutive_failures: u64,
    /// When the failure in last_failure was told; 0 where none stands.
    pub last_failure_at: i64,
    /// The newest failure that stands, in one line of UTF-8, cut to fit; "" where none stands.
    pub last_failure: [c_char; CERTRELOAD_MAX_FAILURE_TEXT],
}

/// How one identity is doing. Times are seconds since 1970-01-01 UTC.
///
/// The struct may grow at the end; `size` tells how much of it the library filled in. Fields beyond that are not written:
/// zero the struct first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct certreload_identity_status {
    /// How many bytes of this struct were filled in.
    pub size: usize,
    /// How good it is, whatever the others are.
    pub health: certreload_health,
    /// OK, or why its files cannot be used: that of last_failure.
    pub last_result: certreload_result,
    /// Since when health is what it is; see certreload_status.
    pub health_since: i64,
    /// From when the certificate that serves is valid.
    pub not_before: i64,
    /// Until when it is.
    pub not_after: i64,
    /// When its warning window begins; 0 where no warning is wanted.
    pub expiring_from: i64,
    /// When it was last renewed, or loaded first: when what its files held last changed for the better.
    pub renewed_at: i64,
    /// The number of the generation that came with that; 0 where it is not known (in a forked child).
    pub renewed_generation: u64,
    /// When its files were last looked at, whatever that came to.
    pub last_checked_at: i64,
    /// CERTRELOAD_WARNING_* bits of what serves, but for those that are about a change or several identities.
    pub warnings: u32,
    /// 1 while its files look half-written and are waited for; else 0.
    pub pending: u32,
    /// RELOAD_FAILED events about it since it was last good; 0 where its files are good.
    pub consecutive_failures: u64,
    /// When the failure in last_failure was told; 0 where none stands.
    pub last_failure_at: i64,
    /// The failure that stands, in one line of UTF-8, cut to fit; "" where none stands. It goes with the next success.
    pub last_failure: [c_char; CERTRELOAD_MAX_FAILURE_TEXT],
    /// Which identity this is: the path of its chain as the host spelled it (made absolute), fit to print, cut to fit.
    pub chain_path: [c_char; CERTRELOAD_MAX_PATH_TEXT],
}

/// Tell how a handle is doing.
///
/// One snapshot: its fields agree with each other, and need not with those of a later call, nor with what
/// certreload_get_identity_status() tells, which is a snapshot of its own.
///
/// @param handle       must not be NULL
/// @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
/// @param status_size  sizeof(certreload_status) of the header that the program was compiled with
/// @return             OK; NULL_PARAMETER; INVALID_PARAMETER where status_size is below 16 or above 65536; CLOSED
/// Ownership:          a copy; nothing to free
/// Threads:            any thread, concurrently
/// Signals:            not async-signal-safe
/// Blocks:             never for long: waits for no reload
/// Since:              0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_get_status(
    handle: *mut certreload_handle,
    status_out: *mut certreload_status,
    status_size: usize,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle.cast_const(), "handle")? };
        // SAFETY: the caller vouches for status_size writable bytes.
        unsafe { write_cut(handle.status()?, status_out, status_size)? };
        Ok(certreload_result::Ok)
    })
}

/// Tell how one identity of a handle is doing.
///
/// @param handle       must not be NULL
/// @param index        0 to the identities of certreload_status - 1: in the order in which they were added, which is
///                     their order in every generation
/// @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
/// @param status_size  sizeof(certreload_identity_status) of the header that the program was compiled with
/// @return             OK; NULL_PARAMETER; INVALID_PARAMETER where there is no such index, or status_size is below 16 or above
///                     65536; CLOSED
/// Ownership:          a copy; nothing to free
/// Threads:            any thread, concurrently
/// Signals:            not async-signal-safe
/// Blocks:             never for long: waits for no reload
/// Since:              0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_get_identity_status(
    handle: *mut certreload_handle,
    index: usize,
    status_out: *mut certreload_identity_status,
    status_size: usize,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle.cast_const(), "handle")? };
        let status = handle
            .identity_status(index)?
            .ok_or_else(|| cast::no_such_index(index, handle.identity_count(), "identities"))?;
        // SAFETY: the caller vouches for status_size writable bytes.
        unsafe { write_cut(status, status_out, status_size)? };
        Ok(certreload_result::Ok)
    })
}

/// Name a state of health in a word, for logs and status pages.
///
/// @param health  any number; an unknown one gets "unknown"
/// @return       one lower-case word, such as "stale"; never NULL
/// Ownership:     static text; do not free
/// Threads:       any thread, concurrently
/// Signals:       async-signal-safe
/// Blocks:        never
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_health_str(health: health_number) -> *const c_char {
    let word = match health {
        0 => c"ok",
        1 => c"expiring",
        2 => c"stale",
        3 => c"expired",
        _ => c"unknown",
    };
    word.as_ptr()
}

/// What C passes for a `certreload_health`: any number at all.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type health_number = u32;

/// Name a state of the watch in a word, for logs and status pages.
///
/// @param state  any number; an unknown one gets "unknown"
/// @return      one lower-case word, such as "notified"; never NULL
/// Ownership:    static text; do not free
/// Threads:      any thread, concurrently
/// Signals:      async-signal-safe
/// Blocks:       never
/// Since:        0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_watch_state_str(state: watch_state_number) -> *const c_char {
    let word = match state {
        0 => c"off",
        1 => c"polling",
        2 => c"notified",
        3 => c"degraded",
        _ => c"unknown",
    };
    word.as_ptr()
}

/// What C passes for a `certreload_watch_state`: any number at all.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type watch_state_number = u32;
