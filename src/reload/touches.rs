//! What the watch tells of, until it is looked at.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::watch::{Observer, Touch};

/// Units of which a writer has a file open, and which file that is.
pub(super) type Held = BTreeMap<usize, PathBuf>;

/// Gathers it, and says when it has been quiet for long enough.
#[derive(Default)]
pub(super) struct Touches {
    state: Mutex<Touched>,
}

#[derive(Default)]
struct Touched {
    /// When the first and the last of what is not looked at yet came.
    span: Option<(Instant, Instant)>,
    units: BTreeSet<usize>,
    /// Something may have been missed, so all units are to be looked at.
    everything: bool,
    /// Units of which a file was written to and not closed yet: half a file, as far as anyone can
    /// tell (G4).
    held: BTreeMap<usize, Writing>,
}

struct Writing {
    since: Instant,
    open: HashSet<PathBuf>,
}

/// What is to be looked at now.
pub(super) struct Due {
    /// `None` is all units.
    pub(super) units: Option<BTreeSet<usize>>,
    /// When the first of the changes came.
    pub(super) since: Option<Instant>,
}

impl Touches {
    /// When there is something to look at: the changes have been quiet for long enough, or have gone
    /// on for too long.
    pub(super) fn due_at(&self, options: &Options) -> Option<Instant> {
        let touched = self.state();
        let quiet = touched
            .span
            .map(|(first, last)| (last + options.settle_quiet).min(first + options.settle_timeout));
        let held = touched.held.values().map(|held| held.since + options.settle_timeout).min();
        [quiet, held].into_iter().flatten().min()
    }

    /// The units of which a writer has a file open, with that file: nobody looks at them before the
    /// settle timeout.
    pub(super) fn held(&self, timeout: Duration, now: Instant) -> Held {
        let touched = self.state();
        let waiting = touched.held.iter();
        let waiting = waiting.filter(|(_, writing)| now < writing.since + timeout);
        waiting
            .filter_map(|(unit, writing)| Some((*unit, writing.open.iter().next()?.clone())))
            .collect()
    }

    /// Takes what is due at `now`.
    pub(super) fn take_due(&self, options: &Options, now: Instant) -> Due {
        let mut touched = self.state();
        let mut due = Due { units: Some(BTreeSet::new()), since: None };
        if let Some((first, last)) = touched.span
            && now >= (last + options.settle_quiet).min(first + options.settle_timeout)
        {
            touched.span = None;
            due.since = Some(first);
            due.units = Some(std::mem::take(&mut touched.units));
            if std::mem::take(&mut touched.everything) {
                due.units = None;
            }
        }
        let overdue = touched.take_held(|held| now >= held.since + options.settle_timeout);
        due.since = overdue.values().map(|held| held.since).chain(due.since).min();
        if let Some(units) = &mut due.units {
            units.extend(overdue.into_keys());
        }
        due
    }

    /// Takes everything but what is held: all of it is about to be looked at.
    pub(super) fn take_all(&self, options: &Options, now: Instant) -> Option<Instant> {
        let mut touched = self.state();
        touched.units.clear();
        touched.everything = false;
        let overdue = touched.take_held(|held| now >= held.since + options.settle_timeout);
        let first = touched.span.take().map(|(first, _)| first);
        overdue.values().map(|held| held.since).chain(first).min()
    }

    /// What was seen of `unit` did not hold still while it was looked at.
    pub(super) fn touch_again(&self, unit: usize) {
        self.touch(|touched, now| {
            touched.units.insert(unit);
            touched.extend_span(now);
        });
    }

    fn touch(&self, change: impl FnOnce(&mut Touched, Instant)) {
        change(&mut self.state(), Instant::now());
    }

    fn state(&self) -> MutexGuard<'_, Touched> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Touched {
    fn extend_span(&mut self, now: Instant) {
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
    }

    fn hold(&mut self, unit: usize, path: &Path, now: Instant) {
        self.units.remove(&unit);
        let held = self.held.entry(unit).or_insert_with(|| {
            // Changes that came before count as one with the writing.
            let since = self.span.map_or(now, |(first, _)| first);
            Writing { since, open: HashSet::new() }
        });
        held.open.insert(path.to_owned());
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

    fn take_held(&mut self, which: impl Fn(&Writing) -> bool) -> BTreeMap<usize, Writing> {
        let (taken, left) =
            std::mem::take(&mut self.held).into_iter().partition(|(_, held)| which(held));
        self.held = left;
        taken
    }
}

impl Observer for Touches {
    fn touched(&self, unit: usize, touch: Touch<'_>) {
        self.touch(|touched, now| match touch {
            Touch::Written(path) => touched.hold(unit, path, now),
            Touch::Closed(path) | Touch::Changed(path) => touched.let_go(unit, path, now),
        });
    }

