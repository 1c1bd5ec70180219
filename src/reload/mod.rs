//! The machine: what triggers a reload, how a change settles, how a generation is published, and
//! what the host is told.

mod current;
mod delivery;
mod event;
mod handle;
mod load;
mod pipeline;
mod rest;
mod runtime;
mod settle;
mod status;
mod tickets;
mod touches;

pub(crate) use delivery::MAX_WAITING;
pub(crate) use event::{Event, EventKind, EventSink, Trigger};
pub(crate) use handle::Handle;
pub(crate) use runtime::wake;
pub(crate) use status::{Health, Status};
pub(crate) use tickets::Outcome;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One moment on both clocks: deadlines go by the first, dates in certificates by the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    /// Seconds since 1970.
    pub(crate) unix: i64,
}

impl Now {
    pub(crate) fn read() -> Self {
        let unix = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
        };
        Self { instant: Instant::now(), unix }
    }
}
