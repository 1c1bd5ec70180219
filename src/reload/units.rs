//! The units of a handle, with the questions about all of them: which parts are served, which failed, which are due.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use super::debounce::OpenForWriting;
use super::findings::Outcome;
use super::fresh::Fresh;
use super::unit::Unit;
use crate::clock::Now;
use crate::error::{Cause, Error};
use crate::files::Digest;
use crate::tls::{UnitContent, UnitContents};

/// Identities in the order in which they were added, then the trust store, then the ticket keys.
pub(super) struct Units(pub(super) Vec<Unit>);

impl Units {
    /// Returns the parts that are served.
    pub(super) fn parts(&self) -> UnitContents {
        self.parts_with(&[])
    }

    /// Returns the parts that would be served with `fresh`.
    pub(super) fn parts_with(&self, fresh: &[Fresh]) -> UnitContents {
        let mut all: Vec<_> = self.iter().map(|unit| unit.serving.clone()).collect();
        for new in fresh {
            all[new.index] = new.part.clone();
        }
        all.into_iter().collect()
    }

    /// Returns the digest of the content of each unit.
    pub(super) fn contents(&self) -> Vec<Digest> {
        self.iter().map(Unit::digest).collect()
    }

    /// Returns the newest waiter that registered before the latest read of every unit. Units without files delay none.
    pub(super) fn read_for(&self, newest: u64) -> u64 {
        self.iter().map(Unit::read_for).min().unwrap_or(newest)
    }

    /// Returns the earliest time to read a unit again without a notification. Such a unit is incomplete, has new
    /// content that waits for the quiet time, or has a refused certificate that becomes valid. Units of which a process
    /// has a file open for writing do not count.
    pub(super) fn retry_at(&self, open: &OpenForWriting, now: Now) -> Option<Instant> {
        let closed = self.iter().enumerate().filter(|(index, _)| !open.contains_key(index));
        closed.filter_map(|(_, unit)| unit.retry_at(now)).min()
    }

    /// Returns the first failure of a unit that has files, or else whether the pass built a new generation.
    pub(super) fn outcome_of_files(&self, has_published: bool) -> Result<Outcome, Error> {
        // Leave out units without files: the push that failed has returned their failure to the host.
        let mut files = self.iter().filter(|unit| !unit.is_memory());
        match files.find_map(|unit| unit.retry.failed()) {
            Some(error) => Err(error.clone()),
            None if has_published => Ok(Outcome::Reloaded),
            None => Ok(Outcome::Unchanged),
        }
    }

    /// Returns why the first incomplete unit is incomplete, or else a file that a process has open for writing.
    pub(super) fn pending(&self, open: &OpenForWriting) -> Option<Error> {
        let mut open = open.iter().filter(|(index, _)| !self[**index].is_memory());
        let open = open.next().map(|(_, path)| Error::at(path, Cause::StillOpen));
        self.iter().find_map(Unit::pending).cloned().or(open)
    }

    /// Returns the units that were refused because the handle would lose a required name.
    pub(super) fn refused_for_name(&self) -> Vec<usize> {
        let is_refused = |unit: &Unit| {
            let failed = unit.retry.failed();
            failed.is_some_and(|error| matches!(error.cause, Cause::NameMissing { .. }))
        };
        let units = self.iter().enumerate().filter(|(_, unit)| is_refused(unit));
        units.map(|(index, _)| index).collect()
    }

    /// Returns the trust store if it must be judged again once the identity `new` is served, for which nothing had been
    /// loaded. Its issuers may have signed a revocation list that was accepted without its signature being checked.
    pub(super) fn judged_again_with(&self, new: &Fresh) -> Option<usize> {
        let was_absent = self[new.index].serving.absent().is_some();
        let has_issuers = new.part.as_identity().is_some_and(|it| it.chain().len() > 1);
        let has_lists = |unit: &Unit| match &unit.serving {
            UnitContent::Trust(trust) => !trust.lists().is_empty(),
            _ => false,
        };
        let trust = self.iter().position(has_lists);
        trust.filter(|_| was_absent && has_issuers)
    }

    /// Returns those of `fresh` of which no process has a file open for writing. The others are read again when their
    /// files are closed. Pushed content has no files.
    pub(super) fn without_open(&mut self, fresh: Vec<Fresh>, open: &OpenForWriting) -> Vec<Fresh> {
        let is_open = |new: &Fresh| !new.is_memory && open.contains_key(&new.index);
        let (open, closed): (Vec<_>, Vec<_>) = fresh.into_iter().partition(is_open);
        for new in open {
            self[new.index].discard_read();
        }
        closed
    }
}

impl Deref for Units {
    type Target = [Unit];

    fn deref(&self) -> &[Unit] {
        &self.0
    }
}

impl DerefMut for Units {
    fn deref_mut(&mut self) -> &mut [Unit] {
        &mut self.0
    }
}
