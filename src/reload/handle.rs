//! The reloadable thing: holds the current generation, and is stepped by the worker.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::Guard;
use rustls::ServerConfig;

use super::Now;
use super::current::Current;
use super::delivery::EventQueue;
use super::event::{Event, EventKind, EventSink, Trigger, log_life};
use super::expiry::Expiry;
use super::metrics::Snapshot;
use super::pipeline::{Look, Pipeline, Scope};
use super::runtime::{self, Runtime, Step};
use super::settle::Moment;
use super::standing::Standing;
use super::status::{IdentityStatus, Status};
use super::tickets::{Outcome, Tickets};
use super::touches::Touches;
use crate::error::{Cause, Error};
use crate::generation::{Alive, Generation};
use crate::guard::guarded;
use crate::material::Warnings;
use crate::options::{Options, WatchMode};
use crate::sys::Bell;
use crate::watch::{Followed, Observer, ObserverId, WatchState};

/// Looks in one step while directories go on being armed anew; the rest waits for the next step.
const LOOKS_PER_STEP: usize = 4;

/// Certificates that reload.
pub(crate) struct Handle {
    id: ObserverId,
    name: Option<Arc<str>>,
    /// The file that each identity is called by.
    chains: Vec<Arc<Path>>,
    current: Current,
    /// Set in signal handlers: nothing but a store.
    requested: AtomicBool,
    bell: Arc<Bell>,
    touches: Arc<Touches>,
    tickets: Tickets,
    events: Arc<EventQueue>,
    standing: Mutex<Standing>,
    alive: Alive,
    runtime: Arc<Runtime>,
    work: Mutex<Work>,
}

/// What only the thread that steps touches.
struct Work {
    pipeline: Pipeline,
    next_poll: Option<Instant>,
    /// Units whose files cannot be watched, and why.
    troubles: BTreeMap<usize, Error>,
    expiry: Expiry,
    /// The newest ticket that was drawn before the last look at all files: what looks at some of
    /// them answers no later one.
    newest: u64,
    closed: bool,
}

impl Handle {
    /// Loads, proves and publishes the first generation, and arms the watch. Events wait until
    /// [`Handle::release_events`].
    pub(crate) fn open(options: &Options, sink: Option<EventSink>) -> Result<Arc<Self>, Error> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let now = Now::read();
        let alive = Alive::default();
        let (pipeline, first, told) = Pipeline::open(options.fixed()?, alive.clone(), now.unix)?;
        let mode = pipeline.options().watch;
        let next_poll =
            (mode != WatchMode::Off).then(|| now.instant + pipeline.options().poll_interval);
        let watch = match mode {
            WatchMode::Off => WatchState::Off,
            WatchMode::Poll => WatchState::Polling,
            WatchMode::Auto => WatchState::Notified,
        };

