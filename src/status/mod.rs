//! How a handle and each of its units are doing, at one moment.

mod expirations;
mod expiry_alerts;
mod prometheus;
mod unit_state;

use std::path::Path;
use std::sync::Arc;

pub(crate) use expiry_alerts::ExpiryAlerts;
pub(crate) use prometheus::{HandleMetrics, write as write_metrics};
pub(crate) use unit_state::{Failing, UnitStates};

use crate::error::Error;
use crate::pki::{Identity, Trust, WarningKind, Warnings};
use crate::reload::Outcome;
use crate::tls::Generation;
use crate::watch::WatchState;
use expirations::{Expiration, dates_of, dates_of_unit};
use unit_state::{StandingFailure, UnitState};

/// Whether what serves is good, and whether it will stay so. "Renewal failed" is not "expired".
///
/// In rising order: where several hold, the last of them is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    Ok,
    Expiring,
    Stale,
    Expired,
}

/// Everything about a handle at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) generation: u64,
    pub(crate) loaded_at: i64,
    pub(crate) earliest_not_after: i64,
    pub(crate) expiring_from: Option<i64>,
    pub(crate) health: Health,
    pub(crate) health_since: i64,
    pub(crate) last_outcome: Result<Outcome, Error>,
    /// The newest failure that stands.
    pub(crate) failure: Option<Failing>,
    /// Distinct failures that were told since the identities that fail were last good.
    pub(crate) consecutive_failures: u64,
    pub(crate) last_checked_at: i64,
    pub(crate) reloads: u64,
    pub(crate) failures: u64,
    pub(crate) unchanged: u64,
    pub(crate) identities: usize,
    pub(crate) generations_alive: usize,
    pub(crate) watch: WatchState,
    pub(crate) warnings: Warnings,
}

/// Everything about one identity at one moment.
#[derive(Clone, Debug)]
pub(crate) struct IdentityStatus {
    /// The file that it is called by.
    pub(crate) chain: Arc<Path>,
    pub(crate) health: Health,
    pub(crate) health_since: i64,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) expiring_from: Option<i64>,
    pub(crate) failure: Option<Failing>,
    pub(crate) consecutive_failures: u64,
    pub(crate) last_checked_at: i64,
    /// Whether its files look half-written and are being waited for.
    pub(crate) pending: bool,
    /// The generation that its certificate came with, and when that was.
    pub(crate) renewed_generation: u64,
    pub(crate) renewed_at: i64,
    pub(crate) warnings: Warnings,
}

/// Everything about what peers are checked against, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct TrustStatus {
    /// The file or directory that it is called by.
    pub(crate) path: Arc<Path>,
    pub(crate) health: Health,
    pub(crate) health_since: i64,
    pub(crate) client_roots: usize,
    pub(crate) server_roots: usize,
    pub(crate) lists: usize,
    /// Entries of all lists.
    pub(crate) revoked: usize,
    /// The earliest nextUpdate of all lists.
    pub(crate) next_update: Option<i64>,
    pub(crate) expiring_from: Option<i64>,
    pub(crate) failure: Option<Failing>,
    pub(crate) consecutive_failures: u64,
    pub(crate) last_checked_at: i64,
    pub(crate) pending: bool,
    pub(crate) renewed_generation: u64,
    pub(crate) renewed_at: i64,
    pub(crate) warnings: Warnings,
}

impl Status {
    pub(super) fn new(current: &Generation, standing: &UnitStates, alive: usize, now: i64) -> Self {
        let identities = current.identities();
        let units = standing.units.iter().enumerate();
        let (health, health_since) =
            worst(units.map(|(index, unit)| health(&dates_of_unit(current, index), unit, now)));
        let troubles = || standing.units.iter().filter_map(|unit| unit.trouble.as_deref());
        let newest = troubles().reduce(|a, b| if b.told_at > a.told_at { b } else { a });
        Self {
            generation: current.number(),
            loaded_at: current.loaded_at(),
            earliest_not_after: current.earliest_not_after(),
            expiring_from: dates_of(current).filter_map(|dated| dated.expiring_from).min(),
            health,
            health_since,
            last_outcome: standing.last_outcome.clone(),
            failure: newest.map(StandingFailure::failing),
            consecutive_failures: troubles().map(|trouble| trouble.distinct).sum(),
            last_checked_at: standing.checked_at,
            reloads: standing.reloads,
            failures: standing.failures,
            unchanged: standing.unchanged,
            identities: identities.len(),
            generations_alive: alive,
            watch: standing.watch,
            warnings: warnings_of(current, standing, now),
        }
    }
}

