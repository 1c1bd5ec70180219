//! Tests of the watcher's notifications for sources that are directories, whose entries are read.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;

use super::tests::Fixture;
use super::{ReadOutcome, Subscribed};
use crate::files::{FileFilter, SourcePath, take_snapshot};

impl Fixture {
    /// Subscribes `unit` to the entries of the directory `below` the root that the filter accepts.
    fn list(&self, unit: usize, below: &str, filter: FileFilter) -> Subscribed {
        let source = SourcePath::file_or_directory(&self.path(below), filter);
        self.subscribe_to(unit, &take_snapshot(&[source]).lookups)
    }

    fn list_roots(&self, below: &str) -> Subscribed {
        self.list(0, below, FileFilter::Certificates)
    }

    fn with_roots() -> Self {
        let fixture = Self::new();
        fs::create_dir(fixture.path("roots")).unwrap();
        fs::write(fixture.path("roots/a.pem"), "x").unwrap();
        fixture.list_roots("roots");
        fixture
    }
}

#[test]
fn g1_new_entry_notifies_like_existing_ones() {
    let fixture = Fixture::with_roots();
    assert!(!fixture.list_roots("roots").needs_scan, "the same subscription");
    for name in ["a.pem", "new.pem", "0123abcd.0"] {
        let mut open = File::create(fixture.path("roots").join(name)).unwrap();
        fixture.notifications();
        open.write_all(b"y").unwrap();
        assert_eq!(fixture.notifications().1, ["written"], "{name}");
        drop(open);
        assert_eq!(fixture.notifications().1, ["closed"], "{name}");
    }
    File::create(fixture.path("roots/empty.pem")).unwrap();
    assert_eq!(fixture.notifications().1, ["changed", "closed"]);
    fs::rename(fixture.path("roots/new.pem"), fixture.path("roots/b.pem")).unwrap();
    assert_eq!(fixture.reported_names(), ["b.pem", "new.pem"]);
    fs::remove_file(fixture.path("roots/b.pem")).unwrap();
    assert_eq!(fixture.reported_names(), ["b.pem"]);
    symlink("a.pem", fixture.path("roots/89abcdef.0")).unwrap();
    assert_eq!(fixture.reported_names(), ["89abcdef.0"]);
    fs::write(fixture.path("aside.pem"), "x").unwrap();
    fs::rename(fixture.path("aside.pem"), fixture.path("roots/a.pem")).unwrap();
    assert_eq!(fixture.reported_names(), ["a.pem"]);
}

#[test]
fn g4_first_file_of_an_empty_directory_notifies_while_it_is_written() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("roots")).unwrap();
    fixture.list_roots("roots");
    let mut open = File::create(fixture.path("roots/a.pem")).unwrap();
    fixture.notifications();
    open.write_all(b"y").unwrap();
    assert_eq!(fixture.notifications().1, ["written"]);
    drop(open);
    assert_eq!(fixture.notifications().1, ["closed"]);
}

#[test]
fn entry_that_the_filter_rejects_notifies_no_unit() {
    let fixture = Fixture::with_roots();
    fs::write(fixture.path("roots/new.pem"), "x").unwrap();
    fixture.notifications();
    for name in [".hidden.pem", "README", "new.pem.tmp", "new.pem~", "list.crl", "0123abcd.r0"] {
        // A unit waits until its files are quiet. A long write to a file that it does not read must not delay it.
        let mut open = File::create(fixture.path("roots").join(name)).unwrap();
        open.write_all(b"y").unwrap();
        assert_eq!(fixture.watcher.read(), ReadOutcome::Irrelevant, "{name}");
        drop(open);
        fs::remove_file(fixture.path("roots").join(name)).unwrap();
        assert_eq!(fixture.watcher.read(), ReadOutcome::Irrelevant, "{name}");
    }
    fs::write(fixture.path("roots/.new.pem"), "x").unwrap();
    fixture.notifications();
    fs::rename(fixture.path("roots/.new.pem"), fixture.path("roots/new.pem")).unwrap();
    assert_eq!(fixture.reported_names(), ["new.pem"], "the new name is accepted");
}

#[test]
fn listing_and_reading_queue_no_event() {
    let fixture = Fixture::with_roots();
    symlink("a.pem", fixture.path("roots/0123abcd.0")).unwrap();
    fixture.list_roots("roots");
    fixture.notifications();
    for _ in 0..3 {
        fixture.list_roots("roots");
        assert_eq!(fixture.watcher.read(), ReadOutcome::Nothing);
    }
}

#[test]
fn unit_is_notified_of_entries_that_its_own_filter_accepts() {
    let fixture = Fixture::with_roots();
    fixture.list(1, "roots", FileFilter::Crls);
    fs::write(fixture.path("roots/b.crt"), "x").unwrap();
    assert_eq!(fixture.notified_units(), [0]);
    fs::write(fixture.path("roots/b.crl"), "x").unwrap();
    assert_eq!(fixture.notified_units(), [1]);
    fs::write(fixture.path("roots/b.pem"), "x").unwrap();
    assert_eq!(fixture.notified_units(), [0, 1]);
    fixture.subscribe_to(0, &[]);
    fs::write(fixture.path("roots/a.pem"), "y").unwrap();
    assert_eq!(fixture.notified_units(), [1], "unit 0 has unsubscribed");
    fixture.watcher.unsubscribe(1);
    assert_eq!(fixture.watch_count(), 0);
    fs::write(fixture.path("roots/a.pem"), "z").unwrap();
    assert_eq!(fixture.notified_units(), []);
}

