//! What an operator can observe of a handle and its units at one moment.

mod expirations;
mod expiry_alerts;
mod prometheus;
mod unit_health;
mod unit_state;

use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

pub(crate) use expiry_alerts::ExpiryAlerts;
pub(crate) use prometheus::{HandleMetrics, write as write_metrics};
pub(crate) use unit_health::{Health, UnitHealth};
pub(crate) use unit_state::UnitStates;

use crate::error::Error;
use crate::pki::{Identity, Trust, WarningKind, Warnings};
use crate::reload::Outcome;
use crate::tls::Generation;
use crate::watch::WatchState;
use expirations::expirations_of_unit;

/// The status of a handle.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// The health of all units together.
    pub(crate) health: UnitHealth,
    pub(crate) generation: u64,
    pub(crate) loaded_at: i64,
    pub(crate) earliest_not_after: i64,
    pub(crate) last_outcome: Result<Outcome, Error>,
    pub(crate) reloads: u64,
    pub(crate) failures: u64,
    pub(crate) unchanged: u64,
    pub(crate) identities: usize,
    pub(crate) identities_configured: usize,
    pub(crate) generations_alive: usize,
    pub(crate) watch: WatchState,
}

/// The status of one identity.
#[derive(Clone, Debug)]
pub(crate) struct IdentityStatus {
    pub(crate) health: UnitHealth,
    /// The path that names the identity.
    pub(crate) chain: Arc<Path>,
    /// `None` if nothing has been loaded yet.
    pub(crate) dates: Option<IdentityDates>,
    /// The first name of the certificate.
    pub(crate) name: Option<CString>,
}

/// The dates of an identity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdentityDates {
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    /// When the first certificate expires that clients need: the leaf, or an intermediate without which the chain has
    /// no path.
    pub(crate) chain_not_after: i64,
    /// Start of the certificate's warning window. The health of the identity also counts the OCSP response, whose
    /// warning window may start earlier.
    pub(crate) expiring_from: Option<i64>,
}

impl IdentityDates {
    fn of(identity: &Identity) -> Self {
        Self {
            not_before: identity.not_before(),
            not_after: identity.not_after(),
            chain_not_after: identity.valid_until(),
            expiring_from: identity.expiring_from(),
        }
    }
}

/// The status of the trust store.
#[derive(Clone, Debug)]
pub(crate) struct TrustStatus {
    pub(crate) health: UnitHealth,
    /// The file or directory that names the trust store.
    pub(crate) path: Arc<Path>,
    pub(crate) client_roots: usize,
    pub(crate) server_roots: usize,
    pub(crate) crls: usize,
    /// Number of entries of all CRLs.
    pub(crate) revoked: usize,
    /// The earliest nextUpdate of all CRLs.
    pub(crate) next_update: Option<i64>,
}

/// Everything that a status is computed from, taken at one moment, so that all fields agree.
pub(crate) struct Observation<'a> {
    pub(crate) current: &'a Arc<Generation>,
    pub(crate) states: &'a UnitStates,
    /// The path that names each unit.
    pub(crate) paths: &'a [Arc<Path>],
    pub(crate) generations_alive: usize,
    pub(crate) now: i64,
}

impl Status {
    pub(crate) fn of(observation: &Observation<'_>) -> Self {
        let Observation { current, states, .. } = observation;
        let units = current.parts().iter().enumerate();
        let units = units.filter_map(|(index, part)| {
            observation.unit_health(index, Warnings::from_iter(part.warnings()))
        });
        let mut health = units.reduce(UnitHealth::combine).unwrap_or_default();
        health.checked_at = states.checked_at;
        // Add warnings that belong to no single unit, such as about a name that several identities have. Those about
        // files, and NotYetValid, come from the units, whose states are newer than the generation.
        let of_generation = current.warnings().without_file_warnings();
        health.warnings |= of_generation.with(WarningKind::NotYetValid, false);
        Self {
            health,
            generation: current.number(),
            loaded_at: current.loaded_at(),
            earliest_not_after: current.earliest_not_after(),
            last_outcome: states.last_outcome.clone(),
            reloads: states.reloads,
            failures: states.failures,
            unchanged: states.unchanged,
            identities: current.identity_count(),
            identities_configured: current.parts().identities.len(),
            generations_alive: observation.generations_alive,
            watch: states.watch,
        }
    }
}

impl IdentityStatus {
    /// Returns the status of the identity at `index`, if there is one.
    pub(crate) fn of(observation: &Observation<'_>, index: usize) -> Option<Self> {
        let identity = observation.current.parts().identities.get(index)?.loaded();
        let warnings = identity.map_or(&[][..], |identity| identity.warnings());
        Some(Self {
            health: observation.unit_health(index, Warnings::from_iter(warnings))?,
            chain: observation.paths.get(index)?.clone(),
            dates: identity.map(|identity| IdentityDates::of(identity)),
            name: identity.and_then(|identity| identity.names().first().cloned()),
        })
    }
}

impl TrustStatus {
    /// Returns the status of the trust store, if the handle has one.
    pub(crate) fn of(observation: &Observation<'_>) -> Option<Self> {
        let parts = observation.current.parts();
        let (index, trust) = (parts.trust_index()?, parts.trust.as_ref());
        let warnings = trust.map_or(&[][..], |trust| trust.warnings());
        let lists = trust.map_or(&[][..], |trust| trust.lists());
        let count = |of: fn(&Trust) -> usize| trust.map_or(0, |trust| of(trust));
        Some(Self {
            health: observation.unit_health(index, Warnings::from_iter(warnings))?,
            path: observation.paths.get(index)?.clone(),
            client_roots: count(Trust::client_root_count),
            server_roots: count(Trust::server_root_count),
            crls: lists.len(),
            revoked: count(Trust::revoked_count),
            next_update: lists.iter().filter_map(|list| list.next_update).min(),
        })
    }
}

impl Observation<'_> {
    /// Returns the health of the unit at `index`, whose content has `warnings`.
    fn unit_health(&self, index: usize, warnings: Warnings) -> Option<UnitHealth> {
        let unit = self.states.units.get(index)?;
        let expirations = expirations_of_unit(self.current, index);
        let health = UnitHealth::new(unit, &expirations, warnings, self.now);
        let is_missed = self.current.parts().is_missed(index);
        Some(if is_missed { health.missing(unit) } else { health })
    }
}
