//! A reader among the others: which reads it runs, and what it runs now.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::mounts::MountId;
use super::read::{Group, Item, ReadId};
use super::reader::Reader;
use crate::sys::{HandleId, ThreadId};

/// How long a reader may compute. It makes digests of some megabytes at most.
pub(super) const LONGEST_COMPUTATION: Duration = Duration::from_secs(1);

/// The most key-password callbacks that run at once on readers. A host whose callbacks block gets no more threads.
pub(super) const MAX_HOST_CALLS: usize = 4;

/// Which reads a reader runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Those of mounts that answer. There is one such reader at most.
    General,
    /// Those of one mount, which is slow or does not answer.
    OfMount(MountId),
    /// The current one only, whose callback blocks.
    OfHostCall,
}

pub(super) struct Entry {
    pub(super) reader: Arc<Reader>,
    pub(super) role: Role,
    pub(super) is_in_host_call: bool,
    pub(super) running: Option<Running>,
    /// The thread, once it runs.
    pub(super) number: Option<ThreadId>,
    /// To join the thread, if it was started for this reader.
    pub(super) thread: Option<JoinHandle<()>>,
}

/// The read that a reader runs. The item itself is on the reader's stack.
pub(super) struct Running {
    pub(super) id: ReadId,
    pub(super) handle: HandleId,
    pub(super) group: Option<Arc<Group>>,
    /// Whether the handle was closed.
    pub(super) is_forgotten: bool,
}

/// What a reader does next.
pub(super) enum Next {
    Run(Item),
    /// Nothing now, but reads for it may come.
    Wait,
    /// Its thread ends.
    End,
}
