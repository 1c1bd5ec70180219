//! The part of a handle that outlives its instances: the options, the published generation, and the reload request.
//!
//! A signal handler uses only atomics of this part: the request flag, and the descriptor and process of the waker (G9).
//! A forked child inherits this part and keeps serving from it, whatever the threads of the parent were doing (G11).

use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use arc_swap::ArcSwapOption;

use super::published_generation::Published;
use crate::events::EventSink;
use crate::options::{Options, Role, TlsStack};
use crate::reload::{Adapters, Pipeline};
use crate::sys::{Privileges, ProcessNumber, ProcessNumberCell, Waker, wake_descriptor};
use crate::tls::{Generation, GenerationsAlive};

/// What the instances of a handle share: the options, the published generation, and the atomics for signal handlers.
pub(super) struct Shared {
    pub(super) options: Arc<Options>,
    pub(super) opened_as: Privileges,
    /// Whether rustls has an identity to serve.
    pub(super) serves: bool,
    /// The path that messages name each unit by.
    pub(super) paths: Vec<Arc<Path>>,
    pub(super) current: Published,
    pub(super) alive: GenerationsAlive,
    pub(super) adapters: Arc<Adapters>,
    /// Which units the host pushes the content of. A forked child inherits it.
    pub(super) is_memory: Vec<AtomicBool>,
    /// The event callback, which a forked child that calls `after_fork` uses from then on.
    pub(super) sink: ArcSwapOption<EventSink>,
    /// Whether a reload has been requested. Signal handlers set it with one atomic store (G9).
    pub(super) requested: Arc<AtomicBool>,
    /// The descriptor that wakes the worker, and the process that it belongs to. In a forked child the number may
    /// belong to another file by now.
    waker_fd: AtomicI32,
    waker_process: ProcessNumberCell,
}

impl Shared {
    pub(super) fn new(
        pipeline: &Pipeline,
        first: Arc<Generation>,
        alive: GenerationsAlive,
    ) -> Self {
        let options = pipeline.options().clone();
        let files = &options.identities;
        let paths = (0..pipeline.unit_count()).map(|unit| pipeline.path(unit).into()).collect();
        let serves =
            options.tls == TlsStack::Rustls && files.iter().any(|files| files.role == Role::Server);
        let is_memory =
            (0..pipeline.unit_count()).map(|index| AtomicBool::new(pipeline.is_memory(index)));
        Self {
            opened_as: pipeline.opened_as().clone(),
            serves,
            paths,
            current: Published::new(first),
            alive,
            adapters: pipeline.adapters().clone(),
            is_memory: is_memory.collect(),
            sink: ArcSwapOption::empty(),
            requested: Arc::default(),
            waker_fd: AtomicI32::new(-1),
            waker_process: ProcessNumberCell::new(),
            options,
        }
    }

    /// Requests a reload. Async-signal-safe: a few atomic loads, a store and one `write(2)`. A forked child that has
    /// not called `after_fork` records the request and wakes no thread.
    ///
    /// The store comes before the write, and the worker clears the flag after it wakes. So the pass that follows the
    /// last request begins after that request, and all requests before a pass are answered by that pass.
    pub(super) fn request_reload(&self) {
        self.requested.store(true, Ordering::SeqCst);
        if self.waker_process.is_now() {
            wake_descriptor(self.waker_fd.load(Ordering::SeqCst));
        }
    }

    /// Lets requests wake `waker`, which belongs to `process`. The process is stored last, so that a signal handler
    /// which sees the process also sees its descriptor.
    pub(super) fn set_waker(&self, waker: &Waker, process: ProcessNumber) {
        self.waker_fd.store(waker.as_raw_fd(), Ordering::SeqCst);
        self.waker_process.set(process);
    }
}
