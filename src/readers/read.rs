//! A read that waits for a reader, or runs on one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::sys::HandleId;

/// How long a read may take before its reader is left to it, and another reader reads for the others. A read of local
/// files takes some hundred microseconds. If it takes this long on a busy machine, one more thread runs for a moment.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);

/// The same while another reader is stuck. Mounts of one server often hang together, and their times add up.
pub(super) const SHORT_PATIENCE: Duration = Duration::from_millis(10);

/// One read: what a reader does for one unit.
pub(crate) trait Read: Send {
    /// Reads, and keeps the result. Called again from the start if the read was interrupted because a path is on a mount
    /// that does not answer.
    fn run(&mut self);

    /// Passes the result on. `is_late` if the caller of [`Readers::read`] does not wait for it any more.
    fn deliver(self: Box<Self>, is_late: bool);
}

/// Identifies a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReadId(pub(super) u64);

/// A read with the caller that waits for it.
pub(super) struct Item {
    pub(super) id: ReadId,
    pub(super) handle: HandleId,
    pub(super) read: Box<dyn Read>,
    /// `None` if the read is late.
    pub(super) group: Option<Arc<Group>>,
}

impl Item {
    /// Ends the wait of the caller, if it waits for this read.
    pub(super) fn release_caller(&mut self) {
        if let Some(group) = self.group.take() {
            group.end_one();
        }
    }
}

/// The reads that one caller waits for.
#[derive(Default)]
pub(super) struct Group(AtomicUsize);

impl Group {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(count)))
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }

    pub(super) fn end_one(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
