//! A look at the files: which of them, and what it came to.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::Trigger;
use super::settle::Failure;
use super::standing::Note;
use super::tickets::Outcome;
use super::told::Told;
use crate::error::Error;
use crate::generation::Generation;

/// Which units to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
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
pub(super) struct Look {
    /// To be made current, and told of with the event.
    pub(super) published: Option<(Arc<Generation>, Told)>,
    /// Failures that the host has not been told of.
    pub(super) failures: Vec<(Failure, Trigger)>,
    pub(super) outcome: Result<Outcome, Error>,
    /// The first unit that may still be half-written.
    pub(super) pending: Option<Error>,
    /// What was found of single units, where there is something to say.
    pub(super) notes: Vec<Note>,
    /// The newest ticket since which every unit has been read.
    pub(super) complete: u64,
    /// The units whose files were read: the ways to them may be others now.
    pub(super) looked_at: Vec<usize>,
}
