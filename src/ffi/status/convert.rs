//! Converts the statuses of the core to the C status structs.

use std::ffi::c_char;

use super::copy_out::StatusStruct;
use super::trust::certreload_trust_status;
use super::{
    CERTRELOAD_MAX_FAILURE_TEXT, certreload_health, certreload_identity_status, certreload_status,
    certreload_watch_state,
};
use crate::error::Error;
use crate::ffi::cast;
use crate::ffi::event::warning_bits;
use crate::ffi::result::certreload_result;
use crate::status::{Health, IdentityStatus, Status, TrustStatus, UnitHealth};
use crate::watch::WatchState;

/// Implements the conversion from a status to its C struct. The arguments give the fields that differ; those of
/// [`UnitHealth`] are in every status, and are filled here.
macro_rules! fill {
    ($from:ident => $to:ident, $status:ident, $health:ident, { $($field:ident: $value:expr,)* }) => {
        impl From<$from> for $to {
            fn from($status: $from) -> Self {
                let $health: &UnitHealth = &$status.health;
                let failure = $health.failure.as_ref();
                Self {
                    size: size_of::<Self>(),
                    health: $health.level.into(),
                    health_since: $health.since,
                    last_checked_at: $health.checked_at,
                    warnings: warning_bits($health.warnings),
                    consecutive_failures: $health.consecutive_failures,
                    last_failure_at: failure.map_or(0, |failure| failure.reported_at),
                    last_failure: failure_text(failure.map(|failure| &failure.error)),
                    $($field: $value,)*
                }
            }
        }

        impl StatusStruct for $to {
            fn size_mut(&mut self) -> &mut usize {
                &mut self.size
            }
        }
    };
}

fill!(Status => certreload_status, status, health, {
    generation: status.generation,
    loaded_at: status.loaded_at,
    earliest_not_after: status.earliest_not_after,
    last_result: match &status.last_outcome {
        Ok(outcome) => (*outcome).into(),
        Err(error) => error.into(),
    },
    reloads: status.reloads,
    failures: status.failures,
    unchanged: status.unchanged,
    identities: status.identities,
    generations_alive: status.generations_alive,
    watch: status.watch.into(),
    expiring_from: health.expiring_from.unwrap_or(0),
    identities_configured: status.identities_configured,
});

fill!(IdentityStatus => certreload_identity_status, status, health, {
    last_result: result_of(health),
    not_before: status.dates.map_or(0, |dates| dates.not_before),
    not_after: status.dates.map_or(0, |dates| dates.not_after),
    expiring_from: status.dates.and_then(|dates| dates.expiring_from).unwrap_or(0),
    renewed_at: health.renewed_at,
    renewed_generation: health.renewed_generation,
    pending: health.pending.into(),
    chain_path: cut(&status.chain.to_string_lossy()),
});

fill!(TrustStatus => certreload_trust_status, status, health, {
    last_result: result_of(health),
    client_roots: status.client_roots,
    server_roots: status.server_roots,
    crls: status.crls,
    revoked: status.revoked,
    next_update: status.next_update.unwrap_or(0),
    expiring_from: health.expiring_from.unwrap_or(0),
    renewed_at: health.renewed_at,
    renewed_generation: health.renewed_generation,
    pending: health.pending.into(),
    path: cut(&status.path.to_string_lossy()),
});

/// Returns the result code of a unit's current failure, or OK.
fn result_of(health: &UnitHealth) -> certreload_result {
    health.failure.as_ref().map_or(certreload_result::Ok, |failure| (&failure.error).into())
}

impl From<Health> for certreload_health {
    fn from(health: Health) -> Self {
        match health {
            Health::Ok => Self::Ok,
            Health::Expiring => Self::Expiring,
            Health::Stale => Self::Stale,
            Health::Expired => Self::Expired,
            Health::Missing => Self::Missing,
        }
    }
}

impl From<WatchState> for certreload_watch_state {
    fn from(state: WatchState) -> Self {
        match state {
            WatchState::Off => Self::Off,
            WatchState::Polling => Self::Polling,
            WatchState::Notified => Self::Notified,
            WatchState::Degraded => Self::Degraded,
        }
    }
}

fn failure_text(failure: Option<&Error>) -> [c_char; CERTRELOAD_MAX_FAILURE_TEXT] {
    failure.map_or([0; CERTRELOAD_MAX_FAILURE_TEXT], |error| cut(&error.to_string()))
}

/// Returns `text` in one line, cut at a character so that it fits with its NUL.
fn cut<const ROOM: usize>(text: &str) -> [c_char; ROOM] {
    let mut room = [0; ROOM];
    let text = cast::to_c_text(text).to_string_lossy().into_owned();
    let fits = |end: &usize| *end < ROOM && text.is_char_boundary(*end);
    let end = (0..=text.len()).rev().find(fits).unwrap_or(0);
    for (place, byte) in room.iter_mut().zip(&text.as_bytes()[..end]) {
        *place = c_char::from_ne_bytes([*byte]);
    }
    room
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::error::Cause;

    #[test]
    fn long_failure_is_cut_at_a_character_and_stays_one_line() {
        let path = format!("/tls/\n{}", "\u{fc}".repeat(300));
        let error = Error::at(path.as_ref(), Cause::NotFound);
        let room = failure_text(Some(&error));
        // SAFETY: the last byte is a NUL.
        let text = unsafe { CStr::from_ptr(room.as_ptr()) }.to_str().unwrap().to_owned();
        assert!(text.starts_with("/tls/?\u{fc}"), "{text}");
        assert!((509..=511).contains(&text.len()), "{}", text.len());
    }
}
