//! When a certificate has to be spoken of because of its dates alone (G20).

use std::ffi::{CStr, CString};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Now;
use super::event::{Event, EventKind, Trigger};
use crate::error::Error;
use crate::generation::Generation;
use crate::material::{Identity, Warnings, format_time};

/// A step is due after this at the latest: should the wall clock jump unnoticed, it is seen then.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// Until those are told for whom there was no room among the events that wait.
const WAIT_FOR_ROOM: Duration = Duration::from_millis(100);

/// How far the life of a certificate has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Fresh,
    Expiring,
    Expired,
}

/// What the dates of one certificate are.
#[derive(Clone, Copy, Debug)]
struct Dates<'a> {
    /// Tells one certificate from another.
    sha256: &'a CStr,
    expiring_from: Option<i64>,
    not_after: i64,
}

/// What the host knows of the dates of each certificate that serves.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    told: Vec<Told>,
    generation: u64,
    /// While the clock is in here, and the generation is the same, there is nothing to tell.
    quiet: Option<Range<i64>>,
}

#[derive(Debug)]
struct Told {
    sha256: CString,
    phase: Phase,
}

/// A certificate that has come into its warning window, or expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Which identity it is of.
    pub(super) index: usize,
    kind: EventKind,
}

impl Expiry {
    /// What the host is to be told at the time `now`: each state of each certificate once, `room` of
    /// them at the most. A state that a clock brings back by going back is told again.
    pub(super) fn due(&mut self, current: &Generation, now: i64, room: usize) -> Vec<Due> {
        let known = self.generation == current.number();
        if known && self.quiet.as_ref().is_some_and(|quiet| quiet.contains(&now)) {
            return Vec::new();
        }
        self.generation = current.number();
        let dates = current.identities().iter().map(|identity| Dates {
            sha256: identity.sha256(),
            expiring_from: identity.expiring_from(),
            not_after: identity.not_after(),
        });
        self.due_among(dates, now, room)
    }

    fn due_among<'a>(
        &mut self,
        all: impl ExactSizeIterator<Item = Dates<'a>>,
        now: i64,
        room: usize,
    ) -> Vec<Due> {
        let mut due = Vec::new();
        let mut quiet = i64::MIN..i64::MAX;
        let mut all_told = true;
        self.told.truncate(all.len());
        for (index, dates) in all.enumerate() {
            let (phase, stays) = dates.at(now);
            quiet = quiet.start.max(stays.start)..quiet.end.min(stays.end);
            if self.told.len() == index {
                self.told.push(Told { sha256: CString::default(), phase: Phase::Fresh });
            }
            let told = &mut self.told[index];
            if *told.sha256 != *dates.sha256 {
                *told = Told { sha256: dates.sha256.to_owned(), phase: Phase::Fresh };
            }
            let kind = match phase {
                _ if phase == told.phase => continue,
                Phase::Fresh => None,
                Phase::Expiring => Some(EventKind::Expiring),
                Phase::Expired => Some(EventKind::Expired),
            };
            if kind.is_some() && due.len() >= room {
                all_told = false;
                continue;
            }
            told.phase = phase;
            due.extend(kind.map(|kind| Due { index, kind }));
        }
        self.quiet = all_told.then_some(quiet);
        due
    }

    /// When there may be something to tell again.
    pub(super) fn due_at(&self, now: Now) -> Instant {
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

impl Dates<'_> {
    /// The phase at the time `now`, and the times at which it is the same.
    fn at(&self, now: i64) -> (Phase, Range<i64>) {
        // The certificate is valid in the second of its notAfter too.
        let expired_from = self.not_after.saturating_add(1);
        let expiring_from = self.expiring_from.map_or(expired_from, |from| from.min(expired_from));
        if now >= expired_from {
            (Phase::Expired, expired_from..i64::MAX)
        } else if now >= expiring_from {
            (Phase::Expiring, expiring_from..expired_from)
        } else {
            (Phase::Fresh, i64::MIN..expiring_from)
        }
    }
}

impl Due {
    /// In words, with what is known of a renewal.
    pub(super) fn event(
        self,
        current: &Generation,
        chain: &Arc<Path>,
        failure: Option<&Error>,
        now: i64,
    ) -> Event {
        let identity = &current.identities()[self.index];
        let name = name_of(identity);
        let at = format_time(identity.not_after());
        let what = match self.kind {
            EventKind::Expired => {
                format!("expired at {at}; it goes on serving, and clients refuse it")
            }
            _ => format!("expires in {}, at {at}", words_for(identity.not_after() - now)),
        };
        let why = match failure {
            Some(error) => format!("the renewal that came cannot be used: {error}"),
            None => "no renewal has come".to_owned(),
        };
        Event {
            kind: self.kind,
            trigger: Trigger::Clock,
            cause: None,
            warnings: Warnings::default(),
            generation: current.number(),
            earliest_not_after: current.earliest_not_after(),
            path: Some(chain.clone()),
            message: format!("{}: {name} {what}; {why}", chain.display()),
            count: 1,
            further: Vec::new(),
        }
    }
}

