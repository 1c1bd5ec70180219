//! What one process has of a handle besides what it serves: whoever looks at the files, and is told.

use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::Runtime;
use super::host_loop::HostLoop;
use super::published::Published;
use super::registry::HandleWaker;
use super::worker_state::{Polls, WorkerState};
use crate::clock::Now;
use crate::error::{Cause, Error};
use crate::events::EventQueue;
use crate::events::{EventSink, HandleName, log_answer, log_life};
use crate::options::{IdentityBytes, Options, Role, WatchMode};
use crate::reload::Debounce;
use crate::reload::Pipeline;
use crate::reload::{Outcome, Waiters};
use crate::runtime;
use crate::status::UnitStates;
use crate::sys::HandleId;
use crate::sys::ring;
use crate::sys::{Deadlock, Resource, WaitGraph, wait_graph};
use crate::sys::{ForkGenerationCell, Privileges, Waker, wait_readable};
use crate::tls::{Generation, GenerationCount};
use crate::watch::WatchState;

/// How long one sleeps at a time who cannot be woken.
const LOOK_FOR_AN_ANSWER: Duration = Duration::from_millis(20);

/// What serves, and what a signal handler touches: the same in every process that has the handle.
pub(super) struct Shared {
    pub(super) options: Arc<Options>,
    pub(super) opened_as: Privileges,
    /// Whether there is an identity to serve.
    pub(super) serves: bool,
    /// What each unit is called by.
    pub(super) places: Vec<Arc<Path>>,
    pub(super) current: Published,
    pub(super) alive: GenerationCount,
    /// Which identities the host hands over: in a child, too.
    pub(super) is_memory: Vec<AtomicBool>,
    /// Whom events are told to, where a child finds it.
    pub(super) sink: ArcSwapOption<EventSink>,
    /// Set in signal handlers: nothing but a store.
    pub(super) requested: Arc<AtomicBool>,
    /// The descriptor of the bell to ring then, and the process that it is of: in a child it is the
    /// parent's, or whatever has got its number since.
    bell: AtomicI32,
    bell_is_of: ForkGenerationCell,
}

impl Shared {
    pub(super) fn new(pipeline: &Pipeline, first: Arc<Generation>, alive: GenerationCount) -> Self {
        let options = pipeline.options().clone();
        let files = &options.identities;
        let places = (0..pipeline.unit_count()).map(|unit| pipeline.path(unit).into()).collect();
        let serves = files.iter().any(|files| files.role == Role::Server);
        let is_memory =
            (0..pipeline.unit_count()).map(|index| AtomicBool::new(pipeline.is_memory(index)));
        Self {
            opened_as: pipeline.opened_as().clone(),
            serves,
            places,
            current: Published::new(first),
            alive,
            is_memory: is_memory.collect(),
            sink: ArcSwapOption::empty(),
            requested: Arc::default(),
            bell: AtomicI32::new(-1),
            bell_is_of: ForkGenerationCell::new(),
            options,
        }
    }

    /// Asks for a reload. Async-signal-safe: a few atomic loads, a store and one `write(2)`. In a child
    /// that has not taken the handle up it is noted, and nobody is woken.
    ///
    /// The store comes before the ring and the worker takes it after the wake, so the look that
    /// follows the last request begins after it, and a hundred requests before it are one.
    pub(super) fn request_reload(&self) {
        self.requested.store(true, Ordering::SeqCst);
        if self.bell_is_of.is_now() {
            ring(self.bell.load(Ordering::SeqCst));
        }
    }
}

/// One for each process that works with the handle.
pub(super) struct Instance {
    pub(super) id: HandleId,
    pub(super) shared: Arc<Shared>,
    /// Makes the worker, or the host, step this handle.
    pub(super) handle_waker: HandleWaker,
    pub(super) debounce: Arc<Debounce>,
    pub(super) waiters: Waiters,
    pub(super) events: Arc<EventQueue>,
    pub(super) runtime: Arc<Runtime>,
    /// Where the host does the work.
    pub(super) host_loop: Option<HostLoop>,
    pub(super) closed: AtomicBool,
    standing: Mutex<UnitStates>,
    work: Mutex<WorkerState>,
}

