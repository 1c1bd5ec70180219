//! A thread that reads, as the other threads see it: what it is doing, and for how long.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::mounts::MountId;
use crate::sys::{Mutex, MutexGuard};

/// A reader. Its thread writes the position, and other threads read it to notice that the reader is stuck.
pub(super) struct Reader {
    position: Mutex<Position>,
    is_interrupted: AtomicBool,
}

/// What a reader is doing.
#[derive(Clone, Debug)]
pub(super) struct Position {
    /// When the current read began.
    pub(super) began: Instant,
    pub(super) place: Place,
    /// When `place` was entered.
    pub(super) since: Instant,
    /// The path of the current or latest system call.
    pub(super) path: PathBuf,
    /// Why the current read was interrupted, if it was.
    blocked: Option<Blocked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside of system calls that can block: between two of them, or parsing.
    Library,
    /// In a system call about the path.
    File,
    /// In a callback of the host.
    Host,
}

/// How a read that is late continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The read has ended.
    Ended,
    /// The read is running or waiting, and the mounts answer.
    Answering,
    /// A system call about `path` has not returned since `since`. The read makes this call, or waits for its end.
    NotAnswering { path: PathBuf, since: Instant },
    /// A callback of the host has not returned since `since`. The read made this call, or waits for its end.
    InHostCall { since: Instant },
    /// The mount was unmounted while a system call about it did not return. It never will.
    MountEnded,
    /// Too many other mounts do not answer.
    NoReader,
}

/// Why a read must not touch a path, or call the host, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// The mount has a separate reader.
    Mount(MountId),
    /// So many readers are stuck that the last one is kept for mounts that answer.
    NoReader,
    /// So many callbacks of the host run that no more are called.
    HostCalls,
}

impl Reader {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let position = Position {
            began: now,
            place: Place::Library,
            since: now,
            path: PathBuf::new(),
            blocked: None,
        };
        Self { position: Mutex::new(position), is_interrupted: AtomicBool::new(false) }
    }

    /// Begins the next read.
    pub(super) fn begin(&self) {
        let mut position = self.lock();
        position.began = Instant::now();
        (position.place, position.since, position.blocked) = (Place::Library, position.began, None);
        self.is_interrupted.store(false, Ordering::SeqCst);
    }

    /// Records that a system call about `path` begins.
    pub(super) fn enter_file(&self, path: &Path) {
        let mut position = self.lock();
        // Reuses the buffer: a read makes some ten calls.
        position.path.as_mut_os_string().clear();
        position.path.push(path);
        (position.place, position.since) = (Place::File, Instant::now());
    }

    /// Records that a callback of the host begins.
    pub(super) fn enter_host(&self) {
        let mut position = self.lock();
        (position.place, position.since) = (Place::Host, Instant::now());
    }

    /// Records that the call has returned.
    pub(super) fn leave(&self) {
        self.lock().place = Place::Library;
    }

    /// Makes the rest of the current read fail: its result is not used.
    pub(super) fn interrupt(&self) {
        self.is_interrupted.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::SeqCst)
    }

    /// Interrupts the current read, which must be repeated when `why` has ended.
    pub(super) fn block(&self, why: Blocked) {
        self.lock().blocked = Some(why);
        self.interrupt();
    }

    /// Returns why the current read must be repeated.
    pub(super) fn blocked(&self) -> Option<Blocked> {
        self.lock().blocked
    }

    pub(super) fn position(&self) -> Position {
        self.lock().clone()
    }

    /// Returns how the current read continues.
    pub(super) fn progress(&self) -> Progress {
        let position = self.lock();
        match position.place {
            Place::File => {
                Progress::NotAnswering { path: position.path.clone(), since: position.since }
            }
            Place::Host => Progress::InHostCall { since: position.since },
            Place::Library => Progress::Answering,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Position> {
        self.position.lock()
    }
}
