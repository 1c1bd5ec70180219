//! The status of a handle and of its identities, as C structs.

mod convert;
mod copy_out;
pub mod trust;

use std::ffi::c_char;

use super::cast;
use super::handle::certreload_handle;
use super::panic_boundary::boundary;
use super::result::certreload_result;
use copy_out::write_cut;

/// Whether what is served is valid, and whether it will stay so.
///
/// If several states apply, the worst is reported: MISSING, else EXPIRED, else STALE, else EXPIRING, else OK. The health
/// of a handle is the worst of its identities, its trust store and its ticket keys. A failure of one identity does not make another
/// one STALE (certreload_get_identity_status()). Files that look incomplete are not STALE while they are retried.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_health {
    /// What is served is valid and equals the files.
    Ok = 0,
    /// What is served is valid, but its warning window has begun: see certreload_options_set_expiry_warning_seconds()
    /// and certreload_options_set_ticket_key_lifetime_seconds().
    Expiring = 1,
    /// The files cannot be used, as RELOAD_FAILED reported. What is served is still valid, so connections succeed, but
    /// the renewal needs attention. Also in a forked child before certreload_after_fork().
    Stale = 2,
    /// A certificate that is served has expired, or a revocation list because of which peers are then refused. An
    /// expired intermediate counts if its chain offers no other path. Or a certificate that is served is not valid yet
    /// (CERTRELOAD_WARNING_NOT_YET_VALID): RELOADED has that bit, and no event reports it when the clock was set back.
    Expired = 3,
    /// An identity, or the trust store, has never been loaded. Only with CERTRELOAD_START_AVAILABLE, which says what
    /// clients get.
    Missing = 4,
}

/// How changes are being found.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_watch_state {
    /// Not at all: CERTRELOAD_WATCH_OFF, or a forked child before certreload_after_fork().
    Off = 0,
    /// By polling, as requested: CERTRELOAD_WATCH_POLL.
    Polling = 1,
    /// By the kernel's notifications, and by polls for changes that cause none.
    Notified = 2,
    /// By polling alone, because notifications are not available; each poll tries them again.
    Degraded = 3,
}

/// Size of the text of a failure, its NUL included.
pub const CERTRELOAD_MAX_FAILURE_TEXT: usize = 512;

/// Size of a path in the status of an identity or of the trust store, its NUL included. A longer path is cut.
pub const CERTRELOAD_MAX_PATH_TEXT: usize = 512;

/// The status of a handle. Times are seconds since 1970-01-01 UTC.
///
/// The library sets `size` to the number of bytes that it wrote. The struct may grow at the end. Fields beyond `size`
/// are not written: zero the struct first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct certreload_status {
    /// The number of bytes of this struct that were written.
    pub size: usize,
    /// The number of the current generation; the first is 1, and numbers only grow.
    pub generation: u64,
    /// When that generation was published.
    pub loaded_at: i64,
    /// The earliest notAfter of all identities, that is of their leaves; INT64_MAX if there is none.
    pub earliest_not_after: i64,
    /// The health of the handle.
    pub health: certreload_health,
    /// The result of the last scan: OK, UNCHANGED, or why it failed.
    pub last_result: certreload_result,
    /// Number of generations published after the first.
    pub reloads: u64,
    /// Number of distinct failures that were reported.
    pub failures: u64,
    /// Number of scans that found nothing new.
    pub unchanged: u64,
    /// Number of identities in the current generation: those of the handle that have been loaded.
    pub identities: usize,
    /// Number of generations whose memory, keys included, is still allocated (G8): the current one, and older ones that
    /// are in use. An acquired generation or configuration keeps its generation in use. So does a connection until its
    /// handshake is done.
    pub generations_alive: usize,
    /// How changes are being found.
    pub watch: certreload_watch_state,
    /// CERTRELOAD_WARNING_* bits of the current generation. NAMES_LOST and EXPIRES_EARLIER are about the change that
    /// created it, as is CHAIN_INCOMPLETE if the previous chain was longer. DUPLICATE_NAME is about several identities.
    /// These, and KEY_USAGE for a client role without
    /// a certificate, are reported here and in the RELOADED event. The others last as long as their cause, and are also
    /// in certreload_identity_status or certreload_trust_status. TICKET_KEY_OLD is in neither.
    pub warnings: u32,
    /// Since when health has its present value. EXPIRED: the notAfter, or a list's nextUpdate, that was reached first.
    /// STALE and MISSING: when the oldest unresolved failure was reported. EXPIRING: when the first warning window began. OK: the
    /// time of the open, or when the last problem ended. 0 if it is not known (in a forked child).
    pub health_since: i64,
    /// When the first of all warning windows begins: from then on health is EXPIRING or worse. 0 if there is no window.
    pub expiring_from: i64,
    /// When files were last scanned, with any outcome.
    pub last_checked_at: i64,
    /// Number of RELOAD_FAILED events about those identities, trust store and ticket keys that fail now, since each was
    /// last good; 0 if none fails. A file that fails as before counts once, however often it is scanned.
    pub consecutive_failures: u64,
    /// When the failure in last_failure was reported; 0 if there is none.
    pub last_failure_at: i64,
    /// The newest unresolved failure, in one line of UTF-8, cut to fit; "" if there is none.
    pub last_failure: [c_char; CERTRELOAD_MAX_FAILURE_TEXT],
    /// Number of identities of the handle: those that were added to its options. More than `identities` only while some
    /// have never been loaded (CERTRELOAD_START_AVAILABLE).
    pub identities_configured: usize,
}

