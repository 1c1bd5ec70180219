//! What of the kernel's events is wanted at which place.

use std::collections::HashSet;
use std::path::PathBuf;

use inotify::WatchMask;

use crate::files::{Lookup, LookupKind};

/// What may happen at a place that changes where a way leads, or what is at its end.
///
/// Events of reading are in none of them: we read ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Want {
    /// A directory on the way is moved or removed. What happens in it is of no interest: `/` or
    /// `/tmp` would tell of everything that anybody does there.
    Itself,
    /// A name in it, a link or one that is missing, becomes another; or the directory lets pass whom it
    /// did not, to whom all of it was missing.
    Names,
    /// A file in it becomes another, or is written: one of its files, or any.
    Files,
    /// The file itself is written, by whatever name: another hard link, or another mount.
    Content,
}

impl Want {
    pub(super) const ALL: [Self; 4] = [Self::Itself, Self::Names, Self::Files, Self::Content];

    pub(super) fn mask(self) -> WatchMask {
        let gone = WatchMask::MOVE_SELF | WatchMask::DELETE_SELF;
        let names = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE;
        let content = WatchMask::MODIFY | WatchMask::CLOSE_WRITE | WatchMask::ATTRIB;
        match self {
            Self::Itself => gone,
            Self::Names => gone | names | WatchMask::ATTRIB,
            Self::Files => gone | names | content,
            Self::Content => gone | content,
        }
    }

    /// Whether an unreadable place is trouble. A directory on the way may be one that this process
    /// can pass and not list, and a file may be one that it cannot read, which reading will tell.
    pub(super) fn must_be_readable(self) -> bool {
        matches!(self, Self::Names | Self::Files)
    }
}

/// The places to watch for a way, those that tell the most first.
pub(super) fn places_of(lookups: &[Lookup]) -> Vec<(PathBuf, Want)> {
    let mut places = Vec::new();
    let mut seen = HashSet::new();
    let mut push = |path: PathBuf, want: Want| {
        // The files of a directory have all of the way in common.
        if seen.insert((path.clone(), want)) {
            places.push((path, want));
        }
    };
    for lookup in lookups {
        match lookup.kind {
            LookupKind::Directory => push(lookup.path(), Want::Itself),
            LookupKind::Link | LookupKind::Missing => {
                push(lookup.directory.clone(), Want::Names);
            }
            LookupKind::File => {
                push(lookup.directory.clone(), Want::Files);
                push(lookup.path(), Want::Content);
            }
            LookupKind::Listing(_) => {
                push(lookup.path(), Want::Files);
                // A directory that was removed tells so no sooner than everybody has left it, and
                // another may be in its place by then.
                push(lookup.directory.clone(), Want::Names);
            }
        }
    }
    places.sort_by_key(|(_, want)| match want {
        Want::Files | Want::Names => 0,
        Want::Itself => 1,
        Want::Content => 2,
    });
    places
}
