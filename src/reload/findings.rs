//! The results of a reload pass: a finding for each unit, and one outcome for the handle.

use crate::error::{Cause, Error};
use crate::events::Trigger;
use crate::files::Digest;
use crate::sys::Privileges;
use crate::tls::AbsentUnit;

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

/// A failure that the host gets to know.
#[derive(Clone, Debug)]
pub(crate) struct ReportedFailure {
    pub(crate) error: Error,
    pub(crate) trigger: Trigger,
    /// The kind of the unit, if nothing has been loaded for it yet.
    pub(crate) absent: Option<AbsentUnit>,
}

impl Failure {
    /// Adds to the error of a missing or unreadable file which privileges the process gave up since it opened the handle
    /// as `opened_as`.
    pub(super) fn explain(&mut self, opened_as: &Privileges) {
        if matches!(self.error.cause, Cause::NotFound | Cause::Permission) {
            let explanation = Privileges::now().changes_since(opened_as);
            self.error = self.error.clone().with_explanation(explanation);
        }
    }
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
