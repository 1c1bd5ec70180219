//! What subscribers are told of, with the real inotify.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::files::PathResolver;

/// Notes what it is told of its units.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    units: BTreeSet<usize>,
    words: Vec<&'static str>,
    names: BTreeSet<OsString>,
}

impl Observer for Recorder {
    fn touched(&self, unit: usize, touch: Change<'_>) {
        let mut noted = self.0.lock();
        noted.units.insert(unit);
        let (word, path) = match touch {
            Change::Changed(path) => ("changed", path),
            Change::Written(path) => ("written", path),
            Change::Closed(path) => ("closed", path),
        };
        noted.words.push(word);
        noted.names.extend(path.file_name().map(ToOwned::to_owned));
    }

    fn missed(&self) {
        self.0.lock().words.push("missed");
    }
}

pub(super) struct Scene {
    pub(super) watcher: Watcher,
    notes: Arc<Recorder>,
    pub(super) root: tempfile::TempDir,
}

impl Scene {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { watcher: Watcher::default(), notes: Arc::default(), root }
    }

    pub(super) fn path(&self, below: &str) -> std::path::PathBuf {
        self.root.path().join(below)
    }

    /// Follows the file `below` the root as a unit; the kernel has nothing more to tell then.
    pub(super) fn follow(&self, unit: usize, below: &str) -> Subscribed {
        self.follow_all(unit, &PathResolver::default().trail(&self.path(below)))
    }

    /// Follows what was looked up for a unit.
    pub(super) fn follow_all(&self, unit: usize, lookups: &[Lookup]) -> Subscribed {
        let observer: Weak<dyn Observer> = Arc::downgrade(&(self.notes.clone() as _));
        let followed = self.watcher.follow((1, unit), &observer, lookups);
        assert_eq!(followed.trouble, None);
        followed
    }

    /// What was told since the last time, without those told more than once in a row.
    pub(super) fn told(&self) -> (BTreeSet<usize>, Vec<&'static str>) {
        self.watcher.read();
        let Noted { units, mut words, .. } = std::mem::take(&mut *self.notes.0.lock());
        words.dedup();
        (units, words)
    }

    pub(super) fn units_told(&self) -> Vec<usize> {
        self.told().0.into_iter().collect()
    }

    /// The names of the entries that were told of.
    pub(super) fn names_told(&self) -> Vec<OsString> {
        self.watcher.read();
        std::mem::take(&mut *self.notes.0.lock()).names.into_iter().collect()
    }

    pub(super) fn kernel_watches(&self) -> usize {
        let descriptor = self.watcher.descriptor().unwrap();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap();
        info.lines().filter(|line| line.starts_with("inotify wd:")).count()
    }
}

#[test]
fn g1_a_file_is_told_of_when_it_is_written_replaced_or_removed() {
    let scene = Scene::new();
    let file = scene.path("a");
    fs::write(&file, "x").unwrap();
    assert!(scene.follow(0, "a").look_again, "it was not followed before");
    assert!(!scene.follow(0, "a").look_again, "it was");
    let mut open = File::options().append(true).open(&file).unwrap();
    open.write_all(b"y").unwrap();
    assert_eq!(scene.told().1, ["written"]);
    drop(open);
    assert_eq!(scene.told().1, ["closed"]);
    fs::write(scene.path("b"), "z").unwrap();
    fs::write(scene.path("c"), "of no interest").unwrap();
    assert_eq!(scene.watcher.read(), ReadOutcome::ForNobody);
    fs::rename(scene.path("b"), &file).unwrap();
    assert_eq!(scene.told().1, ["changed"]);
    assert!(scene.follow(0, "a").look_again, "another inode");
    fs::remove_file(&file).unwrap();
    assert_eq!(scene.told().1, ["changed"]);
}

#[test]
fn reading_is_told_to_nobody() {
    let scene = Scene::new();
    fs::write(scene.path("a"), "x").unwrap();
    symlink("a", scene.path("link")).unwrap();
    scene.follow(0, "link");
    for _ in 0..3 {
        let mut text = String::new();
        File::open(scene.path("link")).unwrap().read_to_string(&mut text).unwrap();
        fs::metadata(scene.path("link")).unwrap();
        fs::read_dir(scene.root.path()).unwrap().for_each(drop);
    }
    let descriptor = scene.watcher.descriptor();
    let ready = crate::sys::wait_readable([descriptor], Some(std::time::Duration::ZERO));
    assert_eq!(ready, [false], "the kernel has something to tell");
}

#[test]
fn g1_a_write_by_another_name_of_the_file_is_told() {
    let scene = Scene::new();
    for directory in ["here", "there"] {
        fs::create_dir(scene.path(directory)).unwrap();
    }
    fs::write(scene.path("here/a"), "x").unwrap();
    fs::hard_link(scene.path("here/a"), scene.path("there/b")).unwrap();
    scene.follow(0, "here/a");
    fs::write(scene.path("there/b"), "y").unwrap();
    assert_eq!(scene.units_told(), [0]);
    // Two units with one inode: both are told, and one that leaves takes nothing from the other.
    scene.follow(1, "there/b");
    fs::write(scene.path("there/b"), "z").unwrap();
    assert_eq!(scene.units_told(), [0, 1]);
    scene.follow(1, "elsewhere");
    fs::write(scene.path("here/a"), "x").unwrap();
    assert_eq!(scene.units_told(), [0]);
}

