//! What the handles of a process share: it begins with the first of them and ends with the last.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;

use super::crew::Crew;
use super::handles::Handles;
use super::waits::Waits;
use crate::error::Error;
use crate::options::RuntimeMode;
use crate::sys::{Era, ThreadNumber};
use crate::watch::Watcher;

/// One for handles whose work threads do, one for those whose work their hosts do.
static RUNTIMES: ArcSwapOption<Runtimes> = ArcSwapOption::const_empty();

/// The runtimes of one process, each with the number of handles that use it. A forked child has
/// others: whatever its parent's threads were doing when it was forked is left as it is there.
struct Runtimes {
    era: Era,
    waits: Arc<Waits>,
    places: Mutex<[Place; 2]>,
}

/// A runtime, once there is a handle that uses it, and how many do.
type Place = Option<(Arc<Runtime>, usize)>;

/// What all handles of the process share that are driven alike.
pub(super) struct Runtime {
    era: Era,
    mode: RuntimeMode,
    waits: Arc<Waits>,
    handles: Arc<Handles>,
    /// The threads; none where hosts do the work.
    crew: Option<Arc<Crew>>,
}

/// Joins the runtime, and starts it for the first handle.
pub(super) fn enter(mode: RuntimeMode) -> Result<Entered, Error> {
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
pub(super) struct Entered {
    runtime: Arc<Runtime>,
    stays: bool,
}

impl Entered {
    pub(super) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// From now on [`Runtime::leave`] leaves.
    pub(super) fn stay(mut self) {
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

/// The runtimes of this process.
fn runtimes() -> Arc<Runtimes> {
    let era = Era::now();
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
    fn places(&self) -> MutexGuard<'_, [Place; 2]> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime {
    fn start(runtimes: &Runtimes, mode: RuntimeMode) -> io::Result<Arc<Self>> {
        let crew = match mode {
            RuntimeMode::Thread => Some(Arc::new(Crew::new(runtimes.waits.clone())?)),
            RuntimeMode::Host => None,
        };
        let handles = Arc::<Handles>::default();
        if let Some(crew) = &crew {
            crew.start(&handles)?;
        }
        let (era, waits) = (runtimes.era, runtimes.waits.clone());
        Ok(Arc::new(Self { era, mode, waits, handles, crew }))
    }

    /// False in a child that was forked after the start: threads do not survive a fork.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.era == Era::now()
    }

    /// The process whose runtime it is.
    pub(super) fn era(&self) -> Era {
        self.era
    }

    pub(super) fn waits(&self) -> &Arc<Waits> {
        &self.waits
    }

    pub(super) fn handles(&self) -> &Arc<Handles> {
        &self.handles
    }

    pub(super) fn watcher(&self) -> &Watcher {
        self.handles.watcher()
    }

    pub(super) fn crew(&self) -> Option<&Crew> {
        self.crew.as_deref()
    }

    /// The thread that works for the handles, where there is one.
    pub(super) fn worker(&self) -> Option<ThreadNumber> {
        self.crew().and_then(Crew::worker)
    }

    /// Gives a place up; with the last one the threads end.
    pub(super) fn leave(&self) {
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
        if let Some(crew) = &self.crew {
            crew.stop();
        }
        drop(last);
    }

    /// In a child that was forked: gives up what the parent's handles shared. It may be called for each
    /// of them; nothing in it is freed, so that nothing is closed again.
    pub(super) fn abandon(&self) {
        self.watcher().abandon();
        if let Some(crew) = &self.crew {
            crew.abandon();
        }
    }
}
