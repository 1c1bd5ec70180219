//! Tests with files and directories that another thread changes while they are read: every snapshot shows the files as
//! they were at one moment (G2).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::content_snapshot::{SnapshotFile, take_snapshot};
use super::directory_files::FileFilter;
use super::file::FileStamp;
use super::source_path::SourcePath;
use crate::error::Cause;

const NAMES: [&str; 3] = ["a.pem", "b.pem", "c.pem"];

/// How many snapshots a test takes during the changes.
const ROUNDS: usize = 500;

/// How many snapshots a test takes if a defect would show only rarely. The change must fall into the short time in
/// which three files are read.
const MANY_ROUNDS: usize = 5_000;

/// A temporary directory in which files and directories are swapped.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Creates directories `0` and `1` with three files each, whose content is the number of the directory.
    fn with_two_directories() -> Self {
        let scene = Self::new();
        for number in ["0", "1"] {
            fs::create_dir(scene.path(number)).unwrap();
            for name in NAMES {
                fs::write(scene.path(number).join(name), number).unwrap();
            }
        }
        scene
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// Returns a directory as a source.
    fn directory(&self, below: &str) -> SourcePath {
        SourcePath::file_or_directory(&self.path(below), FileFilter::Certificates)
    }

    /// Returns each of the three files in a directory as a source, like the files of an identity.
    fn files_in(&self, below: &str) -> [SourcePath; 3] {
        NAMES.map(|name| SourcePath::file(&self.path(below).join(name)))
    }

    /// Makes a link lead to directory `1`, and back to `0`, each time by renaming a new link over it.
    fn swap_link(&self, link: &str) {
        for number in ["1", "0"] {
            symlink(number, self.path("next")).unwrap();
            fs::rename(self.path("next"), self.path(link)).unwrap();
        }
    }

    /// Swaps the names of the two directories.
    fn swap_directories(&self) {
        fs::rename(self.path("0"), self.path("spare")).unwrap();
        fs::rename(self.path("1"), self.path("0")).unwrap();
        fs::rename(self.path("spare"), self.path("1")).unwrap();
    }

    /// Creates a directory with links to the three files below `target`, a path relative to it.
    fn link_files(&self, directory: &str, target: &str) {
        fs::create_dir(self.path(directory)).unwrap();
        for name in NAMES {
            symlink(Path::new(target).join(name), self.path(directory).join(name)).unwrap();
        }
    }

    /// Returns whether each change of a directory gives it a new stamp.
    ///
    /// Older kernels take stamps from a clock with steps of some milliseconds. Two changes in one step are visible only
    /// if the names differ afterwards.
    fn has_precise_stamps(&self) -> bool {
        fs::create_dir(self.path("clock")).unwrap();
        let stamp = |name: String| {
            fs::write(self.path("clock").join(name), "").unwrap();
            FileStamp::of(&fs::metadata(self.path("clock")).unwrap())
        };
        let stamps: Vec<_> = (0..100).map(|number| stamp(number.to_string())).collect();
        stamps.windows(2).all(|two| two[0] != two[1])
    }
}

/// Takes [`ROUNDS`] snapshots and checks them while another thread repeats `change`.
fn while_changing(
    sources: &[SourcePath],
    change: impl Fn() + Sync,
    check: impl Fn(&[SnapshotFile]),
) {
    rounds_while_changing(ROUNDS, sources, change, check);
}

fn rounds_while_changing(
    rounds: usize,
    sources: &[SourcePath],
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
    let mut stable = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                change();
            }
        });
        let _stop = Stop(&stop);
        for _ in 0..rounds {
            match take_snapshot(sources).files {
                Ok(files) => {
                    stable += 1;
                    check(&files);
                }
                // The only error that is allowed: the files changed during every attempt.
                Err(error) => assert_eq!(error.cause, Cause::Unstable),
            }
        }
    });
    assert!(stable > 0, "no snapshot succeeded");
}

fn assert_is_of_one_moment(files: &[SnapshotFile]) {
    assert_eq!(files.len(), NAMES.len(), "a file is missing");
    assert_has_equal_content(files);
}

