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
//! - **[`MAX_STUCK`](queues::MAX_STUCK) in all**, the last of them on a mount that had answered before. Reads of other mounts wait until one of
//!   these readers becomes free. Local file systems are read all the same, by one more reader.
//! - **Mounts are distinguished without touching them**, by `/proc/self/mountinfo` and the path of the blocked call.

mod current_read;
mod entry;
mod lend;
mod mounts;
mod pool;
mod queues;
mod read;
mod reader;
mod slow_mounts;
#[cfg(test)]
mod tests_queues;

pub(crate) use current_read::{calling_host, closing, is_interrupted, touching};
pub(crate) use lend::{Lend, ReaderBody};
pub(crate) use mounts::{is_mount_point, is_on_proc, remote_file_system};
pub(crate) use pool::Readers;
pub(crate) use read::{Read, ReadId};
pub(crate) use reader::Progress;
