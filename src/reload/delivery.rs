//! Calls the host's callbacks: in order and one at a time for each handle, on threads of their own.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::queue::EventQueue;
use crate::sys::Bell;

/// A callback that runs for longer than this while others wait is not waited for: another thread sees
/// to those.
const PATIENCE: Duration = Duration::from_millis(50);

/// The queues that have something to deliver, in turn: no handle's events hold up another's.
pub(super) struct Delivery {
    state: Mutex<DeliveryState>,
    changed: Condvar,
    /// Wakes who can start a thread.
    bell: Arc<Bell>,
}

#[derive(Default)]
struct DeliveryState {
    ready: VecDeque<Arc<EventQueue>>,
    idle: usize,
    /// When a thread last took a queue.
    taken_at: Option<Instant>,
    stopped: bool,
}

impl Delivery {
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), bell }
    }

    /// Delivers until stopped, or until there are threads enough without this one: the body of a
    /// delivery thread.
    pub(super) fn run(&self) {
        while let Some(queue) = self.next() {
            if queue.deliver_one() {
                self.enqueue(queue);
            }
        }
    }

    /// When [`Delivery::wants_thread`] is to be asked: something waits.
    pub(super) fn ask_at(&self) -> Option<Instant> {
        let state = self.state();
        let waits = !state.stopped && !state.ready.is_empty();
        waits.then(|| state.taken_at.unwrap_or_else(Instant::now) + PATIENCE)
    }

    /// Whether another thread is to be started: all that there are have been in callbacks for too long.
    pub(super) fn wants_thread(&self, now: Instant) -> bool {
        let mut state = self.state();
        let is_late = state.taken_at.is_none_or(|at| at + PATIENCE <= now);
        if state.stopped || state.ready.is_empty() || !is_late {
            return false;
        }
        // Whatever comes of it: it is not asked for again at once.
        state.taken_at = Some(now);
        state.idle == 0
    }

    /// Adds a queue that has something to deliver.
    pub(super) fn schedule(&self, queue: Arc<EventQueue>) {
        if self.enqueue(queue) == 0 {
            self.bell.ring();
        }
    }

    /// Adds a queue; tells how many threads wait for one.
    fn enqueue(&self, queue: Arc<EventQueue>) -> usize {
        let mut state = self.state();
        if !state.stopped {
            state.ready.push_back(queue);
            self.changed.notify_one();
        }
        state.idle
    }

    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        state.ready.clear();
        self.changed.notify_all();
    }

    fn next(&self) -> Option<Arc<EventQueue>> {
        let mut state = self.state();
        loop {
            if !state.stopped
                && let Some(queue) = state.ready.pop_front()
            {
                state.taken_at = Some(Instant::now());
                return Some(queue);
            }
            // One that waits is enough.
            if state.stopped || state.idle > 0 {
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, DeliveryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
