//! The health of one unit, and of all units of a handle together.
//!
//! One constructor computes the health for the status of a handle, of an identity and of the trust store, so that the
//! three cannot disagree.

use std::cmp::Ordering;

use super::expirations::Expiration;
use super::unit_state::{UnitFailure, UnitState};
use crate::pki::Warnings;

/// Whether what is served is valid, and whether it will stay valid.
///
/// Ordered from best to worst: where several apply, the last is reported. `Stale` and `Expired` are distinct,
/// because a failed renewal leaves days to act and an expired certificate leaves none. A user can accept an
/// expired certificate, and not a missing one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    #[default]
    Ok,
    Expiring,
    Stale,
    /// A certificate that is served has expired, or is not valid yet.
    Expired,
    /// Nothing has been loaded yet.
    Missing,
}

/// The health of one unit at one moment, or of all units of a handle combined.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnitHealth {
    pub(crate) level: Health,
    /// Since when `level` has been what it is. All times here are seconds since 1970.
    pub(crate) since: i64,
    /// Start of the first warning window of anything in the unit that expires.
    pub(crate) expiring_from: Option<i64>,
    /// The current failure.
    pub(crate) failure: Option<UnitFailure>,
    /// Number of distinct failures reported since the files were last good.
    pub(crate) consecutive_failures: u64,
    pub(crate) checked_at: i64,
    /// Whether the files look incomplete and are being retried (G4).
    pub(crate) pending: bool,
    /// The generation that introduced the unit's current content, and when that was. Both are 0 in a forked child until
    /// the next renewal, because older renewals are not known there.
    pub(crate) renewed_generation: u64,
    pub(crate) renewed_at: i64,
    pub(crate) warnings: Warnings,
}

impl UnitHealth {
    /// Returns the health of a unit at `now`.
    ///
    /// `warnings` are those of the content itself; those that depend on `now` are added.
    pub(super) fn new(
        unit: &UnitState,
        expirations: &[Expiration<'_>],
        warnings: Warnings,
        now: i64,
    ) -> Self {
        let expiring_from = expirations.iter().filter_map(|end| end.expiring_from).min();
        let (level, since) = level(unit, expirations, now);
        let mut lasting = warnings;
        lasting |= unit.file_warnings;
        let by_date = expirations.iter().filter_map(|end| end.warning(now));
        Self {
            level,
            since,
            expiring_from,
            failure: unit.failure.as_deref().cloned(),
            consecutive_failures: unit.failure.as_ref().map_or(0, |failure| failure.count),
            checked_at: unit.checked_at,
            pending: unit.pending,
            renewed_generation: unit.renewed_generation,
            renewed_at: unit.renewed_at,
            warnings: by_date.fold(lasting, |all, kind| all.with(kind, true)),
        }
    }

    /// Returns the health of a unit for which nothing has been loaded yet.
    pub(super) fn missing(self, unit: &UnitState) -> Self {
        let since = unit.failure.as_ref().map_or(unit.good_since, |failure| failure.since);
        Self { level: Health::Missing, since, ..self }
    }

    /// Returns the health of two units together.
    ///
    /// The worse level counts, since the earlier moment if both units have it. Only `Ok` lasts since the later
    /// moment, because both units have been good from then on.
    pub(super) fn combine(self, other: Self) -> Self {
        let (level, since) = match self.level.cmp(&other.level) {
            Ordering::Less => (other.level, other.since),
            Ordering::Greater => (self.level, self.since),
            Ordering::Equal if self.level == Health::Ok => {
                (Health::Ok, self.since.max(other.since))
            }
            Ordering::Equal => (self.level, self.since.min(other.since)),
        };
        let mut warnings = self.warnings;
        warnings |= other.warnings;
        Self {
            level,
            since,
            expiring_from: self.expiring_from.into_iter().chain(other.expiring_from).min(),
            failure: latest(self.failure, other.failure),
            consecutive_failures: self.consecutive_failures + other.consecutive_failures,
            checked_at: self.checked_at.max(other.checked_at),
            pending: self.pending || other.pending,
            renewed_generation: self.renewed_generation.max(other.renewed_generation),
            renewed_at: self.renewed_at.max(other.renewed_at),
            warnings,
        }
    }
}

/// Returns the failure that was reported last, or the first of two reported in the same second.
fn latest(a: Option<UnitFailure>, b: Option<UnitFailure>) -> Option<UnitFailure> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.reported_at > a.reported_at { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// Returns the worst level that applies to a unit, and since when it does.
fn level(unit: &UnitState, expirations: &[Expiration<'_>], now: i64) -> (Health, i64) {
    let vital = expirations.iter().filter(|end| end.is_vital());
    if let Some(not_after) = vital.map(|end| end.not_after).min().filter(|at| now > *at) {
        return (Health::Expired, not_after);
    }
    if expirations.iter().any(|end| end.not_valid_before(now).is_some()) {
        return (Health::Expired, unit.good_since);
    }
    if let Some(failure) = &unit.failure {
        return (Health::Stale, failure.since);
    }
    match expirations.iter().filter_map(|end| end.expiring_from).min() {
        Some(from) if now >= from => (Health::Expiring, from),
        _ => (Health::Ok, unit.good_since),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Cause, Error};

    #[test]
    fn combined_health_is_the_worst_since_the_earliest() {
        let all = |units: &[(Health, i64)]| {
            let units = units.iter();
            let units = units.map(|&(level, since)| UnitHealth { level, since, ..<_>::default() });
            let all = units.reduce(UnitHealth::combine).unwrap();
            (all.level, all.since)
        };
        assert_eq!(all(&[(Health::Ok, 5), (Health::Ok, 9)]), (Health::Ok, 9));
        assert_eq!(
            all(&[(Health::Expiring, 7), (Health::Ok, 9), (Health::Expiring, 3)]),
            (Health::Expiring, 3)
        );
        assert_eq!(all(&[(Health::Stale, 7), (Health::Expiring, 3)]), (Health::Stale, 7));
        assert_eq!(all(&[(Health::Stale, 3), (Health::Expired, 9)]), (Health::Expired, 9));
    }

    #[test]
    fn combined_health_has_the_latest_failure_and_counts_all() {
        let failing = |path: &str, reported_at, count| {
            let error = Error::at(path.as_ref(), Cause::Empty);
            UnitHealth {
                failure: Some(UnitFailure { error, reported_at, since: 0, count }),
                consecutive_failures: count,
                ..UnitHealth::default()
            }
        };
        let units = [failing("/a", 5, 1), failing("/b", 9, 2), failing("/c", 9, 3)];
        let all = units.into_iter().reduce(UnitHealth::combine).unwrap();
        let failure = all.failure.unwrap();
        assert_eq!(failure.error.path.as_deref(), Some("/b".as_ref()));
        assert_eq!((failure.reported_at, all.consecutive_failures), (9, 6));
    }
}
