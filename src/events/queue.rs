//! Keeps the events of one handle until the host's callback has received them or the host has taken them.
//!
//! If more events wait than a limit, an old event is merged into a newer one of its kind, which counts it. So a slow
//! host never loses the newest event of a kind (G7).

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::{io, mem};

use arc_swap::ArcSwapOption;

use super::dispatcher::{Deliver, Dispatcher};
use super::event::{Event, EventSink, HandleName};
use crate::sys::{
    Deadlock, HandleId, InheritedFd, Mutex, MutexGuard, Resource, WaitGraph, Waker, catch_panic,
};

/// Number of events that a queue keeps for a host that does not take them.
///
/// If there are more, an old event is merged into a newer one of its kind. The host needs the current state more than
/// the history.
pub(crate) const MAX_WAITING: usize = 256;

/// The events of one handle, in order and delivered one at a time (G7).
pub(crate) struct EventQueue {
    owner: QueueOwner,
    state: Mutex<QueueState>,
    caller: Caller,
}

/// The handle that a queue belongs to.
pub(crate) struct QueueOwner {
    pub(crate) id: HandleId,
    /// The name that the host gave the handle, if any.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) waits: Arc<WaitGraph>,
}

/// The thread that calls the host's callback.
enum Caller {
    /// A background thread.
    Dispatcher(Arc<Dispatcher>),
    /// A thread of the host, inside `certreload_dispatch`.
    Host,
}

struct QueueState {
    receiver: Receiver,
    waiting: VecDeque<Event>,
    /// Number of callback runs that have begun. The newest run has this number.
    runs: u64,
    /// The number of the run that has not ended, if any.
    running: Option<u64>,
    /// Whether the dispatcher has this queue, or a thread is delivering from it.
    is_scheduled: bool,
    /// Whether background threads call the callback, and not the host.
    by_threads: bool,
    /// Whether the host has ever taken events itself. If so, events wait for it again after it removes its callback.
    has_taken: bool,
    /// The host's descriptor. With background threads, `None` until the host asks for it.
    readiness: Option<Readiness>,
}

/// A descriptor that is readable as long as the host has events to take or to dispatch.
struct Readiness {
    waker: Waker,
    is_readable: bool,
}

/// The receiver of the events.
enum Receiver {
    /// None yet: the host has no callback and never took an event. It may begin, so each kind's newest event is kept.
    Unknown,
    /// The host's callback.
    Sink(EventSink),
    /// The host, which takes events itself.
    Host,
    /// None any more: the handle is closed.
    Closed,
}

impl EventQueue {
    /// Returns a queue whose events `dispatcher` delivers to `sink`, once [`EventQueue::release`] has been called.
    pub(crate) fn delivered(
        owner: QueueOwner,
        dispatcher: Arc<Dispatcher>,
        sink: Option<EventSink>,
    ) -> Arc<Self> {
        Self::new(owner, Caller::Dispatcher(dispatcher), sink, None)
    }

    /// Returns a queue whose events the host takes, or has delivered to `sink` when it dispatches.
    pub(crate) fn of_host(owner: QueueOwner, sink: Option<EventSink>) -> io::Result<Arc<Self>> {
        Ok(Self::new(owner, Caller::Host, sink, Some(Readiness::new()?)))
    }

    fn new(
        owner: QueueOwner,
        caller: Caller,
        sink: Option<EventSink>,
        readiness: Option<Readiness>,
    ) -> Arc<Self> {
        let state = QueueState {
            receiver: sink.map_or(Receiver::Unknown, Receiver::Sink),
            waiting: VecDeque::new(),
            runs: 0,
            running: None,
            // Keeps the queue away from the dispatcher until it is released.
            is_scheduled: true,
            by_threads: matches!(caller, Caller::Dispatcher(_)),
            has_taken: false,
            readiness,
        };
        Arc::new(Self { owner, state: Mutex::new(state), caller })
    }

    /// Starts delivery, with the events that were pushed before.
    ///
    /// An event of `open` would otherwise reach the callback before the host has its handle.
    pub(crate) fn release(self: &Arc<Self>) {
        let mut state = self.state();
        state.is_scheduled = false;
        self.notify_receiver(state);
    }

    /// Logs an event and adds it to the queue.
    pub(crate) fn push(self: &Arc<Self>, mut event: Event) {
        event.log(HandleName(self.owner.name.as_deref()));
        event.further = Vec::new();
        let mut state = self.state();
        let room = match state.receiver {
            Receiver::Closed => return,
            Receiver::Unknown => 0,
            Receiver::Sink(_) | Receiver::Host => MAX_WAITING,
        };
        state.add(event, room);
        self.notify_receiver(state);
    }

