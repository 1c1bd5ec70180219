//! Runs file reads on separate threads, so that a file system that does not answer stops no other work (G21).
//!
//! A system call that looks up or reads a path can block for ever if the path is on a network or FUSE mount. Such a
//! call cannot be interrupted, so the thread is lost until the mount answers. The calls are therefore made on *readers*:
//! threads that start when there is something to read and end soon after. Where there is an idle thread that delivers
//! events, it is the reader. A read that takes too long is left to its
//! reader, and another reader runs the others.
//!
//! - **One reader per mount.** A mount on which a reader is stuck is not touched by another reader: further reads there
//!   wait for the first. So a mount costs one thread at most, however many handles have files on it.
//! - **[`MAX_STUCK`] in all**, the last of them on a mount that had answered before. Reads of other mounts wait until one of
//!   these readers becomes free. Local file systems are read all the same, by one more reader.
//! - **Mounts are distinguished without touching them**, by `/proc/self/mountinfo` and the path of the blocked call.

mod current_read;
mod mounts;
mod pool;
mod queues;
mod reader;
mod slow_mounts;

pub(crate) use current_read::{calling_host, closing, touching};
pub(crate) use mounts::remote_file_system;
pub(crate) use pool::{ReaderBody, Readers};
pub(crate) use queues::ReadId;
pub(crate) use reader::Progress;

/// The most readers of one process that may be stuck, or read from slow mounts, at once.
const MAX_STUCK: usize = 16;

/// Threads that are idle most of the time, and that can read in between.
pub(crate) trait Lend: Send + Sync {
    /// Runs `body` on an idle thread, which may not return from it for a long time. Returns `body` if there is none.
    ///
    /// If the threads end before one of them runs `body`, drops it without any lock.
    fn lend(&self, body: ReaderBody) -> Result<(), ReaderBody>;
}

/// One read: what a reader does for one unit.
pub(crate) trait Read: Send {
    /// Reads, and keeps the result. Called again from the start if the read was interrupted because a path is on a mount
    /// that does not answer.
    fn run(&mut self);

    /// Passes the result on. `is_late` if the caller of [`Readers::read`] does not wait for it any more.
    fn deliver(self: Box<Self>, is_late: bool);
}
