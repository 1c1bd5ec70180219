//! When the kernel's notifications rest, so that a stranger's work in a watched directory is not ours.

use std::time::{Duration, Instant};

/// How long they rest at a time.
const REST: Duration = Duration::from_millis(20);

/// Reads of what was nobody's are free of a rest, this many within [`WINDOW`]: temporary files beside
/// what is watched come just before the rename that matters, which must not be seen late for that.
const FREE_READS: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);

/// Whoever works all the time in a directory that is watched for one name in it makes the worker read
/// at the end of each rest, and not for each thing that he does.
#[derive(Default)]
pub(super) struct Throttle {
    until: Option<Instant>,
    window_until: Option<Instant>,
    reads: u32,
}

impl Throttle {
    /// Until when nothing is to be read.
    pub(super) fn until(&mut self, now: Instant) -> Option<Instant> {
        self.until = self.until.filter(|until| now < *until);
        self.until
    }

    /// Takes in that all of what was read was nobody's.
    pub(super) fn read_for_nobody(&mut self, now: Instant) {
        if self.window_until.is_none_or(|until| until <= now) {
            self.window_until = Some(now + WINDOW);
            self.reads = 0;
        }
        self.reads += 1;
        if self.reads > FREE_READS {
            self.until = Some(now + REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_strangers_do_not_make_it_rest_and_many_do() {
        let (mut rest, now) = (Throttle::default(), Instant::now());
        for _ in 0..FREE_READS {
            rest.read_for_nobody(now);
            assert_eq!(rest.until(now), None);
        }
        rest.read_for_nobody(now);
        assert_eq!(rest.until(now), Some(now + REST));
        assert_eq!(rest.until(now + REST), None, "over");
        rest.read_for_nobody(now + REST);
        assert_eq!(rest.until(now + REST), Some(now + 2 * REST), "they are at it still");
    }

    #[test]
    fn what_was_long_ago_counts_no_more() {
        let (mut rest, now) = (Throttle::default(), Instant::now());
        for _ in 0..=FREE_READS {
            rest.read_for_nobody(now);
        }
        rest.read_for_nobody(now + WINDOW);
        assert_eq!(rest.until(now + WINDOW), None);
    }
}
