//! What the worker does for a handle at each step: look, publish, watch anew, tell.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::instance::Instance;
use super::registry::Step;
use super::worker_state::WorkerState;
use crate::clock::Now;
use crate::error::{Cause, Error};
use crate::events::{Event, EventKind, Trigger, log_answer};
use crate::options::WatchMode;
use crate::reload::Outcome;
use crate::reload::PassTime;
use crate::reload::{PassResult, PassScope};
use crate::sys::catch_panic;
use crate::watch::{Observer, ReadOutcome, Subscribed, WatchState};

/// Looks in one step while directories go on being armed anew; the rest waits for the next step.
const LOOKS_PER_STEP: usize = 4;
/// A poll that is later than this goes before what the watch tells of: where something changes all the
/// time, the rest must not be forgotten.
const PATIENCE: Duration = Duration::from_secs(1);

/// After a defect it is tried again so much later.
const AFTER_A_PANIC: Duration = Duration::from_secs(1);
/// A handle that cannot be worked on for now is tried again so much later.
const OUT_OF_THE_WAY: Duration = Duration::from_millis(10);

/// Steps of all workers so far: tests show with it that the work does not grow with the number of handles.
static STEPS: AtomicU64 = AtomicU64::new(0);

/// Returns how many steps the workers of this process have made.
pub(crate) fn steps() -> u64 {
    STEPS.load(Ordering::Relaxed)
}

impl Step for Instance {
    fn step(&self, now: Now) -> Option<Instant> {
        STEPS.fetch_add(1, Ordering::Relaxed);
        self.step_guarded(now)
    }

    fn wake(&self) {
        self.handle_waker.wake();
    }
}

impl Instance {
    /// A panic inside is a defect: it is told as a failure, what serves goes on serving, and the
    /// next step tries again.
    pub(super) fn step_guarded(&self, now: Now) -> Option<Instant> {
        let newest = self.waiters.newest();
        catch_panic(|| self.step_unguarded(now)).unwrap_or_else(|panic| {
            let error = Error::new(Cause::Panic(panic));
            self.events.push(Event::failed(&error, Trigger::Poll, &self.current()));
            self.waiters.answer(newest, newest, &Err(error), None);
            let later = Some(now.instant + AFTER_A_PANIC);
            if let Some(host_loop) = &self.host_loop {
                host_loop.end(self.runtime.watcher(), later);
            }
            later
        })
    }

    fn step_unguarded(&self, now: Now) -> Option<Instant> {
        // One worker works for all handles: it does not wait for a thread of the host's that has this one.
        let work = if self.host_loop.is_some() { self.work().ok() } else { self.work_if_free() };
        let Some(mut work) = work else {
            // Whoever has it is in a callback of the host's that waits for this thread.
            if self.host_loop.is_some() {
                // What was to be done is to be done still, and the ring for it is forgotten.
                self.handle_waker.wake();
            }
            return Some(now.instant + OUT_OF_THE_WAY);
        };
        if self.is_closed() {
            return None;
        }
        if let Some((scope, moment)) = self.take_due(&mut work, now) {
            self.look(&mut work, &scope, moment, now.unix);
        }
        self.tell_expiry(&mut work, now);
        let next = self.next_deadline(&work, now).filter(|_| !self.is_closed());
        // While it is locked, so that no earlier step's deadline replaces it.
        if let Some(host_loop) = &self.host_loop {
            host_loop.end(self.runtime.watcher(), next);
        }
        next
    }

