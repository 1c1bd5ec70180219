//! The state of each unit's files and the counters of the handle, updated after each pass.
//!
//! The findings of a pass are recorded and its generation is published under one lock, which a status needs, too. So no
//! status shows the states of one pass with the generation of another.

use super::expirations::expirations_of_unit;
use crate::error::{Cause, Error};
use crate::pki::Warnings;
use crate::reload::{Finding, Note, Outcome, PassResult, PassScope, ReportedFailure};
use crate::tls::Generation;
use crate::watch::WatchState;

/// The states of all units of a handle, and the counters of the handle itself.
#[derive(Clone, Debug)]
pub(crate) struct UnitStates {
    pub(crate) last_outcome: Result<Outcome, Error>,
    pub(crate) reloads: u64,
    pub(crate) failures: u64,
    pub(crate) unchanged: u64,
    pub(crate) watch: WatchState,
    /// Time of the latest pass, whatever its outcome. All times here are seconds since 1970.
    pub(crate) checked_at: i64,
    /// One per unit: identities in the order in which the host added them, trust store, ticket keys.
    pub(crate) units: Vec<UnitState>,
}

/// The state of one unit's files.
#[derive(Clone, Debug)]
pub(crate) struct UnitState {
    pub(crate) renewed_generation: u64,
    pub(crate) renewed_at: i64,
    /// When the unit was loaded, its files became good after a failure, or a renewal ended its warning window. The
    /// latest of these times.
    pub(crate) good_since: i64,
    pub(crate) checked_at: i64,
    pub(crate) pending: bool,
    /// The kinds of the warnings about the unit's files.
    pub(crate) file_warnings: Warnings,
    /// Boxed, because few units have a failure and a failure is large.
    pub(crate) failure: Option<Box<UnitFailure>>,
}

/// The current failure of a unit: its files cannot be used, and an event has reported that.
#[derive(Clone, Debug)]
pub(crate) struct UnitFailure {
    /// The latest failure.
    pub(crate) error: Error,
    pub(crate) reported_at: i64,
    /// When the first failure since the files were last good was reported.
    pub(crate) since: i64,
    /// Number of distinct failures reported since the files were last good.
    pub(crate) count: u64,
}

impl UnitStates {
    pub(crate) fn new(watch: WatchState, first: &Generation) -> Self {
        let at = first.loaded_at();
        Self {
            last_outcome: Ok(Outcome::Reloaded),
            reloads: 0,
            failures: 0,
            unchanged: 0,
            watch,
            checked_at: at,
            units: vec![UnitState::new(first.number(), at); first.contents().len()],
        }
    }

    /// Returns the states to show in a forked child that has not called `certreload_after_fork` (G11).
    ///
    /// No worker runs there, and another thread may have been changing the inherited states at the moment of the
    /// fork. So nothing is known of them.
    pub(crate) fn after_fork(current: &Generation) -> Self {
        let error = Error::new(Cause::Forked);
        let failure = UnitFailure { error: error.clone(), reported_at: 0, since: 0, count: 0 };
        let unit = UnitState { failure: Some(failure.into()), ..UnitState::new(0, 0) };
        Self {
            last_outcome: Err(error),
            reloads: 0,
            failures: 0,
            unchanged: 0,
            watch: WatchState::Off,
            checked_at: 0,
            units: vec![unit; current.contents().len()],
        }
    }

    /// Records the units that are absent from the first generation, and why. The handle was opened at `now`.
    pub(crate) fn note_open(&mut self, failures: &[(usize, ReportedFailure)], now: i64) {
        for (index, failure) in failures {
            let Some(unit) = self.units.get_mut(*index) else { continue };
            unit.record(&Finding::Failed(failure.error.clone()), now);
            (unit.renewed_generation, unit.renewed_at) = (0, 0);
        }
        self.failures += failures.len() as u64;
        if let Some((_, first)) = failures.first() {
            self.last_outcome = Err(first.error.clone());
        }
    }

    /// Sets the time and the generation of each unit's renewal to 0: unknown. A forked child begins with new states,
    /// which say that its first generation renewed all units just now. Most were renewed earlier, in the parent.
    pub(crate) fn forget_renewals(&mut self) {
        for unit in &mut self.units {
            (unit.renewed_generation, unit.renewed_at) = (0, 0);
        }
    }

    /// Records the kinds of the warnings about the files of units, each with its index.
    pub(crate) fn set_file_warnings(&mut self, found: impl Iterator<Item = (usize, Warnings)>) {
        for (index, warnings) in found {
            if let Some(unit) = self.units.get_mut(index) {
                unit.file_warnings = warnings;
            }
        }
    }

