//! The reads of a pass: decides which units are read, begins their reads, and loads what was read.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::findings::Finding;
use super::fresh::Fresh;
use super::load::{LoadContext, authorities_for};
use super::pass::{Pass, PassScope, PassTime};
use super::pipeline::Pipeline;
use super::unit::Unit;
use super::unit_read::{FinishedRead, ReadKind, ReadResult, UnitRead};
use crate::events::Trigger;
use crate::files::PathResolver;
use crate::sys::{Mutex, Privileges, catch_panic};

impl Pipeline {
    /// Begins the reads of `pass`. A poll subscribes the units in `resubscribe` again, even if their files look unchanged.
    ///
    /// A unit of which a process has a file open for writing is not read, and counts as incomplete. A unit whose last
    /// read has not ended is read again after that.
    pub(crate) fn begin(
        &mut self,
        pass: &mut Pass<'_>,
        resubscribe: &BTreeSet<usize>,
    ) -> Vec<UnitRead> {
        let open = pass.open_for_writing();
        for index in open.keys() {
            if self.units[*index].retry.pending().is_none() {
                pass.note(*index, Finding::Pending);
            }
        }
        let scope = self.scope_of(pass);
        let now = pass.time.now;
        let next_poll = now.instant + self.options.poll_interval;
        let resolver = Arc::new(Mutex::new(PathResolver::default()));
        let mut reads = Vec::new();
        for (index, unit) in self.units.iter_mut().enumerate() {
            let is_wanted = match &scope {
                _ if unit.is_memory() || open.contains_key(&index) => false,
                PassScope::All | PassScope::Poll => true,
                PassScope::Units(units) => units.contains(&index),
                PassScope::Retries => unit.retry_at(now).is_some_and(|at| at <= now.instant),
            };
            if !is_wanted {
                continue;
            }
            if let Some(reading) = &mut unit.reading {
                reading.wants_again |= matches!(scope, PassScope::All | PassScope::Units(_));
                if reading.is_reported {
                    unit.answer_unread(pass.newest_waiter);
                }
                continue;
            }
            let fingerprint = match scope {
                PassScope::Poll => unit.fingerprint_for_poll(next_poll),
                _ => None,
            };
            let lookups = || resubscribe.contains(&index).then(|| unit.lookups.clone());
            let kind = match fingerprint {
                None => ReadKind::Files,
                Some(fingerprint) => ReadKind::UnlessUnchanged {
                    fingerprint,
                    resolver: resolver.clone(),
                    lookups: lookups(),
                },
            };
            let read = unit.begin_read(index, pass.time, kind);
            reads.push(UnitRead { newest_waiter: pass.newest_waiter, ..read });
        }
        reads
    }

    /// Loads the files that were read. Their bytes are dropped, so a pass over many units calls this several times.
    pub(crate) fn load(&mut self, pass: &mut Pass<'_>, reads: Vec<FinishedRead>) {
        // First all reads are ended: a unit whose read does not end is not read again.
        for read in &reads {
            let Some(reading) = self.units[read.index].end_read(read.number) else { continue };
            if reading.wants_again || reading.is_reported && !read.result.is_read() {
                pass.again.push(read.index);
            }
            if read.result.is_read() {
                pass.scanned.push(read.index);
            }
        }
        for read in reads {
            let index = read.index;
            match catch_panic(|| self.load_one(pass, read)) {
                Ok(fresh) => pass.fresh.extend(fresh),
                Err(panic) => {
                    let failure = self.units[index].panicked(panic);
                    self.fail(pass, index, failure);
                }
            }
        }
    }

    /// Returns whether the unit waits for `read`. It does not if its content was pushed since the read began.
    pub(crate) fn expects(&self, read: &FinishedRead) -> bool {
        self.units[read.index].is_reading(read.number)
    }

    /// Gives up the read of the unit at `index`, which never ends.
    pub(crate) fn abandon_read(&mut self, index: usize) {
        self.units[index].reading = None;
    }

    /// Loads the unit that was read. Returns new content that may be published now. A unit that fails keeps its last good
    /// version (G3).
    fn load_one(&mut self, pass: &mut Pass<'_>, read: FinishedRead) -> Option<Fresh> {
        let FinishedRead { index, newest_waiter, time, reports_writes, result, .. } = read;
        let (base_config, options) = (self.base_config.clone(), self.options.clone());
        let authorities = {
            let serving = self.units.iter().map(|unit: &Unit| &unit.serving);
            authorities_for(&self.units[index].files, serving)
        };
        let with = LoadContext::new(&base_config, &options, pass.time.now.unix, &authorities);
        let unit = &mut self.units[index];
        let loaded = match result {
            ReadResult::Unchanged | ReadResult::Nothing => return None,
            ReadResult::Files(read) => unit.load(*read, newest_waiter, &with),
            ReadResult::Panicked => Err(unit.panicked("reading the files panicked".to_owned())),
        };
        match loaded {
            Ok(None) => {
                let trigger = unit.retry.trigger().unwrap_or(time.trigger);
                pass.note_good(index, unit.retry.failed(), trigger);
                unit.retry.succeed();
                unit.sightings.forget();
                None
            }
            Ok(Some(loaded)) => {
                // A pass after notifications knows that the files are quiet only if writes to them were reported. After a
                // directory was replaced that is not so: a process may have begun to write before it was watched.
                // Bytes that are served already, and are parsed again because of a date, have been quiet for long.
                let is_served = loaded.1 == unit.digest();
                let is_quiet = is_served
                    || time.is_quiet && (reports_writes || time.trigger != Trigger::Watch);
                let time = PassTime { now: pass.time.now, is_quiet, ..time };
                let content = (&loaded.0, loaded.1);
                let accepted = unit.accept_sighting(content, (time, pass.is_open(index)), &options);
                let Some(trigger) = accepted else {
                    if unit.pending().is_some() {
                        pass.note(index, Finding::Pending);
                    }
                    unit.sightings.keep(loaded.0);
                    return None;
                };
                Some(Fresh::new(index, &unit.serving, loaded, trigger))
            }
            Err(mut failure) => {
                failure.explain(&self.opened_as);
                unit.sightings.forget();
                self.fail(pass, index, failure);
                None
            }
        }
    }

    /// Begins reads that subscribe all units to changes for the first time. They read no file, unless it is not known
    /// how to get to the files.
    pub(crate) fn begin_subscriptions(&mut self, pass: &Pass<'_>) -> Vec<UnitRead> {
        let units = self.units.iter_mut().enumerate();
        let read = |(index, unit): (usize, &mut Unit)| {
            let is_unknown = unit.lookups.is_empty() && !unit.is_memory();
            let kind = match unit.serving.absent() {
                // The file system did not answer when the handle was opened.
                Some(_) if is_unknown => ReadKind::Files,
                _ => ReadKind::Subscription(unit.lookups.clone()),
            };
            unit.begin_read(index, pass.time, kind)
        };
        units.map(read).collect()
    }

    /// Returns the scope of `pass`. A poll after a change of privileges reads all files, because fingerprints that
    /// another user saw prove nothing.
    fn scope_of(&mut self, pass: &Pass<'_>) -> PassScope {
        let privileges = Privileges::now();
        let scope = match &pass.scope {
            PassScope::Poll if self.read_as != privileges => PassScope::All,
            scope => scope.clone(),
        };
        if scope == PassScope::All {
            self.read_as = privileges;
        }
        scope
    }
}
