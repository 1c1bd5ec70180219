//! Pauses the reading of notifications while changes that concern no handle fill a watched directory.
//!
//! inotify reports every name in a watched directory. In a directory that many processes write to, reading for each of
//! their changes would cost the host a processor. Reading less often costs a renewal there at most one pause.

use std::time::{Duration, Instant};

/// How long one pause lasts.
const PAUSE: Duration = Duration::from_millis(20);

/// This many reads without a change of interest within [`WINDOW`] cause no pause. Writers create temporary files just
/// before the rename that matters, and that rename must not be seen late.
const FREE_READS: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);

/// Limits how often the worker reads notifications. If a process writes all the time in a directory where one name is
/// watched, each pause costs one read. Without pauses, each change would cost one.
#[derive(Default)]
pub(super) struct Throttle {
    until: Option<Instant>,
    window_until: Option<Instant>,
    reads: u32,
}

impl Throttle {
    /// Returns until when no notifications are read.
    pub(super) fn until(&mut self, now: Instant) -> Option<Instant> {
        self.until = self.until.filter(|until| now < *until);
        self.until
    }

    /// Records a read of notifications of which none concerned a handle.
    pub(super) fn read_in_vain(&mut self, now: Instant) {
        if self.window_until.is_none_or(|until| until <= now) {
            self.window_until = Some(now + WINDOW);
            self.reads = 0;
        }
        self.reads += 1;
        if self.reads > FREE_READS {
            self.until = Some(now + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_reads_in_vain_cause_a_pause_and_few_do_not() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..FREE_READS {
            throttle.read_in_vain(now);
            assert_eq!(throttle.until(now), None);
        }
        throttle.read_in_vain(now);
        assert_eq!(throttle.until(now), Some(now + PAUSE));
        assert_eq!(throttle.until(now + PAUSE), None, "over");
        throttle.read_in_vain(now + PAUSE);
        assert_eq!(throttle.until(now + PAUSE), Some(now + 2 * PAUSE), "the changes continue");
    }

    #[test]
    fn reads_before_the_window_do_not_count() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..=FREE_READS {
            throttle.read_in_vain(now);
        }
        throttle.read_in_vain(now + WINDOW);
        assert_eq!(throttle.until(now + WINDOW), None);
    }
}
