//! The part of a handle that belongs to one process: its pipeline, events, waiters and subscriptions.
//!
//! After a fork, the child inherits memory that threads of the parent may have been changing, but no thread that could
//! finish the change. So the child does not repair the inherited instance: it creates another, and releases of the old
//! one only what no thread was changing (G11).
//!
//! `close` must not return while a pass, a callback or a call of another thread uses the handle, and must not wait for
//! itself. Each wait is registered in the wait graph first, which refuses a wait that could never end.

use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Runtime;
use super::host_descriptor::HostLoop;
use super::open_handles::{HandleWaker, Step};
use super::shared::Shared;
use super::step_state::{Polls, StepState};
use super::unit_reads::{Mailbox, ReadLink};
use crate::clock::Now;
use crate::error::{Cause, Error};
use crate::events::{EventQueue, EventSink, HandleName, QueueOwner, log_life, log_unreported};
use crate::options::WatchMode;
use crate::readers::Readers;
use crate::reload::{Debounce, Outcome, Pipeline, Waiters};
use crate::runtime;
use crate::status::UnitStates;
use crate::sys::{
    Deadlock, HandleId, Mutex, MutexGuard, Resource, WaitGraph, Waker, wait_graph, wait_readable,
};
use crate::tls::Generation;
use crate::watch::{ChangeReceiver, WatchState};

/// How often a caller checks for its answer if no descriptor is left that could wake it.
const ANSWER_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// One instance for each process that works with the handle: after a fork, the child has its own (G11).
pub(super) struct Instance {
    pub(super) id: HandleId,
    pub(super) shared: Arc<Shared>,
    /// Makes the worker, or the host, run a step for this handle.
    pub(super) handle_waker: HandleWaker,
    pub(super) debounce: Arc<Debounce>,
    pub(super) waiters: Waiters,
    pub(super) events: Arc<EventQueue>,
    pub(super) runtime: Arc<Runtime>,
    /// Present if the host runs the steps.
    pub(super) host_loop: Option<HostLoop>,
    pub(super) closed: Arc<AtomicBool>,
    /// `None` if files are read on the thread of the host that runs the step.
    pub(super) readers: Option<Arc<Readers>>,
    pub(super) read_link: Arc<ReadLink>,
    pub(super) mailbox: Arc<Mailbox>,
    states: Mutex<UnitStates>,
    state: Mutex<StepState>,
}

impl Instance {
    /// Creates an instance and joins the runtime. No event is delivered before [`EventQueue::release`], and no step
    /// runs before [`Instance::start`].
    pub(super) fn new(
        shared: Arc<Shared>,
        pipeline: Pipeline,
        sink: Option<EventSink>,
    ) -> Result<Arc<Self>, Error> {
        let id = next_id();
        let options = shared.options.clone();
        let (mode, now) = (options.watch, Instant::now());
        let entered = runtime::enter(options.runtime)?;
        let runtime = entered.runtime().clone();
        let waits = runtime.wait_graph().clone();
        let owner = QueueOwner { id, name: options.name.clone(), waits };
        let refused = |error: io::Error| no_descriptor(&error);
        let (events, waker, host_loop) = if let Some(threads) = runtime.threads() {
            let dispatcher = threads.dispatcher().clone();
            let events = EventQueue::delivered(owner, dispatcher, sink);
            (events, threads.waker().clone(), None)
        } else {
            let events = EventQueue::of_host(owner, sink).map_err(refused)?;
            let host_loop = HostLoop::new(&events).map_err(refused)?;
            (events, host_loop.waker().clone(), Some(host_loop))
        };
        let handle_waker = || match host_loop {
            None => HandleWaker::of_worker(waker.clone(), runtime.open_handles().clone(), id),
            Some(_) => HandleWaker::of_host(waker.clone()),
        };
        let (handle_waker, marked, woken) = (handle_waker(), handle_waker(), handle_waker());
        let on_notification = Box::new(move || marked.mark());
        let debounce = Arc::new(Debounce::new(&options, on_notification));
        let mailbox = Arc::new(Mailbox::new(Box::new(move || woken.wake())));
        let observer: Weak<dyn ChangeReceiver> = Arc::downgrade(&(debounce.clone() as _));
        let closed = Arc::<AtomicBool>::default();
        let read_link = ReadLink {
            id,
            handles: runtime.open_handles().clone(),
            wait_graph: runtime.wait_graph().clone(),
            observer: (mode == WatchMode::Auto).then_some(observer),
            mailbox: Arc::downgrade(&mailbox),
            closed: closed.clone(),
        };
        let states = UnitStates::new(state_of(mode), &shared.current.load());
        let polls = Polls::new(options.poll_interval, runtime.open_handles().started());
        let next_poll = (mode != WatchMode::Off).then(|| polls.next(now));
        let instance = Self {
            id,
            debounce,
            handle_waker,
            waiters: Waiters::default(),
            events,
            host_loop,
            closed,
            readers: options.reads_on_readers().then(|| runtime.readers().clone()),
            read_link: Arc::new(read_link),
            mailbox,
            states: Mutex::new(states),
            state: Mutex::new(StepState::new(pipeline, polls, next_poll)),
            runtime,
            shared,
        };
        entered.keep();
        Ok(Arc::new(instance))
    }

