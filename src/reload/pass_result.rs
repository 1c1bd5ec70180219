//! What a pass leaves for the worker: the generation to publish, the failures to report, and the answer for waiters.
//!
//! The pipeline does not publish by itself. The worker publishes, records states and queues events in one place and in
//! one order. So no status shows one generation with the states of another, and events follow the publication (G7).

use std::sync::Arc;

use super::file_warnings::FileWarning;
use super::findings::{Note, Outcome, ReportedFailure};
use super::pass::{PassScope, PassTime};
use super::reloaded_event::ReloadReport;
use crate::error::Error;
use crate::events::{Event, Trigger};
use crate::pki::Warnings;
use crate::tls::Generation;

/// A generation to publish, whose new content passed the self-check, with the report for its RELOADED event.
pub(crate) struct Publication {
    pub(crate) generation: Arc<Generation>,
    pub(super) report: ReloadReport,
}

impl Publication {
    /// Returns the RELOADED event.
    pub(crate) fn into_event(self) -> Event {
        self.report.event(&self.generation)
    }
}

/// A unit whose files a pass read.
pub(crate) struct ScannedUnit {
    pub(crate) index: usize,
    /// The kinds of the warnings about its files.
    pub(crate) file_warnings: Warnings,
}

/// The result of one pass.
pub(crate) struct PassResult {
    pub(crate) scope: PassScope,
    pub(crate) time: PassTime,
    pub(crate) newest_waiter: u64,
    /// The generation to make current.
    pub(crate) published: Option<Publication>,
    /// Failures that the host does not know yet.
    pub(crate) failures: Vec<ReportedFailure>,
    /// Failures that have ended, because the files hold the content that is served.
    pub(crate) ended: Vec<(Error, Trigger)>,
    /// Warnings about files that have begun, and that no RELOADED event reports.
    pub(crate) warnings: Vec<FileWarning>,
    pub(crate) outcome: Result<Outcome, Error>,
    /// The reason why the first incomplete unit is incomplete. While there is such a unit, no waiter is answered.
    pub(crate) pending: Option<Error>,
    pub(crate) notes: Vec<Note>,
    /// The newest waiter that registered before the latest read of every unit. Waiters up to it may be answered (G6).
    pub(crate) complete: u64,
    /// The units that were read. Their files may be reached through other directories now, which must be subscribed to.
    pub(crate) scanned: Vec<ScannedUnit>,
    /// Units to read again after the quiet time. Some were refused because the handle would lose a required name, which
    /// another unit of the published generation may have brought. For others, something made a read due while the last
    /// one had not ended.
    pub(crate) again: Vec<usize>,
}
