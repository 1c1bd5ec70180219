//! Calls the hosts' event callbacks on separate threads: for each handle in order and one at a time (G7).
//!
//! One thread suffices while callbacks are quick. If all threads are in callbacks and another handle has an event, the
//! worker starts one more thread. So a callback that blocks delays only its own handle (G21). Surplus threads end when
//! they are idle.
//!
//! An idle thread is also lent to the [`Readers`](crate::readers::Readers). So files are read without one more thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::readers::{Lend, ReaderBody};
use crate::sys::Waker;
use crate::sys::{Condvar, Mutex, MutexGuard};

/// Time after which another thread is started for queues that wait behind a running callback (G21).
const SLOW_CALLBACK: Duration = Duration::from_millis(50);

/// A queue whose events the threads of a [`Dispatcher`] deliver. A trait, so that tests can use a simpler queue.
pub(super) trait Deliver: Send + Sync {
    /// Delivers the first event to the host's callback. Returns whether more events are waiting.
    fn deliver_one(&self) -> bool;
}

/// The queues that have events to deliver, served in turn, so that no handle delays the events of another (G21).
pub(crate) struct Dispatcher {
    state: Mutex<DispatcherState>,
    changed: Condvar,
    /// Wakes the worker, which starts threads.
    worker_waker: Arc<Waker>,
}

struct DispatcherState {
    ready: VecDeque<Arc<dyn Deliver>>,
    /// Number of threads that wait for a queue.
    idle: usize,
    /// When a thread last took a queue, or the worker was last asked to start one.
    taken_at: Instant,
    stopped: bool,
}

