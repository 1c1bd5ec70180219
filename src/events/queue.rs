//! The events of one handle, until the host has been told or has asked for them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::dispatcher::{Deliver, Dispatcher};
use super::event::{Event, EventSink, HandleName};
use crate::sys::HandleId;
use crate::sys::{Deadlock, Resource, WaitGraph};
use crate::sys::{InheritedFd, Waker};
use crate::sys::{Mutex, MutexGuard};

/// Events that a handle keeps for a host that does not take them. Beyond that the oldest of which there
/// is a newer one of the same kind goes into that: what is true now matters more than what was.
pub(crate) const MAX_WAITING: usize = 256;

/// In order, and told one at a time.
pub(crate) struct EventQueue {
    id: HandleId,
    state: Mutex<QueueState>,
    outlet: Outlet,
    waits: Arc<WaitGraph>,
    /// What the host calls the handle, if anything.
    name: Option<Arc<str>>,
}

/// Who calls the callback.
enum Outlet {
    /// A background thread.
    Dispatcher(Arc<Dispatcher>),
    /// The host, when it dispatches.
    Host,
}

struct QueueState {
    listener: Receiver,
    waiting: VecDeque<Event>,
    /// How many runs of a sink have begun, and which of them is not over.
    runs: u64,
    running: Option<u64>,
    /// Whether the queue is in the delivery's line, or being delivered from.
    is_scheduled: bool,
    /// Threads call the sink, and not the host.
    by_threads: bool,
    /// The host has asked for events, and does so again where it has no sink any more.
    has_asked: bool,
    /// Rings as long as the host has events to take, once it has asked for the descriptor.
    bell: Option<Level>,
}

/// A bell, and whether it rings.
struct Level {
    bell: Waker,
    rings: bool,
}

/// Whom the events are for.
enum Receiver {
    /// Nobody so far: of each kind the newest is kept, should somebody ask.
    Nobody,
    /// A function of the host.
    Sink(EventSink),
    /// The host, which asks.
    Asks,
    /// Nobody any more.
    Closed,
}

impl EventQueue {
    /// Its events are delivered by threads; not before [`EventQueue::release`].
    pub(crate) fn delivered(
        id: HandleId,
        delivery: Arc<Dispatcher>,
        waits: Arc<WaitGraph>,
        name: Option<Arc<str>>,
        sink: Option<EventSink>,
    ) -> Arc<Self> {
        Self::new(id, Outlet::Dispatcher(delivery), waits, name, sink, None)
    }

    /// Its events are for the host to take, or to have delivered when it dispatches.
    pub(crate) fn of_host(
        id: HandleId,
        waits: Arc<WaitGraph>,
        name: Option<Arc<str>>,
        sink: Option<EventSink>,
    ) -> io::Result<Arc<Self>> {
        let bell = Some(Waker::new()?);
        Ok(Self::new(id, Outlet::Host, waits, name, sink, bell))
    }

    fn new(
        id: HandleId,
        outlet: Outlet,
        waits: Arc<WaitGraph>,
        name: Option<Arc<str>>,
        sink: Option<EventSink>,
        bell: Option<Waker>,
    ) -> Arc<Self> {
        let listener = sink.map_or(Receiver::Nobody, Receiver::Sink);
        let state = QueueState {
            listener,
            waiting: VecDeque::new(),
            runs: 0,
            running: None,
            is_scheduled: true,
            by_threads: matches!(outlet, Outlet::Dispatcher(_)),
            has_asked: false,
            bell: bell.map(|bell| Level { bell, rings: false }),
        };
        Arc::new(Self { id, state: Mutex::new(state), outlet, waits, name })
    }

    /// Lets events go to the host, those that waited first.
    pub(crate) fn release(self: &Arc<Self>) {
        let mut state = self.state();
        state.is_scheduled = false;
        self.tell(state);
    }