/// The status of one identity. Times are seconds since 1970-01-01 UTC.
///
/// The library sets `size` to the number of bytes that it wrote. The struct may grow at the end. Fields beyond `size`
/// are not written: zero the struct first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct certreload_identity_status {
    /// The number of bytes of this struct that were written.
    pub size: usize,
    /// The health of this identity alone.
    pub health: certreload_health,
    /// OK, or why its files cannot be used: the result of last_failure.
    pub last_result: certreload_result,
    /// Since when health has its present value; see certreload_status.
    pub health_since: i64,
    /// The notBefore of the certificate that is served; 0 while health is MISSING.
    pub not_before: i64,
    /// The notAfter of the certificate that is served; 0 while health is MISSING.
    pub not_after: i64,
    /// When the certificate's warning window begins; 0 if warnings are switched off, or there is none. Those of an OCSP response and of
    /// an intermediate, which count for the health, may begin earlier.
    pub expiring_from: i64,
    /// When new bytes of the identity were last accepted, from files or by a push; at first the time of the open. 0 in
    /// a forked child until the next renewal, and while health is MISSING.
    pub renewed_at: i64,
    /// The number of the first generation with the present bytes of the identity; at first that of the open. 0 in a
    /// forked child, which does not know it, until the next renewal.
    pub renewed_generation: u64,
    /// When its files were last scanned, with any outcome.
    pub last_checked_at: i64,
    /// CERTRELOAD_WARNING_* bits that are about this identity alone. NAMES_LOST, EXPIRES_EARLIER and DUPLICATE_NAME are
    /// only in certreload_status.
    pub warnings: u32,
    /// 1 while its files look incomplete and are retried; else 0.
    pub pending: u32,
    /// Number of RELOAD_FAILED events about this identity since it was last good; 0 if its files are good.
    pub consecutive_failures: u64,
    /// When the failure in last_failure was reported; 0 if there is none.
    pub last_failure_at: i64,
    /// The unresolved failure, in one line of UTF-8, cut to fit; "" if there is none. The next success clears it.
    pub last_failure: [c_char; CERTRELOAD_MAX_FAILURE_TEXT],
    /// Which identity this is: the path of its chain as the host wrote it (made absolute), with "?" in place of control
    /// characters, cut to fit.
    pub chain_path: [c_char; CERTRELOAD_MAX_PATH_TEXT],
}

/// Writes the status of a handle.
///
/// The fields of one call are one snapshot and agree with each other. They need not agree with a later call, nor with
/// certreload_get_identity_status(), which takes its own snapshot.
///
/// @param handle       must not be NULL
/// @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
/// @param status_size  sizeof(certreload_status) of the header that the program was compiled with
/// @return             OK; NULL_PARAMETER; INVALID_PARAMETER if status_size is below 16 or above 65536; CLOSED
/// Ownership:          a copy; nothing to free
/// Threads:            any thread, concurrently
/// Signals:            not async-signal-safe
/// Blocks:             never for long: waits for no reload
/// Since:              0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_get_status(
    handle: *const certreload_handle,
    status_out: *mut certreload_status,
    status_size: usize,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle, "handle")? };
        // SAFETY: the caller vouches for status_size writable bytes.
        unsafe { write_cut(handle.status()?, status_out, status_size)? };
        Ok(certreload_result::Ok)
    })
}

/// Writes the status of one identity of a handle.
///
/// The index counts all identities that were added. That of certreload_generation_identity() counts those that have been
/// loaded: certreload_identity_index() converts.
///
/// @param handle       must not be NULL
/// @param index        0 to certreload_status.identities_configured - 1: the order in which identities were added
/// @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
/// @param status_size  sizeof(certreload_identity_status) of the header that the program was compiled with
/// @return             OK; NULL_PARAMETER; INVALID_PARAMETER if the index does not exist, or status_size is below 16
///                     or above 65536; CLOSED
/// Ownership:          a copy; nothing to free
/// Threads:            any thread, concurrently
/// Signals:            not async-signal-safe
/// Blocks:             never for long: waits for no reload
/// Since:              0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_get_identity_status(
    handle: *const certreload_handle,
    index: usize,
    status_out: *mut certreload_identity_status,
    status_size: usize,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle, "handle")? };
        let status = handle
            .identity_status(index)?
            .ok_or_else(|| cast::no_such_index(index, handle.identity_count(), "identities"))?;
        // SAFETY: the caller vouches for status_size writable bytes.
        unsafe { write_cut(status, status_out, status_size)? };
        Ok(certreload_result::Ok)
    })
}

/// Returns the name of a state of health, for logs and status pages.
///
/// @param health  any number; an unknown one returns "unknown"
/// @return        one lower-case word, such as "stale"; never NULL
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
        4 => c"missing",
        _ => c"unknown",
    };
    word.as_ptr()
}

/// A `certreload_health` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type health_number = u32;

/// Returns the name of a state of the watch, for logs and status pages.
///
/// @param state  any number; an unknown one returns "unknown"
/// @return       one lower-case word, such as "notified"; never NULL
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

/// A `certreload_watch_state` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type watch_state_number = u32;
