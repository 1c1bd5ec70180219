//! Finds what enters its warning window or expires, so that an event reports it (G20).
//!
//! Everything that expires has three phases: fresh, expiring (in its warning window), and expired. The beginning of the
//! last two is reported once, not at each check, because the reported phase is remembered until it ends. If the wall
//! clock is set back, an earlier phase begins again and is reported again. EXPIRING after EXPIRED shows an operator
//! that the thing is valid once more.
//!
//! Nothing is due while the wall clock is in the `quiet` range. So most calls need not check thousands of dates.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::expirations::{Expiration, expirations};
use crate::clock::Now;
use crate::error::Error;
use crate::events::{Event, EventKind};
use crate::pki::Warnings;
use crate::tls::Generation;

/// Longest time between two checks. A jump of the wall clock that causes no wake-up is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// Time until the next attempt to report alerts for which the event queue had no room.
const WAIT_FOR_ROOM: Duration = Duration::from_millis(100);

/// How close something is to its expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Fresh,
    Expiring,
    Expired,
}

/// The expiry alerts of a handle that were reported, and when the next can be due.
#[derive(Debug, Default)]
pub(crate) struct ExpiryAlerts {
    /// The reported phase of everything that is expiring or expired.
    reported: HashMap<AlertKey, Phase>,
    generation: u64,
    /// No alert is due while the wall clock is in this range and the generation is the same.
    quiet: Option<Range<i64>>,
}

/// Index of the unit, and the identifier of the thing within it.
type AlertKey = (usize, Box<[u8]>);

/// An alert that is due: something entered its warning window, or expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DueAlert {
    /// Position among the expirations of the generation.
    position: usize,
    /// Index of the unit that the alert is about.
    pub(crate) unit: usize,
    kind: EventKind,
}

impl ExpiryAlerts {
    /// Returns at most `room` alerts that are due at `now`, each phase of each thing once.
    ///
    /// If the wall clock is set back, a phase that begins again is reported again.
    pub(crate) fn due(&mut self, current: &Generation, now: i64, room: usize) -> Vec<DueAlert> {
        let is_known = self.generation == current.number();
        if is_known && self.quiet.as_ref().is_some_and(|quiet| quiet.contains(&now)) {
            return Vec::new();
        }
        self.generation = current.number();
        self.due_among(expirations(current), now, room)
    }

    fn due_among<'a>(
        &mut self,
        all: impl Iterator<Item = Expiration<'a>>,
        now: i64,
        room: usize,
    ) -> Vec<DueAlert> {
        let mut due = Vec::new();
        let mut quiet = i64::MIN..i64::MAX;
        let mut has_room = true;
        let mut reported = HashMap::new();
        for (position, expiration) in all.enumerate() {
            let (phase, lasts) = phase_at(&expiration, now);
            quiet = quiet.start.max(lasts.start)..quiet.end.min(lasts.end);
            if phase == Phase::Fresh && self.reported.is_empty() {
                continue;
            }
            let unit = expiration.unit;
            let key = (unit, Box::from(expiration.id));
            let before = self.reported.get(&key).copied().unwrap_or(Phase::Fresh);
            let kind = match phase {
                Phase::Fresh => continue,
                _ if phase == before => None,
                Phase::Expiring => Some(EventKind::Expiring),
                Phase::Expired => Some(EventKind::Expired),
            };
            if kind.is_some() && due.len() >= room {
                has_room = false;
                if before != Phase::Fresh {
                    reported.insert(key, before);
                }
                continue;
            }
            reported.insert(key, phase);
            due.extend(kind.map(|kind| DueAlert { position, unit, kind }));
        }
        self.reported = reported;
        self.quiet = has_room.then_some(quiet);
        due
    }

    /// Returns when [`ExpiryAlerts::due`] must be called again.
    pub(crate) fn due_at(&self, now: Now) -> Instant {
        let left = match &self.quiet {
            None => WAIT_FOR_ROOM,
            Some(quiet) => {
                let seconds = quiet.end.saturating_sub(now.unix);
                Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(LONGEST_SLEEP)
            }
        };
        now.instant + left
    }
}

/// Returns the phase at `now`, and the range of times in which that phase lasts.
fn phase_at(expiration: &Expiration<'_>, now: i64) -> (Phase, Range<i64>) {
    // A certificate is still valid in the second of its notAfter (RFC 5280, 4.1.2.5).
    let expired_from = expiration.not_after.saturating_add(1);
    let expiring_from =
        expiration.expiring_from.map_or(expired_from, |from| from.min(expired_from));
    if now >= expired_from {
        (Phase::Expired, expired_from..i64::MAX)
    } else if now >= expiring_from {
        (Phase::Expiring, expiring_from..expired_from)
    } else {
        (Phase::Fresh, i64::MIN..expiring_from)
    }
}

