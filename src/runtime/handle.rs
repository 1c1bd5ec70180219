//! The handle as the host has it: the current generation, and calls to the instance that renews it.

use std::ops::Deref;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::{ClientConfig, ServerConfig};

use super::handle_step;
use super::instance::{Instance, next_id};
use super::shared::Shared;
use super::unit_reads::{HereReader, OpenOnReaders};
use crate::clock::Now;
use crate::error::{Cause, Error};
use crate::events::{Event, EventSink};
use crate::options::{IdentityBytes, Options, StartMode};
use crate::reload::{Adapter, Opened, Outcome, Pipeline};
use crate::status::{HandleMetrics, IdentityStatus, Observation, Status, TrustStatus, UnitStates};
use crate::sys::wait_graph;
use crate::tls::{Generation, GenerationsAlive};

/// An open handle.
pub(crate) struct Handle {
    shared: Arc<Shared>,
    /// The instance of the process that opened the handle, or called `after_fork`.
    instance: ArcSwap<Instance>,
}

/// What a handle serves. After the handle was closed, its last generation.
pub(crate) struct View(Arc<Shared>);

impl View {
    /// Returns whether both are of one handle.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Acquires the current generation.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.0.current.load_full()
    }
}

/// A call of the host that is running. `close` waits for it.
struct Call {
    instance: Arc<Instance>,
    /// The record of this call, which `close` waits for until it is dropped. `None` in a forked child before
    /// `after_fork`: there `close` only releases the inherited instance, and does not wait.
    held: Option<wait_graph::HeldResource>,
}

impl Deref for Call {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl Handle {
    /// Loads, checks and publishes the first generation, and subscribes to changes. Events wait until
    /// [`Handle::release_events`].
    pub(crate) fn open(options: &Options, sink: Option<EventSink>) -> Result<Arc<Self>, Error> {
        let now = Now::read();
        let count = GenerationsAlive::default();
        let Opened { pipeline, publication, failures } = load(options, count.clone(), now)?;
        let file_warnings: Vec<_> = pipeline.file_warnings().collect();
        let shared = Arc::new(Shared::new(&pipeline, publication.generation.clone(), count));
        shared.sink.store(sink.clone().map(Arc::new));
        let instance = Instance::new(shared.clone(), pipeline, sink)?;
        instance.states().note_open(&failures, now.unix);
        instance.events.push(publication.into_event());
        for (_, failure) in &failures {
            instance.events.push(handle_step::event_of_failure(failure, &instance.current()));
        }
        instance.states().set_file_warnings(file_warnings.into_iter().enumerate());
        handle_step::subscribe_and_scan(&instance, now);
        instance.start();
        Ok(Arc::new(Self { shared, instance: ArcSwap::new(instance) }))
    }

    /// Starts the delivery of events, because the host has the handle now.
    pub(crate) fn release_events(&self) {
        self.instance.load().events.release();
    }

    /// Loads and checks all units as [`Handle::open`] does, and discards them. Returns the first failure, if any, even if
    /// `open` would succeed without a unit.
    pub(crate) fn check(options: &Options) -> Result<(), Error> {
        let options = &Options { start: StartMode::Strict, ..options.clone() };
        let loaded = load(options, GenerationsAlive::default(), Now::read());
        loaded.map(|_| ())
    }

    /// Acquires the current generation.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.shared.current.load_full()
    }