fn warnings_of(current: &Generation, standing: &UnitStates, now: i64) -> Warnings {
    let exposed = standing.units.iter().any(|unit| unit.exposed);
    let by_date = dates_of(current).filter_map(|dated| dated.warning(now));
    by_date.fold(current.warnings().with(WarningKind::KeyReadable, exposed), |warnings, kind| {
        warnings.with(kind, true)
    })
}

impl TrustStatus {
    pub(super) fn new(
        path: &Arc<Path>,
        index: usize,
        (trust, current): (&Trust, &Generation),
        unit: &UnitState,
        now: i64,
    ) -> Self {
        let dates = dates_of_unit(current, index);
        let (health, health_since) = health(&dates, unit, now);
        let trouble = unit.trouble.as_deref();
        Self {
            path: path.clone(),
            health,
            health_since,
            client_roots: trust.client_root_count(),
            server_roots: trust.server_root_count(),
            lists: trust.lists().len(),
            revoked: trust.revoked_count(),
            next_update: trust.lists().iter().filter_map(|list| list.next_update).min(),
            expiring_from: dates.iter().filter_map(|dated| dated.expiring_from).min(),
            failure: trouble.map(StandingFailure::failing),
            consecutive_failures: trouble.map_or(0, |trouble| trouble.distinct),
            last_checked_at: unit.checked_at,
            pending: unit.pending,
            renewed_generation: unit.renewed_generation,
            renewed_at: unit.renewed_at,
            warnings: with_dates(Warnings::from_iter(trust.warnings()), &dates, now),
        }
    }
}

impl IdentityStatus {
    pub(super) fn new(
        chain: &Arc<Path>,
        (index, identity): (usize, &Identity),
        current: &Generation,
        unit: &UnitState,
        now: i64,
    ) -> Self {
        let dates = dates_of_unit(current, index);
        let (health, health_since) = health(&dates, unit, now);
        let trouble = unit.trouble.as_deref();
        Self {
            chain: chain.clone(),
            health,
            health_since,
            not_before: identity.not_before(),
            not_after: identity.not_after(),
            expiring_from: identity.expiring_from(),
            failure: trouble.map(StandingFailure::failing),
            consecutive_failures: trouble.map_or(0, |trouble| trouble.distinct),
            last_checked_at: unit.checked_at,
            pending: unit.pending,
            renewed_generation: unit.renewed_generation,
            renewed_at: unit.renewed_at,
            warnings: with_dates(Warnings::from_iter(identity.warnings()), &dates, now)
                .with(WarningKind::KeyReadable, unit.exposed),
        }
    }
}

fn with_dates(warnings: Warnings, dates: &[Expiration<'_>], now: i64) -> Warnings {
    let kinds = dates.iter().filter_map(|dated| dated.warning(now));
    kinds.fold(warnings, |warnings, kind| warnings.with(kind, true))
}

/// The worst that is true of one unit, and since when it is.
fn health(dates: &[Expiration<'_>], unit: &UnitState, now: i64) -> (Health, i64) {
    let vital = dates.iter().filter(|dated| dated.is_vital());
    if let Some(end) = vital.map(|dated| dated.not_after).min().filter(|end| now > *end) {
        return (Health::Expired, end);
    }
    if let Some(trouble) = &unit.trouble {
        return (Health::Stale, trouble.since);
    }
    match dates.iter().filter_map(|dated| dated.expiring_from).min() {
        Some(from) if now >= from => (Health::Expiring, from),
        _ => (Health::Ok, unit.good_since),
    }
}

/// The worst of all, since the first of them; all have been well since the last of them is.
fn worst(all: impl Iterator<Item = (Health, i64)>) -> (Health, i64) {
    let worse = |a: (Health, i64), b: (Health, i64)| match a.0.cmp(&b.0) {
        std::cmp::Ordering::Less => b,
        std::cmp::Ordering::Greater => a,
        std::cmp::Ordering::Equal if a.0 == Health::Ok => (a.0, a.1.max(b.1)),
        std::cmp::Ordering::Equal => (a.0, a.1.min(b.1)),
    };
    all.reduce(worse).unwrap_or((Health::Ok, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_identity_decides_and_the_first_that_is_so_tells_since_when() {
        let all = |of: &[(Health, i64)]| worst(of.iter().copied());
        assert_eq!(all(&[(Health::Ok, 5), (Health::Ok, 9)]), (Health::Ok, 9));
        assert_eq!(
            all(&[(Health::Expiring, 7), (Health::Ok, 9), (Health::Expiring, 3)]),
            (Health::Expiring, 3)
        );
        assert_eq!(all(&[(Health::Stale, 7), (Health::Expiring, 3)]), (Health::Stale, 7));
        assert_eq!(all(&[(Health::Stale, 3), (Health::Expired, 9)]), (Health::Expired, 9));
    }
}
