//! What the worker does for one handle at a step: run a pass, publish, subscribe, report expirations.
//!
//! A step runs on the worker thread or, with the HOST runtime, on a thread of the host. The state of the handle is
//! locked during the step. The step does everything that is due, and returns one deadline. So the worker keeps one
//! number for each handle, and an idle handle costs nothing.
//!
//! After a pass, other directories than before may lead to the files. The step subscribes to them. If that adds a
//! subscription, the unit is read once more, because a change before the subscription caused no notification (G1).

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::instance::{Instance, StateGuard};
use super::open_handles::Step;
use crate::clock::Now;
use crate::error::{Cause, Error};
use crate::events::{Event, Trigger};
use crate::options::IdentityBytes;
use crate::reload::{
    FileWarning, OpenForWriting, Outcome, Pass, PassAnswer, PassResult, PassScope, PassTime,
    ReportedFailure, Writers,
};
use crate::sys::catch_panic;
use crate::tls::Generation;
use crate::watch::{ReadOutcome, Subscribed};

/// How many passes a step runs while subscriptions to new directories need another one. The rest waits for the next
/// step.
const PASSES_PER_STEP: usize = 4;

/// A poll that is later than this comes before change notifications. Otherwise constant changes in one unit would keep
/// the others from being polled.
const LATEST_POLL: Duration = Duration::from_secs(1);

/// After a step that panicked, which is a defect, the next step comes this much later.
const DELAY_AFTER_PANIC: Duration = Duration::from_secs(1);

/// If another thread has the state, the next step comes this much later.
const DELAY_WHILE_LOCKED: Duration = Duration::from_millis(10);

impl Step for Instance {
    /// Runs a step. A panic, which is a defect, is reported as a failure; the last good generation is still served, and
    /// the next step tries again.
    fn step(&self, now: Now) -> Option<Instant> {
        let newest = self.waiters.newest();
        catch_panic(|| step(self, now)).unwrap_or_else(|panic| {
            let error = Error::new(Cause::Panic(panic));
            self.events.push(Event::failed(&error, Trigger::Poll, &self.current()));
            self.waiters.answer(&PassAnswer {
                newest,
                complete: newest,
                has_published: false,
                outcome: Err(error),
                pending: None,
            });
            let later = Some(now.instant + DELAY_AFTER_PANIC);
            if let Some(host_loop) = &self.host_loop {
                host_loop.end(self.runtime.watcher(), later);
            }
            later
        })
    }

    fn wake(&self) {
        self.handle_waker.wake();
    }
}

fn step(instance: &Instance, now: Now) -> Option<Instant> {
    // The worker thread serves all handles, so it does not wait for a thread of the host that has the state.
    let state =
        if instance.host_loop.is_some() { instance.state().ok() } else { instance.state_if_free() };
    let Some(state) = state else {
        // With the HOST runtime, locking fails only if the thread that has the state is in a callback that waits for
        // this thread.
        if instance.host_loop.is_some() {
            // `HostLoop::begin` cleared the wake-up. Repeat it, because its work is still to be done.
            instance.handle_waker.wake();
        }
        return Some(now.instant + DELAY_WHILE_LOCKED);
    };
    if instance.is_closed() {
        return None;
    }
    let mut worker = Worker::new(instance, state);
    let next = worker.step(now);
    // Set the deadline while the state is locked, so that a slower thread cannot replace it with an earlier step's.
    if let Some(host_loop) = &instance.host_loop {
        host_loop.end(instance.runtime.watcher(), next);
    }
    next
}

/// Loads bytes that the host pushes for the identity at `index` of `instance`.
pub(super) fn push(
    instance: &Instance,
    index: usize,
    bytes: IdentityBytes,
) -> Result<Outcome, Error> {
    let state = instance.state()?;
    if instance.is_closed() {
        return Err(Error::new(Cause::Closed));
    }
    let mut worker = Worker::new(instance, state);
    let outcome = worker.push(index, bytes);
    // The state is unlocked before the wake-up. The worker thread does not wait for a locked state: it comes back after
    // DELAY_WHILE_LOCKED.
    drop(worker);
    instance.handle_waker.wake();
    outcome
}

/// Subscribes `instance` to its directories for the first time. Then reads its units again, which were read before the
/// subscription. `now` is the time of `open`, for dates of certificates.
pub(super) fn subscribe_and_scan(instance: &Instance, now: Now) {
    if let Ok(state) = instance.state() {
        Worker::new(instance, state).subscribe_and_scan(now);
    }
}

