//! The reads that wait and run, and which reader runs which of them.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use super::entry::{Entry, LONGEST_COMPUTATION, MAX_HOST_CALLS, Next, Role, Running};
use super::mounts::{MountId, Mounts};
use super::read::{Group, Item, PATIENCE, Read, ReadId, SHORT_PATIENCE};
use super::reader::{Blocked, Place, Progress, Reader};
use super::slow_mounts::SlowMounts;
use crate::sys::{HandleId, ThreadId};

/// The most readers of one process that may be stuck, or read from slow mounts, at once.
pub(super) const MAX_STUCK: usize = 16;

#[derive(Default)]
pub(super) struct Queues {
    general: VecDeque<Item>,
    /// Reads that wait until fewer readers are stuck.
    parked: VecDeque<Item>,
    /// Reads that wait until fewer callbacks of the host run.
    waiting_for_host: VecDeque<Item>,
    pub(super) slow: SlowMounts,
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
        if self.stuck_count() < MAX_STUCK - 1 {
            self.general.extend(self.parked.drain(..));
        }
        let has_general = self.entries.iter().any(|entry| entry.role == Role::General);
        if !self.general.is_empty() && !has_general {
            roles.push(Role::General);
        }
        let room = (MAX_STUCK - 1).saturating_sub(self.stuck_count());
        let mounts = Mounts::recent();
        let (local, others): (Vec<_>, Vec<_>) =
            self.slow.without_reader().partition(|mount| mounts.is_local_mount(*mount));
        roles.extend(local.into_iter().chain(others.into_iter().take(room)).map(Role::OfMount));
        let mut readers = Vec::new();
        for role in roles {
            let reader = Arc::new(Reader::new());
            if let Role::OfMount(mount) = role {
                self.slow.set_reader(mount, Some(&reader));
            }
            self.entries.push(Entry {
                reader: reader.clone(),
                role,
                is_in_host_call: false,
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

    /// Returns whether `thread` is a reader, or may be one that has not begun yet.
    pub(super) fn may_be_reader(&self, thread: ThreadId) -> bool {
        self.entries.iter().any(|entry| entry.number.is_none_or(|number| number == thread))
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
        let group = group.clone();
        self.entries[at].running = Some(Running { id, handle, group, is_forgotten: false });
        reader.begin();
        Next::Run(item)
    }

    /// Records that the thread of `reader` ends. If it was stuck, reads that waited for that are tried again. The end of
    /// the general reader changes nothing for them.
    pub(super) fn remove(&mut self, reader: &Arc<Reader>) {
        if let Some(at) = self.position_of(reader) {
            let entry = self.entries.swap_remove(at);
            if let Role::OfMount(mount) = entry.role {
                self.slow.end_reader(mount, reader);
            }
            self.ended.extend(entry.thread);
            if entry.role != Role::General {
                self.general.extend(self.parked.drain(..));
            }
            if !self.is_slow() {
                self.answered.clear();
            }
        }
    }

    /// Records that `reader` has ended its read, and delivers the result. A read that was interrupted, because it must not
    /// touch a path or call the host now, is queued until that has ended. Returns a forgotten read, to drop it without
    /// the lock: the host's functions may run when it is dropped.
    pub(super) fn finish(&mut self, reader: &Arc<Reader>, mut item: Item) -> Option<Item> {
        let at = self.position_of(reader)?;
        let running = self.entries[at].running.take()?;
        item.group = running.group;
        let position = reader.position();
        match reader.blocked() {
            _ if running.is_forgotten => {
                item.release_caller();
                return Some(item);
            }
            Some(why) => self.defer(item, why),
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
        None
    }

    /// Queues `item` until `why` has ended. Its caller does not wait for it any more.
    fn defer(&mut self, mut item: Item, why: Blocked) {
        item.release_caller();
        match why {
            Blocked::Mount(mount) if self.slow.contains(mount) => self.slow.push(mount, item),
            // The mount has recovered since.
            Blocked::Mount(_) => self.general.push_back(item),
            // A reader has become free since.
            Blocked::NoReader if self.stuck_count() < MAX_STUCK - 1 => self.general.push_back(item),
            Blocked::NoReader => self.parked.push_back(item),
            Blocked::HostCalls => self.waiting_for_host.push_back(item),
        }
    }

    /// Records that `reader` calls a callback of the host. Returns why it must not. Its mount can be read by another
    /// reader: the callback may block for as long as it likes.
    pub(super) fn enter_host(&mut self, reader: &Arc<Reader>) -> Option<Blocked> {
        let at = self.position_of(reader)?;
        if self.entries.iter().filter(|entry| entry.is_in_host_call).count() >= MAX_HOST_CALLS {
            return Some(Blocked::HostCalls);
        }
        let entry = &mut self.entries[at];
        entry.is_in_host_call = true;
        if let Role::OfMount(mount) = entry.role {
            entry.role = Role::OfHostCall;
            self.slow.end_reader(mount, reader);
        }
        None
    }

    /// Records that the callback has returned.
    pub(super) fn leave_host(&mut self, reader: &Arc<Reader>) {
        if let Some(at) = self.position_of(reader) {
            self.entries[at].is_in_host_call = false;
        }
        self.general.extend(self.waiting_for_host.drain(..));
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
            Place::Library if now < position.began + LONGEST_COMPUTATION => {
                return Some(now + patience);
            }
            // A call that is not known to block does.
            Place::Library | Place::Host => entry.role = Role::OfHostCall,
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

    /// Makes the reader at `at`, which is the one of the mount `own`, the one of `mount`. A read may lead to several mounts,
    /// and whatever happens on one of them must not keep the queue of another.
    fn move_reader(&mut self, at: usize, own: MountId, mount: MountId) {
        let entry = &mut self.entries[at];
        entry.role = Role::OfMount(mount);
        self.slow.end_reader(own, &entry.reader);
        self.slow.add(mount, &entry.reader);
    }

    /// Returns how many readers are stuck on mounts, or read from slow ones. Those of local file systems do not count.
    fn stuck_count(&self) -> usize {
        if self.entries.len() < MAX_STUCK - 1 {
            // Too few to matter: the table of mounts is not needed.
            return 0;
        }
        let mounts = Mounts::recent();
        let is_stuck = |entry: &&Entry| match entry.role {
            Role::OfMount(mount) => !mounts.is_local_mount(mount),
            Role::General | Role::OfHostCall => false,
        };
        self.entries.iter().filter(is_stuck).count()
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
                let stuck = self.stuck_count();
                let may_touch = mounts.is_local(path)
                    || stuck < MAX_STUCK && self.answered.contains(&mount)
                    || stuck < MAX_STUCK - 1;
                (!may_touch).then_some(Blocked::NoReader)
            }
            Role::OfMount(own) if own != mount && !mounts.is_local(path) => {
                // A reader of a local mount never meets one that waits for it, so it can wait for any.
                let is_taken = if mounts.is_local_mount(own) {
                    self.slow.has_other_reader(mount, reader)
                } else {
                    self.slow.is_stuck(mount)
                };
                if is_taken {
                    return Some(Blocked::Mount(mount));
                }
                self.move_reader(at, own, mount);
                None
            }
            Role::OfHostCall if !mounts.is_local(path) => {
                if self.slow.has_other_reader(mount, reader) {
                    return Some(Blocked::Mount(mount));
                }
                self.entries[at].role = Role::OfMount(mount);
                self.slow.add(mount, reader);
                None
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
            return match entry.role {
                Role::OfMount(mount) if !Mounts::recent().contains(mount) => Progress::MountEnded,
                _ => entry.reader.progress(),
            };
        }
        if self.waiting_for_host.iter().any(|item| item.id == id) {
            let calls = self.entries.iter().filter(|entry| entry.is_in_host_call);
            let longest = calls.map(|entry| entry.reader.progress()).next();
            return longest.unwrap_or(Progress::Answering);
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
        for entry in &mut self.entries {
            if let Some(running) = entry.running.as_mut().filter(|it| it.handle == handle) {
                running.is_forgotten = true;
                entry.reader.interrupt();
            }
        }
        let mut dropped = self.slow.take(handle);
        for queue in [&mut self.general, &mut self.parked, &mut self.waiting_for_host] {
            let (of_handle, others) = queue.drain(..).partition(|item| item.handle == handle);
            *queue = others;
            dropped.extend::<VecDeque<Item>>(of_handle);
        }
        for group in dropped.iter().filter_map(|item| item.group.as_ref()) {
            group.end_one();
        }
        dropped
    }

    /// Lets the reads of `group` wait that no reader has begun, because no thread can be started.
    pub(super) fn park(&mut self, group: &Arc<Group>) {
        for mut item in self.general.split_off(0) {
            if let Some(of) = item.group.take_if(|of| Arc::ptr_eq(of, group)) {
                of.end_one();
                self.parked.push_back(item);
            } else {
                self.general.push_back(item);
            }
        }
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