    /// Acquires the current config of the server role.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.shared.current.config()
    }

    /// Returns whether rustls has an identity for servers.
    pub(crate) fn serves(&self) -> bool {
        self.shared.serves
    }

    /// Acquires the current config of the client role. `None` if there are no roots to verify servers with.
    pub(crate) fn client_config(&self) -> Option<Arc<ClientConfig>> {
        self.shared.current.client_config()
    }

    /// Ends every session: none that began before is resumed.
    pub(crate) fn invalidate_sessions(&self) -> Result<(), Error> {
        let _call = self.call()?;
        self.shared.current.load_full().base_config().invalidate_sessions()
    }

    /// Requests a reload. Async-signal-safe: a few atomic operations and one `write(2)` (G9).
    pub(crate) fn request_reload(&self) {
        self.shared.request_reload();
    }

    /// Reloads. The result is about the files as they are at or after the call (G6).
    pub(crate) fn reload_wait(&self, limit: Option<Duration>) -> Result<Outcome, Error> {
        self.call_here()?.reload_wait(limit)
    }

    /// Loads bytes that the host pushes for the identity at `index`.
    pub(crate) fn push(&self, index: usize, bytes: IdentityBytes) -> Result<Outcome, Error> {
        handle_step::push(&*self.call_here()?, index, bytes)
    }

    /// Adds an adapter, which prepares what is served now, and all that is published from then on. Returns its index.
    pub(crate) fn add_adapter(&self, adapter: Arc<dyn Adapter>) -> Result<usize, Error> {
        let call = self.call_here()?;
        let state = call.state()?;
        if call.is_closed() {
            return Err(Error::new(Cause::Closed));
        }
        let added = state.pipeline.add_adapter(adapter);
        // As after a push: the worker does not wait for a locked state.
        drop(state);
        call.handle_waker.wake();
        added
    }

    /// Returns what the handle serves, for readers that outlive it.
    pub(crate) fn view(&self) -> View {
        View(self.shared.clone())
    }

    /// Returns the number of identities.
    pub(crate) fn identity_count(&self) -> usize {
        self.shared.options.identities.len()
    }

    /// Runs a step and delivers events on this thread. Fails unless the handle has the HOST runtime.
    pub(crate) fn dispatch(&self) -> Result<(), Error> {
        self.call_here()?.dispatch()
    }

    /// Returns the descriptor that becomes readable when the host has events to take, or must dispatch.
    pub(crate) fn event_descriptor(&self) -> Result<RawFd, Error> {
        self.call_here()?.event_descriptor()
    }

    /// Removes and returns the next event.
    pub(crate) fn next_event(&self) -> Result<Option<Event>, Error> {
        let call = self.call()?;
        // In a forked child, the queued events are the parent's, so none is returned.
        Ok(if call.is_of_this_process() { call.events.take() } else { None })
    }

    pub(crate) fn set_sink(&self, sink: Option<EventSink>) -> Result<(), Error> {
        let call = self.call()?;
        // In a forked child no thread delivers events, so there is no callback to wait for.
        if call.is_of_this_process() {
            call.set_sink(sink)?;
        } else {
            self.shared.sink.store(sink.map(Arc::new));
        }
        Ok(())
    }

    /// Creates the instance of a forked child, which watches and reloads there too. Does nothing in other processes.
    pub(crate) fn after_fork(&self) -> Result<(), Error> {
        if self.instance.load().is_of_this_process() {
            return Ok(());
        }
        let Shared { options, opened_as, current, .. } = &*self.shared;
        current.after_fork();
        let is_memory = |index: usize| self.shared.is_memory[index].load(Ordering::SeqCst);
        let generation = current.load();
        let inherited = (&**generation, self.shared.adapters.clone());
        let pipeline = Pipeline::resume(options.clone(), inherited, is_memory, opened_as.clone());
        drop(generation);
        let sink = self.shared.sink.load().as_deref().cloned();
        let instance = Instance::new(self.shared.clone(), pipeline, sink)?;
        instance.states().forget_renewals();
        // Store the new instance before its first step: a callback that the step runs may call this handle.
        let inherited = self.instance.swap(instance.clone());
        instance.events.release();
        // Request a reload: changes between the fork and this call have caused no notification in this process.
        self.shared.requested.store(true, Ordering::SeqCst);
        instance.start();
        inherited.abandon();
        Ok(())
    }

    pub(crate) fn status(&self) -> Result<Status, Error> {
        Ok(self.call()?.observe(Status::of))
    }

    /// Returns the status of the identity at `index`, if there is one.
    pub(crate) fn identity_status(&self, index: usize) -> Result<Option<IdentityStatus>, Error> {
        Ok(self.call()?.observe(|observation| IdentityStatus::of(observation, index)))
    }

    /// Returns the status of the trust store, if the handle has one.
    pub(crate) fn trust_status(&self) -> Result<Option<TrustStatus>, Error> {
        Ok(self.call()?.observe(TrustStatus::of))
    }

    /// Returns the metrics of the handle and its units.
    pub(crate) fn metrics(&self) -> Result<HandleMetrics, Error> {
        let name = self.shared.options.name.clone();
        Ok(self.call()?.observe(|observation| HandleMetrics::of(observation, name)))
    }

    /// Ends waits and subscriptions, and blocks until no pass, callback or call of another thread uses the handle.
    ///
    /// In a forked child that has not called `after_fork`, releases the inherited instance instead.
    pub(crate) fn close(self: Arc<Self>) {
        let instance = self.instance.load_full();
        if instance.is_of_this_process() {
            instance.close();
        } else if let Some(handle) = Arc::into_inner(self) {
            drop(instance);
            handle.instance.into_inner().abandon();
        }
    }

    fn call(&self) -> Result<Call, Error> {
        let instance = self.instance.load_full();
        let held = instance.is_of_this_process().then(|| instance.enter()).transpose()?;
        Ok(Call { instance, held })
    }

    /// Registers a call that needs an instance of this process. Fails in a forked child before `after_fork`.
    fn call_here(&self) -> Result<Call, Error> {
        let call = self.call()?;
        if call.held.is_none() { Err(Error::new(Cause::Forked)) } else { Ok(call) }
    }
}

/// Loads all units for the first time.
fn load(options: &Options, count: GenerationsAlive, now: Now) -> Result<Opened, Error> {
    let options = options.fixed()?;
    if !options.reads_on_readers() {
        return Pipeline::open(options, &HereReader, count, now.unix);
    }
    let (readers, timeout) = (super::readers(), options.answer_timeout());
    let reader = OpenOnReaders { readers, id: next_id(), timeout };
    let opened = Pipeline::open(options, &reader, count, now.unix);
    super::stop_idle_readers();
    opened
}

impl Instance {
    /// Calls `show` with the states of all units and the generation that they are about.
    fn observe<T>(&self, show: impl FnOnce(&Observation<'_>) -> T) -> T {
        let now = Now::read().unix;
        let show = |states: &UnitStates| {
            show(&Observation {
                current: &self.current(),
                states,
                paths: &self.shared.paths,
                generations_alive: self.shared.alive.count(),
                now,
            })
        };
        if self.is_of_this_process() {
            show(&self.states())
        } else {
            show(&UnitStates::after_fork(&self.current()))
        }
    }
}