fn assert_has_equal_content(files: &[SnapshotFile]) {
    let bytes = |file: &SnapshotFile| file.read.as_ref().ok().map(|read| read.bytes.to_vec());
    let first = files.first().map(bytes);
    assert!(files.iter().all(|file| Some(bytes(file)) == first), "content of two moments");
}

#[test]
fn g2_files_behind_a_link_that_is_swapped_are_of_one_moment() {
    let scene = Scene::with_two_directories();
    symlink("0", scene.path("current")).unwrap();
    while_changing(
        &scene.files_in("current"),
        || scene.swap_link("current"),
        assert_is_of_one_moment,
    );
}

#[test]
fn g2_files_that_are_links_into_a_kubernetes_volume_are_of_one_moment() {
    let scene = Scene::with_two_directories();
    symlink("0", scene.path("..data")).unwrap();
    scene.link_files("volume", "../..data");
    while_changing(
        &scene.files_in("volume"),
        || scene.swap_link("..data"),
        assert_is_of_one_moment,
    );
}

#[test]
fn g2_files_of_a_directory_that_is_swapped_are_of_one_moment() {
    let scene = Scene::with_two_directories();
    let check = |files: &[SnapshotFile]| {
        // Between two renames the directory is missing.
        if files.iter().all(|file| file.read.is_ok()) {
            assert_is_of_one_moment(files);
        }
    };
    let (sources, change) = (scene.files_in("0"), || scene.swap_directories());
    rounds_while_changing(MANY_ROUNDS, &sources, change, check);
}

#[test]
fn g2_directory_behind_a_link_that_is_swapped_is_of_one_moment() {
    let scene = Scene::with_two_directories();
    symlink("0", scene.path("current")).unwrap();
    let sources = [scene.directory("current")];
    while_changing(&sources, || scene.swap_link("current"), assert_is_of_one_moment);
}

#[test]
fn g2_directory_of_a_kubernetes_volume_is_of_one_moment() {
    let scene = Scene::with_two_directories();
    symlink("0", scene.path("..data")).unwrap();
    scene.link_files("volume", "../..data");
    let sources = [scene.directory("volume")];
    while_changing(&sources, || scene.swap_link("..data"), assert_is_of_one_moment);
}

#[test]
fn g2_directory_that_is_swapped_is_of_one_moment() {
    let scene = Scene::with_two_directories();
    let check = |files: &[SnapshotFile]| {
        // Between two renames the directory is missing.
        if files.iter().any(|file| file.is_in_directory) {
            assert_is_of_one_moment(files);
        }
    };
    while_changing(&[scene.directory("0")], || scene.swap_directories(), check);
}

#[test]
fn g2_links_into_a_directory_that_is_swapped_are_of_one_moment() {
    let scene = Scene::with_two_directories();
    scene.link_files("links", "../0");
    // Between two renames all links are dangling, and none is read.
    let sources = [scene.directory("links")];
    while_changing(&sources, || scene.swap_directories(), assert_has_equal_content);
}

#[test]
fn g2_file_that_is_renamed_in_its_directory_is_not_missed() {
    let scene = Scene::with_two_directories();
    if !scene.has_precise_stamps() {
        return;
    }
    let (before, after) = (scene.path("0/a.pem"), scene.path("0/z.pem"));
    let change = || {
        fs::rename(&before, &after).unwrap();
        fs::rename(&after, &before).unwrap();
    };
    while_changing(&[scene.directory("0")], change, assert_is_of_one_moment);
}

#[test]
fn g2_file_that_moves_between_directories_is_read_once() {
    let scene = Scene::with_two_directories();
    if !scene.has_precise_stamps() {
        return;
    }
    let (here, there) = (scene.path("0/moves.pem"), scene.path("1/moves.pem"));
    fs::write(&here, "x").unwrap();
    let change = || {
        fs::rename(&here, &there).unwrap();
        fs::rename(&there, &here).unwrap();
    };
    while_changing(&[scene.directory("0"), scene.directory("1")], change, |files| {
        assert_eq!(files.len(), 2 * NAMES.len() + 1, "the file is missing or was read twice");
    });
}
