//! The results of a reload pass: a finding for each unit, and one outcome for the handle.

use crate::error::Error;
use crate::files::Digest;

/// The outcome of a pass or a push without a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Reloaded,
    Unchanged,
}

/// A failure, and the content that it is about: the same error about other bytes is another failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// `None` if the bytes could not be read, or changed during every attempt to read them.
    pub(crate) digest: Option<Digest>,
}

/// What a pass found out about the unit at `index`.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) index: usize,
    pub(crate) finding: Finding,
}

#[derive(Clone, Debug)]
pub(crate) enum Finding {
    /// The files hold the content that is served.
    Good,
    /// The content of the files is served from the generation that this pass publishes.
    Renewed,
    /// The files look incomplete and are read again later. An earlier failure is still the unit's failure.
    Pending,
    /// The files cannot be used, and this failure is reported to the host.
    Failed(Error),
    /// The files cannot be used, and the host knows the failure already.
    StillFailed,
}
