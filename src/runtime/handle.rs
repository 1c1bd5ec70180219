//! The reloadable thing as the host has it: what serves, and a way to whoever renews it.

use std::ops::Deref;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::{ClientConfig, ServerConfig};

use super::instance::Instance;
use super::shared::Shared;
use super::worker;
use crate::clock::Now;
use crate::error::{Cause, Error};
use crate::events::{Event, EventSink};
use crate::options::{IdentityBytes, Options};
use crate::reload::{Outcome, Pipeline};
use crate::status::{HandleMetrics, IdentityStatus, Status, TrustStatus, UnitStates};
use crate::sys::wait_graph;
use crate::tls::{Generation, GenerationCount};

/// Certificates that reload.
pub(crate) struct Handle {
    shared: Arc<Shared>,
    /// Of the process that opened the handle, or took it up after a fork.
    live: ArcSwap<Instance>,
}

/// A call of the host's that is running: whoever closes the handle waits for it.
struct Call {
    live: Arc<Instance>,
    /// `None` in a child that has not taken the handle up: nobody waits there.
    held: Option<wait_graph::HeldResource>,
}

impl Deref for Call {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.live
    }
}

impl Handle {
    /// Loads, proves and publishes the first generation, and arms the watch. Events wait until
    /// [`Handle::release_events`].
    pub(crate) fn open(options: &Options, sink: Option<EventSink>) -> Result<Arc<Self>, Error> {
        let now = Now::read();
        let alive = GenerationCount::default();
        let (pipeline, published) = Pipeline::open(options.fixed()?, alive.clone(), now.unix)?;
        let exposed: Vec<_> = pipeline.exposed().collect();
        let shared = Arc::new(Shared::new(&pipeline, published.generation.clone(), alive));
        shared.sink.store(sink.clone().map(Arc::new));
        let live = Instance::new(shared.clone(), pipeline, sink)?;
        live.events.push(published.into_event());
        for index in exposed {
            live.states().set_exposed(index, true);
        }
        worker::subscribe_and_scan(&live, now);
        live.start();
        Ok(Arc::new(Self { shared, live: ArcSwap::new(live) }))
    }

    /// Lets events go to the host, which knows the handle by now.
    pub(crate) fn release_events(&self) {
        self.live.load().events.release();
    }

    /// What `open` would say, and nothing kept.
    pub(crate) fn check(options: &Options) -> Result<(), Error> {
        Pipeline::open(options.fixed()?, GenerationCount::default(), Now::read().unix).map(|_| ())
    }

