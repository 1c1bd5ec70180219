//! How a handle is doing.

use crate::error::{Cause, Error};
use crate::generation::Generation;
use crate::material::Warnings;
use crate::reload::tickets::Outcome;
use crate::watch::WatchState;

/// Whether what serves is good, and whether it will stay so. "Renewal failed" is not "expired".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Ok,
    Expiring,
    Stale,
    Expired,
}

/// What the pipeline leaves behind after each look at the files.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) last_outcome: Result<Outcome, Error>,
    /// Whether a unit serves an older version than its files hold.
    pub(super) stale: bool,
    pub(super) reloads: u64,
    pub(super) failures: u64,
    pub(super) unchanged: u64,
    pub(super) watch: WatchState,
}

impl Standing {
    pub(super) fn new(watch: WatchState) -> Self {
        let last_outcome = Ok(Outcome::Reloaded);
        Self { last_outcome, stale: false, reloads: 0, failures: 0, unchanged: 0, watch }
    }
}

impl Standing {
    /// In a child that was forked after the handle was opened: nobody looks at the files.
    pub(super) fn after_fork() -> Self {
        let last_outcome = Err(Error::new(Cause::Forked));
        Self { last_outcome, stale: true, ..Self::new(WatchState::Off) }
    }
}

/// Everything about a handle at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) generation: u64,
    pub(crate) loaded_at: i64,
    pub(crate) earliest_not_after: i64,
    pub(crate) health: Health,
    pub(crate) last_outcome: Result<Outcome, Error>,
    pub(crate) reloads: u64,
    pub(crate) failures: u64,
    pub(crate) unchanged: u64,
    pub(crate) identities: usize,
    pub(crate) generations_alive: usize,
    pub(crate) watch: WatchState,
    pub(crate) warnings: Warnings,
}

impl Status {
    pub(super) fn new(current: &Generation, standing: Standing, alive: usize, now: i64) -> Self {
        Self {
            generation: current.number(),
            loaded_at: current.loaded_at(),
            earliest_not_after: current.earliest_not_after(),
            health: health(current, standing.stale, now),
            last_outcome: standing.last_outcome,
            reloads: standing.reloads,
            failures: standing.failures,
            unchanged: standing.unchanged,
            identities: current.identities().len(),
            generations_alive: alive,
            watch: standing.watch,
            warnings: current.warnings(),
        }
    }
}

/// The worst that is true.
fn health(current: &Generation, stale: bool, now: i64) -> Health {
    if now > current.earliest_not_after() {
        Health::Expired
    } else if stale {
        Health::Stale
    } else if now >= current.expiring_from() {
        Health::Expiring
    } else {
        Health::Ok
    }
}
