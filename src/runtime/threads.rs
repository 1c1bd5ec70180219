//! The background threads of the process: one works, others call callbacks.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::deadlines::NextStep;
use super::registry::{Registry, Step};
use super::throttle::Throttle;
use crate::clock::Now;
use crate::events::Dispatcher;
use crate::sys::catch_panic;
use crate::sys::{
    ClockWatch, InheritedFd, ThreadId, Waker, wait_readable, with_signals_blocked, without_fork,
};
use crate::sys::{Resource, WaitGraph};
use crate::watch::ReadOutcome;

/// Names as `top -H` shows them: the kernel keeps 15 bytes.
const WORKER: &str = "certreload";
const DELIVERY: &str = "certreload-evt";

/// Bytes of stack for each of them. Callbacks of the host run on it too.
const STACK: usize = 512 * 1024;

/// How many steps the worker threads of this process have made.
static STEPS: AtomicU64 = AtomicU64::new(0);

/// Returns how many steps the worker threads of this process have made. Tests show with it that the work does not grow
/// with the number of handles.
pub(crate) fn steps() -> u64 {
    STEPS.load(Ordering::Relaxed)
}

/// One of them.
struct Thread {
    number: ThreadId,
    handle: JoinHandle<()>,
}

/// What the threads share.
pub(super) struct WorkerThreads {
    bell: Arc<Waker>,
    /// Where the system grants none, a clock that is set is noticed at the next poll.
    clock: Option<ClockWatch>,
    delivery: Arc<Dispatcher>,
    waits: Arc<WaitGraph>,
    stopped: AtomicBool,
    worker: OnceLock<ThreadId>,
    threads: Mutex<Vec<Thread>>,
    abandoned: AtomicBool,
}

impl WorkerThreads {
    pub(super) fn new(waits: Arc<WaitGraph>) -> io::Result<Self> {
        let bell = Arc::new(Waker::new()?);
        Ok(Self {
            clock: ClockWatch::new().ok(),
            delivery: Arc::new(Dispatcher::new(bell.clone())),
            bell,
            waits,
            stopped: AtomicBool::new(false),
            worker: OnceLock::new(),
            threads: Mutex::default(),
            abandoned: AtomicBool::new(false),
        })
    }

    /// Starts the threads, to work for `handles`.
    pub(super) fn start(self: &Arc<Self>, handles: &Arc<Registry>) -> io::Result<()> {
        let (threads, handles) = (self.clone(), handles.clone());
        let worker = spawn(WORKER, move || threads.work(&handles))?;
        self.worker.get_or_init(|| worker.number);
        self.threads().push(worker);
        self.start_delivery().inspect_err(|_| self.stop())
    }

    /// Rung, it makes the worker look at what there is to do.
    pub(super) fn bell(&self) -> &Arc<Waker> {
        &self.bell
    }

    /// Which thread works.
    pub(super) fn worker(&self) -> Option<ThreadId> {
        self.worker.get().copied()
    }

    pub(super) fn delivery(&self) -> &Arc<Dispatcher> {
        &self.delivery
    }

    /// Ends the threads, and waits for them. The last handle may be closed inside a callback: then the
    /// thread of that, and those that wait for it, end by themselves.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.bell.ring();
        self.delivery.stop();
        loop {
            // The worker may have started another one meanwhile.
            let threads = std::mem::take(&mut *self.threads());
            if threads.is_empty() {
                return;
            }
            for thread in threads {
                if let Ok(_wanted) = self.waits.want(Resource::Thread(thread.number)) {
                    // It catches panics; whatever it came to, it has ended.
                    let _ = thread.handle.join();
                }
            }
        }
    }

    /// In a child that was forked: closes the child's descriptors for what the parent goes on with. Once
    /// for all handles: no other that the child inherited makes use of them.
    pub(super) fn abandon(&self) {
        if !self.abandoned.swap(true, Ordering::SeqCst) {
            InheritedFd::Event.close(self.bell.as_raw_fd());
            if let Some(clock) = &self.clock {
                InheritedFd::Timer.close(clock.as_raw_fd());
            }
        }
    }

    /// Steps the handles that were woken or are due, and sleeps until the next one is: the body of the
    /// worker. An idle handle costs nothing, however many there are.
    fn work(&self, handles: &Registry) {
        let mut rest = Throttle::default();
        while !self.stopped.load(Ordering::SeqCst) {
            for (id, handle) in handles.take_due(Instant::now()) {
                // A child that is forked meanwhile could not give up what is half-changed.
                let step = |handle: Arc<dyn Step>| {
                    STEPS.fetch_add(1, Ordering::Relaxed);
                    without_fork(|| handle.step(Now::read()))
                };
                handles.set_deadline(id, handle.upgrade().and_then(step));
            }
            if self.delivery.wants_thread(Instant::now()) {
                // Where none can be had, what waits goes on waiting, and this is tried again.
                let _ = self.start_delivery();
            }
            let next = match handles.next_step() {
                NextStep::Now => Some(Instant::now()),
                NextStep::At(at) => Some(at),
                NextStep::WhenWoken => None,
            };
            let next = [next, self.delivery.ask_at()].into_iter().flatten().min();
            self.wait_until(next, &mut rest, handles);
        }
    }

    /// Waits until `next`, or until somebody rings, the kernel tells of a change, or the clock is set.
    fn wait_until(&self, next: Option<Instant>, rest: &mut Throttle, handles: &Registry) {
        let (now, watcher) = (Instant::now(), handles.watcher());
        let rest_until = rest.until(now);
        let limit = [next, rest_until].into_iter().flatten().min();
        let notifier = watcher.descriptor().filter(|_| rest_until.is_none());
        let clock = self.clock.as_ref().map(AsRawFd::as_raw_fd);
        let [rung, _, clock_was_set] = wait_readable(
            [Some(self.bell.as_raw_fd()), notifier, clock],
            limit.map(|limit| limit.saturating_duration_since(now)),
        );
        if rung {
            // In this order: a flag that is set after the load comes with another ring.
            self.bell.hush();
            handles.mark_requested();
        }
        if clock_was_set && let Some(clock) = &self.clock {
            clock.rearm();
            handles.mark_all();
        }
        // A panic in there is a defect; whatever was read then is lost, and the poll finds it.
        if rest_until.is_none()
            && catch_panic(|| without_fork(|| watcher.read())).unwrap_or(ReadOutcome::ForNobody)
                == ReadOutcome::ForNobody
        {
            rest.read_for_nobody(Instant::now());
        }
    }

    fn start_delivery(&self) -> io::Result<()> {
        let delivery = self.delivery.clone();
        let thread = spawn(DELIVERY, move || delivery.run())?;
        let mut threads = self.threads();
        // Those that came to help have gone.
        threads.retain(|thread| !thread.handle.is_finished());
        threads.push(thread);
        Ok(())
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK);
    let number = ThreadId::new();
    let body = move || {
        number.take();
        body();
    };
    let handle = with_signals_blocked(|| thread.spawn(body))?;
    Ok(Thread { number, handle })
}