    /// The current generation, counted.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.shared.current.load_full()
    }

    /// The current config, counted.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.shared.current.config()
    }

    /// Whether it has an identity to serve.
    pub(crate) fn serves(&self) -> bool {
        self.shared.serves
    }

    /// The current client config, counted; `None` where there are no roots to check servers with.
    pub(crate) fn client_config(&self) -> Option<Arc<ClientConfig>> {
        self.shared.current.client_config()
    }

    /// Ends every session: none that was begun until now is resumed.
    pub(crate) fn invalidate_sessions(&self) -> Result<(), Error> {
        let _call = self.call()?;
        self.shared.current.load_full().base_config().invalidate_sessions()
    }

    /// Asks for a reload. Async-signal-safe: one atomic store and one `write(2)`.
    pub(crate) fn request_reload(&self) {
        self.shared.request_reload();
    }

    /// Reloads, and answers for the files as they are at or after the call (G6).
    pub(crate) fn reload_wait(&self, limit: Option<Duration>) -> Result<Outcome, Error> {
        self.call_here()?.reload_wait(limit)
    }

    /// Takes new bytes for the identity at `index`, or says what is wrong with them.
    pub(crate) fn push(&self, index: usize, bytes: IdentityBytes) -> Result<Outcome, Error> {
        worker::push(&*self.call_here()?, index, bytes)
    }

    /// How many identities there are.
    pub(crate) fn identity_count(&self) -> usize {
        self.shared.options.identities.len()
    }

    /// Does what there is to do, where the host does the work.
    pub(crate) fn dispatch(&self) -> Result<(), Error> {
        self.call_here()?.dispatch()
    }

    /// The descriptor that a host waits for.
    pub(crate) fn event_descriptor(&self) -> Result<RawFd, Error> {
        self.call_here()?.event_descriptor()
    }

    /// The next event for a host that asks.
    pub(crate) fn next_event(&self) -> Result<Option<Event>, Error> {
        let call = self.call()?;
        // After a fork what waits is the parent's.
        Ok(if call.is_of_this_process() { call.events.take() } else { None })
    }

    pub(crate) fn set_sink(&self, sink: Option<EventSink>) -> Result<(), Error> {
        let call = self.call()?;
        // After a fork nobody delivers events, and whoever did is not there to be waited for.
        if call.is_of_this_process() {
            call.set_sink(sink)?;
        } else {
            self.shared.sink.store(sink.map(Arc::new));
        }
        Ok(())
    }

    /// In a child that was forked, takes the handle up: watches and answers there too. Elsewhere there
    /// is nothing to do.
    pub(crate) fn after_fork(&self) -> Result<(), Error> {
        if self.live.load().is_of_this_process() {
            return Ok(());
        }
        let Shared { options, opened_as, current, .. } = &*self.shared;
        current.after_fork();
        let is_memory = |index: usize| self.shared.is_memory[index].load(Ordering::SeqCst);
        let pipeline =
            Pipeline::resume(options.clone(), &current.load(), is_memory, opened_as.clone());
        let sink = self.shared.sink.load().as_deref().cloned();
        let live = Instance::new(self.shared.clone(), pipeline, sink)?;
        // Before anybody works for it: a callback of its own is to find the handle taken up.
        let parents = self.live.swap(live.clone());
        live.events.release();
        // What changed since the fork, or while nobody looked.
        self.shared.requested.store(true, Ordering::SeqCst);
        live.start();
        parents.abandon();
        Ok(())
    }

    pub(crate) fn status(&self) -> Result<Status, Error> {
        let now = Now::read().unix;
        Ok(self.call()?.with_standing(|standing, current| {
            Status::new(current, standing, self.shared.alive.count(), now)
        }))
    }

    /// How the identity at `index` is doing, if there is one.
    pub(crate) fn identity_status(&self, index: usize) -> Result<Option<IdentityStatus>, Error> {
        let now = Now::read().unix;
        Ok(self.call()?.with_standing(|standing, current| {
            let identity = current.identities().get(index)?;
            let (chain, unit) = (self.shared.paths.get(index)?, standing.units.get(index)?);
            Some(IdentityStatus::new(chain, (index, identity), current, unit, now))
        }))
    }

    /// How what peers are checked against is doing, if there is any.
    pub(crate) fn trust_status(&self) -> Result<Option<TrustStatus>, Error> {
        let now = Now::read().unix;
        Ok(self.call()?.with_standing(|standing, current| self.trust_of(standing, current, now)))
    }

    fn trust_of(
        &self,
        standing: &UnitStates,
        current: &Generation,
        now: i64,
    ) -> Option<TrustStatus> {
        let (index, trust) = (current.identities().len(), current.trust()?);
        let (path, unit) = (self.shared.paths.get(index)?, standing.units.get(index)?);
        Some(TrustStatus::new(path, index, (trust, current), unit, now))
    }

    /// All that there is to measure.
    pub(crate) fn snapshot(&self) -> Result<HandleMetrics, Error> {
        let now = Now::read().unix;
        Ok(self.call()?.with_standing(|standing, current| {
            let identities = current.identities().iter().enumerate();
            let identities = identities.zip(&standing.units).zip(&self.shared.paths);
            let identities = identities.map(|((identity, unit), chain)| {
                let (index, identity) = identity;
                IdentityStatus::new(chain, (index, identity), current, unit, now)
            });
            HandleMetrics {
                name: self.shared.options.name.clone(),
                status: Status::new(current, standing, self.shared.alive.count(), now),
                generation: current.clone(),
                identities: identities.collect(),
                trust: self.trust_of(standing, current, now),
            }
        }))
    }

    /// Lets those go who wait, stops watching, and waits for what runs.
    ///
    /// After a fork there is nothing of that in this process.
    pub(crate) fn close(self: Arc<Self>) {
        let live = self.live.load_full();
        if live.is_of_this_process() {
            live.close();
        } else if let Some(handle) = Arc::into_inner(self) {
            drop(live);
            handle.live.into_inner().abandon();
        }
    }

    fn call(&self) -> Result<Call, Error> {
        let live = self.live.load_full();
        let held = live.is_of_this_process().then(|| live.enter()).transpose()?;
        Ok(Call { live, held })
    }

    /// A call that takes those who do the work.
    fn call_here(&self) -> Result<Call, Error> {
        let call = self.call()?;
        if call.held.is_none() { Err(Error::new(Cause::Forked)) } else { Ok(call) }
    }
}

impl Instance {
    /// Shows what the looks left behind, and the generation that it is about.
    fn with_standing<T>(&self, show: impl FnOnce(&UnitStates, &Arc<Generation>) -> T) -> T {
        if self.is_of_this_process() {
            let states = self.states();
            show(&states, &self.current())
        } else {
            let current = self.current();
            show(&UnitStates::after_fork(&current), &current)
        }
    }
}
