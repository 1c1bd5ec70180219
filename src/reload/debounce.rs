//! Collects change notifications of a handle until they have been quiet for the quiet time (G4).
//!
//! A renewal is a burst: a temporary file, a rename, then the same for the key. Reading at the first notification would
//! find half of it, so a pass waits until the burst has been quiet. A burst that does not end is read after the
//! incomplete-file timeout, or one noisy file could keep a certificate from being renewed.
//!
//! A file that was written and is not closed counts as incomplete, even if the part that is there can be parsed. Its
//! unit waits for the close event. The notification of the close may be lost, and a writer may keep a file open for
//! ever. In these cases the incomplete-file timeout ends the wait.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::sys::{Mutex, MutexGuard};
use crate::watch::{Change, ChangeReceiver};

/// The units of which a process has a file open for writing, each with that file.
pub(crate) type OpenForWriting = BTreeMap<usize, PathBuf>;

/// Knows the units of which a process has a file open for writing. A pass asks before it reads files, and again before
/// it accepts new content.
pub(crate) trait Writers {
    fn open_for_writing(&self) -> OpenForWriting;

    /// Returns whether a process has a file of `unit` open for writing, however long ago the writing began.
    fn is_open(&self, unit: usize) -> bool;
}

/// The reported changes of a handle's files, until a pass reads these files.
pub(crate) struct Debounce {
    state: Mutex<Changes>,
    quiet: Duration,
    timeout: Duration,
    /// Called with each notification, to make a step of the handle due.
    on_notification: Box<dyn Fn() + Send + Sync>,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Changes {
    /// When the first and the last notification came.
    span: Option<(Instant, Instant)>,
    units: BTreeSet<usize>,
    /// Whether notifications were lost, so that all units must be read.
    everything: bool,
    /// Units of which a file was written and is not closed yet: it must be taken for incomplete (G4).
    written: BTreeMap<usize, Writing>,
}

/// The writing to the files of one unit, until all of them are closed.
struct Writing {
    /// When the writing began. After the incomplete-file timeout it no longer delays a pass.
    since: Instant,
    /// When bytes were last written.
    last: Instant,
    /// When the unit is read although its files are open. `None` after that, until more bytes are written.
    due_at: Option<Instant>,
    open: HashSet<PathBuf>,
}

/// The units that are due for a pass.
pub(crate) struct DueUnits {
    /// `None` means all units.
    pub(crate) units: Option<BTreeSet<usize>>,
    /// When the first change of these units was reported; for a file that is open, when its writing began. The
    /// incomplete-file timeout of a unit counts from then. `None` if no unit is due.
    pub(crate) since: Option<Instant>,
}

impl Debounce {
    pub(crate) fn new(options: &Options, on_notification: Box<dyn Fn() + Send + Sync>) -> Self {
        let (quiet, timeout) = (options.debounce_quiet, options.incomplete_timeout);
        let is_closed = AtomicBool::new(false);
        Self { state: Mutex::default(), quiet, timeout, on_notification, is_closed }
    }

    /// Returns when a pass is due: when the changes have been quiet for the quiet time, and at the latest after the
    /// incomplete-file timeout.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        let changes = self.state();
        let overdue = changes.written.values().filter_map(|writing| writing.due_at).min();
        [changes.quiet_at(self.quiet, self.timeout), overdue].into_iter().flatten().min()
    }

    /// Returns the units of which a process has a file open for writing. No pass reads them before the
    /// incomplete-file timeout.
    pub(crate) fn open_for_writing(&self, now: Instant) -> OpenForWriting {
        let changes = self.state();
        let recent = changes.written.iter();
        let recent = recent.filter(|(_, writing)| now < writing.since + self.timeout);
        recent
            .filter_map(|(unit, writing)| Some((*unit, writing.open.iter().next()?.clone())))
            .collect()
    }

    /// Returns whether a process has a file of `unit` open for writing, however long ago the writing began.
    pub(crate) fn is_open(&self, unit: usize) -> bool {
        self.state().written.get(&unit).is_some_and(|writing| !writing.open.is_empty())
    }

