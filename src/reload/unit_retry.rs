//! Decides whether a unit that cannot be loaded is incomplete and retried, or has failed (G3, G4).
//!
//! A reader cannot distinguish an unfinished writer from a mistake: in both cases the key does not match, or the PEM is
//! cut off. So such errors are retried, and reported only if they last. A retry costs one read, which is why the delay
//! starts at 20 ms ([`Backoff`]): most writers finish within it. Errors that an unfinished file cannot cause, such as a
//! wrong key usage, are reported at once.
//!
//! A failure is reported once for each content. The digest is part of it, because an operator who replaces one bad file
//! by another must hear that the second is bad as well.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::findings::Failure;
use super::pass::PassTime;
use crate::error::{Cause, Error};
use crate::events::Trigger;

/// Whether the files of a unit can be used.
#[derive(Debug)]
pub(super) enum RetryState {
    /// The files hold the content that is served.
    Good,
    /// The files look incomplete and are read again until the deadline.
    Pending(Pending),
    /// The files cannot be used, and the host knows.
    Failed(Failure),
}

impl Failure {
    /// Returns whether a host that knows `other` knows this failure. Which of several changing files is named
    /// depends on chance, so another path alone does not make another failure (G3). Nor does it if a file system does not
    /// answer for longer.
    fn is_same_as(&self, other: &Self) -> bool {
        let is_unstable = |failure: &Self| failure.error.cause == Cause::Unstable;
        let silent = |failure: &Self| {
            let is_silent = matches!(failure.error.cause, Cause::NotAnswering { .. });
            is_silent.then(|| failure.error.path.clone())
        };
        let is_silent_still = silent(self).is_some() && silent(self) == silent(other);
        let is_same = self.digest == other.digest && self.error.has_same_cause(&other.error);
        is_same || (is_unstable(self) && is_unstable(other)) || is_silent_still
    }
}

#[derive(Debug)]
pub(super) struct Pending {
    failure: Failure,
    /// The failure that the host knew when the retries began; `None` if there was none. It remains the unit's failure
    /// during the retries. When they end, the files are good, or a new failure takes its place.
    reported: Option<Failure>,
    /// What started the first pass that found the unit incomplete: the trigger of the event that ends the retries.
    trigger: Trigger,
    deadline: Instant,
    backoff: Backoff,
}

impl RetryState {
    /// Records that the files could not be loaded. Returns the failure if it must be reported to the host.
    pub(super) fn fail(
        &mut self,
        failure: Failure,
        time: PassTime,
        timeout: Duration,
    ) -> Option<(Failure, Trigger)> {
        let waits = failure.error.cause.may_be_half_written();
        let trigger = self.trigger().unwrap_or(time.trigger);
        if self.reported().is_some_and(|known| failure.is_same_as(known)) {
            *self = Self::Failed(failure);
            return None;
        }
        match self {
            Self::Pending(pending) if waits && time.now.instant < pending.deadline => {
                pending.postpone(failure, time.now.instant);
                None
            }
            Self::Good | Self::Failed(_) if waits && time.now.instant < time.since + timeout => {
                let reported = self.reported().cloned();
                *self = Self::Pending(Pending::new(failure, reported, time, timeout));
                None
            }
            _ => {
                *self = Self::Failed(failure.clone());
                Some((failure, trigger))
            }
        }
    }

    /// Records a failure of pushed bytes, which no retry can end. Returns whether it must be reported to the host.
    pub(super) fn refuse(&mut self, failure: Failure) -> bool {
        let is_new = self.reported().is_none_or(|known| !failure.is_same_as(known));
        *self = Self::Failed(failure);
        is_new
    }

    /// Returns the failure that the host knows and that has not ended.
    fn reported(&self) -> Option<&Failure> {
        match self {
            Self::Good => None,
            Self::Pending(pending) => pending.reported.as_ref(),
            Self::Failed(failure) => Some(failure),
        }
    }

    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Good)
    }

    /// Records that the files are good.
    pub(super) fn succeed(&mut self) {
        *self = Self::Good;
    }

    /// Returns when to read the files again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self {
            Self::Pending(pending) => Some(pending.backoff.retry_at.min(pending.deadline)),
            Self::Good | Self::Failed(_) => None,
        }
    }

    /// Returns the trigger of the first pass that found the unit incomplete.
    pub(super) fn trigger(&self) -> Option<Trigger> {
        match self {
            Self::Pending(pending) => Some(pending.trigger),
            Self::Good | Self::Failed(_) => None,
        }
    }

    /// Returns why the unit is incomplete.
    pub(super) fn pending(&self) -> Option<&Error> {
        match self {
            Self::Pending(pending) => Some(&pending.failure.error),
            Self::Good | Self::Failed(_) => None,
        }
    }

    /// Returns the failure that the host knows.
    pub(super) fn failed(&self) -> Option<&Error> {
        self.reported().map(|failure| &failure.error)
    }
}

