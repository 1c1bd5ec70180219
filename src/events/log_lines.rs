//! Passes the log lines of the worker to a delivery thread, because the host's log function may block (G21).
//!
//! The worker waits a moment for each line, so that a caller who sees the effect of a reload finds its line in the log.
//! If the function takes longer, the worker does not wait for further lines until that one has been written.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::warn;

use super::dispatcher::{Deliver, Dispatcher};
use crate::sys::LOG_TARGET;
use crate::sys::{Condvar, Mutex};

/// How long the worker waits for a line.
const PATIENCE: Duration = Duration::from_millis(50);

/// The most lines that wait while the log function blocks. Later ones are dropped, and a line says how many.
const MAX_LINES: usize = 1_000;

/// Writes one line to the host's log function.
pub(crate) type LogLine = Box<dyn FnOnce() + Send>;

/// The lines of one worker that wait to be written.
pub(crate) struct LogLines {
    dispatcher: Arc<Dispatcher>,
    state: Mutex<LinesState>,
    written: Condvar,
}

#[derive(Default)]
struct LinesState {
    waiting: VecDeque<LogLine>,
    /// Whether the dispatcher has the queue, or a thread writes a line of it.
    is_scheduled: bool,
    /// How many lines were passed and written.
    passed: u64,
    written: u64,
    /// How many lines were dropped since a line last said so.
    dropped: u64,
}

thread_local! {
    /// The queue for the lines of this thread; `None` if they are written at once.
    static LINES: RefCell<Option<Arc<LogLines>>> = const { RefCell::new(None) };
}

impl LogLines {
    pub(crate) fn new(dispatcher: Arc<Dispatcher>) -> Arc<Self> {
        Arc::new(Self { dispatcher, state: Mutex::default(), written: Condvar::new() })
    }

    /// Passes the lines of this thread to a delivery thread from now on.
    pub(crate) fn use_on_this_thread(self: &Arc<Self>) {
        LINES.set(Some(self.clone()));
    }

    /// Writes the lines that wait, on this thread, because the delivery threads end.
    pub(crate) fn write_here(&self) {
        while self.write_one() {}
    }

    fn pass(self: &Arc<Self>, line: LogLine) {
        let mut state = self.state.lock();
        let is_behind = state.passed > state.written;
        if state.waiting.len() >= MAX_LINES {
            state.dropped += 1;
            return;
        }
        let dropped = mem::take(&mut state.dropped);
        if dropped > 0 {
            state.waiting.push_back(Box::new(move || log_dropped(dropped)));
            state.passed += 1;
        }
        state.waiting.push_back(line);
        state.passed += 1;
        let number = state.passed;
        if !state.is_scheduled {
            state.is_scheduled = true;
            self.dispatcher.schedule(self.clone());
        }
        let deadline = Instant::now() + PATIENCE;
        while !is_behind && state.written < number {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.written.wait_timeout(state, left);
        }
    }

    /// Writes the first line that waits. Returns whether there was one.
    fn write_one(&self) -> bool {
        let Some(line) = self.state.lock().waiting.pop_front() else { return false };
        line();
        let mut state = self.state.lock();
        state.written += 1;
        let dropped = if state.waiting.is_empty() { mem::take(&mut state.dropped) } else { 0 };
        drop(state);
        self.written.notify_all();
        if dropped > 0 {
            log_dropped(dropped);
        }
        true
    }
}

impl Deliver for LogLines {
    fn deliver_one(&self) -> bool {
        self.write_one();
        let mut state = self.state.lock();
        state.is_scheduled = !state.waiting.is_empty();
        state.is_scheduled
    }
}

fn log_dropped(count: u64) {
    warn!(target: LOG_TARGET, "{count} log lines were dropped here: the log callback blocked");
}

/// Writes `line` on this thread, or passes it to a delivery thread if this one must not block.
pub(crate) fn write_log_line(line: LogLine) {
    match LINES.try_with(|lines| lines.borrow().clone()).ok().flatten() {
        Some(lines) => lines.pass(line),
        None => line(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::sys::Waker;

    #[test]
    fn g21_line_that_blocks_delays_the_worker_for_a_moment_and_once() {
        let dispatcher = Arc::new(Dispatcher::new(Arc::new(Waker::new().unwrap())));
        let lines = LogLines::new(dispatcher);
        let (sender, receiver) = mpsc::channel();
        let begun = Instant::now();
        for number in 0..100 {
            let sender = sender.clone();
            lines.pass(Box::new(move || sender.send(number).unwrap()));
        }
        // No thread delivers: each line would take PATIENCE.
        assert!(begun.elapsed() < 50 * PATIENCE, "{:?}", begun.elapsed());
        lines.write_here();
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn lines_beyond_the_limit_are_dropped() {
        let dispatcher = Arc::new(Dispatcher::new(Arc::new(Waker::new().unwrap())));
        let lines = LogLines::new(dispatcher);
        for _ in 0..MAX_LINES + 10 {
            lines.pass(Box::new(|| {}));
        }
        assert_eq!(lines.state.lock().waiting.len(), MAX_LINES);
        assert_eq!(lines.state.lock().dropped, 10);
        lines.write_here();
        assert_eq!(lines.state.lock().dropped, 0, "a line says so");
    }
}
