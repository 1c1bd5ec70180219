//! Calls the host's callbacks: in order and one at a time for each handle, on threads of their own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sys::Waker;
use crate::sys::{Condvar, Mutex, MutexGuard};

/// A callback that runs for longer than this while others wait is not waited for: another thread sees
/// to those.
const PATIENCE: Duration = Duration::from_millis(50);

/// Something that has events to deliver.
pub(super) trait Deliver: Send + Sync {
    /// Delivers the first; tells whether more are waiting.
    fn deliver_one(&self) -> bool;
}

/// Those that have something to deliver, in turn: no handle's events hold up another's.
pub(crate) struct Dispatcher {
    state: Mutex<DispatcherState>,
    changed: Condvar,
    /// Wakes who can start a thread.
    bell: Arc<Waker>,
}

struct DispatcherState {
    ready: VecDeque<Arc<dyn Deliver>>,
    idle: usize,
    /// When a thread last took a queue, or was about to begin.
    taken_at: Instant,
    stopped: bool,
}

impl Dispatcher {
    pub(crate) fn new(bell: Arc<Waker>) -> Self {
        let state = DispatcherState {
            ready: VecDeque::new(),
            idle: 0,
            taken_at: Instant::now(),
            stopped: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), bell }
    }

    /// Delivers until stopped, or until there are threads enough without this one: the body of a
    /// delivery thread.
    pub(crate) fn run(&self) {
        while let Some(queue) = self.next() {
            if queue.deliver_one() {
                // This thread takes the next one itself.
                self.enqueue(queue, 1);
            }
        }
    }

    /// When [`Dispatcher::wants_thread`] is to be asked: something waits.
    pub(crate) fn ask_at(&self) -> Option<Instant> {
        let state = self.state();
        let waits = !state.stopped && !state.ready.is_empty();
        waits.then(|| state.taken_at + PATIENCE)
    }

    /// Whether another thread is to be started: all that there are have been in callbacks for too long.
    pub(crate) fn wants_thread(&self, now: Instant) -> bool {
        let mut state = self.state();
        let is_late = state.taken_at + PATIENCE <= now;
        if state.stopped || state.ready.is_empty() || !is_late {
            return false;
        }
        // Whatever comes of it: it is not asked for again at once.
        state.taken_at = now;
        state.idle == 0
    }

    /// Adds a queue that has something to deliver.
    pub(super) fn schedule(&self, queue: Arc<dyn Deliver>) {
        self.enqueue(queue, 0);
    }

    /// Adds a queue. Where more wait than there are threads to take one, `coming` of them besides those
    /// that sleep, who can start a thread is to ask whether they are late.
    fn enqueue(&self, queue: Arc<dyn Deliver>, coming: usize) {
        let mut state = self.state();
        if state.stopped {
            return;
        }
        state.ready.push_back(queue);
        self.changed.notify_one();
        if state.ready.len() > state.idle + coming {
            drop(state);
            self.bell.wake();
        }
    }

    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        state.ready.clear();
        self.changed.notify_all();
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
            // One that waits is enough.
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Barrier, mpsc};
    use std::thread;

    use super::*;
    use crate::sys::wait_readable;

    fn delivery() -> Arc<Dispatcher> {
        Arc::new(Dispatcher::new(Arc::new(Waker::new().unwrap())))
    }

    /// One event.
    struct One<F>(F);

    impl<F: Fn() + Send + Sync> Deliver for One<F> {
        fn deliver_one(&self) -> bool {
            (self.0)();
            false
        }
    }

    /// Puts one event in the delivery's line.
    fn queue(delivery: &Dispatcher, tell: impl Fn() + Send + Sync + 'static) {
        delivery.schedule(Arc::new(One(tell)));
    }

    fn is_rung(delivery: &Dispatcher) -> bool {
        let bell = Some(delivery.bell.as_raw_fd());
        let is_rung = wait_readable([bell], Some(Duration::ZERO)) == [true];
        delivery.bell.drain();
        is_rung
    }

    #[test]
    fn a_thread_that_is_about_to_begin_is_given_its_time() {
        let (delivery, now) = (delivery(), Instant::now());
        queue(&delivery, || {});
        assert!(is_rung(&delivery));
        assert!(!delivery.wants_thread(now));
        assert!(delivery.ask_at().unwrap() <= Instant::now() + PATIENCE);
        assert!(delivery.wants_thread(Instant::now() + PATIENCE));
        assert!(!delivery.wants_thread(now + PATIENCE), "one at a time");
    }

    #[test]
    fn where_more_wait_than_threads_sleep_somebody_is_to_ask() {
        let delivery = delivery();
        delivery.state().idle = 1;
        queue(&delivery, || {});
        assert!(!is_rung(&delivery));
        queue(&delivery, || {});
        assert!(is_rung(&delivery), "the sleeper may be held up by the first");
    }

    #[test]
    fn whatever_callbacks_do_the_next_one_gets_a_thread_and_they_go_when_it_is_over() {
        const STUCK: usize = 5;
        let delivery = delivery();
        let together = Arc::new(Barrier::new(STUCK + 1));
        let (told, tells) = mpsc::channel();
        let running = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            let start = || {
                let (delivery, running) = (delivery.clone(), running.clone());
                running.fetch_add(1, Ordering::SeqCst);
                scope.spawn(move || {
                    delivery.run();
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            };
            start();
            for _ in 0..STUCK {
                let together = together.clone();
                queue(&delivery, move || {
                    together.wait();
                });
            }
            queue(&delivery, move || told.send(()).unwrap());
            // As the worker does.
            while tells.try_recv().is_err() {
                let at = delivery.ask_at();
                let limit = at.map(|at| at.saturating_duration_since(Instant::now()));
                wait_readable([Some(delivery.bell.as_raw_fd())], limit.or(Some(PATIENCE)));
                delivery.bell.drain();
                if delivery.wants_thread(Instant::now()) {
                    start();
                }
            }
            assert_eq!(running.load(Ordering::SeqCst), STUCK + 1);
            together.wait();
            while running.load(Ordering::SeqCst) > 1 {
                thread::yield_now();
            }
            delivery.stop();
        });
        assert_eq!(running.load(Ordering::SeqCst), 0);
    }
}
