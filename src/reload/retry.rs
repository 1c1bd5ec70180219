//! Whether a unit that cannot be loaded is still being written, or has failed (G3, G4).

use std::time::{Duration, Instant};

use crate::error::{Cause, Error};
use crate::events::Trigger;
use crate::files::Digest;

/// Between tries of what looks half-written: the first step, and the longest.
const FIRST_STEP: Duration = Duration::from_millis(20);
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// How a unit stands to its files.
#[derive(Debug)]
pub(super) enum RetryState {
    /// What serves is what the files hold.
    Good,
    /// The files look half-written: they are tried again until the deadline.
    Pending(Pending),
    /// The files cannot be used, and the host has been told.
    Failed(Failure),
}

/// A failure, and the content that it is about: the same error about other bytes is another failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// `None` where the bytes could not be read, or never held still.
    pub(crate) digest: Option<Digest>,
}

impl Failure {
    /// Whether a host that knows of `other` knows of this. Of files that keep changing it is chance which one
    /// was found in motion, so a path does not make another failure (G3).
    fn is_same_as(&self, other: &Self) -> bool {
        let is_in_motion = |failure: &Self| failure.error.cause == Cause::Unstable;
        self == other || (is_in_motion(self) && is_in_motion(other))
    }
}

#[derive(Debug)]
pub(super) struct Pending {
    failure: Failure,
    /// What the host was told before this wait began, and what stands until the files are good.
    told: Option<Failure>,
    /// What began the wait, for the event that may end it.
    trigger: Trigger,
    deadline: Instant,
    retry_at: Instant,
    step: Duration,
}

/// A look at the files: why and when it is made, and when the change that it looks at began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassTime {
    pub(crate) trigger: Trigger,
    pub(crate) now: Instant,
    pub(crate) since: Instant,
    /// The kernel told of nothing more for the quiet time, or somebody asked: what is new and good
    /// is taken as it stands.
    pub(crate) is_quiet: bool,
}

impl RetryState {
    /// Takes in that the files could not be loaded; `Some` is a failure that the host has not been
    /// told of.
    pub(super) fn fail(
        &mut self,
        failure: Failure,
        moment: PassTime,
        timeout: Duration,
    ) -> Option<(Failure, Trigger)> {
        let waits = failure.error.cause.may_be_half_written();
        let trigger = self.trigger().unwrap_or(moment.trigger);
        if self.told().is_some_and(|told| failure.is_same_as(told)) {
            *self = Self::Failed(failure);
            return None;
        }
        match self {
            Self::Pending(pending) if waits && moment.now < pending.deadline => {
                pending.try_again(failure, moment.now);
                None
            }
            Self::Good | Self::Failed(_) if waits && moment.now < moment.since + timeout => {
                let told = self.told().cloned();
                *self = Self::Pending(Pending::new(failure, told, moment, timeout));
                None
            }
            _ => {
                *self = Self::Failed(failure.clone());
                Some((failure, trigger))
            }
        }
    }

    /// Takes in a failure that waiting does not mend; tells whether the host has not been told of it.
    pub(super) fn refuse(&mut self, failure: Failure) -> bool {
        let is_news = self.told().is_none_or(|told| !failure.is_same_as(told));
        *self = Self::Failed(failure);
        is_news
    }

    /// The failure that the host was told of and that stands.
    fn told(&self) -> Option<&Failure> {
        match self {
            Self::Good => None,
            Self::Pending(pending) => pending.told.as_ref(),
            Self::Failed(failure) => Some(failure),
        }
    }

    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Good)
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

    /// What has failed, as the host was told.
    pub(super) fn failed(&self) -> Option<&Error> {
        self.told().map(|failure| &failure.error)
    }
}

