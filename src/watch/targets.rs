//! Decides which paths to watch for a file, and for which inotify events.

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

/// The events that matter at a path: those that change where the path of a file leads, or the content of the file.
///
/// No kind includes events of reading (`IN_ACCESS`, `IN_OPEN`, `IN_CLOSE_NOWRITE`). The library reads the files
/// itself, so these would trigger a scan after every scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WatchKind {
    /// A directory on the way to a file: only its own move or removal.
    ///
    /// Its entries do not matter. A watch of the entries of `/` or `/tmp` would report what every process does there.
    DirectoryItself,
    /// A directory with a symbolic link on the way, or without the next name: entries that are created, removed or
    /// renamed, and changed permissions.
    ///
    /// To a process without search permission all entries of a directory are missing. `IN_ATTRIB` reports when that
    /// changes.
    Names,
    /// A directory with a configured file, or one that is listed: as [`WatchKind::Names`], and writes to its files.
    Files,
    /// The file itself: writes by any of its names.
    ///
    /// A write by another hard link, or by another mount, is reported to the directory of that name only, and to
    /// watches of the inode.
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

    /// Returns whether it is an error if this process may not read the path, which a watch needs.
    ///
    /// A directory on the way may allow search and not reading; the file is found all the same. A file that may not
    /// be read is reported by the scan that reads it.
    pub(super) fn must_be_readable(self) -> bool {
        matches!(self, Self::Names | Self::Files)
    }
}

/// Returns the paths to watch for `lookups`, each once, the most important first.
///
/// The order matters if the limit of watches is reached: a directory with files reports replaced files and most writes.
pub(super) fn targets_of(lookups: &[Lookup]) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut seen = HashSet::new();
    let mut push = |path: PathBuf, kind: WatchKind| {
        // The files of one directory share every directory on the way.
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
                // By then another directory may have its name, so the parent directory is watched, too.
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