fn name_of(identity: &Identity) -> String {
    identity.names().first().map_or("no name".into(), |name| name.to_string_lossy().into_owned())
}

/// A length of time in its largest unit of which there are two or more.
fn words_for(seconds: i64) -> String {
    let units = [(86_400, "days"), (3600, "hours"), (60, "minutes")];
    let unit = units.iter().find(|(length, _)| seconds >= 2 * length);
    unit.map_or_else(
        || format!("{seconds} seconds"),
        |(length, name)| format!("{} {name}", seconds / length),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYBODY: usize = usize::MAX;

    fn dates(sha256: &CStr, expiring_from: i64, not_after: i64) -> Dates<'_> {
        Dates { sha256, expiring_from: Some(expiring_from), not_after }
    }

    fn kinds(due: &[Due]) -> Vec<(usize, EventKind)> {
        due.iter().map(|due| (due.index, due.kind)).collect()
    }

    #[test]
    fn g20_each_state_is_told_once_and_when_it_begins() {
        let mut expiry = Expiry::default();
        let one = [dates(c"a", 100, 199)];
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
        let mut expiry = Expiry::default();
        let one = [dates(c"a", 100, 199)];
        assert_eq!(kinds(&expiry.due_among(one.into_iter(), 50, EVERYBODY)), []);
        let due = expiry.due_among(one.into_iter(), 5000, EVERYBODY);
        assert_eq!(kinds(&due), [(0, EventKind::Expired)]);
    }

    #[test]
    fn g20_a_clock_that_goes_back_arms_each_state_again() {
        let mut expiry = Expiry::default();
        let one = [dates(c"a", 100, 199)];
        let mut at = |now| kinds(&expiry.due_among(one.into_iter(), now, EVERYBODY));
        assert_eq!(at(200), [(0, EventKind::Expired)]);
        assert_eq!(at(150), [(0, EventKind::Expiring)], "it is not expired any more");
        assert_eq!(at(200), [(0, EventKind::Expired)]);
        assert_eq!(at(50), []);
        assert_eq!(at(150), [(0, EventKind::Expiring)]);
    }

    #[test]
    fn g20_a_new_version_is_another_certificate() {
        let mut expiry = Expiry::default();
        let at_150 = |expiry: &mut Expiry, all: &[Dates<'_>]| {
            kinds(&expiry.due_among(all.iter().copied(), 150, EVERYBODY))
        };
        assert_eq!(at_150(&mut expiry, &[dates(c"a", 100, 199)]), [(0, EventKind::Expiring)]);
        assert_eq!(at_150(&mut expiry, &[dates(c"a", 100, 199)]), []);
        assert_eq!(at_150(&mut expiry, &[dates(c"b", 100, 199)]), [(0, EventKind::Expiring)]);
        assert_eq!(at_150(&mut expiry, &[dates(c"c", 180, 299)]), []);
    }

    #[test]
    fn without_a_window_only_the_end_is_told() {
        let mut expiry = Expiry::default();
        let one = [Dates { sha256: c"a", expiring_from: None, not_after: 199 }];
        assert_eq!(kinds(&expiry.due_among(one.into_iter(), 199, EVERYBODY)), []);
        let due = expiry.due_among(one.into_iter(), 200, EVERYBODY);
        assert_eq!(kinds(&due), [(0, EventKind::Expired)]);
    }

    #[test]
    fn the_next_change_is_waited_for_and_no_longer_than_an_hour() {
        let mut expiry = Expiry::default();
        let all = [dates(c"a", 1000, 100_000), dates(c"b", 500, 2000)];
        let left = |expiry: &mut Expiry, unix| {
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
        let mut expiry = Expiry::default();
        let names: Vec<_> = (0..5).map(|n| CString::new(vec![b'a' + n]).unwrap()).collect();
        let all: Vec<_> = names.iter().map(|name| dates(name, 100, 199)).collect();
        let mut told = Vec::new();
        for _ in 0..3 {
            let due = expiry.due_among(all.iter().copied(), 150, 2);
            told.extend(due.iter().map(|due| due.index));
        }
        assert_eq!(told, [0, 1, 2, 3, 4]);
        assert_eq!(expiry.due_among(all.iter().copied(), 150, 2), []);
    }

    #[test]
    fn a_length_of_time_is_told_in_words() {
        assert_eq!(words_for(9 * 86_400 + 5), "9 days");
        assert_eq!(words_for(47 * 3600), "47 hours");
        assert_eq!(words_for(200), "3 minutes");
        assert_eq!(words_for(119), "119 seconds");
    }
}