    /// Lets steps run, and lets signal handlers request them.
    pub(super) fn start(self: &Arc<Self>) {
        self.shared.set_waker(self.handle_waker.waker(), self.runtime.process());
        let (handles, requested) = (self.runtime.open_handles(), self.shared.requested.clone());
        handles.register(self.id, Arc::downgrade(&(self.clone() as _)), requested);
        self.handle_waker.wake();
        log_life(self.speaker(), "is open", self.id, self.shared.options.identities.len());
    }

    /// Returns the current generation, for a short use.
    pub(super) fn current(&self) -> arc_swap::Guard<Arc<Generation>> {
        self.shared.current.load()
    }

    pub(super) fn is_of_this_process(&self) -> bool {
        self.runtime.is_of_this_process()
    }

    /// Registers a call of the host, which `close` waits for.
    pub(super) fn enter(&self) -> Result<wait_graph::HeldResource, Error> {
        let held = self.runtime.wait_graph().hold(Resource::Calls(self.id));
        if self.is_closed() { Err(Error::new(Cause::Closed)) } else { Ok(held) }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Reloads. The result is about the files as they are at or after the call (G6).
    pub(super) fn reload_wait(&self, limit: Option<Duration>) -> Result<Outcome, Error> {
        let failures_before = self.states().failures;
        let answer = match &self.host_loop {
            None => {
                let answer = |worker| self.want(Resource::Answer(worker, self.id));
                let _wanted = self.runtime.worker().map(answer).transpose()?;
                self.waiters.wait(limit, || self.shared.request_reload())
            }
            Some(host_loop) => self.reload_here(host_loop, limit),
        };
        self.log_answer(&answer, failures_before);
        answer
    }

    /// Runs steps on this thread, which belongs to the host, until the answer is there.
    fn reload_here(&self, host_loop: &HostLoop, limit: Option<Duration>) -> Result<Outcome, Error> {
        // If no descriptor is left for a waker, the loop checks for the answer at intervals.
        let answered = Waker::new().ok().map(Arc::new);
        let waiter = self.waiters.register(limit, answered.clone())?;
        self.shared.request_reload();
        loop {
            self.step_here(host_loop)?;
            if let Some(answer) = waiter.answer() {
                return answer;
            }
            // Every thread of the host that waits here wakes for work, and one of them does it. Events that the host
            // has not fetched wake none of them. The wait graph records that this thread waits for the state. So a
            // callback on the thread that has the state cannot begin to wait for this thread: it gets an error.
            let _wanted = self.want(Resource::StepState(self.id))?;
            let ready =
                [Some(host_loop.work_descriptor()), answered.as_deref().map(AsRawFd::as_raw_fd)];
            let check_again = answered.is_none().then_some(ANSWER_CHECK_INTERVAL);
            wait_readable(ready, [waiter.left(), check_again].into_iter().flatten().min());
        }
    }

    /// Runs a step and delivers events, on this thread of the host.
    pub(super) fn dispatch(&self) -> Result<(), Error> {
        let Some(host_loop) = &self.host_loop else {
            return Err(Error::invalid(
                "the handle has threads that do its work: certreload_dispatch() is for \
                 CERTRELOAD_RUNTIME_HOST",
            ));
        };
        self.step_here(host_loop)?;
        self.events.deliver_here();
        Ok(())
    }

    fn step_here(&self, host_loop: &HostLoop) -> Result<(), Error> {
        drop(self.want(Resource::StepState(self.id))?);
        host_loop.begin(self.runtime.watcher());
        self.step(Now::read());
        Ok(())
    }

    /// Logs the answer of a reload request that no event reports, so that every request leaves a line in the log.
    /// Errors of the call itself, such as a timeout, are only returned.
    fn log_answer(&self, answer: &Result<Outcome, Error>, failures_before: u64) {
        let is_of_call = answer.as_ref().is_err_and(|error| {
            matches!(error.cause, Cause::TimedOut { .. } | Cause::Closed | Cause::Panic(_))
        });
        let is_reported = answer.is_err() && self.states().failures != failures_before;
        if !is_of_call && !is_reported {
            self.log_outcome(answer);
        }
    }

    /// Logs the outcome of a requested pass, unless it is a new generation, which an event reports.
    pub(super) fn log_outcome(&self, outcome: &Result<Outcome, Error>) {
        match outcome {
            Ok(Outcome::Reloaded) => {}
            Ok(Outcome::Unchanged) => log_unreported(self.speaker(), None),
            Err(error) => log_unreported(self.speaker(), Some(error)),
        }
    }

    pub(super) fn speaker(&self) -> HandleName<'_> {
        HandleName(self.shared.options.name.as_deref())
    }

    /// Returns the descriptor that becomes readable when the host has events to take, or must dispatch.
    pub(super) fn event_descriptor(&self) -> Result<RawFd, Error> {
        let events = self.events.descriptor();
        let events = events.map_err(|error| no_descriptor(&error))?;
        Ok(self.host_loop.as_ref().map_or(events, HostLoop::descriptor))
    }