    /// Records what a pass found out. `before` is the generation that is current until the pass publishes its own.
    pub(crate) fn apply(&mut self, result: &PassResult, before: &Generation) {
        let now = result.time.now.unix;
        let published = result.published.as_ref().map(|published| &*published.generation);
        self.record_scan(result, now);
        for note in &result.notes {
            self.record(note, before, published, now);
        }
        self.failures += result.failures.len() as u64;
        self.reloads += u64::from(published.is_some());
        if result.pending.is_none() {
            self.unchanged += u64::from(result.outcome == Ok(Outcome::Unchanged));
            self.last_outcome.clone_from(&result.outcome);
        }
    }

    /// Records when each unit was checked, and the warnings about the files of units that were read.
    ///
    /// A poll counts as a check of all units, because it compares their fingerprints. Any other pass counts only for
    /// the units that it read.
    fn record_scan(&mut self, result: &PassResult, now: i64) {
        self.checked_at = now;
        if result.scope == PassScope::Poll {
            self.units.iter_mut().for_each(|unit| unit.checked_at = now);
        }
        for unit in &result.scanned {
            self.units[unit.index].checked_at = now;
        }
        self.set_file_warnings(result.scanned.iter().map(|unit| (unit.index, unit.file_warnings)));
    }

    /// Records one finding of a pass at `now`, which replaces `before` with `published`, if it publishes.
    fn record(
        &mut self,
        note: &Note,
        before: &Generation,
        published: Option<&Generation>,
        now: i64,
    ) {
        let Note { index, finding } = note;
        let Some(unit) = self.units.get_mut(*index) else { return };
        if matches!(finding, Finding::Renewed) {
            let was_expiring = expirations_of_unit(before, *index)
                .iter()
                .any(|expiration| expiration.expiring_from.is_some_and(|from| now >= from));
            if was_expiring {
                unit.good_since = now;
            }
            unit.renewed_generation = published.map_or(unit.renewed_generation, Generation::number);
            unit.renewed_at = now;
        }
        unit.record(finding, now);
    }

    /// Returns why the files of the unit at `index` cannot be used, if so.
    pub(crate) fn failure_of(&self, index: usize) -> Option<Error> {
        self.units.get(index)?.failure.as_ref().map(|failure| failure.error.clone())
    }
}

impl UnitState {
    /// Returns the state of a unit that was loaded at `at` into `generation`.
    fn new(generation: u64, at: i64) -> Self {
        Self {
            renewed_generation: generation,
            renewed_at: at,
            good_since: at,
            checked_at: at,
            pending: false,
            file_warnings: Warnings::default(),
            failure: None,
        }
    }

    fn record(&mut self, finding: &Finding, now: i64) {
        self.pending = matches!(finding, Finding::Pending);
        match finding {
            Finding::Good | Finding::Renewed => {
                if self.failure.take().is_some() {
                    self.good_since = now;
                }
            }
            Finding::Failed(error) => {
                let (since, count) = match &self.failure {
                    Some(earlier) => (earlier.since, earlier.count + 1),
                    None => (now, 1),
                };
                let error = error.clone();
                self.failure = Some(UnitFailure { error, reported_at: now, since, count }.into());
            }
            Finding::Pending | Finding::StillFailed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(cause: Cause) -> Finding {
        Finding::Failed(Error::at("/tls/a.pem".as_ref(), cause))
    }

    #[test]
    fn failure_counts_each_report_and_lasts_since_the_first() {
        let mut unit = UnitState::new(1, 10);
        unit.record(&Finding::Pending, 20);
        assert!(unit.pending && unit.failure.is_none(), "pending is no failure");
        unit.record(&failed(Cause::Empty), 25);
        unit.record(&Finding::StillFailed, 35);
        unit.record(&Finding::Pending, 40);
        unit.record(&failed(Cause::NotFound), 45);
        let failure = unit.failure.as_deref().unwrap();
        assert_eq!((failure.since, failure.reported_at, failure.count), (25, 45, 2));
        assert_eq!(failure.error.cause, Cause::NotFound);
        assert!(!unit.pending);
    }

    #[test]
    fn success_clears_the_failure_and_restarts_the_count() {
        let mut unit = UnitState::new(1, 10);
        unit.record(&Finding::Good, 20);
        assert_eq!(unit.good_since, 10, "the unit was good before");
        unit.record(&failed(Cause::Empty), 25);
        unit.record(&Finding::Good, 30);
        assert!(unit.failure.is_none());
        assert_eq!(unit.good_since, 30);
        unit.record(&failed(Cause::Empty), 40);
        assert_eq!(unit.failure.unwrap().count, 1);
    }
}