#[test]
fn g1_directory_swapped_or_removed_notifies_and_the_next_one_is_watched() {
    let fixture = Fixture::with_roots();
    let next = |name: &str| {
        fs::create_dir(fixture.path("next")).unwrap();
        fs::write(fixture.path("next").join(name), "x").unwrap();
    };
    next("b.pem");
    fs::rename(fixture.path("roots"), fixture.path("gone")).unwrap();
    assert_eq!(fixture.notified_units(), [0]);
    fixture.list_roots("roots");
    fs::rename(fixture.path("next"), fixture.path("roots")).unwrap();
    assert_eq!(fixture.notified_units(), [0]);
    assert!(fixture.list_roots("roots").needs_scan);
    fs::write(fixture.path("roots/c.pem"), "x").unwrap();
    assert_eq!(fixture.reported_names(), ["c.pem"]);
    fs::write(fixture.path("gone/c.pem"), "x").unwrap();
    assert_eq!(fixture.notified_units(), [], "the old directory is not watched any more");
    // Now the old directory is renamed away and the next one into its place before the unit subscribes again.
    next("d.pem");
    fs::rename(fixture.path("roots"), fixture.path("gone as well")).unwrap();
    fs::rename(fixture.path("next"), fixture.path("roots")).unwrap();
    fixture.notifications();
    assert!(fixture.list_roots("roots").needs_scan);
    fs::write(fixture.path("roots/d.pem"), "y").unwrap();
    assert_eq!(fixture.reported_names(), ["d.pem"]);
}

#[test]
fn g1_removed_directory_that_a_process_keeps_open_notifies_when_it_is_replaced() {
    let fixture = Fixture::with_roots();
    fs::remove_file(fixture.path("roots/a.pem")).unwrap();
    fixture.list_roots("roots");
    fixture.notifications();
    // A shell keeps its working directory open like this. While a process does, the kernel sends no IN_DELETE_SELF.
    let _kept = File::open(fixture.path("roots")).unwrap();
    fs::remove_dir(fixture.path("roots")).unwrap();
    fs::create_dir(fixture.path("roots")).unwrap();
    assert_eq!(fixture.notified_units(), [0]);
    fixture.list_roots("roots");
    fs::write(fixture.path("roots/b.pem"), "x").unwrap();
    assert_eq!(fixture.reported_names(), ["b.pem"]);
}

#[test]
fn g1_link_to_another_directory_notifies() {
    let fixture = Fixture::with_roots();
    fs::create_dir(fixture.path("other")).unwrap();
    symlink("roots", fixture.path("link")).unwrap();
    fixture.list_roots("link");
    fixture.reported_names();
    fs::write(fixture.path("roots/b.pem"), "x").unwrap();
    assert_eq!(fixture.reported_names(), ["b.pem"]);
    symlink("other", fixture.path("next")).unwrap();
    fs::rename(fixture.path("next"), fixture.path("link")).unwrap();
    assert_eq!(fixture.notified_units(), [0]);
    fixture.list_roots("link");
    fs::write(fixture.path("other/c.pem"), "x").unwrap();
    assert_eq!(fixture.reported_names(), ["c.pem"]);
    fs::write(fixture.path("roots/c.pem"), "x").unwrap();
    assert_eq!(fixture.notified_units(), [], "the old directory is not watched any more");
}

#[test]
fn g1_files_that_entries_link_to_notify_in_any_directory() {
    let fixture = Fixture::with_roots();
    for name in ["volume", "volume/..1", "volume/..2"] {
        fs::create_dir(fixture.path(name)).unwrap();
    }
    for name in ["volume/..1/a.pem", "volume/..2/a.pem"] {
        fs::write(fixture.path(name), "x").unwrap();
    }
    symlink("..1", fixture.path("volume/..data")).unwrap();
    symlink("..data/a.pem", fixture.path("volume/a.pem")).unwrap();
    fixture.list_roots("volume");
    symlink("..2", fixture.path("volume/..next")).unwrap();
    fs::rename(fixture.path("volume/..next"), fixture.path("volume/..data")).unwrap();
    assert_eq!(fixture.notified_units(), [0], "as Kubernetes renews a volume");
    fs::write(fixture.path("roots/other.pem"), "x").unwrap();
    symlink(fixture.path("roots/missing"), fixture.path("volume/b.pem")).unwrap();
    fs::hard_link(fixture.path("roots/other.pem"), fixture.path("volume/c.pem")).unwrap();
    fixture.list_roots("volume");
    fixture.notifications();
    fs::write(fixture.path("roots/missing"), "x").unwrap();
    assert_eq!(fixture.notified_units(), [0], "the target of a dangling link");
    fs::write(fixture.path("roots/other.pem"), "y").unwrap();
    assert_eq!(fixture.notified_units(), [0], "by another hard link");
}

#[test]
fn g1_path_that_becomes_a_directory_needs_a_scan() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("roots")).unwrap();
    fixture.list(1, "roots", FileFilter::Certificates);
    // For unit 0, `roots` is still a file: only that name is watched, not the entries. For unit 1 the entries are watched
    // already, so the kernel's watch exists before unit 0 lists the directory.
    fixture.subscribe(0, "roots");
    assert!(fixture.list_roots("roots").needs_scan, "changes in it were reported to unit 1 only");
}
