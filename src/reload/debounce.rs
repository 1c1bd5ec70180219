//! What the watch tells of, until it is looked at.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::watch::{Change, Observer};

/// Units of which a writer has a file open, and which file that is.
pub(super) type OpenForWriting = BTreeMap<usize, PathBuf>;

/// Gathers it, and says when it has been quiet for long enough.
pub(crate) struct Debounce {
    state: Mutex<Changes>,
    quiet: Duration,
    timeout: Duration,
    /// Called with each notification, to make a step of the handle due.
    on_notification: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Changes {
    /// When the first and the last of what is not looked at yet came.
    span: Option<(Instant, Instant)>,
    units: BTreeSet<usize>,
    /// Something may have been missed, so all units are to be looked at.
    everything: bool,
    /// Units of which a file was written to and not closed yet: half a file, as far as anyone can
    /// tell (G4).
    held: BTreeMap<usize, Writing>,
}

/// A unit that is being written to.
struct Writing {
    /// When the writing began; longer than the timeout after that it holds nobody up any more.
    since: Instant,
    /// When bytes were last seen to be written.
    last: Instant,
    /// When it is to be looked at though it is not closed.
    due_at: Option<Instant>,
    open: HashSet<PathBuf>,
}

/// What is to be looked at now.
pub(crate) struct DueUnits {
    /// `None` is all units.
    pub(crate) units: Option<BTreeSet<usize>>,
    /// When the first of the changes came.
    pub(crate) since: Option<Instant>,
}

impl Debounce {
    pub(crate) fn new(options: &Options, on_notification: Box<dyn Fn() + Send + Sync>) -> Self {
        let (quiet, timeout) = (options.settle_quiet, options.settle_timeout);
        Self { state: Mutex::default(), quiet, timeout, on_notification }
    }

    /// When there is something to look at: the changes have been quiet for long enough, or have gone
    /// on for too long.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        let touched = self.state();
        let overdue = touched.held.values().filter_map(|writing| writing.due_at).min();
        [touched.quiet_at(self.quiet, self.timeout), overdue].into_iter().flatten().min()
    }

    /// The units of which a writer has a file open, with that file: nobody looks at them before the
    /// settle timeout.
    pub(crate) fn held(&self, now: Instant) -> OpenForWriting {
        let touched = self.state();
        let waiting = touched.held.iter();
        let waiting = waiting.filter(|(_, writing)| now < writing.since + self.timeout);
        waiting
            .filter_map(|(unit, writing)| Some((*unit, writing.open.iter().next()?.clone())))
            .collect()
    }

    /// Takes what is due at `now`.
    pub(crate) fn take_due(&self, now: Instant) -> DueUnits {
        let mut touched = self.state();
        let mut due = DueUnits { units: Some(BTreeSet::new()), since: None };
        if touched.quiet_at(self.quiet, self.timeout).is_some_and(|at| at <= now) {
            due.since = touched.span.take().map(|(first, _)| first);
            due.units = Some(std::mem::take(&mut touched.units));
            if std::mem::take(&mut touched.everything) {
                due.units = None;
            }
        }
        for (unit, since) in touched.take_overdue(now) {
            due.since = due.since.map_or(Some(since), |first| Some(first.min(since)));
            if let Some(units) = &mut due.units {
                units.insert(unit);
            }
        }
        due
    }

    /// Takes everything but what is held: all of it is about to be looked at. Tells when the first of
    /// it came.
    pub(crate) fn take_all(&self, now: Instant) -> Option<Instant> {
        let mut touched = self.state();
        touched.units.clear();
        touched.everything = false;
        let first = touched.span.take().map(|(first, _)| first);
        touched.take_overdue(now).into_iter().map(|(_, since)| since).chain(first).min()
    }

    /// What was seen of `unit` did not hold still while it was looked at.
    pub(crate) fn touch_again(&self, unit: usize) {
        let mut touched = self.state();
        touched.units.insert(unit);
        touched.extend_span(Instant::now());
    }

    /// `unit` is of no interest any more.
    pub(crate) fn forget(&self, unit: usize) {
        let mut touched = self.state();
        touched.units.remove(&unit);
        touched.held.remove(&unit);
    }

    fn state(&self) -> MutexGuard<'_, Changes> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn quiet_at(&self, quiet: Duration, timeout: Duration) -> Option<Instant> {
        self.span.map(|(first, last)| (last + quiet).min(first + timeout))
    }

    fn extend_span(&mut self, now: Instant) {
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
    }

    fn hold(&mut self, unit: usize, path: &Path, now: Instant, timeout: Duration) {
        self.units.remove(&unit);
        // Changes that came before count as one with the writing.
        let since = self.span.map_or(now, |(first, _)| first);
        let writing = self.held.entry(unit).or_insert_with(|| Writing {
            since,
            last: now,
            due_at: Some(since + timeout),
            open: HashSet::new(),
        });
        if now >= writing.last + timeout {
            // Long after the last: another writing, by one who keeps the file open.
            (writing.since, writing.due_at) = (now, Some(now + timeout));
        }
        writing.last = now;
        writing.due_at.get_or_insert(now + timeout);
        writing.open.insert(path.to_owned());
        if self.units.is_empty() && !self.everything {
            self.span = None;
        }
    }

    /// `path` is not open any more, as far as is known.
    fn let_go(&mut self, unit: usize, path: &Path, now: Instant) {
        let mut since = now;
        if let Some(writing) = self.held.get_mut(&unit) {
            writing.open.remove(path);
            if !writing.open.is_empty() {
                return;
            }
            since = writing.since;
            self.held.remove(&unit);
        }
        self.units.insert(unit);
        self.extend_span(now);
        if let Some((first, _)) = &mut self.span {
            *first = since.min(*first);
        }
    }

    /// The units that are to be looked at though they are not closed, and since when they are written.
    fn take_overdue(&mut self, now: Instant) -> Vec<(usize, Instant)> {
        let overdue = self.held.iter_mut().filter_map(|(unit, writing)| {
            writing.due_at.take_if(|at| *at <= now).map(|_| (*unit, writing.since))
        });
        overdue.collect()
    }
}