/// An instance with its locked state: all that the thread needs which runs a step or loads pushed bytes.
pub(super) struct Worker<'a> {
    pub(super) instance: &'a Instance,
    pub(super) state: StateGuard<'a>,
}

impl<'a> Worker<'a> {
    fn new(instance: &'a Instance, state: StateGuard<'a>) -> Self {
        Self { instance, state }
    }

    /// Does what is due at `now`. Returns when the next step is due.
    fn step(&mut self, now: Now) -> Option<Instant> {
        self.take_late_reads(now);
        if let Some((scope, time)) = self.take_due(now) {
            self.scan(scope, time);
        }
        self.report_unanswered(now);
        self.report_expirations(now);
        if self.instance.is_closed() { None } else { self.next_deadline(now) }
    }

    /// Returns the most urgent pass that is due. Requests and notifications are removed before the first file is read,
    /// so later ones are for the next pass (G6).
    fn take_due(&mut self, now: Now) -> Option<(PassScope, PassTime)> {
        let Self { instance, state } = self;
        let at = now.instant;
        let is_due = |due_at: Option<Instant>| due_at.is_some_and(|due_at| due_at <= at);
        let poll_is_late = is_due(state.next_poll.map(|due_at| due_at + LATEST_POLL));
        if instance.shared.requested.swap(false, Ordering::SeqCst) {
            let since = instance.debounce.take_all(at).unwrap_or(at);
            let time = PassTime { trigger: Trigger::Request, now, since, is_quiet: true };
            Some((PassScope::All, time))
        } else if is_due(instance.debounce.due_at()) && !poll_is_late {
            let due = instance.debounce.take_due(at);
            let since = due.since.unwrap_or(at);
            // After lost notifications it is not known which files are quiet.
            let is_quiet = due.units.is_some();
            let time = PassTime { trigger: Trigger::Watch, now, since, is_quiet };
            Some((due.units.map_or(PassScope::All, PassScope::Units), time))
        } else if is_due(state.next_poll) {
            state.next_poll = Some(state.polls.next(at));
            Some((PassScope::Poll, Self::poll_time(now)))
        } else if is_due(state.pipeline.retry_at(&instance.debounce.open_for_writing(at), now)) {
            Some((PassScope::Retries, Self::poll_time(now)))
        } else {
            None
        }
    }

    pub(super) fn poll_time(now: Now) -> PassTime {
        PassTime { trigger: Trigger::Poll, now, since: now.instant, is_quiet: false }
    }

    fn next_deadline(&self, now: Now) -> Option<Instant> {
        let Self { instance, state } = self;
        let open = instance.debounce.open_for_writing(now.instant);
        let retry = state.pipeline.retry_at(&open, now);
        let date = Some(state.expiry.due_at(now));
        let unanswered = state.late_reads.check_at();
        let due = [instance.debounce.due_at(), state.next_poll, retry, date, unanswered];
        due.into_iter().flatten().min()
    }

    /// Runs a pass. If names on the way to a file had no subscription, changes there have not been noticed, so another
    /// pass follows (G1).
    fn scan(&mut self, scope: PassScope, time: PassTime) {
        let again = self.run(scope, time);
        self.scan_again(again, time);
    }

    /// Runs passes over the units in `again`, until no name on the way to a file lacks a subscription.
    pub(super) fn scan_again(&mut self, mut again: BTreeSet<usize>, time: PassTime) {
        // Without a subscription it is not known whether the files are quiet. A request does not wait for that.
        let is_quiet = time.trigger == Trigger::Request;
        let time = PassTime { trigger: Trigger::Watch, is_quiet, ..time };
        for _ in 0..PASSES_PER_STEP {
            if again.is_empty() {
                return;
            }
            again = self.run(PassScope::Units(again), time);
        }
        for unit in again {
            self.mark_again(unit);
        }
    }

    /// Runs one pass and applies its result: publishes, queues events and answers waiters. Returns the units of which a
    /// name on the way to a file had no subscription before.
    pub(super) fn run(&mut self, scope: PassScope, time: PassTime) -> BTreeSet<usize> {
        let instance = self.instance;
        let mut pass = Pass::new(scope, time, instance.waiters.newest(), instance);
        let resubscribe = self.state.watch_failures.keys().copied().collect();
        let reads = self.state.pipeline.begin(&mut pass, &resubscribe);
        self.read_and_finish(pass, reads)
    }

