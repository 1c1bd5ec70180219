//! The readers of a process: starts their threads, and lets callers wait for reads while these make progress.

use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::current_read::{CurrentRead, Gate};
use super::entry::Next;
use super::lend::{Lend, ReaderBody};
use super::queues::Queues;
use super::read::{Item, PATIENCE, Read, ReadId, SHORT_PATIENCE};
use super::reader::{Blocked, Progress, Reader};
use crate::sys::{Condvar, HandleId, Mutex, MutexGuard, ProcessNumber, ThreadId};
use crate::sys::{catch_panic, with_signals_blocked};

/// The name of a reader as `top -H` shows it: the kernel keeps 15 bytes.
const NAME: &str = "certreload-read";

/// The stack size of a reader in bytes: the host's key-password callback runs on it.
const STACK: usize = 512 * 1024;

/// How long a reader without work waits for more. The polls of thousands of handles come in groups, and each group then
/// starts one thread.
const LINGER: Duration = Duration::from_millis(100);

/// How often a caller that waits for a late read checks where the read is.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The readers of one process.
#[derive(Default)]
pub(crate) struct Readers {
    queues: Mutex<Queues>,
    changed: Condvar,
    /// Whether [`Readers::gate`] has to be asked: a copy of [`Queues::is_slow`] that costs no lock.
    is_slow: AtomicBool,
    is_stopped: AtomicBool,
    lender: Mutex<Option<Arc<dyn Lend>>>,
    /// This value, to start threads from a reader.
    this: Mutex<Weak<Self>>,
}

