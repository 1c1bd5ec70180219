//! The background threads of the process: one worker, and threads that call the host's callbacks (G10).
//!
//! One worker serves all handles of the process, because passes are short and a process may have thousands of handles.
//! Callbacks run elsewhere: a host's callback may block for as long as it likes, and must not delay a renewal (G21).
//!
//! All signals are blocked in these threads. Otherwise the kernel could choose one of them for a signal of the host.
//! The host's handler would then run on a stack whose size the host did not choose (G10).

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::deadlines::NextStep;
use super::notification_throttle::Throttle;
use super::open_handles::{OpenHandles, Step};
use crate::clock::Now;
use crate::events::{Dispatcher, LogLines};
use crate::readers::{Lend, Readers};
use crate::sys::catch_panic;
use crate::sys::{
    ClockWatch, InheritedFd, ThreadId, Waker, wait_readable, with_signals_blocked, without_fork,
};
use crate::sys::{Mutex, MutexGuard};
use crate::sys::{Resource, WaitGraph};
use crate::watch::ReadOutcome;

/// Thread names as `top -H` shows them: the kernel keeps 15 bytes.
const WORKER: &str = "certreload";
const DISPATCHER: &str = "certreload-evt";

/// The stack size of each thread in bytes. The host's callbacks run on it too.
const STACK: usize = 512 * 1024;

/// How many steps the worker threads of this process have made.
static STEPS: AtomicU64 = AtomicU64::new(0);

/// Returns how many steps the worker threads of this process have made. Tests show with it that the work does not grow
/// with the number of handles.
pub(crate) fn steps() -> u64 {
    STEPS.load(Ordering::Relaxed)
}

/// A background thread.
struct Thread {
    number: ThreadId,
    handle: JoinHandle<()>,
}

/// The threads of a runtime, and what they share.
pub(super) struct WorkerThreads {
    waker: Arc<Waker>,
    /// Wakes the worker when the wall clock is set. `None` if the system grants no timer: each handle then notices the
    /// new time at its next step, such as a poll.
    clock: Option<ClockWatch>,
    dispatcher: Arc<Dispatcher>,
    wait_graph: Arc<WaitGraph>,
    stopped: AtomicBool,
    worker: OnceLock<ThreadId>,
    threads: Mutex<Vec<Thread>>,
    abandoned: AtomicBool,
    readers: Arc<Readers>,
    log_lines: Arc<LogLines>,
}

impl WorkerThreads {
    pub(super) fn new(wait_graph: Arc<WaitGraph>, readers: Arc<Readers>) -> io::Result<Self> {
        let waker = Arc::new(Waker::new()?);
        let dispatcher = Arc::new(Dispatcher::new(waker.clone()));
        Ok(Self {
            clock: ClockWatch::new().ok(),
            log_lines: LogLines::new(dispatcher.clone()),
            dispatcher,
            waker,
            wait_graph,
            stopped: AtomicBool::new(false),
            worker: OnceLock::new(),
            threads: Mutex::default(),
            abandoned: AtomicBool::new(false),
            readers,
        })
    }

    /// Starts the threads that serve `handles`.
    pub(super) fn start(self: &Arc<Self>, handles: &Arc<OpenHandles>) -> io::Result<()> {
        let (threads, handles) = (self.clone(), handles.clone());
        let worker = spawn(WORKER, move || threads.work(&handles))?;
        self.worker.get_or_init(|| worker.number);
        self.threads().push(worker);
        self.readers.set_lender(self.dispatcher.clone());
        self.start_dispatcher().inspect_err(|_| self.stop())
    }

    /// Returns the waker of the worker.
    pub(super) fn waker(&self) -> &Arc<Waker> {
        &self.waker
    }

    /// Returns the worker thread.
    pub(super) fn worker(&self) -> Option<ThreadId> {
        self.worker.get().copied()
    }

    pub(super) fn dispatcher(&self) -> &Arc<Dispatcher> {
        &self.dispatcher
    }