impl Pending {
    fn new(failure: Failure, reported: Option<Failure>, time: PassTime, timeout: Duration) -> Self {
        let deadline = time.since + timeout;
        let backoff = Backoff::new(time.now.instant);
        Self { failure, reported, trigger: time.trigger, deadline, backoff }
    }

    fn postpone(&mut self, failure: Failure, now: Instant) {
        self.failure = failure;
        self.backoff.postpone(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::error::Incidental;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn failure(cause: Cause) -> Failure {
        Failure { error: Error::at("/tls/key.pem".as_ref(), cause), digest: None }
    }

    fn at(trigger: Trigger, now: Instant) -> PassTime {
        PassTime { trigger, now: Now { instant: now, unix: 0 }, since: now, is_quiet: true }
    }

    #[test]
    fn g4_an_incomplete_unit_is_reported_once_at_the_deadline() {
        let mut state = RetryState::Good;
        let begun = Instant::now();
        let mut now = begun;
        let mut tries = 0;
        let reported = loop {
            tries += 1;
            let time = at(Trigger::Watch, now);
            if let Some(reported) = state.fail(failure(Cause::Empty), time, TIMEOUT) {
                break reported;
            }
            now = state.retry_at().expect("a pending unit is read again");
        };
        assert_eq!(now - begun, TIMEOUT);
        assert_eq!(reported.1, Trigger::Watch);
        assert!((10..40).contains(&tries), "{tries} tries");
        let again = state.fail(failure(Cause::Empty), at(Trigger::Poll, now + TIMEOUT), TIMEOUT);
        assert_eq!(again, None, "reported twice");
    }

    #[test]
    fn g3_files_that_keep_changing_are_reported_once_whatever_file_is_named() {
        let unstable =
            |path: &str| Failure { error: Error::at(path.as_ref(), Cause::Unstable), digest: None };
        let since = Instant::now();
        let late = PassTime { since, ..at(Trigger::Poll, since + TIMEOUT) };
        let mut state = RetryState::Failed(unstable("/tls/chain.pem"));
        assert_eq!(state.fail(unstable("/tls/key.pem"), late, TIMEOUT), None);
        assert!(!state.refuse(unstable("/tls/chain.pem")));
    }

    /// A certificate that is not valid yet is tried again and again, each time at another time of day.
    #[test]
    fn g3_what_the_clock_reads_makes_no_other_failure() {
        let not_yet_valid = |clock: &str| {
            let (at, clock) = ("2090".to_owned(), Incidental(clock.to_owned()));
            failure(Cause::NotYetValid { at, from: 3_786_912_000, clock })
        };
        let mut state = RetryState::Failed(not_yet_valid("2026-11-30T10:00:00Z"));
        let now = at(Trigger::Poll, Instant::now());
        assert_eq!(state.fail(not_yet_valid("2026-11-30T10:00:01Z"), now, TIMEOUT), None);
        let message = state.failed().unwrap().to_string();
        assert!(
            message.contains("the clock of this machine reads 2026-11-30T10:00:01Z"),
            "{message}"
        );
    }

    #[test]
    fn g4_the_deadline_counts_from_when_the_change_began() {
        let mut state = RetryState::Good;
        let since = Instant::now();
        let time = PassTime { since, ..at(Trigger::Watch, since + TIMEOUT) };
        assert!(state.fail(failure(Cause::Empty), time, TIMEOUT).is_some());
    }

    #[test]
    fn a_failure_that_no_retry_can_end_is_reported_at_once() {
        let mut state = RetryState::Good;
        let now = at(Trigger::Poll, Instant::now());
        let reported = state.fail(
            failure(Cause::KeyUsageUnfit { role: "servers", usage: "serverAuth" }),
            now,
            TIMEOUT,
        );
        assert_eq!(
            reported,
            Some((
                failure(Cause::KeyUsageUnfit { role: "servers", usage: "serverAuth" }),
                Trigger::Poll
            ))
        );
    }

    #[test]
    fn another_failure_is_retried_then_reported_and_the_first_one_remains_until_then() {
        let mut state = RetryState::Failed(failure(Cause::Empty));
        let now = Instant::now();
        let missing = || failure(Cause::NotFound);
        assert_eq!(state.fail(missing(), at(Trigger::Watch, now), TIMEOUT), None);
        assert_eq!(state.failed(), Some(&failure(Cause::Empty).error));
        let reported = state.fail(missing(), at(Trigger::Poll, now + TIMEOUT), TIMEOUT);
        assert_eq!(reported, Some((missing(), Trigger::Watch)));
    }

    #[test]
    fn g3_the_same_failure_is_reported_once_whatever_came_between() {
        let mut state = RetryState::Failed(failure(Cause::Empty));
        let now = Instant::now();
        assert_eq!(state.fail(failure(Cause::NotFound), at(Trigger::Watch, now), TIMEOUT), None);
        assert_eq!(state.fail(failure(Cause::Empty), at(Trigger::Watch, now), TIMEOUT), None);
        assert_eq!(state.pending(), None, "the host knows it");
    }
}
