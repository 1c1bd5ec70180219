//! The changes that the watcher reports, and the trait of what receives them.

use std::path::Path;
use std::sync::Weak;

use crate::sys::HandleId;

/// A change that the kernel reported, with its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// The entry was created, renamed, removed or replaced.
    Changed(&'a Path),
    /// The inode at the path changed in another way: its permissions, owner, timestamps or link count, or it was moved
    /// or removed. A writer may still have the file open, or has opened another one that has the name by now.
    Inode(&'a Path),
    /// Bytes were written to the file, and the writer still has it open.
    Written(&'a Path),
    /// A writer has closed the file.
    Closed(&'a Path),
}

/// Receives the changes to the files of one handle.
///
/// The thread that reads notifications calls it while it holds the watcher's lock. An implementation must return
/// quickly and must not call the watcher, which would wait for that lock for ever.
pub(crate) trait ChangeReceiver: Send + Sync {
    /// Reports a change to a file of `unit`, or to a name on the way to it.
    fn touched(&self, unit: usize, change: Change<'_>);

    /// Reports that changes may have been missed: every unit has to be scanned.
    fn missed(&self);

    /// Returns whether the handle is closed, so that its units are not to be subscribed any more.
    fn is_closed(&self) -> bool {
        false
    }
}

/// One unit of one handle, by the index of the unit.
pub(super) type Subscriber = (HandleId, usize);

/// A reference to the observer of a handle, which does not keep the observer of a closed handle alive.
pub(super) type WeakReceiver = Weak<dyn ChangeReceiver>;