impl Observer for Debounce {
    fn touched(&self, unit: usize, touch: Change<'_>) {
        let (mut touched, now) = (self.state(), Instant::now());
        match touch {
            Change::Written(path) => touched.hold(unit, path, now, self.timeout),
            Change::Closed(path) | Change::Changed(path) => touched.let_go(unit, path, now),
        }
        drop(touched);
        (self.on_notification)();
    }

    fn missed(&self) {
        let mut touched = self.state();
        // Whether a file was closed may be among what was missed. When it was opened is still known.
        for writing in touched.held.values_mut() {
            writing.open.clear();
        }
        touched.everything = true;
        touched.extend_span(Instant::now());
        drop(touched);
        (self.on_notification)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(50);
    const TIMEOUT: Duration = Duration::from_secs(5);

    fn debounce() -> Debounce {
        Debounce::new(
            &Options { settle_quiet: QUIET, settle_timeout: TIMEOUT, ..Options::default() },
            Box::new(|| {}),
        )
    }

    fn units(due: &DueUnits) -> Vec<usize> {
        due.units.iter().flatten().copied().collect()
    }

    #[test]
    fn g4_a_burst_is_due_once_when_it_is_quiet() {
        let debounce = debounce();
        assert_eq!(debounce.due_at(), None);
        let (begun, file) = (Instant::now(), Path::new("/tls/a"));
        for unit in [3, 1, 3] {
            debounce.touched(unit, Change::Changed(file));
        }
        let due_at = debounce.due_at().unwrap();
        assert_eq!(units(&debounce.take_due(begun)), [], "not quiet yet");
        assert_eq!(units(&debounce.take_due(due_at)), [1, 3]);
        assert_eq!(debounce.due_at(), None);
    }

    #[test]
    fn g4_a_unit_that_is_written_is_held_and_no_other() {
        let debounce = debounce();
        let (chain, key) = (Path::new("/tls/a.crt"), Path::new("/tls/a.key"));
        debounce.touched(1, Change::Written(chain));
        debounce.touched(1, Change::Written(key));
        debounce.touched(2, Change::Changed(Path::new("/tls/b")));
        let now = Instant::now();
        assert_eq!(debounce.held(now).into_keys().collect::<Vec<_>>(), [1]);
        assert_eq!(units(&debounce.take_due(now + QUIET)), [2]);
        debounce.touched(1, Change::Closed(chain));
        assert_eq!(debounce.held(now).into_values().collect::<Vec<_>>(), [key]);
        debounce.touched(1, Change::Closed(key));
        assert!(debounce.held(now).is_empty());
        assert_eq!(units(&debounce.take_due(Instant::now() + QUIET)), [1]);
    }

    #[test]
    fn g4_a_writer_that_never_closes_is_waited_for_no_longer_than_the_timeout() {
        let debounce = debounce();
        debounce.touched(1, Change::Written(Path::new("/tls/a")));
        let due_at = debounce.due_at().unwrap();
        assert!(due_at <= Instant::now() + TIMEOUT);
        assert!(due_at > Instant::now() + TIMEOUT / 2, "the quiet time is not for what is open");
        assert!(debounce.held(due_at).is_empty());
        let due = debounce.take_due(due_at);
        assert_eq!(units(&due), [1]);
        assert_eq!(due.since.map(|since| since + TIMEOUT), Some(due_at));
        assert_eq!(debounce.due_at(), None);
        // It goes on writing: looked at again after as long, and held no more.
        debounce.touched(1, Change::Written(Path::new("/tls/a")));
        assert!(debounce.due_at().is_some());
        assert!(debounce.held(due_at).is_empty(), "held for ever");
    }

    #[test]
    fn a_request_takes_all_but_what_is_held() {
        let debounce = debounce();
        debounce.touched(1, Change::Written(Path::new("/tls/a")));
        debounce.touched(2, Change::Changed(Path::new("/tls/b")));
        assert!(debounce.take_all(Instant::now()).is_some());
        debounce.touched(1, Change::Closed(Path::new("/tls/a")));
        assert_eq!(units(&debounce.take_due(Instant::now() + QUIET)), [1]);
    }

    #[test]
    fn g19_after_an_overflow_everything_is_due_and_nothing_held() {
        let debounce = debounce();
        debounce.touched(1, Change::Written(Path::new("/tls/a")));
        debounce.missed();
        assert!(debounce.held(Instant::now()).is_empty(), "the closing may be what was lost");
        assert_eq!(debounce.take_due(Instant::now() + QUIET).units, None);
    }
}
