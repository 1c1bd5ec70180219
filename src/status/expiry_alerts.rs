//! When something has to be spoken of because of its dates alone (G20).

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::expirations::{Expiration, dates_of};
use crate::clock::Now;
use crate::error::Error;
use crate::events::{Event, EventKind, Trigger};
use crate::pki::Warnings;
use crate::tls::Generation;

/// A step is due after this at the latest: should the wall clock jump unnoticed, it is seen then.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// Until those are told for whom there was no room among the events that wait.
const WAIT_FOR_ROOM: Duration = Duration::from_millis(100);

/// How far the life of something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Fresh,
    Expiring,
    Expired,
}

/// What the host knows of the dates of what serves.
#[derive(Debug, Default)]
pub(crate) struct ExpiryAlerts {
    /// What is not fresh, as far as the host has been told.
    told: HashMap<AlertKey, Phase>,
    generation: u64,
    /// While the clock is in here, and the generation is the same, there is nothing to tell.
    quiet: Option<Range<i64>>,
}

/// Tells one thing from another: its unit, and what it is itself.
type AlertKey = (usize, Box<[u8]>);

/// What has come into its warning window, or expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DueAlert {
    /// Which of the things that have dates.
    nth: usize,
    /// The unit that it is of.
    pub(crate) unit: usize,
    kind: EventKind,
}

impl ExpiryAlerts {
    /// What the host is to be told at the time `now`: each state of each thing once, `room` of them at the
    /// most. A state that a clock brings back by going back is told again.
    pub(crate) fn due(&mut self, current: &Generation, now: i64, room: usize) -> Vec<DueAlert> {
        let known = self.generation == current.number();
        if known && self.quiet.as_ref().is_some_and(|quiet| quiet.contains(&now)) {
            return Vec::new();
        }
        self.generation = current.number();
        self.due_among(dates_of(current), now, room)
    }

    fn due_among<'a>(
        &mut self,
        all: impl Iterator<Item = Expiration<'a>>,
        now: i64,
        room: usize,
    ) -> Vec<DueAlert> {
        let mut due = Vec::new();
        let mut quiet = i64::MIN..i64::MAX;
        let mut all_told = true;
        let mut told = HashMap::new();
        for (nth, dated) in all.enumerate() {
            let (phase, stays) = phase_at(&dated, now);
            quiet = quiet.start.max(stays.start)..quiet.end.min(stays.end);
            if phase == Phase::Fresh && self.told.is_empty() {
                continue;
            }
            let key = (dated.unit, Box::from(dated.id));
            let before = self.told.get(&key).copied().unwrap_or(Phase::Fresh);
            let kind = match phase {
                Phase::Fresh => continue,
                _ if phase == before => None,
                Phase::Expiring => Some(EventKind::Expiring),
                Phase::Expired => Some(EventKind::Expired),
            };
            if kind.is_some() && due.len() >= room {
                all_told = false;
                if before != Phase::Fresh {
                    told.insert(key, before);
                }
                continue;
            }
            told.insert(key, phase);
            due.extend(kind.map(|kind| DueAlert { nth, unit: dated.unit, kind }));
        }
        self.told = told;
        self.quiet = all_told.then_some(quiet);
        due
    }

    /// When there may be something to tell again.
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

/// The phase at the time `now`, and the times at which it is the same.
fn phase_at(dated: &Expiration<'_>, now: i64) -> (Phase, Range<i64>) {
    // A certificate is valid in the second of its notAfter too.
    let expired_from = dated.not_after.saturating_add(1);
    let expiring_from = dated.expiring_from.map_or(expired_from, |from| from.min(expired_from));
    if now >= expired_from {
        (Phase::Expired, expired_from..i64::MAX)
    } else if now >= expiring_from {
        (Phase::Expiring, expiring_from..expired_from)
    } else {
        (Phase::Fresh, i64::MIN..expiring_from)
    }
}

