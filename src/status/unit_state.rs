//! How each unit stands to its files, as the looks leave it behind.

use super::expirations::dates_of_unit;
use crate::error::{Cause, Error};
use crate::reload::{Finding, Note, Outcome, PassResult, PassScope};
use crate::tls::Generation;
use crate::watch::WatchState;

/// What the pipeline leaves behind after each look at the files.
#[derive(Clone, Debug)]
pub(crate) struct UnitStates {
    pub(crate) last_outcome: Result<Outcome, Error>,
    pub(crate) reloads: u64,
    pub(crate) failures: u64,
    pub(crate) unchanged: u64,
    pub(crate) watch: WatchState,
    /// When files were last looked at: seconds since 1970, as all times here.
    pub(crate) checked_at: i64,
    /// One for each unit: identities in the order in which they were added, trust, ticket keys.
    pub(crate) units: Vec<UnitState>,
}

/// How one unit stands to its files.
#[derive(Clone, Debug)]
pub(crate) struct UnitState {
    pub(crate) renewed_generation: u64,
    pub(crate) renewed_at: i64,
    /// Since when nothing has been wrong with it.
    pub(crate) good_since: i64,
    pub(crate) checked_at: i64,
    pub(crate) pending: bool,
    /// Whether every user may read a secret of its.
    pub(crate) exposed: bool,
    /// Few have one, and it is large.
    pub(crate) trouble: Option<Box<StandingFailure>>,
}

/// A failure that stands: the files cannot be used, and the host has been told.
#[derive(Clone, Debug)]
pub(crate) struct StandingFailure {
    /// The newest of them.
    error: Error,
    pub(crate) told_at: i64,
    /// When the first of them was told.
    pub(crate) since: i64,
    /// How many were told since the files were last good.
    pub(crate) distinct: u64,
}

impl UnitStates {
    pub(crate) fn new(watch: WatchState, first: &Generation) -> Self {
        let at = first.loaded_at();
        let unit = UnitState {
            renewed_generation: first.number(),
            renewed_at: at,
            good_since: at,
            checked_at: at,
            pending: false,
            exposed: false,
            trouble: None,
        };
        Self {
            last_outcome: Ok(Outcome::Reloaded),
            reloads: 0,
            failures: 0,
            unchanged: 0,
            watch,
            checked_at: at,
            units: vec![unit; first.contents().len()],
        }
    }

    /// In a child that was forked after the handle was opened: nobody looks at the files, and what
    /// the looks left behind may have been cut in two by the fork.
    pub(crate) fn after_fork(current: &Generation) -> Self {
        let forked = Error::new(Cause::Forked);
        let unit = UnitState {
            renewed_generation: 0,
            renewed_at: 0,
            good_since: 0,
            checked_at: 0,
            pending: false,
            exposed: false,
            trouble: Some(Box::new(StandingFailure {
                error: forked.clone(),
                told_at: 0,
                since: 0,
                distinct: 0,
            })),
        };
        Self {
            last_outcome: Err(forked),
            reloads: 0,
            failures: 0,
            unchanged: 0,
            watch: WatchState::Off,
            checked_at: 0,
            units: vec![unit; current.contents().len()],
        }
    }

    /// Records whether every user may read a secret of the unit at `index`.
    pub(crate) fn set_exposed(&mut self, index: usize, is_exposed: bool) {
        if let Some(unit) = self.units.get_mut(index) {
            unit.exposed = is_exposed;
        }
    }

    /// Records what a pass found out. `before` is the generation that is current until the pass's own is published.
    pub(crate) fn apply(&mut self, result: &PassResult, before: &Generation) {
        let now = result.time.now.unix;
        for unit in &result.scanned {
            self.set_exposed(unit.index, unit.is_exposed);
        }
        self.checked(result, now);
        let next = result.published.as_ref().map(|published| &*published.generation);
        self.note(&result.notes, before, next, now);
        self.failures += result.failures.len() as u64;
        self.reloads += u64::from(next.is_some());
        if result.pending.is_none() {
            self.unchanged += u64::from(result.outcome == Ok(Outcome::Unchanged));
            self.last_outcome.clone_from(&result.outcome);
        }
    }