    /// Schedules delivery of waiting events, or updates the descriptor of a host that takes or dispatches them.
    fn notify_receiver(self: &Arc<Self>, mut state: MutexGuard<'_, QueueState>) {
        match (&self.caller, &state.receiver) {
            (Caller::Dispatcher(dispatcher), Receiver::Sink(_)) => {
                if !state.is_scheduled && !state.waiting.is_empty() {
                    state.is_scheduled = true;
                    drop(state);
                    dispatcher.schedule(self.clone());
                }
            }
            _ => state.update_readiness(),
        }
    }

    /// Returns how many expiry events may be added at once: half of the queue stays free for other events.
    ///
    /// Without a receiver there is no limit, because each event is merged into the newest of its kind.
    pub(crate) fn room(&self) -> usize {
        let state = self.state();
        match state.receiver {
            Receiver::Unknown | Receiver::Closed => usize::MAX,
            Receiver::Sink(_) | Receiver::Host => {
                (MAX_WAITING / 2).saturating_sub(state.waiting.len())
            }
        }
    }

    /// Replaces the callback, and blocks until the previous one is no longer running (G7).
    ///
    /// If the previous callback runs on this thread, this does not block. If it runs on another thread and waits for
    /// this one, nothing is changed and the result is [`Deadlock`]. `kept` receives a copy of `sink` for children
    /// forked later (G11).
    pub(crate) fn set_sink(
        self: &Arc<Self>,
        sink: Option<EventSink>,
        kept: &ArcSwapOption<EventSink>,
    ) -> Result<(), Deadlock> {
        // Declared before the lock: dropping it may run the host's destructor, which must not run under the lock.
        let _previous;
        let mut state = self.state();
        // Register the wait before anything is changed. Checked later, a deadlock could only be reported after the
        // callback had already been replaced.
        let run =
            self.run_of(&state).map(|run| self.owner.waits.want_of_others(run)).transpose()?;
        // Store under the lock: of two concurrent calls, the same one must win in `kept` and in this queue.
        let was_kept = kept.swap(sink.clone().map(Arc::new));
        let mut replaced = None;
        match (&state.receiver, sink) {
            (Receiver::Closed, _) | (Receiver::Host, None) => {}
            (_, None) if state.has_taken => {
                replaced = Some(mem::replace(&mut state.receiver, Receiver::Host));
            }
            (Receiver::Unknown | Receiver::Sink(_), None) => {
                state.waiting.clear();
                replaced = Some(mem::replace(&mut state.receiver, Receiver::Unknown));
            }
            (before, Some(sink)) => {
                // Drop the events from the time without a receiver: only a host that takes events itself gets them.
                if let Receiver::Unknown = before {
                    state.waiting.clear();
                }
                replaced = Some(mem::replace(&mut state.receiver, Receiver::Sink(sink)));
            }
        }
        _previous = (was_kept, replaced);
        state.update_readiness();
        self.notify_receiver(state);
        if let Some(run) = run {
            run.until_released();
        }
        Ok(())
    }

    /// Drops all events and stops delivery, then blocks until a running callback has returned (G7).
    ///
    /// Does not block for a callback that runs on this thread or waits for it.
    pub(crate) fn close(self: &Arc<Self>) {
        // Dropped after the lock: see `set_sink`.
        let _previous;
        let mut state = self.state();
        state.waiting.clear();
        _previous = mem::replace(&mut state.receiver, Receiver::Closed);
        // Close the descriptor now: another thread may hold a reference to this queue for longer.
        state.readiness = None;
        let run = self.run_of(&state);
        drop(state);
        if let Some(run) = run {
            self.owner.waits.wait_for_others(run);
        }
    }

    /// Closes the descriptor in a forked child, without using it (G11).
    ///
    /// The child shares the eventfd with its parent, so a write or a read here would change the parent's. If a thread
    /// of the parent held the lock at the fork, the state is unreliable and the descriptor stays open.
    pub(crate) fn abandon(&self) {
        if let Some(mut state) = self.state.try_lock()
            && let Some(readiness) = state.readiness.take()
        {
            InheritedFd::Event.close(readiness.waker.as_raw_fd());
            // Prevent a second close: the number may belong to another descriptor by then.
            mem::forget(readiness);
        }
    }

    /// Returns the callback run that has not ended, if there is one.
    fn run_of(&self, state: &QueueState) -> Option<Resource> {
        state.running.map(|run| Resource::Callback(self.owner.id, run))
    }

    /// Returns a descriptor that is readable as long as events wait for the host.
    ///
    /// With background threads, a call shows that the host will take events itself. With the HOST runtime, a call does
    /// not show that: the host may use the descriptor only to learn when it must dispatch.
    pub(crate) fn descriptor(&self) -> io::Result<RawFd> {
        let mut state = self.state();
        if state.by_threads {
            state.begin_to_take();
        }
        let readiness = match state.readiness.take() {
            Some(readiness) => readiness,
            None => Readiness::new()?,
        };
        let descriptor = readiness.waker.as_raw_fd();
        state.readiness = Some(readiness);
        state.update_readiness();
        Ok(descriptor)
    }

