//! Rotation where file systems are mounted: a bind-mounted directory, a bind-mounted file, an overlay
//! as in a container, a tmpfs.
//!
//! The program runs itself again in a mount namespace of its own.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

#[path = "faults/alone.rs"]
mod alone;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use alone::{Needs, alone};
use support::certificates::{Authority, Pair, Site, Writer, write_private};
use support::driver::Driver;
use support::rotation::{Finder, NAME, Row, run_each};
use support::shapes::{Part, Place, Shape};

#[test]
fn g1_every_writer_is_followed_on_file_systems_that_are_mounted() {
    alone(Needs::Mounts, || {
        rotate_on_mounts();
    });
}

/// What is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mount {
    /// The host is told a directory that is mounted from where the writer works.
    Directory,
    /// The host is told files, each mounted from a file that the writer writes: what is renamed over
    /// that file is not seen through the mount, so only those count that write in place.
    Files,
    /// The first pair lies in the lower layer of an overlay; the writer works in the merged tree.
    Overlay,
    Tmpfs,
}

fn rotate_on_mounts() {
    let authority = Authority::new();
    for mount in [Mount::Directory, Mount::Files, Mount::Overlay, Mount::Tmpfs] {
        for finder in [Finder::Notification, Finder::Polling] {
            let fits = |writer: &Writer| mount != Mount::Files || writes_the_same_inode(*writer);
            let writers: Vec<_> = Writer::ALL.into_iter().filter(fits).collect();
            let what = format!("writers on {mount:?} by {finder:?}");
            run_each(&what, &writers, |writer| rotate(mount, finder, *writer, &authority));
        }
    }
}

fn writes_the_same_inode(writer: Writer) -> bool {
    matches!(
        writer,
        Writer::InPlace
            | Writer::InPlaceKeyFirst
            | Writer::Cat
            | Writer::Lego
            | Writer::Slow
            | Writer::Overwrite
            | Writer::Sparse
            | Writer::Mapped
            | Writer::SameSizeAndTime
    )
}

/// Those that rename whole directories, which an overlay refuses for what lies in its lower layer.
fn renames_directories(writer: Writer) -> bool {
    matches!(
        writer,
        Writer::SwapDirectory
            | Writer::ExchangeDirectories
            | Writer::AncestorSwapped
            | Writer::AncestorExchanged
    )
}

fn rotate(mount: Mount, finder: Finder, writer: Writer, authority: &Authority) -> usize {
    let first = authority.issue(&[NAME]);
    let root = tempfile::tempdir().unwrap();
    let (mounts, work, told) = lay_out(mount, root.path(), writer, &first);
    let places = vec![place(&work)];
    let mut site = Site::in_places(root, writer, places, &told);
    if mount != Mount::Overlay || renames_directories(writer) {
        site.begin(&first);
    }
    let mounts = match mount {
        Mount::Files => mount_files(&work, &told),
        _ => mounts,
    };
    let row = Row { writer, shape: Shape::Plain, finder, driver: Driver::of_this_run() };
    let handshakes = row.run_on(&mut site, first, authority, 2);
    drop(mounts);
    handshakes
}

fn place(directory: &Path) -> Place {
    Place { directory: directory.to_owned(), parts: vec![Part::Chain, Part::Key] }
}

/// Mounts what there is to mount; gives the directory in which the writer works, and the one that
/// the host is told.
fn lay_out(mount: Mount, root: &Path, writer: Writer, first: &Pair) -> (Mounts, PathBuf, PathBuf) {
    let mut mounts = Mounts::default();
    let directory = |name: &str| {
        let path = root.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    };
    let (work, told) = match mount {
        // A level below what is mounted, so that writers may replace the directory.
        Mount::Directory => {
            let (work, told) = (directory("work"), directory("told"));
            mounts.mount(&["--bind", work.to_str().unwrap()], &told);
            (directory("work/tls"), told.join("tls"))
        }
        Mount::Files => (directory("work"), directory("told")),
        Mount::Overlay => {
            mounts.mount(&["-t", "tmpfs", "none"], &directory("layers"));
            directory("layers/lower");
            if !renames_directories(writer) {
                Site::begin_in(writer, &[place(&directory("layers/lower/tls"))], first);
            }
            directory("layers/upper");
            directory("layers/spare");
            let layers = root.join("layers").display().to_string();
            let options =
                format!("lowerdir={layers}/lower,upperdir={layers}/upper,workdir={layers}/spare");
            mounts.mount(&["-t", "overlay", "none", "-o", &options], &directory("merged"));
            (directory("merged/tls"), root.join("merged/tls"))
        }
        Mount::Tmpfs => {
            mounts.mount(&["-t", "tmpfs", "none"], &directory("tmpfs"));
            (directory("tmpfs/tls"), root.join("tmpfs/tls"))
        }
    };
    (mounts, work, told)
}

fn mount_files(work: &Path, told: &Path) -> Mounts {
    let mut mounts = Mounts::default();
    for part in [Part::Chain, Part::Key] {
        let (from, at) = (work.join(part.name()), told.join(part.name()));
        write_private(&at, "");
        mounts.mount(&["--bind", from.to_str().unwrap()], &at);
    }
    mounts
}

/// What was mounted, unmounted when dropped.
#[derive(Default)]
struct Mounts(Vec<PathBuf>);

impl Mounts {
    fn mount(&mut self, arguments: &[&str], at: &Path) {
        let mounted = Command::new("mount").args(arguments).arg(at).status().unwrap();
        assert!(mounted.success(), "mount {arguments:?} {}", at.display());
        self.0.push(at.to_owned());
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for at in self.0.iter().rev() {
            // At the latest it goes with the namespace.
            let _ = Command::new("umount").arg("--lazy").arg(at).status();
        }
    }
}
