//! Events to the host: in order, one at a time for each handle, on a thread of their own.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::event::{Event, EventSink, Speaker};

/// Events that a handle keeps for a host that does not take them. Beyond that the oldest goes: what
/// is true now matters more than what was.
pub(crate) const MAX_WAITING: usize = 256;

/// The queues that have something to deliver, in turn: no handle's events hold up another's.
#[derive(Default)]
pub(super) struct Delivery {
    state: Mutex<DeliveryState>,
    changed: Condvar,
}

#[derive(Default)]
struct DeliveryState {
    ready: VecDeque<Arc<EventQueue>>,
    stopped: bool,
}

impl Delivery {
    /// Delivers until stopped: the body of the delivery thread.
    pub(super) fn run(&self) {
        while let Some(queue) = self.next() {
            if queue.deliver_one() {
                self.schedule(queue);
            }
        }
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
            if state.stopped {
                return None;
            }
            if let Some(queue) = state.ready.pop_front() {
                return Some(queue);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn schedule(&self, queue: Arc<EventQueue>) {
        let mut state = self.state();
        if !state.stopped {
            state.ready.push_back(queue);
            self.changed.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, DeliveryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events of one handle, and who is told of them.
pub(super) struct EventQueue {
    state: Mutex<QueueState>,
    idle: Condvar,
    delivery: Arc<Delivery>,
    /// What the host calls the handle, if anything.
    name: Option<Arc<str>>,
}

#[derive(Default)]
struct QueueState {
    sink: Option<EventSink>,
    waiting: VecDeque<Event>,
    /// The thread that runs the sink at this moment.
    running_on: Option<ThreadId>,
    /// How often a sink was run, to tell one run from the next.
    runs: u64,
    /// Whether the queue is in the delivery's line, or being delivered from.
    scheduled: bool,
}

impl EventQueue {
    /// Nothing is delivered until [`EventQueue::release`].
    pub(super) fn new(
        delivery: Arc<Delivery>,
        name: Option<Arc<str>>,
        sink: Option<EventSink>,
    ) -> Arc<Self> {
        let state = QueueState { sink, scheduled: true, ..QueueState::default() };
        Arc::new(Self { state: Mutex::new(state), idle: Condvar::new(), delivery, name })
    }

    /// Lets events go to the host, those that waited first.
    pub(super) fn release(self: &Arc<Self>) {
        let mut state = self.state();
        state.scheduled = !state.waiting.is_empty();
        if state.scheduled {
            drop(state);
            self.delivery.schedule(self.clone());
        }
    }

    /// Adds an event; where nobody listens it is nobody's but the log's.
    pub(super) fn push(self: &Arc<Self>, mut event: Event) {
        event.log(Speaker(self.name.as_deref()));
        event.further = Vec::new();
        let mut state = self.state();
        if state.sink.is_none() {
            return;
        }
        if state.waiting.len() == MAX_WAITING {
            state.waiting.pop_front();
        }
        state.waiting.push_back(event);
        if !state.scheduled {
            state.scheduled = true;
            drop(state);
            self.delivery.schedule(self.clone());
        }
    }

    /// How many events can be added so that others still find a place; all where nobody listens.
    pub(super) fn room(&self) -> usize {
        let state = self.state();
        match state.sink {
            Some(_) => (MAX_WAITING / 2).saturating_sub(state.waiting.len()),
            None => usize::MAX,
        }
    }

    /// Puts `sink` in the place of the one before, which is not running any more when this returns,
    /// unless it is what calls this.
    pub(super) fn set_sink(&self, sink: Option<EventSink>) {
        let mut state = self.state();
        if sink.is_none() {
            state.waiting.clear();
        }
        state.sink = sink;
        let (me, run) = (thread::current().id(), state.runs);
        while state.runs == run && state.running_on.is_some_and(|thread| thread != me) {
            state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Delivers the first event; tells whether more are waiting.
    fn deliver_one(&self) -> bool {
        let mut state = self.state();
        if let (Some(sink), Some(event)) = (state.sink.clone(), state.waiting.pop_front()) {
            state.running_on = Some(thread::current().id());
            state.runs += 1;
            drop(state);
            sink.tell(&event);
            state = self.state();
            state.running_on = None;
            self.idle.notify_all();
        }
        state.scheduled = !state.waiting.is_empty();
        state.scheduled
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
