//! What the handles of a process share: it begins with the first of them and ends with the last.

mod deadlines;
mod handle;
mod host_loop;
mod instance;
mod published;
mod registry;
mod shared;
mod threads;
mod throttle;
mod worker;
mod worker_state;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;

pub(crate) use handle::Handle;
pub(crate) use threads::steps;

use crate::error::Error;
use crate::options::RuntimeMode;
use crate::sys::WaitGraph;
use crate::sys::{ForkGeneration, ThreadId};
use crate::watch::Watcher;
use registry::Registry;
use threads::WorkerThreads;

/// One for handles whose work threads do, one for those whose work their hosts do.
static RUNTIMES: ArcSwapOption<Runtimes> = ArcSwapOption::const_empty();

/// The runtimes of one process, each with the number of handles that use it. A forked child has
/// others: whatever its parent's threads were doing when it was forked is left as it is there.
struct Runtimes {
    era: ForkGeneration,
    waits: Arc<WaitGraph>,
    places: Mutex<[RuntimeSlot; 2]>,
}

/// A runtime, once there is a handle that uses it, and how many do.
type RuntimeSlot = Option<(Arc<Runtime>, usize)>;

/// What all handles of the process share that are driven alike.
struct Runtime {
    era: ForkGeneration,
    mode: RuntimeMode,
    waits: Arc<WaitGraph>,
    handles: Arc<Registry>,
    /// The threads; none where hosts do the work.
    threads: Option<Arc<WorkerThreads>>,
}

/// Joins the runtime, and starts it for the first handle.
fn enter(mode: RuntimeMode) -> Result<Entered, Error> {
    let runtimes = runtimes();
    let mut places = runtimes.places();
    let place = &mut places[mode as usize];
    let runtime = if let Some((runtime, users)) = place {
        *users += 1;
        runtime.clone()
    } else {
        let runtime = Runtime::start(&runtimes, mode)
            .map_err(|error| Error::system("background threads cannot be started", &error))?;
        *place = Some((runtime.clone(), 1));
        runtime
    };
    Ok(Entered { runtime, stays: false })
}

/// A place in the runtime, which is left again unless somebody says to stay.
struct Entered {
    runtime: Arc<Runtime>,
    stays: bool,
}

impl Entered {
    fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// From now on [`Runtime::leave`] leaves.
    fn stay(mut self) {
        self.stays = true;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.stays {
            self.runtime.leave();
        }
    }
}

/// Makes whoever does the work look at what there is to do.
pub(crate) fn wake() {
    let running: Vec<_> =
        runtimes().places().iter().flatten().map(|(runtime, _)| runtime.clone()).collect();
    for runtime in running {
        runtime.handles().steps().iter().filter_map(Weak::upgrade).for_each(|handle| handle.wake());
    }
}

/// Sets the wall clock of this process, as far as certreload reads it, and wakes the worker as the
/// kernel does when somebody sets the system's.
pub(crate) fn set_clock(offset_seconds: i64) {
    crate::clock::set_offset(offset_seconds);
    wake();
}

/// The runtimes of this process.
fn runtimes() -> Arc<Runtimes> {
    let era = ForkGeneration::now();
    loop {
        let known = RUNTIMES.load_full();
        if let Some(known) = &known
            && known.era == era
        {
            return known.clone();
        }
        let new =
            Arc::new(Runtimes { era, waits: Arc::default(), places: Mutex::new([None, None]) });
        RUNTIMES.compare_and_swap(&known, Some(new));
        // The parent's, if there were any. Threads of its own may have been changing them when this
        // process was forked, so nothing of them is touched, not even to free it.
        std::mem::forget(known);
    }
}

impl Runtimes {
    fn places(&self) -> MutexGuard<'_, [RuntimeSlot; 2]> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime {
    fn start(runtimes: &Runtimes, mode: RuntimeMode) -> io::Result<Arc<Self>> {
        let threads = match mode {
            RuntimeMode::Thread => Some(Arc::new(WorkerThreads::new(runtimes.waits.clone())?)),
            RuntimeMode::Host => None,
        };
        let handles = Arc::<Registry>::default();
        if let Some(threads) = &threads {
            threads.start(&handles)?;
        }
        let (era, waits) = (runtimes.era, runtimes.waits.clone());
        Ok(Arc::new(Self { era, mode, waits, handles, threads }))
    }

    /// False in a child that was forked after the start: threads do not survive a fork.
    fn is_of_this_process(&self) -> bool {
        self.era == ForkGeneration::now()
    }

    /// The process whose runtime it is.
    fn era(&self) -> ForkGeneration {
        self.era
    }

    fn waits(&self) -> &Arc<WaitGraph> {
        &self.waits
    }

    fn handles(&self) -> &Arc<Registry> {
        &self.handles
    }

    fn watcher(&self) -> &Watcher {
        self.handles.watcher()
    }

    fn threads(&self) -> Option<&WorkerThreads> {
        self.threads.as_deref()
    }

    /// The thread that works for the handles, where there is one.
    fn worker(&self) -> Option<ThreadId> {
        self.threads().and_then(WorkerThreads::worker)
    }

    /// Gives a place up; with the last one the threads end.
    fn leave(&self) {
        let runtimes = runtimes();
        let mut places = runtimes.places();
        let place = &mut places[self.mode as usize];
        let Some((_, users)) = place else { return };
        *users -= 1;
        if *users > 0 {
            return;
        }
        let last = place.take();
        // Unlocked before the threads are waited for: one of them may be in a callback that opens
        // or closes another handle.
        drop(places);
        if let Some(threads) = &self.threads {
            threads.stop();
        }
        drop(last);
    }

    /// In a child that was forked: gives up what the parent's handles shared. It may be called for each
    /// of them; nothing in it is freed, so that nothing is closed again.
    fn abandon(&self) {
        self.watcher().abandon();
        if let Some(threads) = &self.threads {
            threads.abandon();
        }
    }
}