    /// Adds an event.
    pub(crate) fn push(self: &Arc<Self>, mut event: Event) {
        event.log(HandleName(self.name.as_deref()));
        event.further = Vec::new();
        let mut state = self.state();
        let room = match state.listener {
            Receiver::Closed => return,
            Receiver::Nobody => 0,
            Receiver::Sink(_) | Receiver::Asks => MAX_WAITING,
        };
        state.add(event, room);
        self.tell(state);
    }

    /// Sees to it that somebody takes what waits.
    fn tell(self: &Arc<Self>, mut state: MutexGuard<'_, QueueState>) {
        match (&self.outlet, &state.listener) {
            (Outlet::Dispatcher(delivery), Receiver::Sink(_)) => {
                if !state.is_scheduled && !state.waiting.is_empty() {
                    state.is_scheduled = true;
                    drop(state);
                    delivery.schedule(self.clone());
                }
            }
            _ => state.ring(),
        }
    }

    /// How many events can be added so that others still find a place; all where nobody listens.
    pub(crate) fn room(&self) -> usize {
        let state = self.state();
        match state.listener {
            Receiver::Nobody | Receiver::Closed => usize::MAX,
            Receiver::Sink(_) | Receiver::Asks => {
                (MAX_WAITING / 2).saturating_sub(state.waiting.len())
            }
        }
    }

    /// Puts `sink` in the place of the one before, which is not running any more when this returns,
    /// unless it is what calls this.
    ///
    /// Where the one before waits for this thread, nothing is changed. It is `kept` for children that are
    /// forked.
    pub(crate) fn set_sink(
        self: &Arc<Self>,
        sink: Option<EventSink>,
        kept: &ArcSwapOption<EventSink>,
    ) -> Result<(), Deadlock> {
        let mut state = self.state();
        // Before anything is changed: nobody can come between this and the wait.
        let run = self.run_of(&state).map(|run| self.waits.want_of_others(run)).transpose()?;
        // Under the lock, so that of two that come at once the same one counts everywhere.
        kept.store(sink.clone().map(Arc::new));
        match (&state.listener, sink) {
            (Receiver::Closed, _) | (Receiver::Asks, None) => {}
            (_, None) if state.has_asked => state.listener = Receiver::Asks,
            (Receiver::Nobody | Receiver::Sink(_), None) => {
                state.waiting.clear();
                state.listener = Receiver::Nobody;
            }
            (before, Some(sink)) => {
                // What nobody wanted is of no interest to who comes later.
                if let Receiver::Nobody = before {
                    state.waiting.clear();
                }
                state.listener = Receiver::Sink(sink);
            }
        }
        state.ring();
        self.tell(state);
        if let Some(run) = run {
            run.until_released();
        }
        Ok(())
    }

    /// Tells nobody any more. A sink that runs is waited for, unless it waits for this thread.
    pub(crate) fn close(self: &Arc<Self>) {
        let mut state = self.state();
        state.waiting.clear();
        state.listener = Receiver::Closed;
        // Whoever else has the queue for a moment longer is not to keep the host's descriptor open.
        state.bell = None;
        let run = self.run_of(&state);
        drop(state);
        if let Some(run) = run {
            self.waits.wait_for_others(run);
        }
    }

    /// In a child that was forked: closes the bell, unless a thread of the parent's was at it. A write to
    /// it or a read of it would be the parent's.
    pub(crate) fn abandon(&self) {
        if let Some(mut state) = self.state.try_lock()
            && let Some(level) = state.bell.take()
        {
            InheritedFd::Event.close(level.bell.as_raw_fd());
            // Nobody closes the number again.
            std::mem::forget(level);
        }
    }

    /// The run of the sink that is not over, if there is one.
    fn run_of(&self, state: &QueueState) -> Option<Resource> {
        state.running.map(|run| Resource::Callback(self.id, run))
    }

    /// Readable as long as events wait for the host to ask. Where the host does the work it is a part of
    /// what wakes it, and says nothing of whether it will ask.
    pub(crate) fn descriptor(&self) -> io::Result<RawFd> {
        let mut state = self.state();
        if state.by_threads {
            state.begin_to_ask();
        }
        let level = match state.bell.take() {
            Some(level) => level,
            None => Level { bell: Waker::new()?, rings: false },
        };
        let descriptor = level.bell.as_raw_fd();
        state.bell = Some(level);
        state.ring();
        Ok(descriptor)
    }

