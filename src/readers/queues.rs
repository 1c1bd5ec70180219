//! The reads that wait and run, and which reader runs which of them.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use super::mounts::{MountId, Mounts};
use super::read::{Group, Item, PATIENCE, Read, ReadId, SHORT_PATIENCE};
use super::reader::{Blocked, Place, Progress, Reader};
use super::slow_mounts::SlowMounts;
use crate::sys::{HandleId, ThreadId};

/// The most readers of one process that may be stuck, or read from slow mounts, at once.
pub(super) const MAX_STUCK: usize = 16;

/// Which reads a reader runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Those of mounts that answer. There is one such reader at most.
    General,
    /// Those of one mount, which is slow or does not answer.
    OfMount(MountId),
    /// The current one only, whose callback blocks.
    OfHostCall,
}

struct Entry {
    reader: Arc<Reader>,
    role: Role,
    running: Option<Running>,
    /// The thread, once it runs.
    number: Option<ThreadId>,
    /// To join the thread, if it was started for this reader.
    thread: Option<JoinHandle<()>>,
}

/// The read that a reader runs. The item itself is on the reader's stack.
struct Running {
    id: ReadId,
    handle: HandleId,
    group: Option<Arc<Group>>,
}

/// What a reader does next.
pub(super) enum Next {
    Run(Item),
    /// Nothing now, but reads for it may come.
    Wait,
    /// Its thread ends.
    End,
}

#[derive(Default)]
pub(super) struct Queues {
    general: VecDeque<Item>,
    /// Reads that wait until fewer readers are stuck.
    parked: VecDeque<Item>,
    slow: SlowMounts,
    entries: Vec<Entry>,
    /// The mounts that have answered while a reader was stuck, for the reader that is kept for them.
    answered: BTreeSet<MountId>,
    last_id: u64,
    /// The threads of readers that have ended.
    ended: Vec<JoinHandle<()>>,
}

impl Queues {
    /// Adds reads for `handle`.
    pub(super) fn add(
        &mut self,
        handle: HandleId,
        reads: Vec<Box<dyn Read>>,
    ) -> (Vec<ReadId>, Arc<Group>) {
        let group = Group::new(reads.len());
        let mut ids = Vec::with_capacity(reads.len());
        for read in reads {
            self.last_id += 1;
            let id = ReadId(self.last_id);
            ids.push(id);
            self.general.push_back(Item { id, handle, read, group: Some(group.clone()) });
        }
        (ids, group)
    }

    /// Creates the readers that are needed, without their threads. Returns for each whether it is the general reader.
    pub(super) fn missing_readers(&mut self) -> Vec<(Arc<Reader>, bool)> {
        let mut roles = Vec::new();
        let has_general = self.entries.iter().any(|entry| entry.role == Role::General);
        if !self.general.is_empty() && !has_general {
            roles.push(Role::General);
        }
        let stuck = self.entries.len() - usize::from(has_general);
        let room = (MAX_STUCK - 1).saturating_sub(stuck);
        roles.extend(self.slow.without_reader().take(room).map(Role::OfMount));
        let mut readers = Vec::new();
        for role in roles {
            let reader = Arc::new(Reader::new());
            if let Role::OfMount(mount) = role {
                self.slow.set_reader(mount, Some(&reader));
            }
            self.entries.push(Entry {
                reader: reader.clone(),
                role,
                running: None,
                number: None,
                thread: None,
            });
            readers.push((reader, role == Role::General));
        }
        readers
    }

    /// Records the thread of `reader`, which has just been started.
    pub(super) fn set_thread(&mut self, reader: &Arc<Reader>, thread: JoinHandle<()>) {
        self.ended.retain(|thread| !thread.is_finished());
        if let Some(at) = self.position_of(reader) {
            self.entries[at].thread = Some(thread);
        }
    }

    /// Records that this thread is the one of `reader`.
    pub(super) fn enter(&mut self, reader: &Arc<Reader>) {
        if let Some(at) = self.position_of(reader) {
            self.entries[at].number = Some(ThreadId::current());
        }
    }

    /// Returns whether `thread` is a reader.
    pub(super) fn is_reader(&self, thread: ThreadId) -> bool {
        self.entries.iter().any(|entry| entry.number == Some(thread))
    }

    /// Returns the next read for `reader`.
    pub(super) fn next(&mut self, reader: &Arc<Reader>) -> Next {
        let Some(at) = self.position_of(reader) else { return Next::End };
        let item = match self.entries[at].role {
            Role::General => match self.general.pop_front() {
                Some(item) => item,
                None => return Next::Wait,
            },
            Role::OfMount(mount) => match self.slow.pop(mount, reader) {
                Some(item) => item,
                None => return Next::End,
            },
            Role::OfHostCall => return Next::End,
        };
        let Item { id, handle, ref group, .. } = item;
        self.entries[at].running = Some(Running { id, handle, group: group.clone() });
        reader.begin();
        Next::Run(item)
    }

    /// Records that the thread of `reader` ends. Reads that waited for a free reader are tried again.
    pub(super) fn remove(&mut self, reader: &Arc<Reader>) {
        if let Some(at) = self.position_of(reader) {
            let entry = self.entries.swap_remove(at);
            if let Role::OfMount(mount) = entry.role {
                self.slow.end_reader(mount, reader);
            }
            self.ended.extend(entry.thread);
            self.general.extend(self.parked.drain(..));
            if !self.is_slow() {
                self.answered.clear();
            }
        }
    }

