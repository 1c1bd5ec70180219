//! Decides which paths to watch for the lookups of a file, and for which inotify events.

use std::collections::HashSet;
use std::path::PathBuf;

use inotify::WatchMask;

use crate::files::{Lookup, LookupKind};

/// A path to watch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    pub(super) kind: WatchKind,
}

/// The role of a watched path on the way to a configured file, which decides which of its events matter. They are those
/// that change where the path of the file leads, or the content of the file.
///
/// No kind includes events of reading (`IN_ACCESS`, `IN_OPEN`, `IN_CLOSE_NOWRITE`). The library reads the files
/// itself, so these would trigger a scan after every scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WatchKind {
    /// A directory on the way to a file: only its own move or removal.
    ///
    /// Other entries of the directory do not matter. If those of `/` or `/tmp` were watched, the kernel would report
    /// what every process does there.
    DirectoryItself,
    /// A directory that contains a symbolic link on the way to the file, or in which the next name on the way is
    /// missing: entries that are created, removed or renamed, and changed permissions.
    ///
    /// To a process without search permission all entries of a directory are missing. Changed permissions may make them
    /// appear.
    Names,
    /// A directory that contains a configured file, or all of whose files are configured: the events of
    /// [`WatchKind::Names`], and writes to files in the directory.
    Files,
    /// The file itself: writes through any name of the file.
    ///
    /// If a process writes through another hard link or another mount, the watch of the configured directory reports
    /// nothing. A watch of the file does.
    Content,
}

impl WatchKind {
    pub(super) const ALL: [Self; 4] =
        [Self::DirectoryItself, Self::Names, Self::Files, Self::Content];

    pub(super) fn mask(self) -> WatchMask {
        let gone = WatchMask::MOVE_SELF | WatchMask::DELETE_SELF;
        let names = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE;
        let content = WatchMask::MODIFY | WatchMask::CLOSE_WRITE | WatchMask::ATTRIB;
        match self {
            Self::DirectoryItself => gone,
            Self::Names => gone | names | WatchMask::ATTRIB,
            Self::Files => gone | names | content,
            Self::Content => gone | content,
        }
    }

    /// Returns whether it is an error if the path cannot be watched because this process may not read it.
    ///
    /// A directory on the way need not be readable: the file is found if the process may search it. An unreadable file
    /// is reported by the scan that reads it.
    pub(super) fn must_be_readable(self) -> bool {
        matches!(self, Self::Names | Self::Files)
    }
}

/// Returns the paths to watch for `lookups`, each once, the most important first.
///
/// If the kernel's limit of watches is reached, only the first paths are watched. A directory with files is the most
/// important, because it reports replaced files and most writes.
pub(super) fn targets_of(lookups: &[Lookup]) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut seen = HashSet::new();
    let mut push = |path: PathBuf, kind: WatchKind| {
        // The files of one directory have the same directories on the way, so some targets come several times.
        let target = Target { path, kind };
        if seen.insert(target.clone()) {
            targets.push(target);
        }
    };
    for lookup in lookups {
        match lookup.kind {
            LookupKind::Directory => push(lookup.path(), WatchKind::DirectoryItself),
            LookupKind::Link | LookupKind::Missing => {
                push(lookup.directory.clone(), WatchKind::Names);
            }
            LookupKind::File => {
                push(lookup.directory.clone(), WatchKind::Files);
                push(lookup.path(), WatchKind::Content);
            }
            LookupKind::Listing(_) => {
                push(lookup.path(), WatchKind::Files);
                // The kernel sends IN_DELETE_SELF only after the last process has closed the removed directory.
                // By then another directory may have the same name. So its parent directory is watched, too.
                push(lookup.directory.clone(), WatchKind::Names);
            }
        }
    }
    targets.sort_by_key(|target| match target.kind {
        WatchKind::Files | WatchKind::Names => 0,
        WatchKind::DirectoryItself => 1,
        WatchKind::Content => 2,
    });
    targets
}
