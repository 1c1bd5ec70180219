//! How a handle is doing, in numbers.

use std::ffi::c_char;
use std::ptr;

use super::boundary::boundary;
use super::cast;
use super::handle::certreload_handle;
use super::result::certreload_result;
use crate::error::{Cause, Error};
use crate::reload::{Health, Status};
use crate::watch::WatchState;

/// Whether what serves is good, and whether it will stay so.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_health {
    /// What serves is valid and equals the files.
    Ok = 0,
    /// Valid, but a certificate is in the last third of its lifetime, or in its last 30 days where that is shorter.
    Expiring = 1,
    /// The last reload failed. What serves is still valid: the renewal needs a look, the service is not down.
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

/// How a handle is doing. Times are seconds since 1970-01-01 UTC.
///
/// The struct may grow at the end; `size` tells how much of it the library filled in.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct certreload_status {
    /// How many bytes of this struct were filled in.
    pub size: usize,
    /// The number of the generation that serves; the first is 1, and numbers only grow.
    pub generation: u64,
    /// When that generation was published.
    pub loaded_at: i64,
    /// The earliest notAfter of all certificates that serve.
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
    /// CERTRELOAD_WARNING_* bits of the generation that serves.
    pub warnings: u32,
}

/// Tell how a handle is doing.
///
/// @param handle       must not be NULL
/// @param status_out   must not be NULL; its first bytes are written, at most status_size of them; only on OK
/// @param status_size  sizeof(certreload_status) of the header that the program was compiled with
/// @return             OK; NULL_PARAMETER; INVALID_PARAMETER where status_size is below 16
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
        let handle = unsafe { cast::borrow(handle, "handle")? };
        if status_out.is_null() {
            return Err(Error::new(Cause::NullParameter("status_out")));
        }
        if status_size < 16 {
            return Err(Error::new(Cause::InvalidParameter("status_size is below 16")));
        }
        let size = status_size.min(size_of::<certreload_status>());
        let status = certreload_status { size, ..handle.status().into() };
        // SAFETY: the caller vouches for status_size writable bytes, and `size` is no more than
        // those and no more than what `status` has.
        unsafe {
            ptr::copy_nonoverlapping((&raw const status).cast::<u8>(), status_out.cast(), size);
        }
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

impl From<Status> for certreload_status {
    fn from(status: Status) -> Self {
        Self {
            size: size_of::<Self>(),
            generation: status.generation,
            loaded_at: status.loaded_at,
            earliest_not_after: status.earliest_not_after,
            health: match status.health {
                Health::Ok => certreload_health::Ok,
                Health::Expiring => certreload_health::Expiring,
                Health::Stale => certreload_health::Stale,
                Health::Expired => certreload_health::Expired,
            },
            last_result: match &status.last_outcome {
                Ok(outcome) => (*outcome).into(),
                Err(error) => error.into(),
            },
            reloads: status.reloads,
            failures: status.failures,
            unchanged: status.unchanged,
            identities: status.identities,
            generations_alive: status.generations_alive,
            watch: match status.watch {
                WatchState::Off => certreload_watch_state::Off,
                WatchState::Polling => certreload_watch_state::Polling,
                WatchState::Notified => certreload_watch_state::Notified,
                WatchState::Degraded => certreload_watch_state::Degraded,
            },
            warnings: super::event::warning_bits(status.warnings),
        }
    }
}