impl Pending {
    fn new(failure: Failure, told: Option<Failure>, moment: PassTime, timeout: Duration) -> Self {
        let deadline = moment.since + timeout;
        let retry_at = (moment.now + FIRST_STEP).min(deadline);
        let trigger = moment.trigger;
        Self { failure, told, trigger, deadline, retry_at, step: FIRST_STEP }
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

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn failure(cause: Cause) -> Failure {
        Failure { error: Error::at("/tls/key.pem".as_ref(), cause), digest: None }
    }

    fn at(trigger: Trigger, now: Instant) -> PassTime {
        PassTime { trigger, now, since: now, is_quiet: true }
    }

    #[test]
    fn g4_what_may_be_half_written_is_told_once_and_only_at_the_deadline() {
        let mut settle = RetryState::Good;
        let begun = Instant::now();
        let mut now = begun;
        let mut tries = 0;
        let told = loop {
            tries += 1;
            let moment = at(Trigger::Watch, now);
            if let Some(told) = settle.fail(failure(Cause::Empty), moment, TIMEOUT) {
                break told;
            }
            now = settle.retry_at().expect("a pending unit is tried again");
        };
        assert_eq!(now - begun, TIMEOUT);
        assert_eq!(told.1, Trigger::Watch);
        assert!((10..40).contains(&tries), "{tries} tries");
        let again = settle.fail(failure(Cause::Empty), at(Trigger::Poll, now + TIMEOUT), TIMEOUT);
        assert_eq!(again, None, "told already");
    }

    #[test]
    fn g3_files_that_keep_changing_are_reported_once_whichever_is_found_in_motion() {
        let in_motion =
            |path: &str| Failure { error: Error::at(path.as_ref(), Cause::Unstable), digest: None };
        let since = Instant::now();
        let late = PassTime { since, ..at(Trigger::Poll, since + TIMEOUT) };
        let mut settle = RetryState::Failed(in_motion("/tls/chain.pem"));
        assert_eq!(settle.fail(in_motion("/tls/key.pem"), late, TIMEOUT), None);
        assert!(!settle.refuse(in_motion("/tls/chain.pem")));
    }

    #[test]
    fn g4_the_deadline_counts_from_when_the_change_began() {
        let mut settle = RetryState::Good;
        let since = Instant::now();
        let moment =
            PassTime { trigger: Trigger::Watch, now: since + TIMEOUT, since, is_quiet: true };
        assert!(settle.fail(failure(Cause::Empty), moment, TIMEOUT).is_some());
    }

    #[test]
    fn what_waiting_cannot_mend_is_told_at_once() {
        let mut settle = RetryState::Good;
        let now = at(Trigger::Poll, Instant::now());
        let told = settle.fail(
            failure(Cause::KeyUsageUnfit { role: "servers", usage: "serverAuth" }),
            now,
            TIMEOUT,
        );
        assert_eq!(
            told,
            Some((
                failure(Cause::KeyUsageUnfit { role: "servers", usage: "serverAuth" }),
                Trigger::Poll
            ))
        );
    }

    #[test]
    fn another_failure_is_waited_for_and_told_anew_and_the_first_one_stands_meanwhile() {
        let mut settle = RetryState::Failed(failure(Cause::Empty));
        let now = Instant::now();
        let missing = || failure(Cause::NotFound);
        assert_eq!(settle.fail(missing(), at(Trigger::Watch, now), TIMEOUT), None);
        assert_eq!(settle.failed(), Some(&failure(Cause::Empty).error));
        let told = settle.fail(missing(), at(Trigger::Poll, now + TIMEOUT), TIMEOUT);
        assert_eq!(told, Some((missing(), Trigger::Watch)));
    }

    #[test]
    fn g3_the_same_failure_is_told_once_whatever_came_between() {
        let mut settle = RetryState::Failed(failure(Cause::Empty));
        let now = Instant::now();
        assert_eq!(settle.fail(failure(Cause::NotFound), at(Trigger::Watch, now), TIMEOUT), None);
        assert_eq!(settle.fail(failure(Cause::Empty), at(Trigger::Watch, now), TIMEOUT), None);
        assert_eq!(settle.pending(), None, "known, and told");
    }
}