impl Instance {
    /// Joins the runtime with a pipeline. Nothing is told before [`EventQueue::release`], and nothing
    /// stepped before [`Instance::start`].
    pub(super) fn new(
        shared: Arc<Shared>,
        pipeline: Pipeline,
        sink: Option<EventSink>,
    ) -> Result<Arc<Self>, Error> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let options = shared.options.clone();
        let (mode, now) = (options.watch, Instant::now());
        let entered = runtime::enter(options.runtime)?;
        let runtime = entered.runtime().clone();
        let (waits, name) = (runtime.waits().clone(), options.name.clone());
        let refused = |error: io::Error| no_descriptor(&error);
        let (events, bell, host_loop) = if let Some(threads) = runtime.threads() {
            let delivery = threads.delivery().clone();
            let events = EventQueue::delivered(id, delivery, waits, name, sink);
            (events, threads.bell().clone(), None)
        } else {
            let events = EventQueue::of_host(id, waits, name, sink).map_err(refused)?;
            let host_loop = HostLoop::new(&events).map_err(refused)?;
            (events, host_loop.bell().clone(), Some(host_loop))
        };
        let handle_waker = || match host_loop {
            None => HandleWaker::of_worker(bell.clone(), runtime.handles().clone(), id),
            Some(_) => HandleWaker::of_host(bell.clone()),
        };
        let (handle_waker, marked) = (handle_waker(), handle_waker());
        let on_notification = Box::new(move || marked.mark());
        let standing = UnitStates::new(state_of(mode), &shared.current.load());
        let polls = Polls::new(options.poll_interval, runtime.handles().started());
        let next_poll = (mode != WatchMode::Off).then(|| polls.next(now));
        let live = Self {
            id,
            debounce: Arc::new(Debounce::new(&options, on_notification)),
            handle_waker,
            waiters: Waiters::default(),
            events,
            host_loop,
            closed: AtomicBool::new(false),
            standing: Mutex::new(standing),
            work: Mutex::new(WorkerState::new(pipeline, polls, next_poll)),
            runtime,
            shared,
        };
        entered.stay();
        Ok(Arc::new(live))
    }

    /// Lets whoever does the work step, and signal handlers ask for it.
    pub(super) fn start(self: &Arc<Self>) {
        // In this order: who sees the process sees its bell.
        self.shared.bell.store(self.handle_waker.bell().as_raw_fd(), Ordering::SeqCst);
        self.shared.bell_is_of.set(self.runtime.era());
        let (handles, requested) = (self.runtime.handles(), self.shared.requested.clone());
        handles.register(self.id, Arc::downgrade(&(self.clone() as _)), requested);
        self.handle_waker.wake();
        log_life(self.speaker(), "is open", self.id, self.shared.options.identities.len());
    }

    /// The current generation, for the moment.
    pub(super) fn current(&self) -> arc_swap::Guard<Arc<Generation>> {
        self.shared.current.load()
    }

    pub(super) fn is_of_this_process(&self) -> bool {
        self.runtime.is_of_this_process()
    }

    /// Notes that a call is running, for whoever closes.
    pub(super) fn enter(&self) -> Result<wait_graph::HeldResource, Error> {
        let held = self.runtime.waits().hold(Resource::Calls(self.id));
        if self.is_closed() { Err(Error::new(Cause::Closed)) } else { Ok(held) }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Reloads, and answers for the files as they are at or after the call (G6).
    pub(super) fn reload_wait(&self, limit: Option<Duration>) -> Result<Outcome, Error> {
        let told_before = self.standing().failures;
        let answer = match &self.host_loop {
            None => {
                let answer = |worker| self.want(Resource::Answer(worker, self.id));
                let _wanted = self.runtime.worker().map(answer).transpose()?;
                self.waiters.wait(limit, || self.shared.request_reload())
            }
            Some(host_loop) => self.reload_here(host_loop, limit),
        };
        self.log_answer(&answer, told_before);
        answer
    }

    /// This thread, which is the host's, does the work until the answer is there.
    fn reload_here(&self, host_loop: &HostLoop, limit: Option<Duration>) -> Result<Outcome, Error> {
        // Where no descriptor is left for it, the answer is looked for: most likely it is the same.
        let answered = Waker::new().ok().map(Arc::new);
        let waiter = self.waiters.draw(limit, answered.clone())?;
        self.shared.request_reload();
        loop {
            self.step_here(host_loop)?;
            if let Some(answer) = waiter.answer() {
                return answer;
            }
            // Whichever thread of the host's comes to do it: each of them sees that there is work. What
            // waits for the host to be taken is none. One that has the work may come to wait for this
            // thread meanwhile, and is then told that it must not.
            let _wanted = self.want(Resource::WorkerState(self.id))?;
            let ready =
                [Some(host_loop.work_descriptor()), answered.as_deref().map(AsRawFd::as_raw_fd)];
            let look_again = answered.is_none().then_some(LOOK_FOR_AN_ANSWER);
            wait_readable(ready, [waiter.left(), look_again].into_iter().flatten().min());
        }
    }

    /// Does what there is to do, on a thread of the host's.
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
        drop(self.want(Resource::WorkerState(self.id))?);
        host_loop.begin(self.runtime.watcher());
        self.step_guarded(Now::read());
        Ok(())
    }

    /// Hands new bytes over for the identity at `index`.
    pub(super) fn push(&self, index: usize, bytes: IdentityBytes) -> Result<Outcome, Error> {
        let mut work = self.work()?;
        if self.is_closed() {
            return Err(Error::new(Cause::Closed));
        }
        let (now, newest) = (Now::read(), self.waiters.newest());
        let held = || self.debounce.held(Instant::now());
        let (look, outcome) = work.pipeline.push(index, bytes, &held, now, newest);
        if outcome.is_ok() {
            self.shared.is_memory[index].store(true, Ordering::SeqCst);
            self.debounce.forget(index);
            self.standing().expose(index, &[]);
        }
        self.take_in(look, false, false, newest, now.unix);
        self.standing().last_outcome.clone_from(&outcome);
        // There is less to watch.
        self.arm(&mut work, &[index].into());
        // Let go first, so that the worker finds it free.
        drop(work);
        self.handle_waker.wake();
        outcome
    }

    /// Leaves a line where nothing else does: whoever asked wants to see that it was done.
    fn log_answer(&self, answer: &Result<Outcome, Error>, told_before: u64) {
        match answer {
            Ok(Outcome::Reloaded) => {}
            Ok(Outcome::Unchanged) => log_answer(self.speaker(), "unchanged"),
            Err(error) => {
                let is_of_call =
                    matches!(error.cause, Cause::TimedOut { .. } | Cause::Closed | Cause::Panic(_));
                if !is_of_call && self.standing().failures == told_before {
                    log_answer(self.speaker(), &format!("still cannot be used: {error}"));
                }
            }
        }
    }

    pub(super) fn speaker(&self) -> HandleName<'_> {
        HandleName(self.shared.options.name.as_deref())
    }

    /// The descriptor that a host waits for.
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

    /// Lets those go who wait, stops watching, and waits for a running look and a running callback, and
    /// for calls of other threads; but for what waits for this very thread.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.waiters.close();
        self.runtime.handles().deregister(self.id);
        // A look that runs has ended then, and the next one sees that it is closed. Where it is this
        // thread that looks, in a callback on the way, it sees so itself.
        drop(self.work());
        self.runtime.watcher().unfollow(self.id);
        self.events.close();
        self.waits().wait_for_others(Resource::Calls(self.id));
        self.shared.current.wait_for_takers();
        log_life(self.speaker(), "is closed", self.id, self.shared.options.identities.len());
        self.runtime.leave();
    }

    /// In a child that was forked: gives up what the parent had, as far as no thread of the parent's was
    /// at it; the rest is left as it is, for it may be half-changed.
    pub(super) fn abandon(self: Arc<Self>) {
        self.runtime.abandon();
        self.events.abandon();
        let live = match Arc::try_unwrap(self) {
            Ok(live) => live,
            // A thread of the parent's was in a call, or this one is.
            Err(shared) => return std::mem::forget(shared),
        };
        let is_quiet = live.work.try_lock().is_ok() && live.standing.try_lock().is_ok();
        if is_quiet {
            // What holds keys.
            drop(live.work);
        } else {
            std::mem::forget(live.work);
        }
        if let Some(host_loop) = live.host_loop {
            host_loop.abandon();
        }
        std::mem::forget((
            live.events,
            live.debounce,
            live.waiters,
            live.handle_waker,
            live.runtime,
        ));
    }

    pub(super) fn work(&self) -> Result<Working<'_>, Error> {
        let wanted = self.want(Resource::WorkerState(self.id))?;
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        drop(wanted);
        let held = self.waits().hold(Resource::WorkerState(self.id));
        Ok(Working { work, _held: held })
    }

    /// The pipeline, where no other thread has it right now.
    pub(super) fn work_if_free(&self) -> Option<Working<'_>> {
        let work = match self.work.try_lock() {
            Ok(work) => work,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Working { work, _held: self.waits().hold(Resource::WorkerState(self.id)) })
    }

    pub(super) fn standing(&self) -> MutexGuard<'_, UnitStates> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn want(&self, resource: Resource) -> Result<wait_graph::WantedResource, Error> {
        self.waits().want(resource).map_err(|Deadlock| {
            would_deadlock("it was made from a callback that this handle's work waits for")
        })
    }

    fn waits(&self) -> &Arc<WaitGraph> {
        self.runtime.waits()
    }
}

/// The pipeline, while this thread has it.
pub(super) struct Working<'a> {
    work: MutexGuard<'a, WorkerState>,
    _held: wait_graph::HeldResource,
}

impl Deref for Working<'_> {
    type Target = WorkerState;

    fn deref(&self) -> &WorkerState {
        &self.work
    }
}

impl DerefMut for Working<'_> {
    fn deref_mut(&mut self) -> &mut WorkerState {
        &mut self.work
    }
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