        let entered = runtime::enter()?;
        let runtime = entered.runtime().clone();
        let events = EventQueue::new(runtime.delivery().clone(), sink);
        events.push(told.event(&first));
        let standing = Mutex::new(Standing::new(watch, &first));
        let files = &pipeline.options().identities;
        let chains = files.iter().map(|files| files.chain.as_path().into()).collect();
        let handle = Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: options.name.clone(),
            chains,
            current: Current::new(first),
            requested: AtomicBool::new(false),
            bell: runtime.bell().clone(),
            touches: Arc::new(Touches::new(runtime.bell().clone())),
            tickets: Tickets::default(),
            events,
            standing,
            alive,
            work: Mutex::new(Work {
                pipeline,
                next_poll,
                troubles: BTreeMap::new(),
                expiry: Expiry::default(),
                newest: 0,
                closed: false,
            }),
            runtime: runtime.clone(),
        });
        handle.arm_and_look_again(now);
        runtime.register(handle.id, Arc::downgrade(&(handle.clone() as _)));
        entered.stay();
        log_life("is open", handle.id, handle.chains.len());
        Ok(handle)
    }

    /// Lets events go to the host, which knows the handle by now.
    pub(crate) fn release_events(&self) {
        self.events.release();
    }

    /// What `open` would say, and nothing kept.
    pub(crate) fn check(options: &Options) -> Result<(), Error> {
        Pipeline::open(options.fixed()?, Alive::default(), Now::read().unix).map(|_| ())
    }

    /// The current generation, for the moment.
    fn current(&self) -> Guard<Arc<Generation>> {
        self.current.load()
    }

    /// The current generation, counted.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// The current config, counted.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.current.config()
    }

    /// Asks for a reload. Async-signal-safe: one atomic store and one `write(2)`.
    ///
    /// The store comes before the ring and the worker takes it after the wake, so the look that
    /// follows the last request begins after it, and a hundred requests before it are one.
    pub(crate) fn request_reload(&self) {
        self.requested.store(true, Ordering::SeqCst);
        self.bell.ring();
    }

    /// Reloads, and answers for the files as they are at or after the call (G6).
    pub(crate) fn reload_wait(&self, limit: Option<Duration>) -> Result<Outcome, Error> {
        if !self.runtime.is_of_this_process() {
            return Err(Error::new(Cause::Forked));
        }
        self.tickets.wait(limit, || self.request_reload())
    }

    pub(crate) fn set_sink(&self, sink: Option<EventSink>) {
        // After a fork nobody delivers events, and whoever did is not there to be waited for.
        if self.runtime.is_of_this_process() {
            self.events.set_sink(sink);
        }
    }

    pub(crate) fn status(&self) -> Status {
        let now = Now::read().unix;
        self.with_standing(|standing, current| {
            Status::new(current, standing, self.alive.count(), now)
        })
    }

    /// How the identity at `index` is doing, if there is one.
    pub(crate) fn identity_status(&self, index: usize) -> Option<IdentityStatus> {
        let now = Now::read().unix;
        self.with_standing(|standing, current| {
            let identity = current.identities().get(index)?;
            Some(IdentityStatus::new(identity, standing.units.get(index)?, now))
        })
    }

    /// All that there is to measure.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let now = Now::read().unix;
        self.with_standing(|standing, current| {
            let units = current.identities().iter().zip(&standing.units);
            let identities = units.map(|(identity, unit)| IdentityStatus::new(identity, unit, now));
            Snapshot {
                name: self.name.clone(),
                status: Status::new(current, standing, self.alive.count(), now),
                generation: current.clone(),
                identities: self.chains.iter().cloned().zip(identities).collect(),
            }
        })
    }

    /// Shows what the looks left behind, and the generation that it is about.
    fn with_standing<T>(&self, show: impl FnOnce(&Standing, &Arc<Generation>) -> T) -> T {
        if self.runtime.is_of_this_process() {
            let standing = self.standing();
            show(&standing, &self.current())
        } else {
            let current = self.current();
            show(&Standing::after_fork(&current), &current)
        }
    }

    /// Lets those go who wait, stops watching, and waits for a running look and a running callback.
    ///
    /// After a fork there is nothing of that in this process: the memory goes with the last user.
    pub(crate) fn close(&self) {
        if !self.runtime.is_of_this_process() {
            return;
        }
        self.tickets.close();
        self.runtime.deregister(self.id);
        self.work().closed = true;
        self.runtime.watcher().unfollow(self.id);
        self.events.set_sink(None);
        log_life("is closed", self.id, self.chains.len());
        self.runtime.leave();
    }

    fn step_unguarded(&self, now: Now) -> Option<Instant> {
        let mut work = self.work();
        if work.closed {
            return None;
        }
        if let Some((scope, moment)) = self.take_due(&mut work, now.instant) {
            self.look(&mut work, &scope, moment, now.unix);
        }
        self.tell_expiry(&mut work, now);
        self.next_deadline(&work, now)
    }

    /// What there is to do, the most urgent first. It is taken before the first read: what comes
    /// later is for the next look.
    fn take_due(&self, work: &mut Work, now: Instant) -> Option<(Scope, Moment)> {
        let reached = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let options = work.pipeline.options();
        if self.requested.swap(false, Ordering::SeqCst) {
            let since = self.touches.take_all(options, now).unwrap_or(now);
            Some((Scope::All, Moment { trigger: Trigger::Request, now, since }))
        } else if reached(self.touches.due_at(options)) {
            let due = self.touches.take_due(options, now);
            let moment = Moment { trigger: Trigger::Watch, now, since: due.since.unwrap_or(now) };
            Some((due.units.map_or(Scope::All, Scope::Units), moment))
        } else if reached(work.next_poll) {
            work.next_poll = Some(now + options.poll_interval);
            Some((Scope::Poll, Moment { trigger: Trigger::Poll, now, since: now }))
        } else if reached(work.pipeline.retry_at(&self.touches.held(options.settle_timeout, now))) {
            Some((Scope::Retries, Moment { trigger: Trigger::Poll, now, since: now }))
        } else {
            None
        }
    }

    fn next_deadline(&self, work: &Work, now: Now) -> Option<Instant> {
        let options = work.pipeline.options();
        let held = self.touches.held(options.settle_timeout, now.instant);
        let retry = work.pipeline.retry_at(&held);
        let date = Some(work.expiry.due_at(now));
        [self.touches.due_at(options), work.next_poll, retry, date].into_iter().flatten().min()
    }

    /// Looks at the files; and again as long as something was not followed while it looked, for what
    /// happened there meanwhile went unnoticed (G1).
    fn look(&self, work: &mut Work, scope: &Scope, moment: Moment, wall: i64) {
        let retries_watch = *scope == Scope::Poll;
        let mut looked_at = self.look_once(work, scope, moment, wall);
        if retries_watch {
            looked_at.extend(work.troubles.keys());
        }
        let moment = Moment { trigger: Trigger::Watch, ..moment };
        for _ in 0..LOOKS_PER_STEP {
            let again = self.arm(work, &looked_at);
            if again.is_empty() {
                return;
            }
            looked_at = self.look_once(work, &Scope::Units(again), moment, wall);
        }
        for unit in self.arm(work, &looked_at) {
            self.touches.touch_again(unit);
        }
    }

    /// Tells which units were read.
    fn look_once(
        &self,
        work: &mut Work,
        scope: &Scope,
        moment: Moment,
        wall: i64,
    ) -> BTreeSet<usize> {
        if *scope == Scope::All {
            // Drawn before the first read. A poll answers nobody, for it does not read everything.
            work.newest = self.tickets.newest();
        }
        // A file that a writer has open is half a file, whoever asks (G4).
        let timeout = work.pipeline.options().settle_timeout;
        let held = || {
            // The newest word of the kernel's, for the worker itself has been busy.
            self.runtime.watcher().read();
            self.touches.held(timeout, Instant::now())
        };
        let look = work.pipeline.look(scope, &held, moment, wall);
        let looked_at = look.looked_at.iter().copied().collect();
        let checked_all = *scope == Scope::Poll;
        self.take_in(look, checked_all, work.newest, wall);
        looked_at
    }

    /// Publishes, counts, tells.
    fn take_in(&self, look: Look, checked_all: bool, newest: u64, wall: i64) {
        let Look { published, failures, outcome, pending, notes, looked_at } = look;
        {
            let mut standing = self.standing();
            standing.checked((!checked_all).then_some(&looked_at), wall);
            let next = published.as_ref().map(|(generation, _)| &**generation);
            standing.note(notes, &self.current(), next, wall);
            standing.failures += failures.len() as u64;
            standing.reloads += u64::from(published.is_some());
            if pending.is_none() {
                standing.unchanged += u64::from(outcome == Ok(Outcome::Unchanged));
                standing.last_outcome.clone_from(&outcome);
            }
            // While it is locked, so that nobody is shown what stands beside another generation.
            if let Some((generation, _)) = &published {
                self.current.publish(generation.clone());
            }
        }
        if let Some((generation, told)) = published {
            self.events.push(told.event(&generation));
        }
        for (failure, trigger) in failures {
            self.tell_failure(&failure.error, trigger);
        }
        self.tickets.answer(newest, &outcome, pending.as_ref());
    }

    fn arm_and_look_again(&self, now: Now) {
        let mut work = self.work();
        let everything = (0..work.pipeline.unit_count()).collect();
        let again = self.arm(&mut work, &everything);
        if !again.is_empty() {
            let now = Now { instant: Instant::now(), ..now };
            let moment = Moment { trigger: Trigger::Watch, now: now.instant, since: now.instant };
            self.look(&mut work, &Scope::Units(again), moment, now.unix);
        }
    }

    /// Watches the ways by which the files of `units` are reached by now; tells for which of them
    /// that is more than before.
    fn arm(&self, work: &mut Work, units: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut again = BTreeSet::new();
        if work.pipeline.options().watch != WatchMode::Auto {
            return again;
        }
        let observer: Weak<dyn Observer> = Arc::downgrade(&(self.touches.clone() as _));
        let before = work.troubles.values().next().cloned();
        for unit in units.iter().copied() {
            let lookups = work.pipeline.lookups(unit);
            let Followed { look_again, trouble } =
                self.runtime.watcher().follow((self.id, unit), &observer, lookups);
            match trouble {
                Some(error) => work.troubles.insert(unit, error),
                None => work.troubles.remove(&unit),
            };
            if look_again {
                again.insert(unit);
            }
        }
        let after = work.troubles.values().next();
        match (&before, after) {
            (None, Some(error)) => {
                self.standing().watch = WatchState::Degraded;
                self.tell_watch(EventKind::WatchDegraded, error);
            }
            (Some(error), None) => {
                self.standing().watch = WatchState::Notified;
                self.tell_watch(EventKind::WatchRestored, error);
            }
            _ => {}
        }
        again
    }

    /// Tells which certificates have come into their warning window, or expired (G20).
    fn tell_expiry(&self, work: &mut Work, now: Now) {
        let current = self.generation();
        for due in work.expiry.due(&current, now.unix, self.events.room()) {
            let failure = self.standing().failure_of(due.index);
            let chain = &self.chains[due.index];
            self.events.push(due.event(&current, chain, failure.as_ref(), now.unix));
        }
    }

    fn tell_failure(&self, error: &Error, trigger: Trigger) {
        let current = self.current();
        let number = current.number();
        self.events.push(Event {
            kind: EventKind::ReloadFailed,
            trigger,
            cause: Some(error.cause.clone()),
            warnings: Warnings::default(),
            generation: number,
            earliest_not_after: current.earliest_not_after(),
            path: error.path.clone(),
            message: format!("{error}; generation {number} goes on serving"),
        });
    }

    fn tell_watch(&self, kind: EventKind, error: &Error) {
        let current = self.current();
        let message = match kind {
            EventKind::WatchRestored => "the kernel tells of changes again".to_owned(),
            _ => format!("{error}; changes are found by polling until the watch is back"),
        };
        self.events.push(Event {
            kind,
            trigger: Trigger::Watch,
            cause: None,
            warnings: Warnings::default(),
            generation: current.number(),
            earliest_not_after: current.earliest_not_after(),
            path: error.path.clone(),
            message,
        });
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Step for Handle {
    /// A panic inside is a defect: it is told as a failure, what serves goes on serving, and the
    /// next step tries again.
    fn step(&self, now: Now) -> Option<Instant> {
        let newest = self.tickets.newest();
        guarded(|| self.step_unguarded(now)).unwrap_or_else(|panic| {
            let error = Error::new(Cause::Panic(panic));
            self.tell_failure(&error, Trigger::Poll);
            self.tickets.answer(newest, &Err(error), None);
            Some(now.instant + Duration::from_secs(1))
        })
    }
}
