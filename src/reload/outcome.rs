//! What a pass over the files of units came to.

use crate::error::Error;

/// What a look at the files came to, where nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Reloaded,
    Unchanged,
}

/// What a look found of one unit.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) index: usize,
    pub(crate) finding: Finding,
}

#[derive(Clone, Debug)]
pub(crate) enum Finding {
    /// What serves is what the files hold, as it was before.
    Good,
    /// What the files hold now serves from this look's generation on.
    Renewed,
    /// The files look half-written and are waited for; what failed before stands.
    Pending,
    /// The host is told of a failure.
    Failed(Error),
    /// The files are as bad as the host was told.
    StillFailed,
}
