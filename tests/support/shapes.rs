//! The paths by which a host gets to the files: directories, links, and what lies between.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Once;

use super::certificates::Pair;

/// What one file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Chain,
    Key,
    /// Chain and key in one file.
    Both,
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::Chain => "chain.pem",
            Self::Key => "key.pem",
            Self::Both => "both.pem",
        }
    }

    pub fn of(self, pair: &Pair) -> String {
        match self {
            Self::Chain => pair.chain.clone(),
            Self::Key => pair.key.clone(),
            Self::Both => format!("{}{}", pair.chain, pair.key),
        }
    }
}

/// A directory in which a writer works, and the files that it writes there.
#[derive(Clone, Debug)]
pub struct Place {
    pub directory: PathBuf,
    pub parts: Vec<Part>,
}

/// How the paths that the host is told lead to the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Straight.
    Plain,
    /// Through a relative link to a directory.
    LinkedAncestor,
    /// Through an absolute link to a directory.
    AbsoluteLink,
    /// With `..`, `.` and `//` in the path.
    DotDot,
    /// With a `..` behind a link, which is not where the path seems to go.
    DotDotBehindLink,
    /// The chain in one directory, the key in another.
    TwoDirectories,
    /// Chain and key in one file.
    OneFile,
    /// Each file through a link in another directory, as in `live/` and `archive/`.
    LinkedFiles,
    /// As in a Kubernetes volume: each file a link through the link `..data`.
    Volume,
    /// A directory whose name is no UTF-8.
    OddName,
    /// On a tmpfs, where Kubernetes puts secrets.
    Tmpfs,
}

impl Shape {
    const ALL: [Self; 11] = [
        Self::Plain,
        Self::LinkedAncestor,
        Self::AbsoluteLink,
        Self::DotDot,
        Self::DotDotBehindLink,
        Self::TwoDirectories,
        Self::OneFile,
        Self::LinkedFiles,
        Self::Volume,
        Self::OddName,
        Self::Tmpfs,
    ];

    /// The shapes that this machine allows; reports the one that it does not past the test harness.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        static REPORT: Once = Once::new();
        let has_tmpfs = is_tmpfs("/dev/shm");
        if !has_tmpfs {
            REPORT.call_once(|| {
                let stderr = &mut io::stderr();
                writeln!(stderr, "NOT TESTED: files on a tmpfs: /dev/shm is not one").unwrap();
            });
        }
        Self::ALL.into_iter().filter(move |shape| has_tmpfs || *shape != Self::Tmpfs)
    }

    /// A fresh directory for everything.
    pub fn root(self) -> tempfile::TempDir {
        match self {
            Self::Tmpfs => tempfile::tempdir_in("/dev/shm").unwrap(),
            _ => tempfile::tempdir().unwrap(),
        }
    }

    /// Makes the directories in which the writers work.
    pub fn places(self, root: &Path) -> Vec<Place> {
        let below = |name: &str, parts: &[Part]| {
            let directory = root.join(OsStr::from_bytes(name.as_bytes()));
            fs::create_dir_all(&directory).unwrap();
            Place { directory, parts: parts.to_vec() }
        };
        let both = &[Part::Chain, Part::Key];
        let link = |target: &Path, link: &str| symlink(target, root.join(link)).unwrap();
        match self {
            Self::Plain | Self::Tmpfs => vec![below("live", both)],
            Self::LinkedAncestor => {
                link("real".as_ref(), "here");
                vec![below("real/tls", both)]
            }
            Self::AbsoluteLink => {
                let place = below("far/real", both);
                fs::create_dir(root.join("near")).unwrap();
                link(&root.join("far"), "near/link");
                vec![place]
            }
            Self::DotDot => {
                fs::create_dir(root.join("other")).unwrap();
                vec![below("live", both)]
            }
            Self::DotDotBehindLink => {
                fs::create_dir_all(root.join("far/away/here")).unwrap();
                link("far/away/here".as_ref(), "jump");
                vec![below("far/away/tls", both)]
            }
            Self::TwoDirectories => vec![below("chains", &both[..1]), below("keys", &both[1..])],
            Self::OneFile => vec![below("live", &[Part::Both])],
            Self::LinkedFiles => {
                fs::create_dir(root.join("live")).unwrap();
                vec![below("archive", both)]
            }
            Self::Volume => {
                let place = below("volume/..2026_11_21", both);
                link("..2026_11_21".as_ref(), "volume/..data");
                vec![place]
            }
            Self::OddName => {
                let directory = root.join(OsStr::from_bytes(b"caf\xe9 \"tls\""));
                fs::create_dir(&directory).unwrap();
                vec![Place { directory, parts: both.to_vec() }]
            }
        }
    }

    /// The path that the host is told for the writer's file `real`, which lies below `place`.
    pub fn told(self, root: &Path, place: &Place, real: &Path) -> PathBuf {
        let below = real.strip_prefix(&place.directory).unwrap();
        let linked = |directory: &str, target: PathBuf| {
            let path = root.join(directory).join(real.file_name().unwrap());
            symlink(target, &path).unwrap();
            path
        };
        match self {
            Self::Plain | Self::TwoDirectories | Self::OneFile | Self::OddName | Self::Tmpfs => {
                real.to_owned()
            }
            Self::LinkedAncestor => root.join("here/tls").join(below),
            Self::AbsoluteLink => root.join("near/link/real").join(below),
            Self::DotDot => root.join("other/..//live/.").join(below),
            Self::DotDotBehindLink => root.join("jump/../tls").join(below),
            Self::LinkedFiles => linked("live", Path::new("../archive").join(below)),
            Self::Volume => linked("volume", Path::new("..data").join(below)),
        }
    }
}

/// The last line about a mount point is the mount on top.
fn is_tmpfs(path: &str) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut kinds = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        (fields.next() == Some(path)).then(|| fields.next().unwrap_or_default())
    });
    kinds.next_back() == Some("tmpfs")
}
