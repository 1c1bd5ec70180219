//! The content of a generation: one part for each unit (identity, trust store or ticket keys).

use std::path::Path;
use std::sync::Arc;

use crate::error::{Cause, Error};
use crate::options::Role;
use crate::pki::{Identity, TicketKeys, Trust, Warning};

const BUNDLE_CUT_SHORT: &str =
    "it holds only the first certificates of the file that is in use, and a root would be lost";

/// The loaded content of one unit.
#[derive(Clone, Debug)]
pub(crate) enum UnitContent {
    Identity(Arc<Identity>),
    Trust(Arc<Trust>),
    TicketKeys(Arc<TicketKeys>),
}

impl UnitContent {
    /// Returns the warnings about this part itself, which last as long as it is served.
    pub(crate) fn warnings(&self) -> &[Warning] {
        match self {
            Self::Identity(identity) => identity.warnings(),
            Self::Trust(trust) => trust.warnings(),
            Self::TicketKeys(_) => &[],
        }
    }

    /// Returns warnings about what the previous part `before` has and this part lacks (G15).
    pub(crate) fn warnings_after(&self, before: &Self) -> Vec<Warning> {
        match (self, before) {
            (Self::Identity(identity), Self::Identity(before)) => identity.warnings_after(before),
            _ => Vec::new(),
        }
    }

    /// Returns why this part may be the beginning of files that are still being written, if it lacks the end of the
    /// previous part `before` (G4). `path` names the unit.
    pub(crate) fn cut_short(&self, before: &Self, path: &Path) -> Option<Error> {
        match (self, before) {
            (Self::Identity(identity), Self::Identity(before)) => {
                Some(Error::at(path, Cause::CutShort(identity.cut_short(before)?)))
            }
            (Self::Trust(trust), Self::Trust(before)) => {
                Some(Error::at(trust.cut_short(before)?, Cause::CutShort(BUNDLE_CUT_SHORT)))
            }
            _ => None,
        }
    }

    pub(crate) fn as_identity(&self) -> Option<&Arc<Identity>> {
        if let Self::Identity(identity) = self { Some(identity) } else { None }
    }
}

/// The parts of all units, in the order of the units: identities, trust, ticket keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnitContents {
    pub(crate) identities: Vec<Arc<Identity>>,
    pub(crate) trust: Option<Arc<Trust>>,
    pub(crate) ticket_keys: Option<Arc<TicketKeys>>,
}

impl UnitContents {
    pub(crate) fn iter(&self) -> impl Iterator<Item = UnitContent> + '_ {
        let identities = self.identities.iter().cloned().map(UnitContent::Identity);
        let trust = self.trust.iter().cloned().map(UnitContent::Trust);
        let ticket_keys = self.ticket_keys.iter().cloned().map(UnitContent::TicketKeys);
        identities.chain(trust).chain(ticket_keys)
    }

    /// Returns the identity that the client role presents: the one that was added for that role. Without one, it is the
    /// first identity, if its certificate allows client authentication.
    pub(crate) fn client_identity(&self) -> Option<&Arc<Identity>> {
        let of_client = self.identities.iter().find(|identity| identity.role() == Role::Client);
        of_client.or_else(|| self.identities.first().filter(|identity| identity.may_be_client()))
    }
}

impl FromIterator<UnitContent> for UnitContents {
    fn from_iter<T: IntoIterator<Item = UnitContent>>(all: T) -> Self {
        let mut parts = Self::default();
        for part in all {
            match part {
                UnitContent::Identity(identity) => parts.identities.push(identity),
                UnitContent::Trust(trust) => parts.trust = Some(trust),
                UnitContent::TicketKeys(keys) => parts.ticket_keys = Some(keys),
            }
        }
        parts
    }
}
