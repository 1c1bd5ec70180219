//! Runs the reads of a handle's units: on readers, or on the thread of the host that runs the step.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::open_handles::OpenHandles;
use crate::error::{Cause, Error};
use crate::files::{Lookup, Snapshot, SourcePath, take_snapshot};
use crate::readers::{Progress, Read, ReadId, Readers};
use crate::reload::{FinishedRead, OpenReader, ReadCalls, UnitRead};
use crate::sys::{HandleId, Mutex, Resource, WaitGraph, catch_panic};
use crate::watch::{ChangeReceiver, Subscribed};

/// Where readers put what they have read for one handle.
pub(super) struct Mailbox {
    finished: Mutex<Vec<FinishedRead>>,
    /// Makes a step of the handle due.
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Mailbox {
    pub(super) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { finished: Mutex::default(), wake }
    }

    /// Removes and returns what has been read.
    pub(super) fn take(&self) -> Vec<FinishedRead> {
        mem::take(&mut *self.finished.lock())
    }
}

/// What a read of a handle's unit uses of the handle. It keeps nothing of a closed handle alive but this.
pub(super) struct ReadLink {
    pub(super) id: HandleId,
    pub(super) handles: Arc<OpenHandles>,
    pub(super) wait_graph: Arc<WaitGraph>,
    /// Present if the handle watches its files.
    pub(super) observer: Option<Weak<dyn ChangeReceiver>>,
    pub(super) mailbox: Weak<Mailbox>,
    pub(super) closed: Arc<AtomicBool>,
}

impl ReadLink {
    /// Reads the files of a unit, and subscribes to their changes.
    fn run(&self, read: &UnitRead) -> FinishedRead {
        let subscribe = |unit: usize, lookups: &[Lookup]| self.subscribe(unit, lookups);
        let holding = |call: &mut dyn FnMut()| {
            // Held before the check: `close`, which sets the flag first, then waits for this.
            let _held = self.wait_graph.hold(Resource::KeyPassword(self.id));
            if !self.closed.load(Ordering::SeqCst) {
                call();
            }
        };
        let calls = ReadCalls { subscribe: &subscribe, holding: &holding };
        catch_panic(|| read.run(&calls)).unwrap_or_else(|_| read.panicked())
    }

    fn subscribe(&self, unit: usize, lookups: &[Lookup]) -> Option<Subscribed> {
        let observer = self.observer.as_ref()?;
        let subscribed = self.handles.watcher().subscribe((self.id, unit), observer, lookups);
        if subscribed.notified_others
            && let Some(mailbox) = self.mailbox.upgrade()
        {
            // Other units were notified, whose paths lead elsewhere now. That makes their steps due, but does not wake the
            // worker, which may be asleep.
            (mailbox.wake)();
        }
        Some(subscribed)
    }
}

/// Runs `reads` on this thread.
pub(super) fn run_here(link: &ReadLink, reads: &[UnitRead]) -> Vec<FinishedRead> {
    reads.iter().map(|read| link.run(read)).collect()
}

/// Runs `reads` on readers. Returns the reads that have ended, earlier ones included, and the unit and number of each
/// read that takes longer. Those are put into the mailbox when they end.
pub(super) fn run_on_readers(
    readers: &Arc<Readers>,
    link: &Arc<ReadLink>,
    reads: Vec<UnitRead>,
) -> Vec<(usize, ReadId)> {
    let units: Vec<_> = reads.iter().map(UnitRead::index).collect();
    let isolated = |read: UnitRead| -> Box<dyn Read> {
        Box::new(IsolatedRead { link: link.clone(), read, finished: None })
    };
    let ids = readers.read(link.id, reads.into_iter().map(isolated).collect());
    units.into_iter().zip(ids).collect()
}

struct IsolatedRead {
    link: Arc<ReadLink>,
    read: UnitRead,
    finished: Option<FinishedRead>,
}

impl Read for IsolatedRead {
    fn run(&mut self) {
        self.finished = Some(self.link.run(&self.read));
    }

    fn deliver(self: Box<Self>, is_late: bool) {
        let Some(mailbox) = self.link.mailbox.upgrade() else { return };
        let finished = self.finished.unwrap_or_else(|| self.read.panicked());
        mailbox.finished.lock().push(finished);
        if is_late {
            (mailbox.wake)();
        }
    }
}

/// Reads files for an open on the opening thread.
pub(super) struct HereReader;

impl OpenReader for HereReader {
    fn snapshot(&self, sources: Vec<SourcePath>) -> Result<Snapshot, Error> {
        Ok(take_snapshot(&sources))
    }
}

/// Reads files for an open on readers, so that the open fails if a file system does not answer.
pub(super) struct OpenOnReaders {
    pub(super) readers: Arc<Readers>,
    pub(super) id: HandleId,
    pub(super) timeout: std::time::Duration,
}

impl OpenReader for OpenOnReaders {
    fn snapshot(&self, sources: Vec<SourcePath>) -> Result<Snapshot, Error> {
        let result = Arc::<Mutex<Option<Snapshot>>>::default();
        let path = sources.first().map(|source| source.path.clone()).unwrap_or_default();
        let read = OpenRead { sources, snapshot: None, result: result.clone() };
        for id in self.readers.read(self.id, vec![Box::new(read)]) {
            match self.readers.wait(id, self.timeout) {
                Progress::Ended | Progress::Answering | Progress::InHostCall { .. } => {}
                Progress::NotAnswering { path, since } => {
                    self.readers.forget(self.id);
                    let seconds = since.elapsed().as_secs();
                    return Err(Error::at(&path, Cause::NotAnswering { seconds }));
                }
                Progress::NoReader | Progress::MountEnded => {
                    self.readers.forget(self.id);
                    return Err(Error::at(&path, Cause::NoReader));
                }
            }
        }
        let snapshot = result.lock().take();
        snapshot.ok_or_else(|| Error::at(&path, Cause::Panic("nothing was read".to_owned())))
    }
}

struct OpenRead {
    sources: Vec<SourcePath>,
    snapshot: Option<Snapshot>,
    result: Arc<Mutex<Option<Snapshot>>>,
}

impl Read for OpenRead {
    fn run(&mut self) {
        self.snapshot = Some(take_snapshot(&self.sources));
    }

    fn deliver(self: Box<Self>, _: bool) {
        *self.result.lock() = self.snapshot;
    }
}
