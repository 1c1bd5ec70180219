//! Runs reload passes: on background threads that all handles share, or in the host's event loop.
//!
//! A runtime starts with the first handle that uses it and ends with the last.

mod background_threads;
mod deadlines;
mod handle;
mod handle_step;
mod host_descriptor;
mod instance;
mod late_reads;
mod notification_throttle;
mod open_handles;
mod published_generation;
mod shared;
mod step_reads;
mod step_state;
mod unit_reads;

use std::io;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

pub(crate) use background_threads::steps;
pub(crate) use handle::{Handle, View};

use crate::error::Error;
use crate::options::RuntimeMode;
use crate::readers::Readers;
use crate::sys::WaitGraph;
use crate::sys::{Mutex, MutexGuard};
use crate::sys::{ProcessNumber, ThreadId};
use crate::watch::Watcher;
use background_threads::WorkerThreads;
use open_handles::OpenHandles;

/// The runtimes of this process: one with threads, and one for handles whose hosts run the steps.
static RUNTIMES: ArcSwapOption<Runtimes> = ArcSwapOption::const_empty();

/// The runtimes of one process. A forked child creates its own, and leaves those of its parent as they are. A thread of
/// the parent may have been changing them when the process forked (G11).
struct Runtimes {
    process: ProcessNumber,
    wait_graph: Arc<WaitGraph>,
    readers: Arc<Readers>,
    slots: Mutex<[RuntimeSlot; 2]>,
}

/// A runtime, and the number of handles that use it.
type RuntimeSlot = Option<(Arc<Runtime>, usize)>;

/// What all handles with the same runtime mode share.
struct Runtime {
    process: ProcessNumber,
    mode: RuntimeMode,
    wait_graph: Arc<WaitGraph>,
    readers: Arc<Readers>,
    registry: Arc<OpenHandles>,
    /// `None` if hosts run the steps.
    threads: Option<Arc<WorkerThreads>>,
}

/// Joins the runtime, and starts it for the first handle.
fn enter(mode: RuntimeMode) -> Result<Entered, Error> {
    let runtimes = runtimes();
    let mut slots = runtimes.slots();
    let slot = &mut slots[mode as usize];
    let runtime = if let Some((runtime, users)) = slot {
        *users += 1;
        runtime.clone()
    } else {
        let runtime = Runtime::start(&runtimes, mode)
            .map_err(|error| Error::system("background threads cannot be started", &error))?;
        *slot = Some((runtime.clone(), 1));
        runtime
    };
    Ok(Entered { runtime, is_kept: false })
}

/// The use of a runtime by one handle. It ends when this value is dropped, unless [`Entered::keep`] was called.
struct Entered {
    runtime: Arc<Runtime>,
    is_kept: bool,
}

impl Entered {
    fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// Makes the use last until the handle calls [`Runtime::leave`].
    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.is_kept {
            self.runtime.leave();
        }
    }
}

/// Makes a step of every handle due.
pub(crate) fn wake() {
    let running: Vec<_> =
        runtimes().slots().iter().flatten().map(|(runtime, _)| runtime.clone()).collect();
    for runtime in running {
        runtime
            .open_handles()
            .steps()
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|handle| handle.wake());
    }
}

/// Sets the wall clock that certreload reads in this process, and wakes the worker as the kernel does when the system's
/// clock is set.
pub(crate) fn set_clock(offset_seconds: i64) {
    crate::clock::set_offset(offset_seconds);
    wake();
}

/// Returns the readers of this process.
fn readers() -> Arc<Readers> {
    runtimes().readers.clone()
}

/// Ends the readers that were started for an open or for the last handle. A host may unload the library after its last
/// call.
fn stop_idle_readers() {
    runtimes().readers.stop();
}

/// Returns the runtimes of this process.
fn runtimes() -> Arc<Runtimes> {
    let process = ProcessNumber::now();
    loop {
        let known = RUNTIMES.load_full();
        if let Some(known) = &known
            && known.process == process
        {
            return known.clone();
        }
        let new = Arc::new(Runtimes {
            process,
            wait_graph: Arc::default(),
            readers: Arc::default(),
            slots: Mutex::new([None, None]),
        });
        RUNTIMES.compare_and_swap(&known, Some(new));
        // In a forked child, `known` are the runtimes of the parent. They are not even freed: see `Runtimes`.
        std::mem::forget(known);
    }
}

impl Runtimes {
    fn slots(&self) -> MutexGuard<'_, [RuntimeSlot; 2]> {
        self.slots.lock()
    }
}

impl Runtime {
    fn start(runtimes: &Runtimes, mode: RuntimeMode) -> io::Result<Arc<Self>> {
        let threads = match mode {
            RuntimeMode::Thread => {
                let (graph, readers) = (runtimes.wait_graph.clone(), runtimes.readers.clone());
                Some(Arc::new(WorkerThreads::new(graph, readers)?))
            }
            RuntimeMode::Host => None,
        };
        let registry = Arc::<OpenHandles>::default();
        if let Some(threads) = &threads {
            threads.start(&registry)?;
        }
        let (process, wait_graph) = (runtimes.process, runtimes.wait_graph.clone());
        let readers = runtimes.readers.clone();
        Ok(Arc::new(Self { process, mode, wait_graph, readers, registry, threads }))
    }

    /// Returns false in a child that was forked after the start: threads do not survive a fork.
    fn is_of_this_process(&self) -> bool {
        self.process == ProcessNumber::now()
    }

    /// Returns the process that the runtime belongs to.
    fn process(&self) -> ProcessNumber {
        self.process
    }

    fn wait_graph(&self) -> &Arc<WaitGraph> {
        &self.wait_graph
    }

    fn readers(&self) -> &Arc<Readers> {
        &self.readers
    }

    fn open_handles(&self) -> &Arc<OpenHandles> {
        &self.registry
    }

    fn watcher(&self) -> &Watcher {
        self.registry.watcher()
    }

    fn threads(&self) -> Option<&WorkerThreads> {
        self.threads.as_deref()
    }

    /// Returns the worker thread, unless hosts run the steps.
    fn worker(&self) -> Option<ThreadId> {
        self.threads().and_then(WorkerThreads::worker)
    }

    /// Ends a use of the runtime. The last one stops the threads.
    fn leave(&self) {
        let runtimes = runtimes();
        let mut slots = runtimes.slots();
        let slot = &mut slots[self.mode as usize];
        let Some((_, users)) = slot else { return };
        *users -= 1;
        if *users > 0 {
            return;
        }
        let last = slot.take();
        // Unlocked before the threads are joined: one of them may be in a callback that opens or closes another handle.
        drop(slots);
        if let Some(threads) = &self.threads {
            threads.stop();
        }
        stop_idle_readers();
        drop(last);
    }

    /// Closes, in a forked child, the child's copies of the descriptors of the parent's runtime. Each inherited handle
    /// may call this. The runtime is not freed, so no destructor closes a descriptor again.
    fn abandon(&self) {
        self.watcher().abandon();
        if let Some(threads) = &self.threads {
            threads.abandon();
        }
    }
}
