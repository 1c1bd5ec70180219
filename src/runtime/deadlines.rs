//! Orders the handles of a worker: those that were woken first, then those whose deadline has come.
//!
//! Woken handles come first, because a request or a notification is waiting. Both kinds are taken in limited batches,
//! and the worker reads notifications in between. So polls of thousands of handles do not delay a changed file.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use crate::sys::HandleId;

/// The largest number of handles of each kind that are taken at once. Between two batches the worker reads
/// the kernel's notifications, so thousands of polls that fall due together do not delay a changed file.
const BATCH: usize = 64;

/// The handles of a registry, by when their next step is due.
#[derive(Default)]
pub(super) struct Deadlines {
    /// In the order in which they were woken, each once.
    woken: VecDeque<HandleId>,
    is_woken: BTreeSet<HandleId>,
    by_handle: BTreeMap<HandleId, Instant>,
    by_time: BTreeSet<(Instant, HandleId)>,
}

/// When the next step of any handle is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    Now,
    At(Instant),
    /// Not before a handle is woken.
    WhenWoken,
}

impl Deadlines {
    /// Makes `handle` due now. Waking it again before it is taken changes nothing.
    pub(super) fn wake(&mut self, handle: HandleId) {
        if self.is_woken.insert(handle) {
            self.woken.push_back(handle);
        }
    }

    /// Replaces the deadline of `handle`; `None` removes it. Whether it was woken stays as it was.
    pub(super) fn set(&mut self, handle: HandleId, deadline: Option<Instant>) {
        let before = match deadline {
            Some(at) => {
                self.by_time.insert((at, handle));
                self.by_handle.insert(handle, at)
            }
            None => self.by_handle.remove(&handle),
        };
        if let Some(before) = before
            && Some(before) != deadline
        {
            self.by_time.remove(&(before, handle));
        }
    }

    /// Removes the deadline of `handle`, and its place among the woken handles, so that the worker does not find a
    /// closed handle here.
    pub(super) fn remove(&mut self, handle: HandleId) {
        self.set(handle, None);
        if self.is_woken.remove(&handle) {
            self.woken.retain(|woken| *woken != handle);
        }
    }

    /// Takes handles that are due at `now`, at most [`BATCH`] of each kind, so that neither kind starves the other.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<HandleId> {
        let count = self.woken.len().min(BATCH);
        let mut due: Vec<_> = self.woken.drain(..count).collect();
        for handle in &due {
            self.is_woken.remove(handle);
            self.set(*handle, None);
        }
        for _ in 0..BATCH {
            match self.by_time.first() {
                Some((at, handle)) if *at <= now => {
                    let handle = *handle;
                    self.set(handle, None);
                    due.push(handle);
                }
                _ => break,
            }
        }
        due
    }

    pub(super) fn next(&self) -> NextStep {
        if !self.woken.is_empty() {
            return NextStep::Now;
        }
        self.by_time.first().map_or(NextStep::WhenWoken, |(at, _)| NextStep::At(*at))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_handles_that_are_woken_or_due_are_taken() {
        let (mut deadlines, now) = (Deadlines::default(), Instant::now());
        for handle in 0..1000 {
            deadlines.set(handle, Some(now + Duration::from_secs(handle + 1)));
        }
        assert_eq!(deadlines.take_due(now), []);
        assert_eq!(deadlines.next(), NextStep::At(now + Duration::from_secs(1)));
        deadlines.wake(7);
        deadlines.wake(7);
        assert_eq!(deadlines.next(), NextStep::Now);
        assert_eq!(deadlines.take_due(now), [7]);
        assert_eq!(deadlines.take_due(now + Duration::from_secs(2)), [0, 1]);
        assert_eq!(deadlines.next(), NextStep::At(now + Duration::from_secs(3)));
    }

    #[test]
    fn a_woken_handle_that_is_also_due_is_taken_once() {
        let (mut deadlines, now) = (Deadlines::default(), Instant::now());
        deadlines.set(1, Some(now));
        deadlines.wake(1);
        assert_eq!(deadlines.take_due(now), [1]);
        assert_eq!(deadlines.next(), NextStep::WhenWoken);
    }

    #[test]
    fn a_new_deadline_replaces_the_old_one_and_keeps_the_wake() {
        let (mut deadlines, now) = (Deadlines::default(), Instant::now());
        deadlines.set(1, Some(now));
        deadlines.wake(1);
        deadlines.set(1, Some(now + Duration::from_secs(1)));
        deadlines.set(1, Some(now + Duration::from_secs(1)));
        assert_eq!(deadlines.take_due(now), [1]);
        deadlines.set(1, Some(now));
        deadlines.set(1, Some(now + Duration::from_secs(1)));
        assert_eq!(deadlines.take_due(now), []);
        assert_eq!(deadlines.next(), NextStep::At(now + Duration::from_secs(1)));
    }

    #[test]
    fn a_removed_handle_leaves_nothing_behind() {
        let (mut deadlines, now) = (Deadlines::default(), Instant::now());
        for handle in [1, 2] {
            deadlines.set(handle, Some(now));
            deadlines.wake(handle);
        }
        deadlines.remove(1);
        assert_eq!(deadlines.take_due(now), [2]);
        assert_eq!(deadlines.next(), NextStep::WhenWoken);
    }

    #[test]
    fn neither_woken_nor_due_handles_starve_the_others() {
        let (mut deadlines, now) = (Deadlines::default(), Instant::now());
        let count = BATCH as u64;
        for handle in 0..2 * count {
            deadlines.wake(handle);
            deadlines.set(10_000 + handle, Some(now));
        }
        let first = deadlines.take_due(now);
        let expected = (0..count).chain(10_000..10_000 + count);
        assert_eq!(first, expected.collect::<Vec<_>>());
        // A handle that is woken again waits behind those that were woken before.
        deadlines.wake(0);
        let second = deadlines.take_due(now);
        assert_eq!(second[..BATCH], (count..2 * count).collect::<Vec<_>>());
        assert_eq!(deadlines.take_due(now), [0]);
    }
}
