//! Directories that are changed while they are read: what is gathered is of one moment (G2).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::directory::FileFilter;
use super::directory::SourcePath;
use super::file::FileStamp;
use super::snapshot::{SnapshotFile, take_snapshot};
use crate::error::Cause;

const NAMES: [&str; 3] = ["a.pem", "b.pem", "c.pem"];

/// How often it is gathered while it changes.
const ROUNDS: usize = 500;

/// A directory to work in.
struct Ground(tempfile::TempDir);

impl Ground {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With directories `0` and `1` of three files each, which hold the number of the directory.
    fn of_two() -> Self {
        let ground = Self::new();
        for number in ["0", "1"] {
            fs::create_dir(ground.path(number)).unwrap();
            for name in NAMES {
                fs::write(ground.path(number).join(name), number).unwrap();
            }
        }
        ground
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn place(&self, below: &str) -> SourcePath {
        SourcePath { path: self.path(below), takes: FileFilter::Certificates }
    }

    /// Renames over a link, so that it leads to one of the two and to the other.
    fn swap_link(&self, link: &str) {
        for number in ["1", "0"] {
            symlink(number, self.path("next")).unwrap();
            fs::rename(self.path("next"), self.path(link)).unwrap();
        }
    }

    /// The directories change their names.
    fn swap_directories(&self) {
        fs::rename(self.path("0"), self.path("spare")).unwrap();
        fs::rename(self.path("1"), self.path("0")).unwrap();
        fs::rename(self.path("spare"), self.path("1")).unwrap();
    }

    /// Whether two changes of a directory always leave two stamps. Those of older kernels tick, and
    /// nothing but the names of a directory's files tells what happens between two ticks.
    fn stamps_tell_everything(&self) -> bool {
        fs::create_dir(self.path("clock")).unwrap();
        let stamp = |name: String| {
            fs::write(self.path("clock").join(name), "").unwrap();
            FileStamp::at(&self.path("clock"))
        };
        let stamps: Vec<_> = (0..100).map(|number| stamp(number.to_string())).collect();
        stamps.windows(2).all(|two| two[0] != two[1])
    }
}

/// Gathers again and again while `change` runs again and again, and looks at what was found.
fn while_changing(
    places: &[SourcePath],
    change: impl Fn() + Sync,
    check: impl Fn(&[SnapshotFile]),
) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    let mut held_still = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                change();
            }
        });
        let _stop = Stop(&stop);
        for _ in 0..ROUNDS {
            match take_snapshot(places).files {
                Ok(files) => {
                    held_still += 1;
                    check(&files);
                }
                // What never held still is an answer too.
                Err(error) => assert_eq!(error.cause, Cause::Unstable),
            }
        }
    });
    assert!(held_still > 0, "it was never read at all");
}

fn assert_is_of_one_moment(files: &[SnapshotFile]) {
    assert_eq!(files.len(), NAMES.len(), "a file was lost");
    assert_holds_the_same(files);
}

fn assert_holds_the_same(files: &[SnapshotFile]) {
    let bytes = |file: &SnapshotFile| file.read.as_ref().ok().map(|read| read.bytes.to_vec());
    let first = files.first().map(bytes);
    assert!(files.iter().all(|file| Some(bytes(file)) == first), "of two moments");
}

#[test]
fn g2_a_directory_behind_a_link_that_is_swapped() {
    let ground = Ground::of_two();
    symlink("0", ground.path("current")).unwrap();
    let places = [ground.place("current")];
    while_changing(&places, || ground.swap_link("current"), assert_is_of_one_moment);
}

#[test]
fn g2_a_kubernetes_volume() {
    let ground = Ground::of_two();
    fs::create_dir(ground.path("volume")).unwrap();
    symlink("0", ground.path("..data")).unwrap();
    for name in NAMES {
        symlink(Path::new("../..data").join(name), ground.path("volume").join(name)).unwrap();
    }
    let places = [ground.place("volume")];
    while_changing(&places, || ground.swap_link("..data"), assert_is_of_one_moment);
}

#[test]
fn g2_a_directory_in_whose_place_another_is_renamed() {
    let ground = Ground::of_two();
    let check = |files: &[SnapshotFile]| {
        // There is a moment between two renames at which nothing is there.
        if files.iter().any(|file| file.is_in_directory) {
            assert_is_of_one_moment(files);
        }
    };
    while_changing(&[ground.place("0")], || ground.swap_directories(), check);
}

#[test]
fn g2_links_into_a_directory_in_whose_place_another_is_renamed() {
    let ground = Ground::of_two();
    fs::create_dir(ground.path("links")).unwrap();
    for name in NAMES {
        symlink(Path::new("../0").join(name), ground.path("links").join(name)).unwrap();
    }
    // There is a moment between two renames at which links lead nowhere.
    let places = [ground.place("links")];
    while_changing(&places, || ground.swap_directories(), assert_holds_the_same);
}

#[test]
fn g2_a_file_that_is_renamed_in_its_directory() {
    let ground = Ground::of_two();
    if !ground.stamps_tell_everything() {
        return;
    }
    let (before, after) = (ground.path("0/a.pem"), ground.path("0/z.pem"));
    let change = || {
        fs::rename(&before, &after).unwrap();
        fs::rename(&after, &before).unwrap();
    };
    while_changing(&[ground.place("0")], change, assert_is_of_one_moment);
}

#[test]
fn g2_a_file_that_is_moved_from_one_directory_to_another() {
    let ground = Ground::of_two();
    if !ground.stamps_tell_everything() {
        return;
    }
    let (here, there) = (ground.path("0/moves.pem"), ground.path("1/moves.pem"));
    fs::write(&here, "x").unwrap();
    let change = || {
        fs::rename(&here, &there).unwrap();
        fs::rename(&there, &here).unwrap();
    };
    while_changing(&[ground.place("0"), ground.place("1")], change, |files| {
        assert_eq!(files.len(), 2 * NAMES.len() + 1, "it was lost, or is there twice");
    });
}
