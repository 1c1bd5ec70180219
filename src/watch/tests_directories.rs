//! What is told of directories that are listed.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;

use super::tests::Scene;
use super::{ReadOutcome, Subscribed};
use crate::files::{FileFilter, SourcePath, take_snapshot};

impl Scene {
    /// Follows what counts in the directory `below` the root as a unit.
    fn list(&self, unit: usize, below: &str, takes: FileFilter) -> Subscribed {
        let place = SourcePath { path: self.path(below), takes };
        self.follow_all(unit, &take_snapshot(&[place]).lookups)
    }

    fn list_roots(&self, below: &str) -> Subscribed {
        self.list(0, below, FileFilter::Certificates)
    }

    fn with_roots() -> Self {
        let scene = Self::new();
        fs::create_dir(scene.path("roots")).unwrap();
        fs::write(scene.path("roots/a.pem"), "x").unwrap();
        scene.list_roots("roots");
        scene
    }
}

#[test]
fn g1_an_entry_that_is_new_is_told_of_as_every_other() {
    let scene = Scene::with_roots();
    assert!(!scene.list_roots("roots").look_again, "it was followed");
    for name in ["a.pem", "new.pem", "0123abcd.0"] {
        let mut open = File::create(scene.path("roots").join(name)).unwrap();
        scene.told();
        open.write_all(b"y").unwrap();
        assert_eq!(scene.told().1, ["written"], "{name}");
        drop(open);
        assert_eq!(scene.told().1, ["closed"], "{name}");
    }
    File::create(scene.path("roots/empty.pem")).unwrap();
    assert_eq!(scene.told().1, ["changed", "closed"]);
    fs::rename(scene.path("roots/new.pem"), scene.path("roots/b.pem")).unwrap();
    assert_eq!(scene.names_told(), ["b.pem", "new.pem"]);
    fs::remove_file(scene.path("roots/b.pem")).unwrap();
    assert_eq!(scene.names_told(), ["b.pem"]);
    symlink("a.pem", scene.path("roots/89abcdef.0")).unwrap();
    assert_eq!(scene.names_told(), ["89abcdef.0"]);
    fs::write(scene.path("aside.pem"), "x").unwrap();
    fs::rename(scene.path("aside.pem"), scene.path("roots/a.pem")).unwrap();
    assert_eq!(scene.names_told(), ["a.pem"]);
}

#[test]
fn g4_the_first_file_of_an_empty_directory_is_told_of_while_it_is_written() {
    let scene = Scene::new();
    fs::create_dir(scene.path("roots")).unwrap();
    scene.list_roots("roots");
    let mut open = File::create(scene.path("roots/a.pem")).unwrap();
    scene.told();
    open.write_all(b"y").unwrap();
    assert_eq!(scene.told().1, ["written"]);
    drop(open);
    assert_eq!(scene.told().1, ["closed"]);
}

#[test]
fn what_does_not_count_by_its_name_is_told_to_nobody() {
    let scene = Scene::with_roots();
    fs::write(scene.path("roots/new.pem"), "x").unwrap();
    scene.told();
    for name in [".hidden.pem", "README", "new.pem.tmp", "new.pem~", "list.crl", "0123abcd.r0"] {
        // Whoever writes to it for an hour holds nobody up.
        let mut open = File::create(scene.path("roots").join(name)).unwrap();
        open.write_all(b"y").unwrap();
        assert_eq!(scene.watcher.read(), ReadOutcome::ForNobody, "{name}");
        drop(open);
        fs::remove_file(scene.path("roots").join(name)).unwrap();
        assert_eq!(scene.watcher.read(), ReadOutcome::ForNobody, "{name}");
    }
    fs::write(scene.path("roots/.new.pem"), "x").unwrap();
    scene.told();
    fs::rename(scene.path("roots/.new.pem"), scene.path("roots/new.pem")).unwrap();
    assert_eq!(scene.names_told(), ["new.pem"], "what it becomes is");
}

#[test]
fn listing_and_reading_are_told_to_nobody() {
    let scene = Scene::with_roots();
    symlink("a.pem", scene.path("roots/0123abcd.0")).unwrap();
    scene.list_roots("roots");
    scene.told();
    for _ in 0..3 {
        scene.list_roots("roots");
        assert_eq!(scene.watcher.read(), ReadOutcome::Nothing);
    }
}

#[test]
fn each_is_told_of_the_entries_that_count_for_it() {
    let scene = Scene::with_roots();
    scene.list(1, "roots", FileFilter::Crls);
    fs::write(scene.path("roots/b.crt"), "x").unwrap();
    assert_eq!(scene.units_told(), [0]);
    fs::write(scene.path("roots/b.crl"), "x").unwrap();
    assert_eq!(scene.units_told(), [1]);
    fs::write(scene.path("roots/b.pem"), "x").unwrap();
    assert_eq!(scene.units_told(), [0, 1]);
    scene.follow_all(0, &[]);
    fs::write(scene.path("roots/a.pem"), "y").unwrap();
    assert_eq!(scene.units_told(), [1], "the other is of no interest any more");
    scene.watcher.unfollow(1);
    assert_eq!(scene.kernel_watches(), 0);
    fs::write(scene.path("roots/a.pem"), "z").unwrap();
    assert_eq!(scene.units_told(), []);
}