impl Dispatcher {
    pub(crate) fn new(worker_waker: Arc<Waker>) -> Self {
        let state = DispatcherState {
            ready: VecDeque::new(),
            idle: 0,
            taken_at: Instant::now(),
            stopped: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), worker_waker }
    }

    /// Delivers events until the dispatcher is stopped or another thread is idle: the body of a delivery thread.
    pub(crate) fn run(&self) {
        while let Some(queue) = self.next() {
            if queue.deliver_one() {
                // `coming` is 1: this thread is about to take a queue, so the returned one needs no other thread.
                self.enqueue(queue, 1);
            }
        }
    }

    /// Returns when the worker must call [`Dispatcher::wants_thread`]; `None` while no queue waits for a thread.
    pub(crate) fn ask_at(&self) -> Option<Instant> {
        let state = self.state();
        let has_ready = !state.stopped && !state.ready.is_empty();
        has_ready.then(|| state.taken_at + SLOW_CALLBACK)
    }

    /// Returns whether the worker must start another thread, because all threads are in slow callbacks.
    pub(crate) fn wants_thread(&self, now: Instant) -> bool {
        let mut state = self.state();
        let is_late = state.taken_at + SLOW_CALLBACK <= now;
        if state.stopped || state.ready.is_empty() || !is_late {
            return false;
        }
        // The new thread gets SLOW_CALLBACK to start. If it cannot be started, the worker tries again after that time.
        state.taken_at = now;
        state.idle == 0
    }

    /// Adds a queue that has events to deliver.
    pub(super) fn schedule(&self, queue: Arc<dyn Deliver>) {
        self.enqueue(queue, 0);
    }

    /// Adds a queue, and wakes the worker if more queues are ready than threads can take at once.
    ///
    /// `coming` is the number of threads that are not idle, but are about to take a queue. The woken worker calls
    /// [`Dispatcher::wants_thread`] at the time that [`Dispatcher::ask_at`] returns.
    fn enqueue(&self, queue: Arc<dyn Deliver>, coming: usize) {
        let mut state = self.state();
        if state.stopped {
            return;
        }
        state.ready.push_back(queue);
        let is_short = state.ready.len() > state.idle + coming;
        // A thread that is woken under the lock would wait for the lock at once.
        drop(state);
        self.changed.notify_one();
        if is_short {
            self.worker_waker.wake();
        }
    }

    /// Runs `body` on an idle thread. Returns it if there is none.
    fn run_on_idle_thread(&self, body: Box<dyn ReaderBody>) -> Result<(), Box<dyn ReaderBody>> {
        let mut state = self.state();
        if state.stopped || state.ready.len() >= state.idle {
            return Err(body);
        }
        state.ready.push_front(Arc::new(Lent(Mutex::new(Some(body)))));
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        let ready = std::mem::take(&mut state.ready);
        self.changed.notify_all();
        drop(state);
        // Dropped without the lock: a reader's body in it calls this dispatcher.
        drop(ready);
    }

    fn next(&self) -> Option<Arc<dyn Deliver>> {
        let mut state = self.state();
        loop {
            if !state.stopped
                && let Some(queue) = state.ready.pop_front()
            {
                state.taken_at = Instant::now();
                return Some(queue);
            }
            // End this thread if another one is idle: one is enough to take the next queue.
            if state.stopped || state.idle > 0 {
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state);
            state.idle -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, DispatcherState> {
        self.state.lock()
    }
}

impl Lend for Dispatcher {
    fn lend(&self, body: Box<dyn ReaderBody>) -> Result<(), Box<dyn ReaderBody>> {
        self.run_on_idle_thread(body)
    }
}

/// What a lent thread runs, in the place of a queue.
struct Lent(Mutex<Option<Box<dyn ReaderBody>>>);

impl Deliver for Lent {
    fn deliver_one(&self) -> bool {
        let body = self.0.lock().take();
        if let Some(body) = body {
            body.run();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Barrier, mpsc};
    use std::thread;

    use super::*;
    use crate::sys::wait_readable;

    fn dispatcher() -> Arc<Dispatcher> {
        Arc::new(Dispatcher::new(Arc::new(Waker::new().unwrap())))
    }

    /// A queue with one event, whose callback is the given function.
    struct OneEvent<F>(F);

    impl<F: Fn() + Send + Sync> Deliver for OneEvent<F> {
        fn deliver_one(&self) -> bool {
            (self.0)();
            false
        }
    }

    fn schedule(dispatcher: &Dispatcher, callback: impl Fn() + Send + Sync + 'static) {
        dispatcher.schedule(Arc::new(OneEvent(callback)));
    }

    /// Returns whether the worker was woken since the last call.
    fn was_woken(dispatcher: &Dispatcher) -> bool {
        let waker = Some(dispatcher.worker_waker.as_raw_fd());
        let was_woken = wait_readable([waker], Some(Duration::ZERO)) == [true];
        dispatcher.worker_waker.drain();
        was_woken
    }

    #[test]
    fn thread_that_is_starting_gets_time_before_another_is_wanted() {
        let (dispatcher, now) = (dispatcher(), Instant::now());
        schedule(&dispatcher, || {});
        assert!(was_woken(&dispatcher));
        assert!(!dispatcher.wants_thread(now));
        assert!(dispatcher.ask_at().unwrap() <= Instant::now() + SLOW_CALLBACK);
        assert!(dispatcher.wants_thread(Instant::now() + SLOW_CALLBACK));
        assert!(!dispatcher.wants_thread(now + SLOW_CALLBACK), "one at a time");
    }

    #[test]
    fn worker_is_woken_when_more_queues_are_ready_than_threads_idle() {
        let dispatcher = dispatcher();
        dispatcher.state().idle = 1;
        schedule(&dispatcher, || {});
        assert!(!was_woken(&dispatcher));
        schedule(&dispatcher, || {});
        assert!(was_woken(&dispatcher), "the idle thread may be busy with the first");
    }

    #[test]
    fn g21_next_callback_gets_a_thread_while_others_block_and_threads_end_after() {
        const STUCK: usize = 5;
        let dispatcher = dispatcher();
        let together = Arc::new(Barrier::new(STUCK + 1));
        let (sender, receiver) = mpsc::channel();
        let running = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            let start = || {
                let (dispatcher, running) = (dispatcher.clone(), running.clone());
                running.fetch_add(1, Ordering::SeqCst);
                scope.spawn(move || {
                    dispatcher.run();
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            };
            start();
            for _ in 0..STUCK {
                let together = together.clone();
                schedule(&dispatcher, move || {
                    together.wait();
                });
            }
            schedule(&dispatcher, move || sender.send(()).unwrap());
            // Do the worker's part: start a thread when the dispatcher wants one.
            while receiver.try_recv().is_err() {
                let at = dispatcher.ask_at();
                let limit = at.map(|at| at.saturating_duration_since(Instant::now()));
                wait_readable(
                    [Some(dispatcher.worker_waker.as_raw_fd())],
                    limit.or(Some(SLOW_CALLBACK)),
                );
                dispatcher.worker_waker.drain();
                if dispatcher.wants_thread(Instant::now()) {
                    start();
                }
            }
            assert_eq!(running.load(Ordering::SeqCst), STUCK + 1);
            together.wait();
            while running.load(Ordering::SeqCst) > 1 {
                thread::yield_now();
            }
            dispatcher.stop();
        });
        assert_eq!(running.load(Ordering::SeqCst), 0);
    }
}