    fn missed(&self) {
        self.touch(|touched, now| {
            // Whether a file was closed may be among what was missed.
            touched.held.clear();
            touched.everything = true;
            touched.extend_span(now);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(50);
    const TIMEOUT: Duration = Duration::from_secs(5);

    fn touches() -> (Touches, Options) {
        let options =
            Options { settle_quiet: QUIET, settle_timeout: TIMEOUT, ..Options::default() };
        (Touches::default(), options)
    }

    fn units(due: &Due) -> Vec<usize> {
        due.units.iter().flatten().copied().collect()
    }

    #[test]
    fn g4_a_burst_is_due_once_when_it_is_quiet() {
        let (touches, options) = touches();
        assert_eq!(touches.due_at(&options), None);
        let (begun, file) = (Instant::now(), Path::new("/tls/a"));
        for unit in [3, 1, 3] {
            touches.touched(unit, Touch::Changed(file));
        }
        let due_at = touches.due_at(&options).unwrap();
        assert_eq!(units(&touches.take_due(&options, begun)), [], "not quiet yet");
        assert_eq!(units(&touches.take_due(&options, due_at)), [1, 3]);
        assert_eq!(touches.due_at(&options), None);
    }

    #[test]
    fn g4_a_unit_that_is_written_is_held_and_no_other() {
        let (touches, options) = touches();
        let (chain, key) = (Path::new("/tls/a.crt"), Path::new("/tls/a.key"));
        touches.touched(1, Touch::Written(chain));
        touches.touched(1, Touch::Written(key));
        touches.touched(2, Touch::Changed(Path::new("/tls/b")));
        let now = Instant::now();
        assert_eq!(touches.held(TIMEOUT, now).into_keys().collect::<Vec<_>>(), [1]);
        assert_eq!(units(&touches.take_due(&options, now + QUIET)), [2]);
        touches.touched(1, Touch::Closed(chain));
        assert_eq!(touches.held(TIMEOUT, now).into_values().collect::<Vec<_>>(), [key]);
        touches.touched(1, Touch::Closed(key));
        assert!(touches.held(TIMEOUT, now).is_empty());
        assert_eq!(units(&touches.take_due(&options, Instant::now() + QUIET)), [1]);
    }

    #[test]
    fn g4_a_writer_that_never_closes_is_waited_for_no_longer_than_the_timeout() {
        let (touches, options) = touches();
        touches.touched(1, Touch::Written(Path::new("/tls/a")));
        let due_at = touches.due_at(&options).unwrap();
        assert!(due_at <= Instant::now() + TIMEOUT);
        assert!(due_at > Instant::now() + TIMEOUT / 2, "the quiet time is not for what is open");
        assert!(touches.held(TIMEOUT, due_at).is_empty());
        let due = touches.take_due(&options, due_at);
        assert_eq!(units(&due), [1]);
        assert_eq!(due.since.map(|since| since + TIMEOUT), Some(due_at));
        assert_eq!(touches.due_at(&options), None);
    }

    #[test]
    fn a_request_takes_all_but_what_is_held() {
        let (touches, options) = touches();
        touches.touched(1, Touch::Written(Path::new("/tls/a")));
        touches.touched(2, Touch::Changed(Path::new("/tls/b")));
        assert!(touches.take_all(&options, Instant::now()).is_some());
        touches.touched(1, Touch::Closed(Path::new("/tls/a")));
        assert_eq!(units(&touches.take_due(&options, Instant::now() + QUIET)), [1]);
    }

    #[test]
    fn g19_after_an_overflow_everything_is_due_and_nothing_held() {
        let (touches, options) = touches();
        touches.touched(1, Touch::Written(Path::new("/tls/a")));
        touches.missed();
        assert!(
            touches.held(TIMEOUT, Instant::now()).is_empty(),
            "the closing may be what was lost"
        );
        assert_eq!(touches.take_due(&options, Instant::now() + QUIET).units, None);
    }
}