#[test]
fn g1_every_directory_on_the_way_is_told_of_when_it_goes() {
    let scene = Scene::new();
    for top in ["one", "two"] {
        fs::create_dir_all(scene.path(top).join("tls/live")).unwrap();
        fs::write(scene.path(top).join("tls/live/a"), top).unwrap();
    }
    scene.follow(0, "one/tls/live/a");
    fs::rename(scene.path("one"), scene.path("gone")).unwrap();
    assert_eq!(scene.units_told(), [0]);
    assert!(scene.follow(0, "one/tls/live/a").look_again, "its way ends higher up");
    fs::rename(scene.path("two"), scene.path("one")).unwrap();
    assert_eq!(scene.units_told(), [0]);
    assert!(scene.follow(0, "one/tls/live/a").look_again);
    fs::write(scene.path("one/tls/live/a"), "x").unwrap();
    assert_eq!(scene.units_told(), [0]);
    fs::write(scene.path("gone/tls/live/a"), "x").unwrap();
    assert_eq!(scene.units_told(), [], "nobody's any more");
}

/// The unit that arms a path anew ends its old watch, and with that the events that the kernel has
/// queued for the others.
#[test]
fn g1_a_path_that_leads_elsewhere_is_told_to_all_who_follow_it() {
    let scene = Scene::new();
    for top in ["here", "next"] {
        fs::create_dir(scene.path(top)).unwrap();
        fs::write(scene.path(top).join("a"), top).unwrap();
    }
    scene.follow(0, "here/a");
    scene.follow(1, "here/a");
    assert_eq!(scene.units_told(), []);
    fs::rename(scene.path("here"), scene.path("gone")).unwrap();
    fs::rename(scene.path("next"), scene.path("here")).unwrap();
    assert!(scene.follow(0, "here/a").look_again, "another directory");
    assert_eq!(scene.units_told(), [1]);
    assert!(!scene.follow(1, "here/a").look_again, "it has been reported");
    fs::rename(scene.path("here"), scene.path("removed")).unwrap();
    assert!(scene.follow(0, "here/a").look_again, "nothing is there");
    assert!(scene.units_told().contains(&1));
}

#[test]
fn a_directory_that_only_leads_the_way_does_not_tell_what_happens_in_it() {
    let scene = Scene::new();
    fs::create_dir_all(scene.path("busy/tls")).unwrap();
    // While the file is missing the directory above would do, and then it no longer does.
    scene.follow(0, "busy/not-yet/a");
    scene.follow(0, "busy/tls/a");
    scene.watcher.read();
    fs::write(scene.path("busy/x"), "x").unwrap();
    fs::remove_file(scene.path("busy/x")).unwrap();
    assert_eq!(scene.watcher.read(), ReadOutcome::Nothing, "the kernel told of it");
    fs::rename(scene.path("busy/tls"), scene.path("busy/other")).unwrap();
    assert_eq!(scene.units_told(), [0]);
}

#[test]
fn a_way_that_is_barred_is_told_of_when_it_is_opened() {
    let scene = Scene::new();
    fs::create_dir(scene.path("tls")).unwrap();
    // To whoever may list a directory and not pass it, nothing is there.
    scene.follow(0, "tls/missing");
    fs::set_permissions(scene.path("tls"), fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(scene.units_told(), [0]);
}

#[test]
fn what_is_at_a_place_that_is_given_up_is_not_watched_by_mistake() {
    let scene = Scene::new();
    fs::create_dir_all(scene.path("here/sub")).unwrap();
    scene.follow(0, "here/missing");
    scene.follow(1, "here/sub/a");
    scene.watcher.read();
    // It goes on to lead the way to another, and is not what it was by now.
    fs::rename(scene.path("here"), scene.path("gone")).unwrap();
    fs::create_dir(scene.path("here")).unwrap();
    scene.follow(0, "elsewhere");
    scene.watcher.unfollow(1);
    assert_eq!(scene.kernel_watches(), 0);
}

#[test]
fn watches_go_with_the_last_who_wants_them() {
    let scene = Scene::new();
    fs::create_dir(scene.path("tls")).unwrap();
    for name in ["tls/a", "tls/b"] {
        fs::write(scene.path(name), "x").unwrap();
    }
    scene.follow(0, "tls/a");
    let alone = scene.kernel_watches();
    for _ in 0..3 {
        scene.follow(1, "tls/b");
    }
    assert_eq!(scene.kernel_watches(), alone + 1, "the file of its own, and nothing twice");
    scene.follow(1, "tls/a");
    assert_eq!(scene.kernel_watches(), alone);
    scene.watcher.unfollow(1);
    assert_eq!(scene.kernel_watches(), 0);
    fs::write(scene.path("tls/a"), "y").unwrap();
    assert_eq!(scene.units_told(), []);
}