    /// Stops the threads, and joins them, except one that is stuck in a read. If a callback closes the last handle, its thread and the threads that wait
    /// for that thread are not joined: they end by themselves.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        let lender: Arc<dyn Lend> = self.dispatcher.clone();
        self.readers.remove_lender(&lender);
        self.waker.wake();
        self.dispatcher.stop();
        loop {
            // Repeat until no thread is left: the worker may start another one while others are joined.
            let threads = std::mem::take(&mut *self.threads());
            if threads.is_empty() {
                break;
            }
            for thread in threads {
                if self.readers.is_stuck(thread.number) {
                    // It ends when the file system answers.
                    continue;
                }
                if let Ok(_wanted) = self.wait_graph.want(Resource::Thread(thread.number)) {
                    // An error means only that the thread panicked, which is a defect. The panic hook has reported it.
                    let _ = thread.handle.join();
                }
            }
        }
        // The delivery threads have ended, or one of them is in a log function that blocks.
        self.log_lines.write_here();
    }

    /// Closes, in a forked child, the child's copies of the parent's descriptors: once, although every inherited handle
    /// calls it.
    pub(super) fn abandon(&self) {
        if !self.abandoned.swap(true, Ordering::SeqCst) {
            InheritedFd::Event.close(self.waker.as_raw_fd());
            if let Some(clock) = &self.clock {
                InheritedFd::Timer.close(clock.as_raw_fd());
            }
        }
    }

    /// The body of the worker thread: runs the steps that are due, and sleeps until the next one is. An idle handle
    /// costs nothing.
    fn work(&self, handles: &OpenHandles) {
        let mut throttle = Throttle::default();
        self.log_lines.use_on_this_thread();
        while !self.stopped.load(Ordering::SeqCst) {
            for (id, handle) in handles.take_due(Instant::now()) {
                // Forks by other threads wait for the step. A child that was forked during the step would inherit a
                // half-changed state, which it could not release (G11).
                let step = |handle: Arc<dyn Step>| {
                    STEPS.fetch_add(1, Ordering::Relaxed);
                    without_fork(|| handle.step(Now::read()))
                };
                handles.set_deadline(id, handle.upgrade().and_then(step));
            }
            if self.dispatcher.wants_thread(Instant::now()) {
                // If no thread can be started, the callbacks keep waiting, and the worker tries again.
                let _ = self.start_dispatcher();
            }
            let next = match handles.next_step() {
                NextStep::Now => Some(Instant::now()),
                NextStep::At(at) => Some(at),
                NextStep::WhenWoken => None,
            };
            let next = [next, self.dispatcher.ask_at()].into_iter().flatten().min();
            self.wait_until(next, &mut throttle, handles);
        }
    }

    /// Waits until `next`, a wake-up, a notification of the kernel, or a change of the wall clock.
    fn wait_until(&self, next: Option<Instant>, throttle: &mut Throttle, handles: &OpenHandles) {
        let (now, watcher) = (Instant::now(), handles.watcher());
        let paused_until = throttle.until(now);
        let limit = [next, paused_until].into_iter().flatten().min();
        let notifier = watcher.descriptor().filter(|_| paused_until.is_none());
        let clock = self.clock.as_ref().map(AsRawFd::as_raw_fd);
        let [woken, _, clock_was_set] = wait_readable(
            [Some(self.waker.as_raw_fd()), notifier, clock],
            limit.map(|limit| limit.saturating_duration_since(now)),
        );
        if woken {
            // Clear the wake-up before the flags are read: a flag that is set later comes with another wake-up.
            self.waker.drain();
            handles.mark_requested();
        }
        if clock_was_set && let Some(clock) = &self.clock {
            clock.rearm();
            handles.mark_all();
        }
        // A panic is a defect. The notifications that were read are lost then, and the poll finds their changes.
        if paused_until.is_none()
            && catch_panic(|| without_fork(|| watcher.read())).unwrap_or(ReadOutcome::Irrelevant)
                == ReadOutcome::Irrelevant
        {
            throttle.read_in_vain(Instant::now());
        }
    }

    fn start_dispatcher(&self) -> io::Result<()> {
        let dispatcher = self.dispatcher.clone();
        let thread = spawn(DISPATCHER, move || dispatcher.run())?;
        let mut threads = self.threads();
        // Forget threads that have ended, such as those that were started while a callback blocked.
        threads.retain(|thread| !thread.handle.is_finished());
        threads.push(thread);
        Ok(())
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.threads.lock()
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
