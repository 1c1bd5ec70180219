//! One reload pass: which units it reads, when and why, and what it collects on its way.
//!
//! Scope, trigger and newest waiter are set before the first file is read. A request that comes later belongs to the
//! next pass. So no request is answered with the result of files that were read before it (G6).

use std::collections::BTreeSet;
use std::time::Instant;

use super::debounce::{OpenForWriting, Writers};
use super::findings::{Finding, Note, ReportedFailure};
use super::fresh::Fresh;
use crate::clock::Now;
use crate::error::Error;
use crate::events::Trigger;

/// The units that a pass reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PassScope {
    /// All units.
    All,
    /// All units, except those whose files look unchanged.
    Poll,
    /// The given units.
    Units(BTreeSet<usize>),
    /// The units whose next retry is due.
    Retries,
}

/// When and why a pass runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassTime {
    pub(crate) trigger: Trigger,
    pub(crate) now: Now,
    /// When the change began that the pass reads. The incomplete-file timeout counts from here.
    pub(crate) since: Instant,
    /// Whether new content may be published at once: notifications have been quiet for the quiet time, or the
    /// host asked for the pass. Otherwise a unit waits until a later pass reads the same content, or until the
    /// incomplete-file timeout (G4). Content that looks cut short waits in any case.
    pub(crate) is_quiet: bool,
}

/// One run over the files of some units. A pass belongs to one thread and is consumed by the pipeline.
pub(crate) struct Pass<'a> {
    pub(crate) scope: PassScope,
    pub(crate) time: PassTime,
    /// The newest waiter when the pass began. The pass answers no waiter that came later (G6).
    pub(crate) newest_waiter: u64,
    writers: &'a dyn Writers,
    pub(super) notes: Vec<Note>,
    /// Failures that the host does not know yet.
    pub(super) failures: Vec<ReportedFailure>,
    /// Failures that have ended, because the files hold the content that is served.
    pub(super) ended: Vec<(Error, Trigger)>,
    /// The units that were read, those to read again, and new content that may be published.
    pub(super) scanned: Vec<usize>,
    pub(super) again: Vec<usize>,
    pub(super) fresh: Vec<Fresh>,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(
        scope: PassScope,
        time: PassTime,
        newest_waiter: u64,
        writers: &'a dyn Writers,
    ) -> Self {
        Self {
            scope,
            time,
            newest_waiter,
            writers,
            notes: Vec::new(),
            failures: Vec::new(),
            ended: Vec::new(),
            scanned: Vec::new(),
            again: Vec::new(),
            fresh: Vec::new(),
        }
    }

    /// Returns the units of which a process has a file open for writing right now.
    pub(super) fn open_for_writing(&self) -> OpenForWriting {
        self.writers.open_for_writing()
    }

    /// Returns whether a process has a file of the unit at `index` open for writing, however long ago the writing
    /// began.
    pub(super) fn is_open(&self, index: usize) -> bool {
        self.writers.is_open(index)
    }

    /// Records that the unit at `index` holds the content that is served. `failed` is the failure that ends by that.
    pub(super) fn note_good(&mut self, index: usize, failed: Option<&Error>, trigger: Trigger) {
        self.note(index, Finding::Good);
        self.ended.extend(failed.map(|error| (error.clone(), trigger)));
    }

    pub(super) fn note(&mut self, index: usize, finding: Finding) {
        self.notes.push(Note { index, finding });
    }
}