    /// What there is to do, the most urgent first. It is taken before the first read: what comes
    /// later is for the next look.
    fn take_due(&self, work: &mut WorkerState, at: Now) -> Option<(PassScope, PassTime)> {
        let now = at.instant;
        let reached = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if self.shared.requested.swap(false, Ordering::SeqCst) {
            let since = self.debounce.take_all(now).unwrap_or(now);
            Some((
                PassScope::All,
                PassTime { trigger: Trigger::Request, now, since, is_quiet: true },
            ))
        } else if reached(self.debounce.due_at())
            && !reached(work.next_poll.map(|at| at + PATIENCE))
        {
            let due = self.debounce.take_due(now);
            let since = due.since.unwrap_or(now);
            // Where something was missed, nobody knows what.
            let is_quiet = due.units.is_some();
            let moment = PassTime { trigger: Trigger::Watch, now, since, is_quiet };
            Some((due.units.map_or(PassScope::All, PassScope::Units), moment))
        } else if reached(work.next_poll) {
            work.next_poll = Some(work.polls.next(now));
            let moment = PassTime { trigger: Trigger::Poll, now, since: now, is_quiet: false };
            Some((PassScope::Poll, moment))
        } else if reached(work.pipeline.retry_at(&self.debounce.held(now), at)) {
            let moment = PassTime { trigger: Trigger::Poll, now, since: now, is_quiet: false };
            Some((PassScope::Retries, moment))
        } else {
            None
        }
    }

    fn next_deadline(&self, work: &WorkerState, now: Now) -> Option<Instant> {
        let retry = work.pipeline.retry_at(&self.debounce.held(now.instant), now);
        let date = Some(work.expiry.due_at(now));
        [self.debounce.due_at(), work.next_poll, retry, date].into_iter().flatten().min()
    }

    /// Looks at the files; and again as long as something was not followed while it looked, for what
    /// happened there meanwhile went unnoticed (G1).
    fn look(&self, work: &mut WorkerState, scope: &PassScope, moment: PassTime, wall: i64) {
        let retries_watch = *scope == PassScope::Poll;
        let mut looked_at = self.look_once(work, scope, moment, wall);
        if retries_watch {
            looked_at.extend(work.troubles.keys());
        }
        // What was not followed was not told of: nobody knows that it is quiet.
        let is_quiet = moment.trigger == Trigger::Request;
        let moment = PassTime { trigger: Trigger::Watch, is_quiet, ..moment };
        for _ in 0..LOOKS_PER_STEP {
            let again = self.arm(work, &looked_at);
            if again.is_empty() {
                return;
            }
            looked_at = self.look_once(work, &PassScope::Units(again), moment, wall);
        }
        for unit in self.arm(work, &looked_at) {
            self.debounce.touch_again(unit);
            self.handle_waker.wake();
        }
    }

    /// Tells which units were read.
    fn look_once(
        &self,
        work: &mut WorkerState,
        scope: &PassScope,
        moment: PassTime,
        wall: i64,
    ) -> BTreeSet<usize> {
        // Drawn before the first read.
        let newest = self.waiters.newest();
        // A file that a writer has open is half a file, whoever asks (G4).
        let held = || {
            // The newest word of the kernel's, for the worker itself has been busy. The handles that it is
            // about are marked; the ring is for the worker, which this thread need not be.
            if self.runtime.watcher().read() == ReadOutcome::ForSomebody {
                self.handle_waker.bell().ring();
            }
            self.debounce.held(Instant::now())
        };
        let look = work.pipeline.look(scope, &held, moment, wall, newest);
        let looked_at: BTreeSet<_> = look.looked_at.iter().copied().collect();
        let has_published = look.published.is_some();
        for index in &looked_at {
            self.standing().expose(*index, work.pipeline.exposed(*index));
        }
        let checked_all = *scope == PassScope::Poll;
        // Who waits is answered, and the log with him.
        let answers_a_signal = moment.trigger == Trigger::Request && self.waiters.is_idle();
        self.take_in(look, checked_all, answers_a_signal, newest, wall);
        if has_published {
            for unit in work.pipeline.refused_for_a_name() {
                self.debounce.touch_again(unit);
                self.handle_waker.wake();
            }
        }
        looked_at
    }