    /// Removes and returns what is due at `now`.
    pub(crate) fn take_due(&self, now: Instant) -> DueUnits {
        let mut changes = self.state();
        let mut due = DueUnits { units: Some(BTreeSet::new()), since: None };
        if changes.quiet_at(self.quiet, self.timeout).is_some_and(|at| at <= now) {
            due.since = changes.span.take().map(|(first, _)| first);
            due.units = Some(std::mem::take(&mut changes.units));
            if std::mem::take(&mut changes.everything) {
                due.units = None;
            }
        }
        for (unit, since) in changes.take_overdue(now) {
            due.since = due.since.map_or(Some(since), |first| Some(first.min(since)));
            if let Some(units) = &mut due.units {
                units.insert(unit);
            }
        }
        due
    }

    /// Removes all changes except those of files open for writing, because a pass over all units follows. Returns
    /// when the first of them came.
    pub(crate) fn take_all(&self, now: Instant) -> Option<Instant> {
        let mut changes = self.state();
        changes.units.clear();
        changes.everything = false;
        let first = changes.span.take().map(|(first, _)| first);
        changes.take_overdue(now).into_iter().map(|(_, since)| since).chain(first).min()
    }

    /// Makes `unit` due again after the quiet time, because what the last pass read may be outdated.
    pub(crate) fn mark_again(&self, unit: usize) {
        let mut changes = self.state();
        changes.units.insert(unit);
        changes.extend_span(Instant::now());
    }

    /// Records that the handle is closed: its units are not subscribed to changes any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// Removes the changes of `unit`, which has no files from now on.
    pub(crate) fn forget(&self, unit: usize) {
        let mut changes = self.state();
        changes.units.remove(&unit);
        changes.written.remove(&unit);
    }

    fn state(&self) -> MutexGuard<'_, Changes> {
        self.state.lock()
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

    fn begin_writing(&mut self, unit: usize, path: &Path, now: Instant, timeout: Duration) {
        self.units.remove(&unit);
        // Changes that came before are part of the same burst.
        let since = self.span.map_or(now, |(first, _)| first);
        let writing = self.written.entry(unit).or_insert_with(|| Writing {
            since,
            last: now,
            due_at: Some(since + timeout),
            open: HashSet::new(),
        });
        if now >= writing.last + timeout {
            // A whole timeout passed without a write, so this write begins another change, by a process that keeps the
            // file open. The incomplete-file timeout counts from here.
            (writing.since, writing.due_at) = (now, Some(now + timeout));
        }
        writing.last = now;
        writing.due_at.get_or_insert(now + timeout);
        writing.open.insert(path.to_owned());
        if self.units.is_empty() && !self.everything {
            self.span = None;
        }
    }

    /// Records a change, such as of permissions, that ends no writing: a unit with an open file still waits for the
    /// close.
    fn change_inode(&mut self, unit: usize, now: Instant) {
        if self.written.get(&unit).is_none_or(|writing| writing.open.is_empty()) {
            self.units.insert(unit);
            self.extend_span(now);
        }
    }

    /// Records that `path` was closed or replaced: from now on, no writer is known that has it open. If the unit has no
    /// other open file, it becomes due after the quiet time.
    fn end_writing(&mut self, unit: usize, path: &Path, now: Instant) {
        let mut since = now;
        if let Some(writing) = self.written.get_mut(&unit) {
            writing.open.remove(path);
            if !writing.open.is_empty() {
                return;
            }
            since = writing.since;
            self.written.remove(&unit);
        }
        self.units.insert(unit);
        self.extend_span(now);
        if let Some((first, _)) = &mut self.span {
            *first = since.min(*first);
        }
    }

    /// Removes and returns the units that are due although their files are open, with the time the writing began.
    fn take_overdue(&mut self, now: Instant) -> Vec<(usize, Instant)> {
        let overdue = self.written.iter_mut().filter_map(|(unit, writing)| {
            writing.due_at.take_if(|at| *at <= now).map(|_| (*unit, writing.since))
        });
        overdue.collect()
    }
}

impl Writers for Debounce {
    fn open_for_writing(&self) -> OpenForWriting {
        Debounce::open_for_writing(self, Instant::now())
    }

    fn is_open(&self, unit: usize) -> bool {
        Debounce::is_open(self, unit)
    }
}

impl ChangeReceiver for Debounce {
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    fn touched(&self, unit: usize, touch: Change<'_>) {
        let (mut changes, now) = (self.state(), Instant::now());
        match touch {
            Change::Written(path) => changes.begin_writing(unit, path, now, self.timeout),
            Change::Inode(_) => changes.change_inode(unit, now),
            Change::Closed(path) | Change::Changed(path) => changes.end_writing(unit, path, now),
        }
        drop(changes);
        (self.on_notification)();
    }