impl Readers {
    /// Runs `reads` for `handle` on readers. Returns when all are delivered, except those that take long: they are late,
    /// and are delivered some time. Returns the numbers of the reads, in their order.
    ///
    /// If no thread can be started, runs them on this thread.
    pub(crate) fn read(
        self: &Arc<Self>,
        handle: HandleId,
        reads: Vec<Box<dyn Read>>,
    ) -> Vec<ReadId> {
        *self.this.lock() = Arc::downgrade(self);
        let mut queues = self.queues.lock();
        self.is_stopped.store(false, Ordering::SeqCst);
        if queues.is_slow() {
            queues.forget_ended_mounts();
        }
        let (ids, group) = queues.add(handle, reads);
        if queues.has_general_reader() {
            self.changed.notify_all();
        }
        while !group.is_done() {
            let check_at = queues.detach_stuck(Instant::now());
            let can_start = self.start_missing(&mut queues);
            if !can_start && !queues.has_general_reader() {
                // Only where no mount is known to hang: this thread must not.
                if queues.slow.has_remote() {
                    queues.park(&group);
                } else {
                    queues = self.run_here(queues);
                }
                continue;
            }
            queues = match check_at {
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    self.changed.wait_timeout(queues, left)
                }
                // The reader was just started, and has not begun a read yet.
                None => self.changed.wait_timeout(queues, SHORT_PATIENCE),
            };
        }
        ids
    }

    /// Sets whose idle thread is used for reading.
    pub(crate) fn set_lender(&self, lender: Arc<dyn Lend>) {
        *self.lender.lock() = Some(lender);
    }

    /// Uses the threads of `lender` no more.
    pub(crate) fn remove_lender(&self, lender: &Arc<dyn Lend>) {
        let mut current = self.lender.lock();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, lender)) {
            *current = None;
        }
    }

    /// Returns whether `thread`, which was lent, is still a reader after a while: it is stuck in a read.
    pub(crate) fn is_stuck(&self, thread: ThreadId) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut queues = self.queues.lock();
        while queues.may_be_reader(thread) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            queues = self.changed.wait_timeout(queues, left);
        }
        false
    }

    /// Returns how the late read `id` continues.
    pub(crate) fn progress(self: &Arc<Self>, id: ReadId) -> Progress {
        let mut queues = self.queues.lock();
        queues.detach_stuck(Instant::now());
        if queues.is_slow() {
            queues.forget_ended_mounts();
        }
        self.start_missing(&mut queues);
        queues.progress(id)
    }

    /// Waits until the read `id` has ended, or its file system has not answered for `timeout`.
    pub(crate) fn wait(self: &Arc<Self>, id: ReadId, timeout: Duration) -> Progress {
        loop {
            let progress = self.progress(id);
            let until = match &progress {
                Progress::Ended | Progress::NoReader | Progress::MountEnded => return progress,
                Progress::NotAnswering { since, .. } if since.elapsed() >= timeout => {
                    return progress;
                }
                Progress::NotAnswering { since, .. } => *since + timeout,
                Progress::Answering | Progress::InHostCall { .. } => {
                    Instant::now() + CHECK_INTERVAL
                }
            };
            let queues = self.queues.lock();
            let left = until.saturating_duration_since(Instant::now()).min(CHECK_INTERVAL);
            drop(self.changed.wait_timeout(queues, left));
        }
    }

    /// Drops the reads of `handle`, which is closed. A reader that is stuck in one of them continues to be, and drops the
    /// result.
    pub(crate) fn forget(&self, handle: HandleId) {
        let dropped = self.queues.lock().forget(handle);
        self.changed.notify_all();
        // Dropped outside of the lock, because the content that is served may be wiped with it.
        drop(dropped);
    }

    /// Ends the readers that wait for more to do, and waits for that.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        let mut queues = self.queues.lock();
        self.changed.notify_all();
        while queues.has_idle_reader() {
            queues = self.changed.wait(queues);
        }
        let ended = queues.take_ended();
        drop(queues);
        for thread in ended {
            // An error means that the thread panicked, which is a defect. The panic hook has reported it.
            let _ = thread.join();
        }
    }

    /// Starts a thread for each reader that is missing. Returns false if none can be started.
    fn start_missing(self: &Arc<Self>, queues: &mut Queues) -> bool {
        let mut can_start = true;
        for (reader, is_general) in queues.missing_readers() {
            if is_general && let Some(lender) = &*self.lender.lock() {
                let (readers, reader) = (self.clone(), Some(reader.clone()));
                match lender.lend(Box::new(LentBody { readers, reader })) {
                    Ok(()) => continue,
                    Err(body) => body.refuse(),
                }
            }
            let (readers, own) = (self.clone(), reader.clone());
            let thread = thread::Builder::new().name(NAME.to_owned()).stack_size(STACK);
            let body = move || readers.work(&own, LINGER);
            if let Ok(thread) = with_signals_blocked(|| thread.spawn(body)) {
                queues.set_thread(&reader, thread);
            } else {
                queues.remove(&reader);
                can_start = false;
            }
        }
        self.update(queues);
        can_start
    }

    /// As [`Readers::start_missing`], for a reader that has no `Arc`.
    fn start_missing_of_this(&self, queues: &mut Queues) {
        let this = self.this.lock().upgrade();
        if let Some(this) = this {
            this.start_missing(queues);
        }
    }

    /// Records that no thread will run `reader`.
    fn give_up(self: &Arc<Self>, reader: &Arc<Reader>) {
        let mut queues = self.queues.lock();
        queues.remove(reader);
        self.start_missing(&mut queues);
        self.changed.notify_all();
    }

    /// The body of a reader's thread. Without work, it waits for `linger`.
    fn work(self: &Arc<Self>, reader: &Arc<Reader>, linger: Duration) {
        let process = ProcessNumber::now();
        CurrentRead { gate: self.clone(), reader: reader.clone(), process }.set();
        let mut queues = self.queues.lock();
        queues.enter(reader);
        let mut has_finished = false;
        loop {
            let mut next = queues.next(reader);
            if let Next::Wait = next {
                // Where a thread can be lent, the next reads do not need this one.
                let can_lend = self.lender.lock().is_some();
                if !linger.is_zero() && !can_lend && !self.is_stopped.load(Ordering::SeqCst) {
                    self.changed.notify_all();
                    has_finished = false;
                    queues = self.changed.wait_timeout(queues, linger);
                }
                next = queues.next(reader);
            }
            let Next::Run(mut item) = next else { break };
            drop(queues);
            if mem::take(&mut has_finished) {
                // Those who wait for the read before this one. Under the lock, they would wait for the lock at once.
                self.changed.notify_all();
            }
            // A panic is a defect. The read keeps no result then, and delivers that.
            let _ = catch_panic(|| item.read.run());
            queues = self.queues.lock();
            let forgotten = queues.finish(reader, item);
            has_finished = true;
            self.start_missing(&mut queues);
            if forgotten.is_some() {
                drop(queues);
                drop(forgotten);
                queues = self.queues.lock();
            }
        }
        queues.remove(reader);
        self.start_missing(&mut queues);
        drop(queues);
        self.changed.notify_all();
        CurrentRead::clear();
    }

    /// Runs the reads that no reader has begun on this thread, because no thread can be started.
    fn run_here<'a>(&'a self, mut queues: MutexGuard<'a, Queues>) -> MutexGuard<'a, Queues> {
        let items = queues.take_general();
        drop(queues);
        for Item { mut read, group, .. } in items {
            let _ = catch_panic(|| read.run());
            read.deliver(group.is_none());
            if let Some(group) = group {
                group.end_one();
            }
        }
        self.changed.notify_all();
        self.queues.lock()
    }

    fn update(&self, queues: &Queues) {
        self.is_slow.store(queues.is_slow(), Ordering::SeqCst);
    }
}

impl Gate for Readers {
    fn gate(&self, reader: &Arc<Reader>, path: &Path) -> Option<Blocked> {
        if !self.is_slow.load(Ordering::SeqCst) {
            return None;
        }
        let mut queues = self.queues.lock();
        let blocked = queues.gate(reader, path);
        self.start_missing_of_this(&mut queues);
        blocked
    }

    fn enter_host(&self, reader: &Arc<Reader>) -> Option<Blocked> {
        let mut queues = self.queues.lock();
        let blocked = queues.enter_host(reader);
        self.start_missing_of_this(&mut queues);
        blocked
    }

    fn leave_host(&self, reader: &Arc<Reader>) {
        let mut queues = self.queues.lock();
        queues.leave_host(reader);
        self.start_missing_of_this(&mut queues);
    }
}

struct LentBody {
    readers: Arc<Readers>,
    /// `None` once it runs or is refused.
    reader: Option<Arc<Reader>>,
}

impl ReaderBody for LentBody {
    fn run(mut self: Box<Self>) {
        if let Some(reader) = self.reader.take() {
            self.readers.work(&reader, Duration::ZERO);
        }
    }

    fn refuse(mut self: Box<Self>) {
        self.reader = None;
    }
}

impl Drop for LentBody {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.readers.give_up(&reader);
        }
    }
}
