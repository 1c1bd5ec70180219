//! The delay between two reads of files that look incomplete.

use std::time::{Duration, Instant};

/// The first delay between two reads of an incomplete unit. It doubles with each read.
const FIRST_DELAY: Duration = Duration::from_millis(20);

/// The longest delay between two reads of an incomplete unit.
const LONGEST_DELAY: Duration = Duration::from_millis(500);

/// When to read an incomplete unit again. The delay doubles, because a writer that needs seconds is not helped by more
/// reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) retry_at: Instant,
    delay: Duration,
}

impl Backoff {
    pub(super) fn new(now: Instant) -> Self {
        Self { retry_at: now + FIRST_DELAY, delay: FIRST_DELAY }
    }

    /// Sets the time of the next read, after a read at `now`.
    pub(super) fn postpone(&mut self, now: Instant) {
        // A pass with another trigger may have come first. The delay grows only with retries that were due.
        if now >= self.retry_at {
            self.delay = (self.delay * 2).min(LONGEST_DELAY);
        }
        self.retry_at = now + self.delay;
    }
}
