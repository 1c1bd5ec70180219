//! Tests of the watcher's notifications for sources that are single files, with the kernel's inotify.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::files::PathResolver;

/// An observer that records its notifications, for the tests to check.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    units: BTreeSet<usize>,
    kinds: Vec<&'static str>,
    names: BTreeSet<OsString>,
}

impl ChangeReceiver for Recorder {
    fn touched(&self, unit: usize, change: Change<'_>) {
        let mut noted = self.0.lock();
        noted.units.insert(unit);
        let (kind, path) = match change {
            Change::Changed(path) => ("changed", path),
            Change::Inode(path) => ("inode", path),
            Change::Written(path) => ("written", path),
            Change::Closed(path) => ("closed", path),
        };
        noted.kinds.push(kind);
        noted.names.extend(path.file_name().map(ToOwned::to_owned));
    }

    fn missed(&self) {
        self.0.lock().kinds.push("missed");
    }
}

pub(super) struct Fixture {
    pub(super) watcher: Watcher,
    notes: Arc<Recorder>,
    pub(super) root: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { watcher: Watcher::default(), notes: Arc::default(), root }
    }

    pub(super) fn path(&self, below: &str) -> std::path::PathBuf {
        self.root.path().join(below)
    }

    /// Subscribes `unit` to the file `below` the root.
    pub(super) fn subscribe(&self, unit: usize, below: &str) -> Subscribed {
        self.subscribe_to(unit, &PathResolver::default().resolve(&self.path(below)).lookups)
    }

    /// Subscribes `unit` to `lookups`.
    pub(super) fn subscribe_to(&self, unit: usize, lookups: &[Lookup]) -> Subscribed {
        let observer: Weak<dyn ChangeReceiver> = Arc::downgrade(&(self.notes.clone() as _));
        let subscribed = self.watcher.subscribe((1, unit), &observer, lookups);
        assert_eq!(subscribed.error, None);
        subscribed
    }

    /// Returns the units and the kinds of the notifications since the last call. Equal kinds in a row count once.
    pub(super) fn notifications(&self) -> (BTreeSet<usize>, Vec<&'static str>) {
        self.watcher.read();
        let Noted { units, mut kinds, .. } = std::mem::take(&mut *self.notes.0.lock());
        kinds.dedup();
        (units, kinds)
    }

    pub(super) fn notified_units(&self) -> Vec<usize> {
        self.notifications().0.into_iter().collect()
    }

    /// Returns the names of the entries in the notifications since the last call.
    pub(super) fn reported_names(&self) -> Vec<OsString> {
        self.watcher.read();
        std::mem::take(&mut *self.notes.0.lock()).names.into_iter().collect()
    }

    /// Returns how many watches the kernel has (proc(5)).
    pub(super) fn watch_count(&self) -> usize {
        let descriptor = self.watcher.descriptor().unwrap();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap();
        info.lines().filter(|line| line.starts_with("inotify wd:")).count()
    }
}

#[test]
fn g1_file_written_replaced_or_removed_notifies() {
    let fixture = Fixture::new();
    let file = fixture.path("a");
    fs::write(&file, "x").unwrap();
    assert!(fixture.subscribe(0, "a").needs_scan, "a new subscription");
    assert!(!fixture.subscribe(0, "a").needs_scan, "the same subscription");
    let mut open = File::options().append(true).open(&file).unwrap();
    open.write_all(b"y").unwrap();
    assert_eq!(fixture.notifications().1, ["written"]);
    drop(open);
    assert_eq!(fixture.notifications().1, ["closed"]);
    fs::write(fixture.path("b"), "z").unwrap();
    fs::write(fixture.path("c"), "not subscribed to").unwrap();
    assert_eq!(fixture.watcher.read(), ReadOutcome::Irrelevant);
    fs::rename(fixture.path("b"), &file).unwrap();
    assert!(fixture.notifications().1.contains(&"changed"));
    assert!(fixture.subscribe(0, "a").needs_scan, "another inode");
    fs::remove_file(&file).unwrap();
    assert!(fixture.notifications().1.contains(&"changed"));
}