    /// Calls `show` with the descriptor, if there is one.
    pub(crate) fn with_descriptor<T>(&self, show: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        self.state().readiness.as_ref().map(|readiness| show(readiness.waker.as_fd()))
    }

    /// Takes the next event. Returns `None` if the host has a callback, which receives all events.
    pub(crate) fn take(&self) -> Option<Event> {
        let mut state = self.state();
        state.begin_to_take();
        if let Receiver::Sink(_) = state.receiver {
            return None;
        }
        let event = state.waiting.pop_front();
        state.update_readiness();
        event
    }

    /// Delivers the events that are waiting now to the callback on this thread, unless another thread is delivering.
    pub(crate) fn deliver_here(&self) {
        // An event that a callback causes waits for the next call. Otherwise this call might never return.
        let waiting = self.state().waiting.len();
        for _ in 0..waiting {
            if !self.deliver_one() {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock()
    }
}

impl Deliver for EventQueue {
    fn deliver_one(&self) -> bool {
        let mut state = self.state();
        if state.running.is_some() {
            return false;
        }
        let sink = match &state.receiver {
            Receiver::Sink(sink) if !state.waiting.is_empty() => Some(sink.clone()),
            Receiver::Sink(_) | Receiver::Unknown | Receiver::Host | Receiver::Closed => None,
        };
        if let Some(sink) = sink
            && let Some(event) = state.waiting.pop_front()
        {
            state.runs += 1;
            state.running = Some(state.runs);
            state.update_readiness();
            // Register the run under the lock, before another thread can see it and wait for it.
            let running = self.owner.waits.hold(Resource::Callback(self.owner.id, state.runs));
            drop(state);
            // A panic, which is a defect, loses this event. The thread and the later events are not affected (G12).
            let _ = catch_panic(|| sink.notify(&event));
            // If the callback was replaced while it ran, this is its last reference: dropping it runs the host's
            // destructor. No lock is held here, and a thread that waits for this run has not returned to the host yet.
            drop(sink);
            state = self.state();
            state.running = None;
            drop(running);
        }
        let has_more = matches!(state.receiver, Receiver::Sink(_)) && !state.waiting.is_empty();
        state.is_scheduled = has_more && state.by_threads;
        state.update_readiness();
        has_more
    }
}

impl QueueState {
    /// Adds an event. If more than `room` wait then, merges an old event into a newer one of its kind.
    fn add(&mut self, event: Event, room: usize) {
        self.waiting.push_back(event);
        if self.waiting.len() <= room {
            return;
        }
        // Merge events about the same path first, so that the latest event of every path is kept as long as possible.
        let pair = self.first_pair(|event| (event.kind, &event.path));
        let pair = pair.or_else(|| self.first_pair(|event| event.kind));
        if let Some((old, new)) = pair {
            self.waiting[new].count += self.waiting[old].count;
            self.waiting.remove(old);
        }
    }

    /// Returns the positions of the oldest event that has a newer one with the same key, and of the first newer one.
    fn first_pair<'a, K: Eq + Hash>(&'a self, key: fn(&'a Event) -> K) -> Option<(usize, usize)> {
        let (mut newer, mut pair) = (HashMap::with_capacity(self.waiting.len()), None);
        for (at, event) in self.waiting.iter().enumerate().rev() {
            pair = newer.insert(key(event), at).map(|newer| (at, newer)).or(pair);
        }
        pair
    }

    fn begin_to_take(&mut self) {
        self.has_taken = true;
        if let Receiver::Unknown = self.receiver {
            self.receiver = Receiver::Host;
        }
    }

    /// Makes the descriptor readable if the host has something to take or to dispatch, and unreadable otherwise.
    fn update_readiness(&mut self) {
        let Some(Readiness { waker, is_readable }) = &mut self.readiness else { return };
        let is_for_host = match self.receiver {
            Receiver::Host => true,
            // While one of the host's threads runs the callback, no other thread may deliver (G7), so none is woken.
            Receiver::Sink(_) => !self.by_threads && self.running.is_none(),
            // A host that never takes events would not empty the queue, and so would be woken for ever.
            Receiver::Unknown | Receiver::Closed => false,
        };
        let is_wanted = is_for_host && !self.waiting.is_empty();
        match (*is_readable, is_wanted) {
            (false, true) => waker.wake(),
            (true, false) => waker.drain(),
            _ => {}
        }
        *is_readable = is_wanted;
    }
}

impl Readiness {
    fn new() -> io::Result<Self> {
        Ok(Self { waker: Waker::new()?, is_readable: false })
    }
}

#[cfg(test)]
#[path = "tests_queue.rs"]
mod tests;
