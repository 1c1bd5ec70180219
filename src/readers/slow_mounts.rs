//! The mounts that do not answer, or answer slowly: each has its reader, and a queue of reads.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::mounts::{MountId, Mounts};
use super::read::{Item, PATIENCE, ReadId};
use super::reader::{Place, Progress, Reader};
use crate::sys::HandleId;

#[derive(Default)]
pub(super) struct SlowMounts(BTreeMap<MountId, SlowMount>);

#[derive(Default)]
struct SlowMount {
    /// `None` while there is nothing to read, or no reader may be started.
    reader: Option<Arc<Reader>>,
    queue: VecDeque<Item>,
    /// Whether the latest read was quick: if no read follows, the mount is slow no more.
    is_quick: bool,
}

impl SlowMounts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether one of them is not local.
    pub(super) fn has_remote(&self) -> bool {
        let mounts = Mounts::recent();
        self.0.keys().any(|mount| !mounts.is_local_mount(*mount))
    }

    pub(super) fn contains(&self, mount: MountId) -> bool {
        self.0.contains_key(&mount)
    }

    /// Records that `reader` waits for `mount`, and makes it the reader of that mount unless there is another.
    pub(super) fn add(&mut self, mount: MountId, reader: &Arc<Reader>) {
        let slow = self.0.entry(mount).or_default();
        slow.reader.get_or_insert_with(|| reader.clone());
        slow.is_quick = false;
    }

    pub(super) fn set_reader(&mut self, mount: MountId, reader: Option<&Arc<Reader>>) {
        if let Some(slow) = self.0.get_mut(&mount) {
            slow.reader = reader.cloned();
        }
    }

    /// Returns the mounts that have reads and no reader.
    pub(super) fn without_reader(&self) -> impl Iterator<Item = MountId> {
        let waiting =
            self.0.iter().filter(|(_, slow)| slow.reader.is_none() && !slow.queue.is_empty());
        waiting.map(|(mount, _)| *mount)
    }

    pub(super) fn push(&mut self, mount: MountId, item: Item) {
        self.0.entry(mount).or_default().queue.push_back(item);
    }

    /// Returns the next read of `mount` for `reader`, if that is its reader.
    pub(super) fn pop(&mut self, mount: MountId, reader: &Arc<Reader>) -> Option<Item> {
        let slow = self.0.get_mut(&mount)?;
        let is_its_reader = slow.reader.as_ref().is_some_and(|own| Arc::ptr_eq(own, reader));
        if is_its_reader { slow.queue.pop_front() } else { None }
    }

    /// Records whether a read of `mount` was quick.
    pub(super) fn record(&mut self, mount: MountId, is_quick: bool) {
        if let Some(slow) = self.0.get_mut(&mount) {
            slow.is_quick = is_quick;
        }
    }

    /// Records that `reader` ends. If it was the reader of `mount` and the mount is quick again, it is slow no more.
    pub(super) fn end_reader(&mut self, mount: MountId, reader: &Arc<Reader>) {
        let Some(slow) = self.0.get_mut(&mount) else { return };
        if slow.reader.as_ref().is_some_and(|own| Arc::ptr_eq(own, reader)) {
            slow.reader = None;
            if slow.is_quick && slow.queue.is_empty() {
                self.0.remove(&mount);
            }
        }
    }

    /// Returns whether `mount` has a reader other than `reader`.
    pub(super) fn has_other_reader(&self, mount: MountId, reader: &Arc<Reader>) -> bool {
        let own = self.0.get(&mount).and_then(|slow| slow.reader.as_ref());
        own.is_some_and(|own| !Arc::ptr_eq(own, reader))
    }

    /// Returns whether the reader of `mount` is stuck there.
    pub(super) fn is_stuck(&self, mount: MountId) -> bool {
        let reader = self.0.get(&mount).and_then(|slow| slow.reader.as_ref());
        reader.is_some_and(|reader| {
            let position = reader.position();
            position.place == Place::File && position.since.elapsed() >= PATIENCE
        })
    }

    /// Returns how the read `id` continues, if it waits for a mount.
    pub(super) fn progress(&self, id: ReadId) -> Option<Progress> {
        let slow = self.0.values().find(|slow| slow.queue.iter().any(|item| item.id == id))?;
        Some(slow.reader.as_ref().map_or(Progress::NoReader, |reader| reader.progress()))
    }

    /// Removes the reads of `handle`.
    pub(super) fn take(&mut self, handle: HandleId) -> Vec<Item> {
        let mut taken = Vec::new();
        for slow in self.0.values_mut() {
            let (of_handle, others) = slow.queue.drain(..).partition(|item| item.handle == handle);
            slow.queue = others;
            taken.extend::<VecDeque<Item>>(of_handle);
        }
        taken
    }

    /// Removes the mounts that do not exist any more, and returns their reads.
    pub(super) fn remove_ended(&mut self, exists: impl Fn(MountId) -> bool) -> Vec<Item> {
        let ended: Vec<_> = self.0.keys().copied().filter(|mount| !exists(*mount)).collect();
        let ended = ended.into_iter().filter_map(|mount| self.0.remove(&mount));
        ended.flat_map(|slow| slow.queue).collect()
    }
}
