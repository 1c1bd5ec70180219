//! The state of a handle that only the thread which runs a step uses.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::late_reads::LateReads;
use crate::error::Error;
use crate::reload::Pipeline;
use crate::status::ExpiryAlerts;

/// The pipeline of a handle, and when its next polls and expirations are due. The lock around it makes `close` wait for
/// a running step.
pub(super) struct StepState {
    pub(super) pipeline: Pipeline,
    pub(super) polls: Polls,
    pub(super) next_poll: Option<Instant>,
    /// The units whose directories cannot be subscribed to, with the reason.
    pub(super) watch_failures: BTreeMap<usize, Error>,
    pub(super) expiry: ExpiryAlerts,
    /// The reads that readers have not ended yet.
    pub(super) late_reads: LateReads,
}

impl StepState {
    pub(super) fn new(pipeline: Pipeline, polls: Polls, next_poll: Option<Instant>) -> Self {
        Self {
            pipeline,
            polls,
            next_poll,
            watch_failures: BTreeMap::new(),
            expiry: ExpiryAlerts::default(),
            late_reads: LateReads::default(),
        }
    }
}

/// The largest distance between two times at which polls may start.
const GRID: Duration = Duration::from_millis(250);

/// The times at which a handle polls.
///
/// All handles of a runtime with the same interval share one grid of times. So the polls of thousands of handles wake
/// the worker at most once in each step of the grid ([`GRID`], or less), and not once for each handle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Polls {
    interval: Duration,
    start: Instant,
}

impl Polls {
    /// Returns the grid for `interval` that begins at `start`.
    pub(super) fn new(interval: Duration, start: Instant) -> Self {
        Self { interval, start }
    }

    /// Returns the last time of the grid within one interval after `now` (G1). A poll is at most a sixteenth of the
    /// interval too early, and never too late.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let latest = now + self.interval;
        let grid = (self.interval / 16).min(GRID).as_nanos().max(1);
        let past_grid = latest.saturating_duration_since(self.start).as_nanos() % grid;
        // `early` is less than `grid`, and so less than the interval: the result is after `now`.
        let early = Duration::from_nanos(u64::try_from(past_grid).unwrap_or(0));
        latest.checked_sub(early).unwrap_or(latest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn g1_a_poll_is_never_later_than_one_interval_and_hardly_earlier() {
        let start = Instant::now();
        for interval in [1, 10, 999, 10_000, 3_600_000].map(Duration::from_millis) {
            let polls = Polls::new(interval, start);
            for step in 0..100 {
                let now = start + step * Duration::from_micros(12_345_678) / 100;
                let next = polls.next(now);
                assert!(next <= now + interval, "late by {:?}", next - (now + interval));
                assert!(next + interval / 16 >= now + interval, "{:?} of {interval:?}", next - now);
            }
        }
    }

    #[test]
    fn handles_opened_at_different_times_poll_at_few_times() {
        let (start, interval) = (Instant::now(), Duration::from_secs(10));
        let polls = Polls::new(interval, start);
        let times: BTreeSet<_> =
            (0..4000).map(|number| polls.next(start + number * interval / 4000)).collect();
        assert!(times.len() <= 41, "{} times for 4,000 handles", times.len());
    }
}
