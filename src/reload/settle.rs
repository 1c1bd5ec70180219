//! Whether a unit that cannot be loaded is still being written, or has failed (G3, G4).

use std::time::{Duration, Instant};

use super::event::Trigger;
use crate::error::Error;
use crate::source::Digest;

/// Between tries of what looks half-written: the first step, and the longest.
const FIRST_STEP: Duration = Duration::from_millis(20);
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// How a unit stands to its files.
#[derive(Debug)]
pub(super) enum Settle {
    /// What serves is what the files hold.
    Good,
    /// The files look half-written: they are tried again until the deadline.
    Pending(Pending),
    /// The files cannot be used, and the host has been told.
    Failed(Failure),
}

/// A failure, and the content that it is about: the same error about other bytes is another failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// `None` where the bytes could not be read, or never held still.
    pub(super) digest: Option<Digest>,
}

#[derive(Debug)]
pub(super) struct Pending {
    failure: Failure,
    /// What began the wait, for the event that may end it.
    trigger: Trigger,
    deadline: Instant,
    retry_at: Instant,
    step: Duration,
}

impl Settle {
    /// Takes in that the files could not be loaded; `Some` is a failure that the host has not been
    /// told of.
    pub(super) fn fail(
        &mut self,
        failure: Failure,
        trigger: Trigger,
        now: Instant,
        timeout: Duration,
    ) -> Option<(Failure, Trigger)> {
        let waits = failure.error.cause.may_be_half_written();
        match self {
            Self::Failed(told) if *told == failure => return None,
            Self::Pending(pending) if waits && now < pending.deadline => {
                pending.try_again(failure, now);
                return None;
            }
            Self::Good | Self::Failed(_) if waits && !timeout.is_zero() => {
                *self = Self::Pending(Pending::new(failure, trigger, now, timeout));
                return None;
            }
            _ => {}
        }
        let trigger = match self {
            Self::Pending(pending) => pending.trigger,
            Self::Good | Self::Failed(_) => trigger,
        };
        *self = Self::Failed(failure.clone());
        Some((failure, trigger))
    }

    /// Takes in that the files are good.
    pub(super) fn succeed(&mut self) {
        *self = Self::Good;
    }

    /// When the files are to be tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self {
            Self::Pending(pending) => Some(pending.retry_at),
            Self::Good | Self::Failed(_) => None,
        }
    }

    /// What began the wait.
    pub(super) fn trigger(&self) -> Option<Trigger> {
        match self {
            Self::Pending(pending) => Some(pending.trigger),
            Self::Good | Self::Failed(_) => None,
        }
    }

    /// What is being waited for.
    pub(super) fn pending(&self) -> Option<&Error> {
        match self {
            Self::Pending(pending) => Some(&pending.failure.error),
            Self::Good | Self::Failed(_) => None,
        }
    }

    /// What has failed.
    pub(super) fn failed(&self) -> Option<&Error> {
        match self {
            Self::Failed(failure) => Some(&failure.error),
            Self::Good | Self::Pending(_) => None,
        }
    }
}

impl Pending {
    fn new(failure: Failure, trigger: Trigger, now: Instant, timeout: Duration) -> Self {
        let deadline = now + timeout;
        let retry_at = (now + FIRST_STEP).min(deadline);
        Self { failure, trigger, deadline, retry_at, step: FIRST_STEP }
    }

    fn try_again(&mut self, failure: Failure, now: Instant) {
        self.failure = failure;
        // Another look may have come in between: the step grows only with tries of its own.
        if now >= self.retry_at {
            self.step = (self.step * 2).min(LONGEST_STEP);
        }
        self.retry_at = (now + self.step).min(self.deadline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn failure(cause: Cause) -> Failure {
        Failure { error: Error::at("/tls/key.pem".as_ref(), cause), digest: None }
    }

    #[test]
    fn g4_what_may_be_half_written_is_told_once_and_only_at_the_deadline() {
        let mut settle = Settle::Good;
        let begun = Instant::now();
        let mut now = begun;
        let mut tries = 0;
        let told = loop {
            tries += 1;
            if let Some(told) = settle.fail(failure(Cause::Empty), Trigger::Watch, now, TIMEOUT) {
                break told;
            }
            now = settle.retry_at().expect("a pending unit is tried again");
        };
        assert_eq!(now - begun, TIMEOUT);
        assert_eq!(told.1, Trigger::Watch);
        assert!((10..40).contains(&tries), "{tries} tries");
        let again = settle.fail(failure(Cause::Empty), Trigger::Poll, now + TIMEOUT, TIMEOUT);
        assert_eq!(again, None, "told already");
    }

    #[test]
    fn what_waiting_cannot_mend_is_told_at_once() {
        let mut settle = Settle::Good;
        let now = Instant::now();
        let told = settle.fail(failure(Cause::KeyEncrypted), Trigger::Poll, now, TIMEOUT);
        assert_eq!(told, Some((failure(Cause::KeyEncrypted), Trigger::Poll)));
    }

    #[test]
    fn another_failure_is_waited_for_and_told_anew() {
        let mut settle = Settle::Failed(failure(Cause::Empty));
        let now = Instant::now();
        assert_eq!(settle.fail(failure(Cause::NotFound), Trigger::Watch, now, TIMEOUT), None);
        let late = now + TIMEOUT;
        let told = settle.fail(failure(Cause::NotFound), Trigger::Poll, late, TIMEOUT);
        assert_eq!(told, Some((failure(Cause::NotFound), Trigger::Watch)));
    }
}
