//! The reloadable thing: holds the current generation, and answers for it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::Guard;
use rustls::ServerConfig;

use super::Now;
use super::current::Current;
use super::delivery::EventQueue;
use super::event::{EventSink, Speaker, log_answer, log_life};
use super::metrics::Snapshot;
use super::pipeline::Pipeline;
use super::runtime::{self, Runtime};
use super::standing::Standing;
use super::status::{IdentityStatus, Status};
use super::tickets::{Outcome, Tickets};
use super::touches::Touches;
use super::work::Work;
use crate::error::{Cause, Error};
use crate::generation::{Alive, Generation};
use crate::options::{Options, WatchMode};
use crate::sys::Bell;
use crate::watch::{ObserverId, WatchState};

/// Certificates that reload.
pub(crate) struct Handle {
    pub(super) id: ObserverId,
    name: Option<Arc<str>>,
    /// The file that each identity is called by.
    pub(super) chains: Vec<Arc<Path>>,
    pub(super) current: Current,
    /// Set in signal handlers: nothing but a store.
    pub(super) requested: AtomicBool,
    pub(super) bell: Arc<Bell>,
    pub(super) touches: Arc<Touches>,
    pub(super) tickets: Tickets,
    pub(super) events: Arc<EventQueue>,
    standing: Mutex<Standing>,
    alive: Alive,
    pub(super) runtime: Arc<Runtime>,
    work: Mutex<Work>,
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
        let events = EventQueue::new(runtime.delivery().clone(), options.name.clone(), sink);
        events.push(told.event(&first));
        let mut standing = Standing::new(watch, &first);
        for index in 0..pipeline.unit_count() {
            standing.expose(index, pipeline.exposed(index));
        }
        let standing = Mutex::new(standing);
        let files = &pipeline.options().identities;
        let chains = files.iter().map(|files| files.chain.as_path().into()).collect();
        let handle = Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: options.name.clone(),
            chains,
            current: Current::new(first),
            requested: AtomicBool::new(false),
            bell: runtime.bell().clone(),
            touches: Arc::new(Touches::new(pipeline.options())),
            tickets: Tickets::default(),
            events,
            standing,
            alive,
            work: Mutex::new(Work::new(pipeline, next_poll)),
            runtime: runtime.clone(),
        });
        handle.arm_and_look_again(now);
        runtime.register(handle.id, Arc::downgrade(&(handle.clone() as _)));
        entered.stay();
        log_life(handle.speaker(), "is open", handle.id, handle.chains.len());
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
    pub(super) fn current(&self) -> Guard<Arc<Generation>> {
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
        let told_before = self.standing().failures;
        let answer = self.tickets.wait(limit, || self.request_reload());
        self.log_answer(&answer, told_before);
        answer
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

    pub(super) fn speaker(&self) -> Speaker<'_> {
        Speaker(self.name.as_deref())
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
            let (chain, unit) = (self.chains.get(index)?, standing.units.get(index)?);
            Some(IdentityStatus::new(chain, identity, unit, now))
        })
    }

    /// All that there is to measure.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let now = Now::read().unix;
        self.with_standing(|standing, current| {
            let units = current.identities().iter().zip(&standing.units).zip(&self.chains);
            let identities = units
                .map(|((identity, unit), chain)| IdentityStatus::new(chain, identity, unit, now));
            Snapshot {
                name: self.name.clone(),
                status: Status::new(current, standing, self.alive.count(), now),
                generation: current.clone(),
                identities: identities.collect(),
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
        log_life(self.speaker(), "is closed", self.id, self.chains.len());
        self.runtime.leave();
    }

    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
