//! A look at the files: which of them, and what it came to.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::outcome::Note;
use super::outcome::Outcome;
use super::report::ReloadReport;
use super::retry::Failure;
use crate::error::Error;
use crate::events::Trigger;
use crate::tls::Generation;

/// Which units to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PassScope {
    /// All of them.
    All,
    /// All of them, but files that look unchanged are not read.
    Poll,
    /// These.
    Units(BTreeSet<usize>),
    /// Those that are pending, and due to be tried again.
    Retries,
}

/// What one look at the files came to.
pub(crate) struct PassResult {
    /// To be made current, and told of with the event.
    pub(crate) published: Option<(Arc<Generation>, ReloadReport)>,
    /// Failures that the host has not been told of.
    pub(crate) failures: Vec<(Failure, Trigger)>,
    pub(crate) outcome: Result<Outcome, Error>,
    /// The first unit that may still be half-written.
    pub(crate) pending: Option<Error>,
    /// What was found of single units, where there is something to say.
    pub(crate) notes: Vec<Note>,
    /// The newest ticket since which every unit has been read.
    pub(crate) complete: u64,
    /// The units whose files were read: the ways to them may be others now.
    pub(crate) looked_at: Vec<usize>,
}
