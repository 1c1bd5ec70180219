//! The process's one set of background threads: it begins with the first handle and ends with the last.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::Now;
use super::delivery::Delivery;
use super::rest::Rest;
use crate::error::Error;
use crate::guard::guarded;
use crate::sys::{Bell, ClockWatch, wait_readable, with_signals_blocked};
use crate::watch::{Heard, ObserverId, Watcher};

/// Names as `top -H` shows them: the kernel keeps 15 bytes.
const WORKER: &str = "certreload";
const DELIVERY: &str = "certreload-evt";

/// The runtime and how many handles use it.
static RUNTIME: Mutex<Option<(Arc<Runtime>, usize)>> = Mutex::new(None);

/// What the worker works on.
pub(super) trait Step: Send + Sync {
    /// Does what is due, and tells when there will be something to do again. Does not panic.
    fn step(&self, now: Now) -> Option<Instant>;
}

/// Joins the runtime, and starts it for the first handle.
pub(super) fn enter() -> Result<Entered, Error> {
    let mut shared = shared();
    if let Some((runtime, users)) = shared.as_mut() {
        if runtime.is_of_this_process() {
            *users += 1;
            return Ok(Entered { runtime: runtime.clone(), stays: false });
        }
        // Its threads stayed in the parent. It is left as it is: whatever they held is held for ever.
        std::mem::forget(shared.take());
    }
    let runtime = Runtime::start()
        .map_err(|error| Error::system("background threads cannot be started", &error))?;
    *shared = Some((runtime.clone(), 1));
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

/// Makes the worker look at what there is to do.
pub(crate) fn wake() {
    if let Some((runtime, _)) = shared().as_ref() {
        runtime.bell.ring();
    }
}

fn shared() -> MutexGuard<'static, Option<(Arc<Runtime>, usize)>> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all handles of the process share.
pub(super) struct Runtime {
    bell: Arc<Bell>,
    /// Where the system grants none, a clock that is set is noticed at the next poll.
    clock: Option<ClockWatch>,
    watcher: Watcher,
    delivery: Arc<Delivery>,
    handles: Mutex<BTreeMap<ObserverId, Weak<dyn Step>>>,
    stopped: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
    process: u32,
}

impl Runtime {
    fn start() -> io::Result<Arc<Self>> {
        let runtime = Arc::new(Self {
            bell: Arc::new(Bell::new()?),
            clock: ClockWatch::new().ok(),
            watcher: Watcher::default(),
            delivery: Arc::default(),
            handles: Mutex::default(),
            stopped: AtomicBool::new(false),
            threads: Mutex::default(),
            process: std::process::id(),
        });
        let (worker, delivery) = (runtime.clone(), runtime.delivery.clone());
        let worker = spawn(WORKER, move || worker.work())?;
        runtime.threads().push(worker);
        match spawn(DELIVERY, move || delivery.run()) {
            Ok(delivery) => {
                runtime.threads().push(delivery);
                Ok(runtime)
            }
            Err(error) => {
                runtime.stop();
                Err(error)
            }
        }
    }

    /// False in a child that was forked after the start: threads do not survive a fork.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    pub(super) fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    pub(super) fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }

    pub(super) fn register(&self, id: ObserverId, handle: Weak<dyn Step>) {
        self.handles().insert(id, handle);
        self.bell.ring();
    }

    pub(super) fn deregister(&self, id: ObserverId) {
        self.handles().remove(&id);
    }

    /// Steps every handle, and sleeps until there is something to do: the body of the worker.
    fn work(&self) {
        let mut rest = Rest::default();
        while !self.stopped.load(Ordering::SeqCst) {
            let handles: Vec<_> = self.handles().values().filter_map(Weak::upgrade).collect();
            let next = handles.iter().filter_map(|handle| handle.step(Now::read())).min();
            drop(handles);
            self.wait_until(next, &mut rest);
        }
    }

    /// Waits until `next`, or until somebody rings, the kernel tells of a change, or the clock is set.
    fn wait_until(&self, next: Option<Instant>, rest: &mut Rest) {
        let now = Instant::now();
        let rest_until = rest.until(now);
        let limit = [next, rest_until].into_iter().flatten().min();
        let notifier = self.watcher.descriptor().filter(|_| rest_until.is_none());
        let clock = self.clock.as_ref().map(AsRawFd::as_raw_fd);
        let [rung, _, clock_was_set] = wait_readable(
            [Some(self.bell.as_raw_fd()), notifier, clock],
            limit.map(|limit| limit.saturating_duration_since(now)),
        );
        if rung {
            self.bell.hush();
        }
        if clock_was_set && let Some(clock) = &self.clock {
            clock.rearm();
        }
        // A panic in there is a defect; whatever was read then is lost, and the poll finds it.
        if rest_until.is_none()
            && guarded(|| self.watcher.read()).unwrap_or(Heard::ForNobody) == Heard::ForNobody
        {
            rest.read_for_nobody(Instant::now());
        }
    }

    /// Gives a place up; with the last one the threads end.
    pub(super) fn leave(&self) {
        let mut shared = shared();
        let Some((_, users)) = shared.as_mut() else { return };
        *users -= 1;
        if *users > 0 {
            return;
        }
        *shared = None;
        // Unlocked before the threads are waited for: one of them may be in a callback that opens
        // or closes another handle.
        drop(shared);
        self.stop();
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.bell.ring();
        self.delivery.stop();
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            // The last handle may be closed inside a callback: that thread ends by itself.
            if thread.thread().id() != thread::current().id() {
                // It catches panics; whatever it came to, it has ended.
                let _ = thread.join();
            }
        }
    }

    fn handles(&self) -> MutexGuard<'_, BTreeMap<ObserverId, Weak<dyn Step>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    with_signals_blocked(|| thread::Builder::new().name(name.to_owned()).spawn(body))
}