    /// Records that `reader` has ended its read. Delivers the result, or queues the read again if it was blocked.
    pub(super) fn finish(&mut self, reader: &Arc<Reader>, mut item: Item) {
        let Some(at) = self.position_of(reader) else { return };
        let Some(running) = self.entries[at].running.take() else { return };
        item.group = running.group;
        let position = reader.position();
        match reader.blocked() {
            Some(why) => self.defer(item, why),
            None if reader.is_interrupted() => {
                if let Some(group) = item.group {
                    group.end_one();
                }
            }
            None => {
                let took = position.began.elapsed();
                if let Role::OfMount(mount) = self.entries[at].role {
                    self.slow.record(mount, took < PATIENCE);
                }
                item.read.deliver(item.group.is_none());
                if let Some(group) = item.group {
                    group.end_one();
                }
            }
        }
    }

    /// Queues `item` until `why` has ended. Its caller does not wait for it any more.
    fn defer(&mut self, mut item: Item, why: Blocked) {
        if let Some(group) = item.group.take() {
            group.end_one();
        }
        match why {
            Blocked::Mount(mount) if self.slow.contains(mount) => self.slow.push(mount, item),
            // The mount has recovered since.
            Blocked::Mount(_) => self.general.push_back(item),
            Blocked::NoReader => self.parked.push_back(item),
        }
    }

    /// Leaves the general reader to its read if that takes too long. Returns when to check again.
    pub(super) fn detach_stuck(&mut self, now: Instant) -> Option<Instant> {
        let at = self.entries.iter().position(|entry| entry.role == Role::General)?;
        let patience = if self.entries.len() > 1 { SHORT_PATIENCE } else { PATIENCE };
        let entry = &mut self.entries[at];
        let running = entry.running.as_mut()?;
        let position = entry.reader.position();
        let due = position.began + patience;
        match position.place {
            _ if now < due => return Some(due),
            Place::Library => return Some(now + patience),
            Place::Host => entry.role = Role::OfHostCall,
            Place::File => {
                let mount = Mounts::recent().mount_of(&position.path);
                entry.role = Role::OfMount(mount);
                self.slow.add(mount, &entry.reader);
            }
        }
        if let Some(group) = running.group.take() {
            group.end_one();
        }
        None
    }

    /// Returns why `reader` must not touch `path` now.
    pub(super) fn gate(&mut self, reader: &Arc<Reader>, path: &Path) -> Option<Blocked> {
        let at = self.position_of(reader)?;
        let mounts = Mounts::recent();
        let mount = mounts.mount_of(path);
        match self.entries[at].role {
            Role::General if self.slow.contains(mount) => Some(Blocked::Mount(mount)),
            Role::General => {
                // The call before this one has returned.
                self.answered.insert(mounts.mount_of(&reader.position().path));
                let stuck = self.entries.len() - 1;
                let may_touch = mounts.is_local(path)
                    || stuck < MAX_STUCK && self.answered.contains(&mount)
                    || stuck < MAX_STUCK - 1;
                (!may_touch).then_some(Blocked::NoReader)
            }
            Role::OfMount(own) if own != mount && self.slow.is_stuck(mount) => {
                Some(Blocked::Mount(mount))
            }
            Role::OfMount(_) | Role::OfHostCall => None,
        }
    }

    /// Forgets mounts that do not exist any more. Reads that waited for them are tried again.
    pub(super) fn forget_ended_mounts(&mut self) {
        let mounts = Mounts::recent();
        self.general.extend(self.slow.remove_ended(|mount| mounts.contains(mount)));
    }

    /// Returns how the read `id` continues.
    pub(super) fn progress(&self, id: ReadId) -> Progress {
        let is_running =
            |entry: &&Entry| entry.running.as_ref().is_some_and(|running| running.id == id);
        if let Some(entry) = self.entries.iter().find(is_running) {
            return entry.reader.progress();
        }
        if self.parked.iter().any(|item| item.id == id) {
            return Progress::NoReader;
        }
        self.slow.progress(id).unwrap_or_else(|| {
            let waits = self.general.iter().any(|item| item.id == id);
            if !waits {
                Progress::Ended
            } else if self.has_general_reader() {
                Progress::Answering
            } else {
                Progress::NoReader
            }
        })
    }

    /// Drops the reads of `handle`. Those that run end without a result.
    pub(super) fn forget(&mut self, handle: HandleId) -> Vec<Item> {
        for entry in &self.entries {
            if entry.running.as_ref().is_some_and(|running| running.handle == handle) {
                entry.reader.interrupt();
            }
        }
        let mut dropped = self.slow.take(handle);
        for queue in [&mut self.general, &mut self.parked] {
            let (of_handle, others) = queue.drain(..).partition(|item| item.handle == handle);
            *queue = others;
            dropped.extend::<VecDeque<Item>>(of_handle);
        }
        for group in dropped.iter().filter_map(|item| item.group.as_ref()) {
            group.end_one();
        }
        dropped
    }

    /// Takes the reads that wait for the general reader, which cannot be started.
    pub(super) fn take_general(&mut self) -> VecDeque<Item> {
        std::mem::take(&mut self.general)
    }

    /// Returns whether a reader runs no read.
    pub(super) fn has_idle_reader(&self) -> bool {
        self.entries.iter().any(|entry| entry.running.is_none())
    }

    /// Takes the threads of readers that have ended, to join them.
    pub(super) fn take_ended(&mut self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.ended)
    }

    pub(super) fn has_general_reader(&self) -> bool {
        self.entries.iter().any(|entry| entry.role == Role::General)
    }

    /// Returns whether paths must be compared with slow mounts before they are touched.
    pub(super) fn is_slow(&self) -> bool {
        !self.slow.is_empty() || self.entries.len() > 1
    }

    fn position_of(&self, reader: &Arc<Reader>) -> Option<usize> {
        self.entries.iter().position(|entry| Arc::ptr_eq(&entry.reader, reader))
    }
}
