//! The machine: what triggers a reload, how a change settles, how a generation is published, and
//! what the host is told.

mod crew;
mod current;
mod dates;
mod deadlines;
mod delivery;
mod drive;
mod event;
mod expiry;
mod files;
mod handle;
mod handles;
mod live;
mod load;
mod load_trust;
mod loading;
mod look;
mod metrics;
mod pipeline;
mod proof;
mod queue;
mod rest;
mod runtime;
mod settle;
mod standing;
mod status;
mod step;
mod tickets;
mod told;
mod touches;
mod unit;
mod waits;
mod work;

pub(crate) use event::{Event, EventKind, EventSink, LOG_TARGET, Trigger};
pub(crate) use handle::Handle;
pub(crate) use metrics::write as write_metrics;
pub(crate) use queue::MAX_WAITING;
pub(crate) use runtime::wake;
pub(crate) use standing::Failing;
pub(crate) use status::{Health, IdentityStatus, Status, TrustStatus};
pub(crate) use step::steps;
pub(crate) use tickets::Outcome;

use std::time::Instant;

use crate::clock;

/// Sets the wall clock of this process, as far as certreload reads it, and wakes the worker as the
/// kernel does when somebody sets the system's.
pub(crate) fn set_clock(offset_seconds: i64) {
    clock::set_offset(offset_seconds);
    wake();
}

/// One moment on both clocks: deadlines go by the first, dates in certificates by the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    /// Seconds since 1970.
    pub(crate) unix: i64,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self { instant: Instant::now(), unix: clock::unix_now() }
    }
}