    pub(super) fn set_sink(&self, sink: Option<EventSink>) -> Result<(), Error> {
        self.events
            .set_sink(sink, &self.shared.sink)
            .map_err(|Deadlock| would_deadlock("the callback that runs waits for this very thread"))
    }

    /// Ends all waits and subscriptions, and waits for a running pass, a running callback and calls of other threads.
    /// It does not wait for what waits for this thread.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.waiters.close();
        self.runtime.open_handles().deregister(self.id);
        // A read that is stuck is left to its reader, which drops the result. A key-password callback that runs on a
        // reader is waited for, because the host may free its userdata after this call.
        self.debounce.close();
        if let Some(readers) = &self.readers {
            readers.forget(self.id);
        }
        self.waits().wait_for_others(Resource::KeyPassword(self.id));
        // state() waits until a running pass has ended. The next step then sees that the handle is closed. state()
        // fails, and close continues, if this thread runs the pass, or if the pass waits for this thread. Both happen
        // only in a callback of the host, and the interrupted step sees `closed` when that callback returns.
        drop(self.state());
        // A step that was running may have begun reads since.
        if let Some(readers) = &self.readers {
            readers.forget(self.id);
        }
        self.waits().wait_for_others(Resource::KeyPassword(self.id));
        if self.runtime.watcher().unsubscribe(self.id) {
            self.handle_waker.waker().wake();
        }
        self.events.close();
        self.waits().wait_for_others(Resource::Calls(self.id));
        // The copy for forked children is the last reference to the host's userdata. Dropped after the wait, because a
        // call that was running may have set another callback.
        self.shared.sink.store(None);
        self.shared.current.wait_for_readers();
        log_life(self.speaker(), "is closed", self.id, self.shared.options.identities.len());
        self.runtime.leave();
    }

    /// Releases, in a forked child, what the parent's instance had. What a thread of the parent may have been changing
    /// when the process forked is left alone.
    pub(super) fn abandon(self: Arc<Self>) {
        self.runtime.abandon();
        self.events.abandon();
        let instance = match Arc::try_unwrap(self) {
            Ok(instance) => instance,
            // Other references exist: a thread of the parent was in a call at the fork, or this thread is in one.
            Err(shared) => return std::mem::forget(shared),
        };
        let is_quiet = instance.state.try_lock().is_some() && instance.states.try_lock().is_some();
        if is_quiet {
            // The state holds keys, which are wiped (G18).
            drop(instance.state);
        } else {
            std::mem::forget(instance.state);
        }
        if let Some(host_loop) = instance.host_loop {
            host_loop.abandon();
        }
        std::mem::forget((
            instance.events,
            instance.debounce,
            instance.waiters,
            instance.handle_waker,
            (instance.readers, instance.read_link, instance.mailbox),
            instance.runtime,
        ));
    }

    /// Locks the state. Fails if this thread has it already, or if the thread that has it waits for this thread.
    pub(super) fn state(&self) -> Result<StateGuard<'_>, Error> {
        let wanted = self.want(Resource::StepState(self.id))?;
        let state = self.state.lock();
        drop(wanted);
        let held = self.waits().hold(Resource::StepState(self.id));
        Ok(StateGuard { state, _held: held })
    }

    /// Locks the state if no other thread has it.
    pub(super) fn state_if_free(&self) -> Option<StateGuard<'_>> {
        let state = self.state.try_lock()?;
        Some(StateGuard { state, _held: self.waits().hold(Resource::StepState(self.id)) })
    }

    pub(super) fn states(&self) -> MutexGuard<'_, UnitStates> {
        self.states.lock()
    }

    fn want(&self, resource: Resource) -> Result<wait_graph::WantedResource, Error> {
        self.waits().want(resource).map_err(|Deadlock| {
            would_deadlock("it was made from a callback that this handle's work waits for")
        })
    }

    fn waits(&self) -> &Arc<WaitGraph> {
        self.runtime.wait_graph()
    }
}

/// The state of a handle, while this thread has it locked.
pub(super) struct StateGuard<'a> {
    state: MutexGuard<'a, StepState>,
    _held: wait_graph::HeldResource,
}

impl Deref for StateGuard<'_> {
    type Target = StepState;

    fn deref(&self) -> &StepState {
        &self.state
    }
}

impl DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut StepState {
        &mut self.state
    }
}

/// Returns a number for a handle, or for an open that has not succeeded yet.
pub(super) fn next_id() -> HandleId {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

fn state_of(mode: WatchMode) -> WatchState {
    match mode {
        WatchMode::Off => WatchState::Off,
        WatchMode::Poll => WatchState::Polling,
        WatchMode::Auto => WatchState::Notified,
    }
}

fn no_descriptor(error: &io::Error) -> Error {
    Error::system("no descriptor can be had", error)
}

fn would_deadlock(why: &'static str) -> Error {
    Error::new(Cause::WouldDeadlock(why))
}