#[test]
fn g1_a_directory_that_is_swapped_or_removed_is_told_of_and_the_next_one_followed() {
    let scene = Scene::with_roots();
    let next = |name: &str| {
        fs::create_dir(scene.path("next")).unwrap();
        fs::write(scene.path("next").join(name), "x").unwrap();
    };
    next("b.pem");
    fs::rename(scene.path("roots"), scene.path("gone")).unwrap();
    assert_eq!(scene.units_told(), [0]);
    scene.list_roots("roots");
    fs::rename(scene.path("next"), scene.path("roots")).unwrap();
    assert_eq!(scene.units_told(), [0]);
    assert!(scene.list_roots("roots").look_again);
    fs::write(scene.path("roots/c.pem"), "x").unwrap();
    assert_eq!(scene.names_told(), ["c.pem"]);
    fs::write(scene.path("gone/c.pem"), "x").unwrap();
    assert_eq!(scene.units_told(), [], "nobody's any more");
    // Both renames are over before anybody follows.
    next("d.pem");
    fs::rename(scene.path("roots"), scene.path("gone as well")).unwrap();
    fs::rename(scene.path("next"), scene.path("roots")).unwrap();
    scene.told();
    assert!(scene.list_roots("roots").look_again);
    fs::write(scene.path("roots/d.pem"), "y").unwrap();
    assert_eq!(scene.names_told(), ["d.pem"]);
}

#[test]
fn g1_a_directory_that_somebody_keeps_open_is_told_of_when_another_is_in_its_place() {
    let scene = Scene::with_roots();
    fs::remove_file(scene.path("roots/a.pem")).unwrap();
    scene.list_roots("roots");
    scene.told();
    // As a shell does whose working directory it is. The kernel takes it for alive.
    let _kept = File::open(scene.path("roots")).unwrap();
    fs::remove_dir(scene.path("roots")).unwrap();
    fs::create_dir(scene.path("roots")).unwrap();
    assert_eq!(scene.units_told(), [0]);
    scene.list_roots("roots");
    fs::write(scene.path("roots/b.pem"), "x").unwrap();
    assert_eq!(scene.names_told(), ["b.pem"]);
}

#[test]
fn g1_a_link_to_a_directory_is_told_of_when_it_leads_elsewhere() {
    let scene = Scene::with_roots();
    fs::create_dir(scene.path("other")).unwrap();
    symlink("roots", scene.path("link")).unwrap();
    scene.list_roots("link");
    scene.names_told();
    fs::write(scene.path("roots/b.pem"), "x").unwrap();
    assert_eq!(scene.names_told(), ["b.pem"]);
    symlink("other", scene.path("next")).unwrap();
    fs::rename(scene.path("next"), scene.path("link")).unwrap();
    assert_eq!(scene.units_told(), [0]);
    scene.list_roots("link");
    fs::write(scene.path("other/c.pem"), "x").unwrap();
    assert_eq!(scene.names_told(), ["c.pem"]);
    fs::write(scene.path("roots/c.pem"), "x").unwrap();
    assert_eq!(scene.units_told(), [], "nobody's any more");
}

#[test]
fn g1_files_that_entries_lead_to_are_told_of_wherever_they_lie() {
    let scene = Scene::with_roots();
    for name in ["volume", "volume/..1", "volume/..2"] {
        fs::create_dir(scene.path(name)).unwrap();
    }
    for name in ["volume/..1/a.pem", "volume/..2/a.pem"] {
        fs::write(scene.path(name), "x").unwrap();
    }
    symlink("..1", scene.path("volume/..data")).unwrap();
    symlink("..data/a.pem", scene.path("volume/a.pem")).unwrap();
    scene.list_roots("volume");
    symlink("..2", scene.path("volume/..next")).unwrap();
    fs::rename(scene.path("volume/..next"), scene.path("volume/..data")).unwrap();
    assert_eq!(scene.units_told(), [0], "as Kubernetes renews a volume");
    fs::write(scene.path("roots/other.pem"), "x").unwrap();
    symlink(scene.path("roots/missing"), scene.path("volume/b.pem")).unwrap();
    fs::hard_link(scene.path("roots/other.pem"), scene.path("volume/c.pem")).unwrap();
    scene.list_roots("volume");
    scene.told();
    fs::write(scene.path("roots/missing"), "x").unwrap();
    assert_eq!(scene.units_told(), [0], "a link that led nowhere");
    fs::write(scene.path("roots/other.pem"), "y").unwrap();
    assert_eq!(scene.units_told(), [0], "by the file's other name");
}

#[test]
fn g1_a_place_that_becomes_a_directory_has_never_been_listed_before() {
    let scene = Scene::new();
    fs::create_dir(scene.path("roots")).unwrap();
    scene.list(1, "roots", FileFilter::Certificates);
    // Unit 0 looks up nothing but the name, all of which is watched for unit 1.
    scene.follow(0, "roots");
    assert!(scene.list_roots("roots").look_again, "what was in it was told to another only");
}