    fn missed(&self) {
        let mut changes = self.state();
        // A lost notification may have reported a close, so no file is known to be open any more. `since` remains: the
        // incomplete-file timeout counts from the beginning of the writing.
        for writing in changes.written.values_mut() {
            writing.open.clear();
        }
        changes.everything = true;
        changes.extend_span(Instant::now());
        drop(changes);
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
            &Options { debounce_quiet: QUIET, incomplete_timeout: TIMEOUT, ..Options::default() },
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
    fn g4_a_unit_that_is_being_written_waits_and_no_other() {
        let debounce = debounce();
        let (chain, key) = (Path::new("/tls/a.crt"), Path::new("/tls/a.key"));
        debounce.touched(1, Change::Written(chain));
        debounce.touched(1, Change::Written(key));
        debounce.touched(2, Change::Changed(Path::new("/tls/b")));
        let now = Instant::now();
        assert_eq!(debounce.open_for_writing(now).into_keys().collect::<Vec<_>>(), [1]);
        assert_eq!(units(&debounce.take_due(now + QUIET)), [2]);
        debounce.touched(1, Change::Closed(chain));
        assert_eq!(debounce.open_for_writing(now).into_values().collect::<Vec<_>>(), [key]);
        debounce.touched(1, Change::Closed(key));
        assert!(debounce.open_for_writing(now).is_empty());
        assert_eq!(units(&debounce.take_due(Instant::now() + QUIET)), [1]);
    }

    #[test]
    fn g4_a_file_that_is_never_closed_delays_a_pass_until_the_timeout() {
        let debounce = debounce();
        debounce.touched(1, Change::Written(Path::new("/tls/a")));
        let due_at = debounce.due_at().unwrap();
        assert!(due_at <= Instant::now() + TIMEOUT);
        assert!(due_at > Instant::now() + TIMEOUT / 2, "the quiet time applies to open files");
        assert!(debounce.open_for_writing(due_at).is_empty());
        assert!(debounce.is_open(1), "no close was reported");
        let due = debounce.take_due(due_at);
        assert_eq!(units(&due), [1]);
        assert_eq!(due.since.map(|since| since + TIMEOUT), Some(due_at));
        assert_eq!(debounce.due_at(), None);
        // More writing makes the unit due once more, and delays no pass.
        debounce.touched(1, Change::Written(Path::new("/tls/a")));
        assert!(debounce.due_at().is_some());
        assert!(debounce.open_for_writing(due_at).is_empty(), "delayed for ever");
    }

    #[test]
    fn g4_chmod_ends_no_writing_and_a_rename_does() {
        let debounce = debounce();
        let path = Path::new("/tls/a");
        debounce.touched(1, Change::Written(path));
        debounce.touched(1, Change::Inode(path));
        assert!(debounce.is_open(1));
        assert_eq!(units(&debounce.take_due(Instant::now() + QUIET)), []);
        debounce.touched(1, Change::Changed(path));
        assert!(!debounce.is_open(1));
        assert_eq!(units(&debounce.take_due(Instant::now() + QUIET)), [1]);
        debounce.touched(1, Change::Inode(path));
        assert_eq!(units(&debounce.take_due(Instant::now() + QUIET)), [1], "chmod is a change");
    }

    #[test]
    fn a_request_removes_all_changes_but_those_of_open_files() {
        let debounce = debounce();
        debounce.touched(1, Change::Written(Path::new("/tls/a")));
        debounce.touched(2, Change::Changed(Path::new("/tls/b")));
        assert!(debounce.take_all(Instant::now()).is_some());
        debounce.touched(1, Change::Closed(Path::new("/tls/a")));
        assert_eq!(units(&debounce.take_due(Instant::now() + QUIET)), [1]);
    }

    #[test]
    fn g19_after_an_overflow_all_units_are_due_and_none_waits() {
        let debounce = debounce();
        debounce.touched(1, Change::Written(Path::new("/tls/a")));
        debounce.missed();
        assert!(
            debounce.open_for_writing(Instant::now()).is_empty(),
            "the lost notification may be that of the close"
        );
        assert_eq!(debounce.take_due(Instant::now() + QUIET).units, None);
    }
}
