//! The content of a generation: one part for each unit (identity, trust store or ticket keys).

use std::path::Path;
use std::sync::Arc;

use crate::error::{Cause, Error};
use crate::options::Role;
use crate::pki::{Identity, TicketKeys, Trust, Warning};

const BUNDLE_CUT_SHORT: &str =
    "it holds only the first certificates of the file that is in use, and a root would be lost";

/// The content of one unit.
#[derive(Clone, Debug)]
pub(crate) enum UnitContent {
    Identity(Arc<Identity>),
    Trust(Arc<Trust>),
    TicketKeys(Arc<TicketKeys>),
    /// Nothing has been loaded yet.
    Absent(AbsentUnit),
}

/// The kind of a unit for which nothing has been loaded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AbsentUnit {
    Identity(Role),
    Trust,
    TicketKeys,
}

impl UnitContent {
    /// Returns the warnings about this part itself, which last as long as it is served.
    pub(crate) fn warnings(&self) -> &[Warning] {
        match self {
            Self::Identity(identity) => identity.warnings(),
            Self::Trust(trust) => trust.warnings(),
            Self::TicketKeys(_) | Self::Absent(_) => &[],
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

    /// Returns whether this trust store checks peers as `other` does, with the same warnings.
    pub(crate) fn is_equivalent(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Trust(trust), Self::Trust(other)) => trust.is_equivalent(other),
            _ => false,
        }
    }

    pub(crate) fn as_identity(&self) -> Option<&Arc<Identity>> {
        if let Self::Identity(identity) = self { Some(identity) } else { None }
    }

    pub(crate) fn absent(&self) -> Option<AbsentUnit> {
        if let Self::Absent(kind) = self { Some(*kind) } else { None }
    }
}

/// An identity of the options: what has been loaded for it, or else the role that it is for.
#[derive(Clone, Debug)]
pub(crate) enum IdentitySlot {
    Loaded(Arc<Identity>),
    Absent(Role),
}

impl IdentitySlot {
    pub(crate) fn loaded(&self) -> Option<&Arc<Identity>> {
        if let Self::Loaded(identity) = self { Some(identity) } else { None }
    }

    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Loaded(identity) => identity.role(),
            Self::Absent(role) => *role,
        }
    }
}

/// The parts of all units, in the order of the units: identities, trust, ticket keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnitContents {
    /// One for each identity of the options, in their order.
    pub(crate) identities: Vec<IdentitySlot>,
    pub(crate) trust: Option<Arc<Trust>>,
    pub(crate) ticket_keys: Option<Arc<TicketKeys>>,
    /// Whether nothing has been loaded for some of the identities.
    lacks_identities: bool,
    /// Whether there is a trust store, and nothing has been loaded for it.
    lacks_trust: bool,
    /// The same of the ticket keys.
    lacks_ticket_keys: bool,
}

impl UnitContents {
    pub(crate) fn iter(&self) -> impl Iterator<Item = UnitContent> + '_ {
        let identities = self.identities.iter().map(|slot| match slot {
            IdentitySlot::Loaded(identity) => UnitContent::Identity(identity.clone()),
            IdentitySlot::Absent(role) => UnitContent::Absent(AbsentUnit::Identity(*role)),
        });
        let absent =
            |is_absent: bool, kind| is_absent.then_some(UnitContent::Absent(kind)).into_iter();
        let trust = self.trust.iter().cloned().map(UnitContent::Trust);
        let ticket_keys = self.ticket_keys.iter().cloned().map(UnitContent::TicketKeys);
        identities
            .chain(trust)
            .chain(absent(self.lacks_trust, AbsentUnit::Trust))
            .chain(ticket_keys)
            .chain(absent(self.lacks_ticket_keys, AbsentUnit::TicketKeys))
    }

    /// Returns the identities that have been loaded, in the order of the options.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.identities.iter().filter_map(IdentitySlot::loaded)
    }

    /// Returns the number of identities that have been loaded.
    pub(crate) fn loaded_count(&self) -> usize {
        if self.lacks_identities { self.loaded().count() } else { self.identities.len() }
    }

    /// Returns whether nothing has been loaded for some of the identities.
    pub(crate) fn lacks_identities(&self) -> bool {
        self.lacks_identities
    }

    /// Returns the identity at `position` among those that have been loaded.
    pub(crate) fn loaded_at(&self, position: usize) -> Option<&Arc<Identity>> {
        if self.lacks_identities {
            return self.loaded().nth(position);
        }
        self.identities.get(position)?.loaded()
    }

    /// Returns whether peers cannot be checked, because nothing has been loaded for the trust store. Then every
    /// handshake is refused.
    pub(crate) fn lacks_trust(&self) -> bool {
        self.lacks_trust
    }

    /// Returns the kind of unit that every handshake lacks, if there is one. Without the trust store, both roles refuse;
    /// without an identity, only the server role does.
    pub(crate) fn refusal(&self) -> Option<AbsentUnit> {
        let for_servers = || self.identities.iter().filter(|slot| slot.role() == Role::Server);
        if self.lacks_trust {
            Some(AbsentUnit::Trust)
        } else if for_servers().next().is_some()
            && for_servers().all(|slot| slot.loaded().is_none())
        {
            Some(AbsentUnit::Identity(Role::Server))
        } else {
            None
        }
    }

    /// Returns the index of the trust store among the units, if there is one.
    pub(crate) fn trust_index(&self) -> Option<usize> {
        (self.trust.is_some() || self.lacks_trust).then_some(self.identities.len())
    }

    /// Returns the index of the ticket keys among the units, if there are some.
    pub(crate) fn ticket_keys_index(&self) -> Option<usize> {
        let has_keys = self.ticket_keys.is_some() || self.lacks_ticket_keys;
        has_keys.then(|| self.identities.len() + usize::from(self.trust_index().is_some()))
    }

    /// Returns whether connections fail because nothing has been loaded for the unit at `index`.
    pub(crate) fn is_missed(&self, index: usize) -> bool {
        match self.identities.get(index) {
            Some(slot) => slot.loaded().is_none(),
            None => self.lacks_trust && self.trust_index() == Some(index),
        }
    }

    /// Returns the identity that the client role presents: the one that was added for that role. Without one, it is the
    /// first identity, if its certificate allows client authentication.
    pub(crate) fn client_identity(&self) -> Option<&Arc<Identity>> {
        match self.identities.iter().find(|slot| slot.role() == Role::Client) {
            Some(of_client) => of_client.loaded(),
            None => self.identities.first()?.loaded().filter(|identity| identity.may_be_client()),
        }
    }
}

impl FromIterator<UnitContent> for UnitContents {
    fn from_iter<T: IntoIterator<Item = UnitContent>>(all: T) -> Self {
        let mut parts = Self::default();
        for part in all {
            match part {
                UnitContent::Identity(identity) => {
                    parts.identities.push(IdentitySlot::Loaded(identity));
                }
                UnitContent::Absent(AbsentUnit::Identity(role)) => {
                    parts.identities.push(IdentitySlot::Absent(role));
                    parts.lacks_identities = true;
                }
                UnitContent::Trust(trust) => parts.trust = Some(trust),
                UnitContent::Absent(AbsentUnit::Trust) => parts.lacks_trust = true,
                UnitContent::TicketKeys(keys) => parts.ticket_keys = Some(keys),
                UnitContent::Absent(AbsentUnit::TicketKeys) => parts.lacks_ticket_keys = true,
            }
        }
        parts
    }
}