impl DueAlert {
    /// Returns the event of the alert.
    ///
    /// `path` names the unit. `failure` is why the unit's files cannot be used at the moment, if so.
    pub(crate) fn event(
        self,
        current: &Generation,
        path: &Arc<Path>,
        failure: Option<&Error>,
        now: i64,
    ) -> Event {
        let expiration = expirations(current).nth(self.position);
        let message = expiration.map_or_else(String::new, |one| one.message(path, failure, now));
        let warning = expiration.and_then(|one| one.warning(now));
        let warnings =
            warning.map_or_else(Warnings::default, |kind| Warnings::default().with(kind, true));
        let path = expiration.and_then(|one| one.path()).unwrap_or_else(|| path.clone());
        Event::expiry(self.kind, current, message).about(path).with_warnings(warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: usize = usize::MAX;

    fn expiration(id: &'static [u8], expiring_from: i64, not_after: i64) -> Expiration<'static> {
        Expiration::for_test(0, id, Some(expiring_from), not_after)
    }

    fn kinds(due: &[DueAlert]) -> Vec<(usize, EventKind)> {
        due.iter().map(|due| (due.unit, due.kind)).collect()
    }

    #[test]
    fn g20_each_phase_is_reported_once_when_it_begins() {
        let mut alerts = ExpiryAlerts::default();
        let one = [expiration(b"a", 100, 199)];
        let mut reported = Vec::new();
        for now in 90..210 {
            reported.extend(
                alerts.due_among(one.into_iter(), now, NO_LIMIT).iter().map(|due| (now, due.kind)),
            );
        }
        assert_eq!(reported, [(100, EventKind::Expiring), (200, EventKind::Expired)]);
    }

    #[test]
    fn g20_clock_jump_over_the_window_reports_only_the_expiry() {
        let mut alerts = ExpiryAlerts::default();
        let one = [expiration(b"a", 100, 199)];
        assert_eq!(kinds(&alerts.due_among(one.into_iter(), 50, NO_LIMIT)), []);
        let due = alerts.due_among(one.into_iter(), 5000, NO_LIMIT);
        assert_eq!(kinds(&due), [(0, EventKind::Expired)]);
    }

    #[test]
    fn g20_clock_set_back_reports_each_phase_again() {
        let mut alerts = ExpiryAlerts::default();
        let one = [expiration(b"a", 100, 199)];
        let mut at = |now| kinds(&alerts.due_among(one.into_iter(), now, NO_LIMIT));
        assert_eq!(at(200), [(0, EventKind::Expired)]);
        assert_eq!(at(150), [(0, EventKind::Expiring)], "no longer expired");
        assert_eq!(at(200), [(0, EventKind::Expired)]);
        assert_eq!(at(50), []);
        assert_eq!(at(150), [(0, EventKind::Expiring)]);
    }

    #[test]
    fn g20_replacement_is_reported_separately() {
        let mut alerts = ExpiryAlerts::default();
        let at_150 = |alerts: &mut ExpiryAlerts, all: &[Expiration<'_>]| {
            kinds(&alerts.due_among(all.iter().copied(), 150, NO_LIMIT))
        };
        assert_eq!(at_150(&mut alerts, &[expiration(b"a", 100, 199)]), [(0, EventKind::Expiring)]);
        assert_eq!(at_150(&mut alerts, &[expiration(b"a", 100, 199)]), []);
        assert_eq!(at_150(&mut alerts, &[expiration(b"b", 100, 199)]), [(0, EventKind::Expiring)]);
        assert_eq!(at_150(&mut alerts, &[expiration(b"b", 180, 299)]), []);
    }

    #[test]
    fn expiration_without_a_window_is_reported_at_its_end_only() {
        let mut alerts = ExpiryAlerts::default();
        let one = [Expiration::for_test(0, b"a", None, 199)];
        assert_eq!(kinds(&alerts.due_among(one.into_iter(), 199, NO_LIMIT)), []);
        let due = alerts.due_among(one.into_iter(), 200, NO_LIMIT);
        assert_eq!(kinds(&due), [(0, EventKind::Expired)]);
    }

    #[test]
    fn due_at_is_the_next_change_and_an_hour_at_most() {
        let mut alerts = ExpiryAlerts::default();
        let all = [expiration(b"a", 1000, 100_000), expiration(b"b", 500, 2000)];
        let left = |alerts: &mut ExpiryAlerts, unix| {
            let now = Now { instant: Instant::now(), unix };
            alerts.due_among(all.into_iter(), unix, NO_LIMIT);
            (alerts.due_at(now) - now.instant).as_secs()
        };
        assert_eq!(left(&mut alerts, 0), 500);
        assert_eq!(left(&mut alerts, 500), 500);
        assert_eq!(left(&mut alerts, 1000), 1001);
        assert_eq!(left(&mut alerts, 2001), 3600);
        assert_eq!(left(&mut alerts, 200_000), 3600);
    }

    #[test]
    fn alerts_without_room_are_reported_later() {
        let mut alerts = ExpiryAlerts::default();
        let of = |unit| Expiration::for_test(unit, b"a", Some(100), 199);
        let all: Vec<_> = (0..5).map(of).collect();
        let mut reported = Vec::new();
        for _ in 0..3 {
            let due = alerts.due_among(all.iter().copied(), 150, 2);
            reported.extend(due.iter().map(|due| due.unit));
        }
        assert_eq!(reported, [0, 1, 2, 3, 4]);
        assert_eq!(alerts.due_among(all.iter().copied(), 150, 2), []);
    }
}