#[test]
fn g4_chmod_is_distinct_from_a_replacement() {
    let fixture = Fixture::new();
    fs::write(fixture.path("a"), "x").unwrap();
    fixture.subscribe(0, "a");
    fs::set_permissions(fixture.path("a"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(fixture.notifications().1, ["inode"]);
}

/// A replaced file is not news: the watch of its directory reports who writes to it.
#[test]
fn g4_writes_are_missed_only_where_a_directory_with_files_was_not_watched() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.path("tls")).unwrap();
    fs::write(fixture.path("tls/a"), "x").unwrap();
    assert!(fixture.subscribe(0, "tls/a").missed_writes);
    assert!(!fixture.subscribe(0, "tls/a").missed_writes);
    fs::write(fixture.path("tls/b"), "y").unwrap();
    fs::rename(fixture.path("tls/b"), fixture.path("tls/a")).unwrap();
    let subscribed = fixture.subscribe(0, "tls/a");
    assert!(subscribed.needs_scan && !subscribed.missed_writes, "the file alone is new");
    fs::rename(fixture.path("tls"), fixture.path("gone")).unwrap();
    fs::create_dir(fixture.path("tls")).unwrap();
    fs::write(fixture.path("tls/a"), "z").unwrap();
    assert!(fixture.subscribe(0, "tls/a").missed_writes, "another directory");
    // While the file is missing, its directory is watched for names alone.
    fs::remove_file(fixture.path("tls/a")).unwrap();
    fixture.subscribe(0, "tls/a");
    fs::write(fixture.path("tls/a"), "z").unwrap();
    assert!(fixture.subscribe(0, "tls/a").missed_writes, "the directory was watched for less");
}

#[test]
fn reading_a_file_queues_no_event() {
    let fixture = Fixture::new();
    fs::write(fixture.path("a"), "x").unwrap();
    symlink("a", fixture.path("link")).unwrap();
    fixture.subscribe(0, "link");
    for _ in 0..3 {
        let mut text = String::new();
        File::open(fixture.path("link")).unwrap().read_to_string(&mut text).unwrap();
        fs::metadata(fixture.path("link")).unwrap();
        fs::read_dir(fixture.root.path()).unwrap().for_each(drop);
    }
    let descriptor = fixture.watcher.descriptor();
    let ready = crate::sys::wait_readable([descriptor], Some(std::time::Duration::ZERO));
    assert_eq!(ready, [false], "an event is queued");
}

#[test]
fn g1_write_by_another_hard_link_notifies() {
    let fixture = Fixture::new();
    for directory in ["here", "there"] {
        fs::create_dir(fixture.path(directory)).unwrap();
    }
    fs::write(fixture.path("here/a"), "x").unwrap();
    fs::hard_link(fixture.path("here/a"), fixture.path("there/b")).unwrap();
    fixture.subscribe(0, "here/a");
    fs::write(fixture.path("there/b"), "y").unwrap();
    assert_eq!(fixture.notified_units(), [0]);
    // Two units share an inode: both are notified, and either can unsubscribe without the other losing its watch.
    fixture.subscribe(1, "there/b");
    fs::write(fixture.path("there/b"), "z").unwrap();
    assert_eq!(fixture.notified_units(), [0, 1]);
    fixture.subscribe(1, "elsewhere");
    fs::write(fixture.path("here/a"), "x").unwrap();
    assert_eq!(fixture.notified_units(), [0]);
}

#[test]
fn g1_directory_on_the_way_renamed_notifies() {
    let fixture = Fixture::new();
    for top in ["one", "two"] {
        fs::create_dir_all(fixture.path(top).join("tls/live")).unwrap();
        fs::write(fixture.path(top).join("tls/live/a"), top).unwrap();
    }
    fixture.subscribe(0, "one/tls/live/a");
    fs::rename(fixture.path("one"), fixture.path("gone")).unwrap();
    assert_eq!(fixture.notified_units(), [0]);
    assert!(
        fixture.subscribe(0, "one/tls/live/a").needs_scan,
        "a directory on the way is missing now"
    );
    fs::rename(fixture.path("two"), fixture.path("one")).unwrap();
    assert_eq!(fixture.notified_units(), [0]);
    assert!(fixture.subscribe(0, "one/tls/live/a").needs_scan);
    fs::write(fixture.path("one/tls/live/a"), "x").unwrap();
    assert_eq!(fixture.notified_units(), [0]);
    fs::write(fixture.path("gone/tls/live/a"), "x").unwrap();
    assert_eq!(fixture.notified_units(), [], "the old directory is not watched any more");
}