impl DueAlert {
    /// In words, with what is known of a renewal of the unit, which is called by `path`.
    pub(crate) fn event(
        self,
        current: &Generation,
        path: &Arc<Path>,
        failure: Option<&Error>,
        now: i64,
    ) -> Event {
        let dated = dates_of(current).nth(self.nth);
        let message = dated.as_ref().map_or_else(String::new, |dated| {
            dated.in_words(path, self.kind == EventKind::Expired, failure, now)
        });
        Event {
            kind: self.kind,
            trigger: Trigger::Clock,
            cause: None,
            warnings: dated
                .as_ref()
                .and_then(|dated| dated.warning(now))
                .map_or_else(Warnings::default, |kind| Warnings::default().with(kind, true)),
            generation: current.number(),
            earliest_not_after: current.earliest_not_after(),
            path: Some(dated.and_then(|dated| dated.path()).unwrap_or_else(|| path.clone())),
            message,
            count: 1,
            further: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYBODY: usize = usize::MAX;

    fn dates(id: &'static [u8], expiring_from: i64, not_after: i64) -> Expiration<'static> {
        Expiration::for_test(0, id, Some(expiring_from), not_after)
    }

    fn kinds(due: &[DueAlert]) -> Vec<(usize, EventKind)> {
        due.iter().map(|due| (due.unit, due.kind)).collect()
    }

    #[test]
    fn g20_each_state_is_told_once_and_when_it_begins() {
        let mut expiry = ExpiryAlerts::default();
        let one = [dates(b"a", 100, 199)];
        let mut told = Vec::new();
        for now in 90..210 {
            told.extend(
                expiry.due_among(one.into_iter(), now, EVERYBODY).iter().map(|due| (now, due.kind)),
            );
        }
        assert_eq!(told, [(100, EventKind::Expiring), (200, EventKind::Expired)]);
    }

    #[test]
    fn g20_a_jump_over_the_window_tells_only_what_is_true_now() {
        let mut expiry = ExpiryAlerts::default();
        let one = [dates(b"a", 100, 199)];
        assert_eq!(kinds(&expiry.due_among(one.into_iter(), 50, EVERYBODY)), []);
        let due = expiry.due_among(one.into_iter(), 5000, EVERYBODY);
        assert_eq!(kinds(&due), [(0, EventKind::Expired)]);
    }

    #[test]
    fn g20_a_clock_that_goes_back_arms_each_state_again() {
        let mut expiry = ExpiryAlerts::default();
        let one = [dates(b"a", 100, 199)];
        let mut at = |now| kinds(&expiry.due_among(one.into_iter(), now, EVERYBODY));
        assert_eq!(at(200), [(0, EventKind::Expired)]);
        assert_eq!(at(150), [(0, EventKind::Expiring)], "it is not expired any more");
        assert_eq!(at(200), [(0, EventKind::Expired)]);
        assert_eq!(at(50), []);
        assert_eq!(at(150), [(0, EventKind::Expiring)]);
    }

    #[test]
    fn g20_a_new_version_is_another_certificate() {
        let mut expiry = ExpiryAlerts::default();
        let at_150 = |expiry: &mut ExpiryAlerts, all: &[Expiration<'_>]| {
            kinds(&expiry.due_among(all.iter().copied(), 150, EVERYBODY))
        };
        assert_eq!(at_150(&mut expiry, &[dates(b"a", 100, 199)]), [(0, EventKind::Expiring)]);
        assert_eq!(at_150(&mut expiry, &[dates(b"a", 100, 199)]), []);
        assert_eq!(at_150(&mut expiry, &[dates(b"b", 100, 199)]), [(0, EventKind::Expiring)]);
        assert_eq!(at_150(&mut expiry, &[dates(b"b", 180, 299)]), []);
    }

    #[test]
    fn without_a_window_only_the_end_is_told() {
        let mut expiry = ExpiryAlerts::default();
        let one = [Expiration::for_test(0, b"a", None, 199)];
        assert_eq!(kinds(&expiry.due_among(one.into_iter(), 199, EVERYBODY)), []);
        let due = expiry.due_among(one.into_iter(), 200, EVERYBODY);
        assert_eq!(kinds(&due), [(0, EventKind::Expired)]);
    }

    #[test]
    fn the_next_change_is_waited_for_and_no_longer_than_an_hour() {
        let mut expiry = ExpiryAlerts::default();
        let all = [dates(b"a", 1000, 100_000), dates(b"b", 500, 2000)];
        let left = |expiry: &mut ExpiryAlerts, unix| {
            let now = Now { instant: Instant::now(), unix };
            expiry.due_among(all.into_iter(), unix, EVERYBODY);
            (expiry.due_at(now) - now.instant).as_secs()
        };
        assert_eq!(left(&mut expiry, 0), 500);
        assert_eq!(left(&mut expiry, 500), 500);
        assert_eq!(left(&mut expiry, 1000), 1001);
        assert_eq!(left(&mut expiry, 2001), 3600);
        assert_eq!(left(&mut expiry, 200_000), 3600);
    }

    #[test]
    fn those_for_whom_there_is_no_room_are_told_later() {
        let mut expiry = ExpiryAlerts::default();
        let of = |unit| Expiration::for_test(unit, b"a", Some(100), 199);
        let all: Vec<_> = (0..5).map(of).collect();
        let mut told = Vec::new();
        for _ in 0..3 {
            let due = expiry.due_among(all.iter().copied(), 150, 2);
            told.extend(due.iter().map(|due| due.unit));
        }
        assert_eq!(told, [0, 1, 2, 3, 4]);
        assert_eq!(expiry.due_among(all.iter().copied(), 150, 2), []);
    }
}
