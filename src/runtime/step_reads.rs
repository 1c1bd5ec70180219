//! How a step reads files: runs the reads of a pass, and takes those that were late.
//!
//! A read on a file system that does not answer never ends. The pass goes without it, so that the other units are loaded
//! and published (G21). When the read ends after all, a step loads what it found.

use std::collections::BTreeSet;
use std::time::Instant;

use super::handle_step::Worker;
use super::late_reads::LateFindings;
use super::step_state::StepState;
use super::unit_reads::{run_here, run_on_readers};
use crate::clock::Now;
use crate::events::{Event, Trigger};
use crate::options::WatchMode;
use crate::reload::{FinishedRead, Pass, PassScope, PassTime, UnitRead};
use crate::watch::{Subscribed, WatchState};

/// How many units are read before they are loaded: the bytes of their files are in memory at once.
const READS_AT_ONCE: usize = 64;

impl Worker<'_> {
    /// Runs `reads`. Returns those that have ended; the others are late.
    fn read(&mut self, reads: Vec<UnitRead>, now: Instant) -> Vec<FinishedRead> {
        let instance = self.instance;
        let Some(readers) = &instance.readers else {
            return run_here(&instance.read_link, &reads);
        };
        if reads.is_empty() {
            return Vec::new();
        }
        let begun = run_on_readers(readers, &instance.read_link, reads);
        let finished = instance.mailbox.take();
        let expected = finished.iter().filter(|read| self.state.pipeline.expects(read));
        let ended: BTreeSet<_> = expected.map(|read| read.index).collect();
        let check_at = now + instance.shared.options.answer_timeout();
        for (unit, id) in begun.into_iter().filter(|(unit, _)| !ended.contains(unit)) {
            self.state.late_reads.add(unit, id, check_at);
        }
        finished
    }

    /// Runs `reads`, loads what was read, and ends `pass`. Returns the units that need another pass: one of the names on
    /// the way to a file had no subscription when the files were read, so a change may have been missed (G1).
    pub(super) fn read_and_finish(
        &mut self,
        mut pass: Pass<'_>,
        reads: Vec<UnitRead>,
    ) -> BTreeSet<usize> {
        let now = pass.time.now.instant;
        let mut reads = reads.into_iter();
        let mut subscribed = Vec::new();
        loop {
            let some: Vec<_> = reads.by_ref().take(READS_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            let finished = self.read(some, now);
            subscribed.append(&mut self.load(&mut pass, finished));
        }
        self.finish(pass, subscribed)
    }

    /// Loads what was read. Returns the results of subscribing the units to changes.
    fn load(
        &mut self,
        pass: &mut Pass<'_>,
        mut reads: Vec<FinishedRead>,
    ) -> Vec<(usize, Subscribed)> {
        let mut subscribed = Vec::with_capacity(reads.len());
        reads.retain_mut(|read| {
            let is_expected = self.state.pipeline.expects(read);
            if is_expected {
                if self.state.late_reads.end(read.index) {
                    // Whatever a late read found is found now: an incomplete file gets the whole timeout.
                    read.time = PassTime { since: pass.time.now.instant, ..read.time };
                }
                subscribed.extend(read.subscribed.take().map(|result| (read.index, result)));
            } else if self.state.pipeline.is_memory(read.index) {
                // The host has pushed content since, and the read has subscribed the unit to files that it has no more.
                let unit = (self.instance.id, read.index);
                if self.instance.runtime.watcher().unsubscribe_unit(unit) {
                    self.instance.handle_waker.waker().wake();
                }
            } else {
                // The read was given up, and has subscribed the unit to where its files were then.
                self.mark_again(read.index);
            }
            is_expected
        });
        self.state.pipeline.load(pass, reads);
        subscribed
    }

    /// Ends `pass`. Returns the units that need another pass.
    fn finish(&mut self, pass: Pass<'_>, subscribed: Vec<(usize, Subscribed)>) -> BTreeSet<usize> {
        let result = self.state.pipeline.finish(pass);
        let again = result.again.clone();
        self.apply(result);
        for unit in again {
            self.mark_again(unit);
        }
        self.note_subscriptions(subscribed)
    }

    /// Loads the units whose reads were late and have ended.
    pub(super) fn take_late_reads(&mut self, now: Now) {
        let reads = self.instance.mailbox.take();
        let Some(first) = reads.first() else { return };
        let time = PassTime { now, since: now.instant, ..first.time };
        let scope = PassScope::Units(reads.iter().map(|read| read.index).collect());
        let mut pass = Pass::new(scope, time, self.instance.waiters.newest(), self.instance);
        let subscribed = self.load(&mut pass, reads);
        let again = self.finish(pass, subscribed);
        self.scan_again(again, time);
    }

    /// Reports the units whose file systems have not answered for the documented time (G21).
    pub(super) fn report_unanswered(&mut self, now: Now) {
        let instance = self.instance;
        let Some(readers) = &instance.readers else { return };
        let timeout = instance.shared.options.answer_timeout();
        let StepState { pipeline, late_reads, .. } = &mut *self.state;
        let path_of = |unit: usize| pipeline.path(unit);
        let LateFindings { unanswered, lost } =
            late_reads.check(readers, (now.instant, timeout), &path_of);
        for unit in lost {
            self.state.pipeline.abandon_read(unit);
            self.mark_again(unit);
        }
        if !unanswered.is_empty() {
            let scope = PassScope::Units(unanswered.iter().map(|(unit, _)| *unit).collect());
            let pass = Pass::new(scope, Self::poll_time(now), instance.waiters.newest(), instance);
            let result = self.state.pipeline.fail_unanswered(pass, unanswered);
            self.apply(result);
        }
    }

    /// Subscribes to every directory for the first time. The units were read before, so changes until now may have been
    /// missed: a pass reads them again.
    pub(super) fn subscribe_and_scan(&mut self, now: Now) {
        if self.instance.shared.options.watch != WatchMode::Auto {
            return;
        }
        let now = Now { instant: Instant::now(), ..now };
        let time = PassTime { trigger: Trigger::Watch, ..Self::poll_time(now) };
        let newest = self.instance.waiters.newest();
        let pass = Pass::new(PassScope::Units(BTreeSet::new()), time, newest, self.instance);
        let reads = self.state.pipeline.begin_subscriptions(&pass);
        let again = self.read_and_finish(pass, reads);
        self.scan_again(again, time);
    }

    /// Records the results of subscribing units to changes. Returns the units that need another pass.
    pub(super) fn note_subscriptions(
        &mut self,
        subscribed: Vec<(usize, Subscribed)>,
    ) -> BTreeSet<usize> {
        let Self { instance, state } = self;
        let mut again = BTreeSet::new();
        let before = state.watch_failures.values().next().cloned();
        for (unit, Subscribed { needs_scan, error, notified_others, .. }) in subscribed {
            if notified_others && instance.host_loop.is_none() {
                // Wake the worker, which may be asleep: this thread may belong to the host.
                instance.handle_waker.waker().wake();
            }
            match error {
                Some(error) => state.watch_failures.insert(unit, error),
                None => state.watch_failures.remove(&unit),
            };
            if needs_scan {
                again.insert(unit);
            }
        }
        let after = state.watch_failures.values().next();
        let change = match (&before, after) {
            (None, Some(error)) => {
                Some((WatchState::Degraded, Event::watch_degraded(error, &instance.current())))
            }
            (Some(error), None) => {
                Some((WatchState::Notified, Event::watch_restored(error, &instance.current())))
            }
            _ => None,
        };
        if let Some((watch, event)) = change {
            instance.states().watch = watch;
            instance.events.push(event);
        }
        again
    }
}