    fn note(
        &mut self,
        notes: &[Note],
        before: &Generation,
        published: Option<&Generation>,
        now: i64,
    ) {
        for Note { index, finding } in notes {
            let index = *index;
            let Some(unit) = self.units.get_mut(index) else { continue };
            if matches!(finding, Finding::Renewed) {
                let dates = dates_of_unit(before, index);
                if dates.iter().any(|dated| dated.expiring_from.is_some_and(|from| now >= from)) {
                    unit.good_since = now;
                }
                unit.renewed_generation =
                    published.map_or(unit.renewed_generation, Generation::number);
                unit.renewed_at = now;
            }
            unit.take_in(finding.clone(), now);
        }
    }

    /// Records when the files were last checked: a poll checks all units, and reads those that look changed.
    fn checked(&mut self, result: &PassResult, now: i64) {
        self.checked_at = now;
        if result.scope == PassScope::Poll {
            self.units.iter_mut().for_each(|unit| unit.checked_at = now);
        }
        for unit in &result.scanned {
            self.units[unit.index].checked_at = now;
        }
    }

    /// Why the files of a unit cannot be used, if so.
    pub(crate) fn failure_of(&self, index: usize) -> Option<Error> {
        self.units.get(index)?.trouble.as_ref().map(|trouble| trouble.error.clone())
    }
}

impl UnitState {
    fn take_in(&mut self, finding: Finding, now: i64) {
        self.pending = matches!(finding, Finding::Pending);
        match finding {
            Finding::Good | Finding::Renewed => {
                if self.trouble.take().is_some() {
                    self.good_since = now;
                }
            }
            Finding::Failed(error) => {
                let (since, distinct) = match &self.trouble {
                    Some(trouble) => (trouble.since, trouble.distinct + 1),
                    None => (now, 1),
                };
                self.trouble =
                    Some(Box::new(StandingFailure { error, told_at: now, since, distinct }));
            }
            Finding::Pending | Finding::StillFailed => {}
        }
    }
}

/// A failure that stands, and when it was told.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    pub(crate) error: Error,
    pub(crate) told_at: i64,
}

impl StandingFailure {
    pub(super) fn failing(&self) -> Failing {
        Failing { error: self.error.clone(), told_at: self.told_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> UnitState {
        UnitState {
            renewed_generation: 1,
            renewed_at: 10,
            good_since: 10,
            checked_at: 10,
            pending: false,
            exposed: false,
            trouble: None,
        }
    }

    fn failed(cause: Cause) -> Finding {
        Finding::Failed(Error::at("/tls/a.pem".as_ref(), cause))
    }

    #[test]
    fn a_failure_stands_since_the_first_and_counts_each_that_is_told() {
        let mut unit = unit();
        unit.take_in(Finding::Pending, 20);
        assert!(unit.pending && unit.trouble.is_none(), "pending is no failure");
        unit.take_in(failed(Cause::Empty), 25);
        unit.take_in(Finding::StillFailed, 35);
        unit.take_in(Finding::Pending, 40);
        unit.take_in(failed(Cause::NotFound), 45);
        let trouble = unit.trouble.as_deref().unwrap();
        assert_eq!((trouble.since, trouble.told_at, trouble.distinct), (25, 45, 2));
        assert_eq!(trouble.error.cause, Cause::NotFound);
        assert!(!unit.pending);
    }

    #[test]
    fn a_success_clears_what_failed_and_counts_from_anew() {
        let mut unit = unit();
        unit.take_in(Finding::Good, 20);
        assert_eq!(unit.good_since, 10, "nothing was wrong");
        unit.take_in(failed(Cause::Empty), 25);
        unit.take_in(Finding::Good, 30);
        assert!(unit.trouble.is_none());
        assert_eq!(unit.good_since, 30);
        unit.take_in(failed(Cause::Empty), 40);
        assert_eq!(unit.trouble.unwrap().distinct, 1);
    }
}