    /// Makes a pass over `unit` due after the quiet time.
    pub(super) fn mark_again(&self, unit: usize) {
        self.instance.debounce.mark_again(unit);
        self.instance.handle_waker.wake();
    }

    /// Loads bytes that the host pushes for the identity at `index`.
    fn push(&mut self, index: usize, bytes: IdentityBytes) -> Result<Outcome, Error> {
        let (instance, now) = (self.instance, Now::read());
        let time = PassTime { trigger: Trigger::Push, now, since: now.instant, is_quiet: true };
        let (scope, newest) = (PassScope::Units([index].into()), instance.waiters.newest());
        let pass = Pass::new(scope, time, newest, &*instance.debounce);
        let (result, outcome) = self.state.pipeline.push(index, bytes, pass);
        if outcome.is_ok() {
            instance.shared.is_memory[index].store(true, Ordering::SeqCst);
            instance.debounce.forget(index);
            self.state.late_reads.end(index);
        }
        self.apply(result);
        instance.states().last_outcome.clone_from(&outcome);
        if self.state.pipeline.is_memory(index) {
            // The unit has no files any more.
            let watcher = instance.runtime.watcher();
            if watcher.unsubscribe_unit((instance.id, index)) {
                instance.handle_waker.waker().wake();
            }
            self.note_subscriptions(vec![(index, Subscribed::default())]);
        }
        outcome
    }

    /// Publishes the generation of a pass, records its findings, queues its events and answers waiters.
    pub(super) fn apply(&self, result: PassResult) {
        let instance = self.instance;
        // If callers wait for the request, `Instance::reload_wait` logs their answers.
        let logs_answer = result.time.trigger == Trigger::Request && instance.waiters.is_empty();
        {
            let mut states = instance.states();
            states.apply(&result, &instance.current());
            // Publish while the states are locked, so that no status shows them with another generation.
            if let Some(published) = &result.published {
                instance.shared.current.publish(published.generation.clone());
            }
        }
        let PassResult { published, failures, ended, warnings, outcome, pending, .. } = result;
        let has_published = published.is_some();
        if let Some(published) = published {
            instance.events.push(published.into_event());
        }
        if logs_answer && pending.is_none() && failures.is_empty() && ended.is_empty() {
            instance.log_outcome(&outcome);
        }
        for (failure, trigger) in ended {
            instance.events.push(Event::recovered(&failure, trigger, &instance.current()));
        }
        for failure in &failures {
            instance.events.push(event_of_failure(failure, &instance.current()));
        }
        for FileWarning { path, warning } in warnings {
            let event = Event::warning(&warning, result.time.trigger, &instance.current());
            instance.events.push(event.about(path.into()));
        }
        instance.waiters.answer(&PassAnswer {
            newest: result.newest_waiter,
            complete: result.complete,
            has_published,
            outcome,
            pending,
        });
    }

    /// Queues an event for everything that has entered its warning window, or expired (G20).
    fn report_expirations(&mut self, now: Now) {
        let instance = self.instance;
        let current = instance.shared.current.load_full();
        for due in self.state.expiry.due(&current, now.unix, instance.events.room()) {
            let failure = instance.states().failure_of(due.unit);
            let path = &instance.shared.paths[due.unit];
            instance.events.push(due.event(&current, path, failure.as_ref(), now.unix));
        }
    }
}

/// Returns the event that reports `failure`.
pub(super) fn event_of_failure(failure: &ReportedFailure, current: &Generation) -> Event {
    let ReportedFailure { error, trigger, absent } = failure;
    match absent {
        Some(absent) => Event::failed_while_absent(error, *trigger, current, *absent),
        None => Event::failed(error, *trigger, current),
    }
}

impl Writers for Instance {
    /// Returns the units of which a process has a file open for writing. First reads the notifications that the kernel
    /// has queued, because the worker reads none while it runs a pass.
    fn open_for_writing(&self) -> OpenForWriting {
        if self.runtime.watcher().read() == ReadOutcome::Notified {
            // The notifications may have made steps of other handles due, and this thread may belong to the host: wake
            // the worker.
            self.handle_waker.waker().wake();
        }
        self.debounce.open_for_writing(Instant::now())
    }

    fn is_open(&self, unit: usize) -> bool {
        self.debounce.is_open(unit)
    }
}