/// The unit that subscribes first replaces the old watch by a new one. Events of the old watch that are queued for the
/// other unit are lost, so the watcher must notify it.
#[test]
fn g1_path_that_leads_to_another_inode_notifies_all_its_subscribers() {
    let fixture = Fixture::new();
    for top in ["here", "next"] {
        fs::create_dir(fixture.path(top)).unwrap();
        fs::write(fixture.path(top).join("a"), top).unwrap();
    }
    fixture.subscribe(0, "here/a");
    fixture.subscribe(1, "here/a");
    assert_eq!(fixture.notified_units(), []);
    fs::rename(fixture.path("here"), fixture.path("gone")).unwrap();
    fs::rename(fixture.path("next"), fixture.path("here")).unwrap();
    assert!(fixture.subscribe(0, "here/a").needs_scan, "another directory");
    assert_eq!(fixture.notified_units(), [1]);
    assert!(!fixture.subscribe(1, "here/a").needs_scan, "unit 1 was notified");
    fs::rename(fixture.path("here"), fixture.path("removed")).unwrap();
    assert!(fixture.subscribe(0, "here/a").needs_scan, "the path is missing");
    assert!(fixture.notified_units().contains(&1));
}

#[test]
fn directory_on_the_way_reports_no_entries() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.path("busy/tls")).unwrap();
    // While the next name is missing in `busy`, all entries of `busy` are watched. Afterwards they must not be.
    fixture.subscribe(0, "busy/not-yet/a");
    fixture.subscribe(0, "busy/tls/a");
    fixture.watcher.read();
    fs::write(fixture.path("busy/x"), "x").unwrap();
    fs::remove_file(fixture.path("busy/x")).unwrap();
    assert_eq!(fixture.watcher.read(), ReadOutcome::Nothing, "an event was queued");
    fs::rename(fixture.path("busy/tls"), fixture.path("busy/other")).unwrap();
    assert_eq!(fixture.notified_units(), [0]);
}

#[test]
fn directory_that_becomes_searchable_notifies() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("tls")).unwrap();
    // To a process that may not search a directory, every entry in it is missing. The test may run as root, which may
    // search any directory, so it takes an entry that does not exist.
    fixture.subscribe(0, "tls/missing");
    fs::set_permissions(fixture.path("tls"), fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(fixture.notified_units(), [0]);
}

#[test]
fn released_path_that_leads_to_another_inode_is_not_watched() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.path("here/sub")).unwrap();
    fixture.subscribe(0, "here/missing");
    fixture.subscribe(1, "here/sub/a");
    fixture.watcher.read();
    // Unit 1 still needs the path `here`, which leads to another directory by now.
    fs::rename(fixture.path("here"), fixture.path("gone")).unwrap();
    fs::create_dir(fixture.path("here")).unwrap();
    fixture.subscribe(0, "elsewhere");
    fixture.watcher.unsubscribe(1);
    assert_eq!(fixture.watch_count(), 0);
}

#[test]
fn watch_ends_with_its_last_subscriber() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("tls")).unwrap();
    for name in ["tls/a", "tls/b"] {
        fs::write(fixture.path(name), "x").unwrap();
    }
    fixture.subscribe(0, "tls/a");
    let alone = fixture.watch_count();
    for _ in 0..3 {
        fixture.subscribe(1, "tls/b");
    }
    assert_eq!(fixture.watch_count(), alone + 1, "one more for the second file");
    fixture.subscribe(1, "tls/a");
    assert_eq!(fixture.watch_count(), alone);
    fixture.watcher.unsubscribe(1);
    assert_eq!(fixture.watch_count(), 0);
    fs::write(fixture.path("tls/a"), "y").unwrap();
    assert_eq!(fixture.notified_units(), []);
}