    /// Publishes, counts, tells.
    pub(super) fn take_in(
        &self,
        look: PassResult,
        checked_all: bool,
        answers_a_signal: bool,
        newest: u64,
        wall: i64,
    ) {
        let PassResult { published, failures, outcome, pending, notes, complete, looked_at } = look;
        {
            let mut standing = self.standing();
            standing.checked((!checked_all).then_some(&looked_at), wall);
            let next = published.as_ref().map(|(generation, _)| &**generation);
            standing.note(notes, &self.current(), next, wall);
            standing.failures += failures.len() as u64;
            standing.reloads += u64::from(published.is_some());
            if pending.is_none() {
                standing.unchanged += u64::from(outcome == Ok(Outcome::Unchanged));
                standing.last_outcome.clone_from(&outcome);
            }
            // While it is locked, so that nobody is shown what stands beside another generation.
            if let Some((generation, _)) = &published {
                self.shared.current.publish(generation.clone());
            }
        }
        if let Some((generation, told)) = published {
            self.events.push(told.event(&generation));
        }
        if answers_a_signal && pending.is_none() && failures.is_empty() {
            match &outcome {
                Ok(Outcome::Unchanged) => log_answer(self.speaker(), "unchanged"),
                Err(error) => {
                    log_answer(self.speaker(), &format!("still cannot be used: {error}"));
                }
                Ok(Outcome::Reloaded) => {}
            }
        }
        for (failure, trigger) in failures {
            self.events.push(Event::failed(&failure.error, trigger, &self.current()));
        }
        self.waiters.answer(newest, complete, &outcome, pending.as_ref());
    }

    /// Watches the way to everything for the first time, and looks again at what was not watched.
    pub(super) fn arm_and_look_again(&self, now: Now) {
        let Ok(mut work) = self.work() else { return };
        let everything = (0..work.pipeline.unit_count()).collect();
        let again = self.arm(&mut work, &everything);
        if !again.is_empty() {
            let now = Now { instant: Instant::now(), ..now };
            let moment = PassTime {
                trigger: Trigger::Watch,
                now: now.instant,
                since: now.instant,
                is_quiet: false,
            };
            self.look(&mut work, &PassScope::Units(again), moment, now.unix);
        }
    }

    /// Watches the ways by which the files of `units` are reached by now; tells for which of them
    /// that is more than before.
    pub(super) fn arm(&self, work: &mut WorkerState, units: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut again = BTreeSet::new();
        // Closed it is by a callback that this very look has called.
        if work.pipeline.options().watch != WatchMode::Auto || self.is_closed() {
            return again;
        }
        let observer: Weak<dyn Observer> = Arc::downgrade(&(self.debounce.clone() as _));
        let before = work.troubles.values().next().cloned();
        for unit in units.iter().copied() {
            let lookups = work.pipeline.lookups(unit);
            let Subscribed { look_again, trouble, touched_others, .. } =
                self.runtime.watcher().follow((self.id, unit), &observer, lookups);
            if touched_others && self.host_loop.is_none() {
                // This may be a thread of the host's, and the worker asleep.
                self.handle_waker.bell().ring();
            }
            match trouble {
                Some(error) => work.troubles.insert(unit, error),
                None => work.troubles.remove(&unit),
            };
            if look_again {
                again.insert(unit);
            }
        }
        let after = work.troubles.values().next();
        match (&before, after) {
            (None, Some(error)) => {
                self.standing().watch = WatchState::Degraded;
                let event = Event::of_watch(EventKind::WatchDegraded, error, &self.current());
                self.events.push(event);
            }
            (Some(error), None) => {
                self.standing().watch = WatchState::Notified;
                let event = Event::of_watch(EventKind::WatchRestored, error, &self.current());
                self.events.push(event);
            }
            _ => {}
        }
        again
    }

    /// Tells what has come into their warning window, or expired (G20).
    fn tell_expiry(&self, work: &mut WorkerState, now: Now) {
        let current = self.shared.current.load_full();
        for due in work.expiry.due(&current, now.unix, self.events.room()) {
            let failure = self.standing().failure_of(due.unit);
            let path = &self.shared.places[due.unit];
            self.events.push(due.event(&current, path, failure.as_ref(), now.unix));
        }
    }
}
