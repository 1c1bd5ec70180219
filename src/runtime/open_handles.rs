//! The open handles of a runtime, which of them is due, and the watcher that they share.
//!
//! The registry holds weak references, and the worker holds a handle only during its step. So the keys of a handle that
//! is closed are not kept until the worker wakes the next time (G8, G18).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::deadlines::{Deadlines, NextStep};
use crate::clock::Now;
use crate::sys::HandleId;
use crate::sys::Waker;
use crate::sys::{Mutex, MutexGuard};
use crate::watch::Watcher;

/// A handle that steps are run for.
pub(super) trait Step: Send + Sync {
    /// Does what is due, and returns when the next step is due. Does not panic.
    fn step(&self, now: Now) -> Option<Instant>;

    /// Makes a step due.
    fn wake(&self);
}

/// The open handles of a runtime.
pub(super) struct OpenHandles {
    watcher: Watcher,
    started: Instant,
    state: Mutex<Schedule>,
}

/// No other lock is taken while this one is held.
#[derive(Default)]
struct Schedule {
    open: BTreeMap<HandleId, OpenHandle>,
    /// Used by the worker thread only: with the HOST runtime each handle has a timer.
    deadlines: Deadlines,
}

struct OpenHandle {
    step: Weak<dyn Step>,
    requested: Arc<AtomicBool>,
}

impl Default for OpenHandles {
    fn default() -> Self {
        Self { watcher: Watcher::default(), started: Instant::now(), state: Mutex::default() }
    }
}

impl OpenHandles {
    pub(super) fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// Returns when the runtime started. Polls are aligned to it.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Adds a handle. Its first step comes when it is woken. `requested` is the flag that signal handlers set before
    /// they wake the worker.
    pub(super) fn register(
        &self,
        id: HandleId,
        handle: Weak<dyn Step>,
        requested: Arc<AtomicBool>,
    ) {
        self.state().open.insert(id, OpenHandle { step: handle, requested });
    }

    pub(super) fn deregister(&self, id: HandleId) {
        let mut state = self.state();
        state.open.remove(&id);
        state.deadlines.remove(id);
    }

    /// Returns all open handles. The caller upgrades each for one step only, because `close` frees the handle when no
    /// step holds it.
    pub(super) fn steps(&self) -> Vec<Weak<dyn Step>> {
        self.state().open.values().map(|entry| entry.step.clone()).collect()
    }

    /// Makes a step of `id` due without waking the worker. A handle that is not registered is ignored.
    pub(super) fn mark(&self, id: HandleId) {
        let mut state = self.state();
        if state.open.contains_key(&id) {
            state.deadlines.wake(id);
        }
    }

    /// Makes steps of all handles due whose reload was requested. A signal handler must not lock, so it only sets a
    /// flag, and the worker reads the flag of every handle. Reading a flag costs a hundredth of a step.
    pub(super) fn mark_requested(&self) {
        let Schedule { open, deadlines } = &mut *self.state();
        for (id, entry) in open {
            if entry.requested.load(Ordering::SeqCst) {
                deadlines.wake(*id);
            }
        }
    }

    pub(super) fn mark_all(&self) {
        let Schedule { open, deadlines } = &mut *self.state();
        for id in open.keys() {
            deadlines.wake(*id);
        }
    }

    /// Removes and returns handles whose steps are due. The caller upgrades each for its step only, and sets its
    /// deadline afterwards.
    pub(super) fn take_due(&self, now: Instant) -> Vec<(HandleId, Weak<dyn Step>)> {
        let Schedule { open, deadlines } = &mut *self.state();
        let due = deadlines.take_due(now).into_iter();
        due.filter_map(|id| open.get(&id).map(|entry| (id, entry.step.clone()))).collect()
    }

    /// Sets when the next step of `id` is due unless it is woken before. A handle that was removed is ignored.
    pub(super) fn set_deadline(&self, id: HandleId, deadline: Option<Instant>) {
        let mut state = self.state();
        if state.open.contains_key(&id) {
            state.deadlines.set(id, deadline);
        }
    }

    pub(super) fn next_step(&self) -> NextStep {
        self.state().deadlines.next()
    }

    fn state(&self) -> MutexGuard<'_, Schedule> {
        self.state.lock()
    }
}

/// Makes steps of one handle due.
pub(super) struct HandleWaker {
    waker: Arc<Waker>,
    /// `None` with the HOST runtime, where the waker belongs to this handle alone, so that waking it is enough.
    of_worker: Option<(Arc<OpenHandles>, HandleId)>,
}

impl HandleWaker {
    pub(super) fn of_worker(waker: Arc<Waker>, handles: Arc<OpenHandles>, id: HandleId) -> Self {
        Self { waker, of_worker: Some((handles, id)) }
    }

    pub(super) fn of_host(waker: Arc<Waker>) -> Self {
        Self { waker, of_worker: None }
    }

    /// Makes a step due. With the HOST runtime, this wakes the host. Otherwise the worker runs the step before it
    /// sleeps again. It may be asleep already, so every other thread must wake it afterwards.
    pub(super) fn mark(&self) {
        match &self.of_worker {
            Some((handles, id)) => handles.mark(*id),
            None => self.waker.wake(),
        }
    }

    /// Makes a step due, and wakes the worker or the host.
    pub(super) fn wake(&self) {
        self.mark();
        if self.of_worker.is_some() {
            self.waker.wake();
        }
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Step for Nothing {
        fn step(&self, _: Now) -> Option<Instant> {
            None
        }

        fn wake(&self) {}
    }

    /// Registers handles with the ids from 0 to `count - 1`. Returns the step that they share, as long as which they live;
    /// the `requested` flag of each; and the registry.
    fn handles(count: u64) -> (Arc<dyn Step>, Vec<Arc<AtomicBool>>, OpenHandles) {
        let (step, handles): (Arc<dyn Step>, _) = (Arc::new(Nothing), OpenHandles::default());
        let flags: Vec<_> = (0..count).map(|_| Arc::new(AtomicBool::new(false))).collect();
        for (id, flag) in (0..).zip(&flags) {
            handles.register(id, Arc::downgrade(&step), flag.clone());
        }
        (step, flags, handles)
    }

    fn due(handles: &OpenHandles) -> Vec<HandleId> {
        handles.take_due(Instant::now()).into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn a_request_marks_its_own_handle_only() {
        let (_step, flags, handles) = handles(40);
        flags[17].store(true, Ordering::SeqCst);
        handles.mark_requested();
        assert_eq!(due(&handles), [17]);
        assert_eq!(handles.next_step(), NextStep::WhenWoken);
    }

    #[test]
    fn a_deregistered_handle_is_neither_marked_nor_given_a_deadline() {
        let (_step, _, handles) = handles(2);
        handles.mark(1);
        handles.deregister(1);
        handles.mark(1);
        handles.set_deadline(1, Some(Instant::now()));
        assert_eq!(due(&handles), []);
        handles.mark_all();
        assert_eq!(due(&handles), [0]);
    }
}