    /// Shows the bell that rings as long as events wait, where there is one.
    pub(crate) fn with_bell<T>(&self, show: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        self.state().bell.as_ref().map(|level| show(level.bell.as_fd()))
    }

    /// The next event for a host that asks; those of a host that has a callback go there.
    pub(crate) fn take(&self) -> Option<Event> {
        let mut state = self.state();
        state.begin_to_ask();
        if let Receiver::Sink(_) = state.listener {
            return None;
        }
        let event = state.waiting.pop_front();
        state.ring();
        event
    }

    /// Delivers here what waits for a callback, unless another thread does.
    pub(crate) fn deliver_here(&self) {
        // What the callback itself brings about is for the next time, or it might never end.
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
    /// Delivers the first event; tells whether more are waiting.
    fn deliver_one(&self) -> bool {
        let mut state = self.state();
        if state.running.is_some() {
            return false;
        }
        let sink = match &state.listener {
            Receiver::Sink(sink) => Some(sink.clone()),
            Receiver::Nobody | Receiver::Asks | Receiver::Closed => None,
        };
        if let Some(sink) = sink
            && let Some(event) = state.waiting.pop_front()
        {
            state.runs += 1;
            state.running = Some(state.runs);
            state.ring();
            // Noted before anybody can see that it runs and wait for it.
            let running = self.waits.hold(Resource::Callback(self.id, state.runs));
            drop(state);
            sink.tell(&event);
            state = self.state();
            state.running = None;
            drop(running);
        }
        let is_more = matches!(state.listener, Receiver::Sink(_)) && !state.waiting.is_empty();
        state.is_scheduled = is_more && state.by_threads;
        state.ring();
        is_more
    }
}

impl QueueState {
    /// Adds an event; where the room is used up, an older one goes into a newer one of its kind.
    fn add(&mut self, event: Event, room: usize) {
        self.waiting.push_back(event);
        if self.waiting.len() > room {
            let later = |at: usize, same: &dyn Fn(&Event, &Event) -> bool| {
                let (old, newer) = (&self.waiting[at], self.waiting.iter().skip(at + 1));
                newer.into_iter().position(|new| same(old, new)).map(|after| (at, at + 1 + after))
            };
            let is_of_kind = |a: &Event, b: &Event| a.kind == b.kind;
            let is_of_path = |a: &Event, b: &Event| a.kind == b.kind && a.path == b.path;
            // What tells of the same file goes first, so that each file's news is kept for long.
            let pair = (0..self.waiting.len())
                .find_map(|at| later(at, &is_of_path))
                .or_else(|| (0..self.waiting.len()).find_map(|at| later(at, &is_of_kind)));
            if let Some((old, newer)) = pair {
                self.waiting[newer].count += self.waiting[old].count;
                self.waiting.remove(old);
            }
        }
    }

    fn begin_to_ask(&mut self) {
        self.has_asked = true;
        if let Receiver::Nobody = self.listener {
            self.listener = Receiver::Asks;
        }
    }

    /// Makes the bell say whether there is something for the host to take.
    fn ring(&mut self) {
        let Some(Level { bell, rings }) = &mut self.bell else { return };
        let is_taken_by_host = match self.listener {
            Receiver::Asks => true,
            // While one of its threads is in the sink, another could do nothing.
            Receiver::Sink(_) => !self.by_threads && self.running.is_none(),
            // A host that never asks would be woken for ever.
            Receiver::Nobody | Receiver::Closed => false,
        };
        let wanted = is_taken_by_host && !self.waiting.is_empty();
        match (*rings, wanted) {
            (false, true) => bell.wake(),
            (true, false) => bell.drain(),
            _ => {}
        }
        *rings = wanted;
    }
}
