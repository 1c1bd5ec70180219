//! Runs the self-check of new content in the candidate: the next generation as it would be published (G15, G16).

use std::sync::Arc;

use super::adapters::Adapters;
use super::findings::Failure;
use super::fresh::Fresh;
use super::required_names::{missing, missing_after};
use super::units::Units;
use crate::error::{Cause, Error};
use crate::options::Options;
use crate::sys::catch_panic;
use crate::tls::{Candidate, UnitContent, check_template};

/// The indices of units that failed their self-check, with their failures.
pub(super) type Refused = Vec<(usize, Failure)>;

/// A candidate that is being checked, and what it is checked with.
pub(super) struct SelfCheck<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) units: &'a Units,
    pub(super) options: &'a Options,
    pub(super) adapters: &'a Adapters,
}

impl SelfCheck<'_> {
    /// Runs the self-check of each new content in the candidate. Returns the content that passed, and the other units'
    /// failures.
    pub(super) fn run(&self, fresh: Vec<Fresh>) -> (Vec<Fresh>, Refused) {
        let missing: Vec<_> = missing(self.options, self.candidate).collect();
        let (mut passed, mut failed) = (Vec::new(), Refused::new());
        for new in fresh {
            // Identities come first. If one was refused, this candidate is discarded, so that a check of the trust store
            // in it would prove nothing. The next candidate, without the refused content, checks the trust store.
            if new.part.as_identity().is_none() && !failed.is_empty() {
                passed.push(new);
                continue;
            }
            let unit = &self.units[new.index];
            let lost = missing.iter().copied().filter(|name| new.loses(&unit.serving, name));
            let lost: Vec<_> = lost.collect();
            let identity = new.part.as_identity().map(Arc::as_ref);
            let checked = missing_after(identity, &lost).map_or_else(|| self.check(&new), Err);
            match checked {
                Ok(()) => passed.push(new),
                Err(cause) => failed.push(new.failure(Error::at(unit.files.path(), cause))),
            }
        }
        (passed, failed)
    }

    /// Proves new content, as [`self_check`] does, and with all adapters. Also checks the template of the host: an open
    /// without identities could not. A panic, which is a defect, becomes a failure of this unit.
    fn check(&self, new: &Fresh) -> Result<(), Cause> {
        let checked = catch_panic(|| self_check(self.candidate, new.index, &new.part));
        let asks_clients = checked.unwrap_or_else(|panic| Err(Cause::Panic(panic)))?;
        check_template(self.options, asks_clients).map_err(|error| error.cause)?;
        self.adapters.prepare(&new.part)
    }
}

/// Completes the handshakes that prove `part`, the unit at `index`. Ticket keys need none.
///
/// Returns whether the server asks clients for certificates, which [`crate::tls::check_template`] needs.
pub(super) fn self_check(
    candidate: &Candidate,
    index: usize,
    part: &UnitContent,
) -> Result<bool, Cause> {
    match part {
        UnitContent::Identity(_) => candidate.self_check(index),
        UnitContent::Trust(_) => candidate.self_check_trust().map(|()| false),
        UnitContent::TicketKeys(_) | UnitContent::Absent(_) => Ok(false),
    }
}
