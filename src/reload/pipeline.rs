//! One handle's way from a look at the files to a published generation. Runs on one thread at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::debounce::OpenForWriting;
use super::loading::{LoadContext, authorities_for};
use super::outcome::Outcome;
use super::outcome::{Finding, Note};
use super::pass::{PassResult, PassScope};
use super::report::ReloadReport;
use super::retry::{Failure, PassTime};
use super::unit::{Fresh, Unit};
use super::unit_files::UnitFiles;
use crate::clock::Now;
use crate::error::{Cause, Error};
use crate::events::Trigger;
use crate::files::{Digest, Fingerprint, Lookup, PathResolver};
use crate::options::{IdentityBytes, Options};
use crate::pki::Warning;
use crate::sys::Privileges;
use crate::sys::catch_panic;
use crate::tls::check_template;
use crate::tls::{BaseConfig, Candidate, Generation, GenerationCount, Part, Parts};

pub(crate) struct Pipeline {
    options: Arc<Options>,
    base_config: Arc<BaseConfig>,
    units: Vec<Unit>,
    number: u64,
    /// Of the time when the handle was opened, and when all files were last looked at.
    opened_as: Privileges,
    looked_as: Privileges,
}

impl Pipeline {
    /// Loads everything for the first time: all good, or the first failure.
    pub(crate) fn open(
        mut options: Options,
        alive: GenerationCount,
        wall: i64,
    ) -> Result<(Self, Arc<Generation>, ReloadReport), Error> {
        let base_config = Arc::new(BaseConfig::new(&options, alive)?);
        let mut units = Vec::with_capacity(options.identities.len());
        for files in UnitFiles::of_units(&options) {
            let authorities =
                authorities_for(&files, units.iter().map(|unit: &Unit| &unit.serving));
            let with = LoadContext {
                provider: base_config.provider(),
                options: &options,
                now: wall,
                authorities: &authorities,
            };
            units.push(Unit::open(files, &with).map_err(|failure| failure.error)?);
        }
        let candidate = Candidate::new(&base_config, serving(&units))?;
        if let Some(name) = missing(&options, &candidate).next() {
            return Err(Error::new(Cause::NameMissing { name: name.clone() }));
        }
        let mut asks_clients = false;
        for (index, unit) in units.iter().enumerate() {
            let proved = prove(&candidate, index, &unit.serving);
            asks_clients |= proved.map_err(|cause| Error::at(unit.files.path(), cause))?;
        }
        check_template(&options, asks_clients)?;
        // Each unit has made use of its bytes, if it was given any: no key stays here.
        options.identities.iter_mut().for_each(|files| files.memory = None);
        let mut pipeline = Self::new(options.into(), base_config, units, 0, Privileges::now());
        let everything: Vec<_> = (0..pipeline.units.len()).collect();
        let (generation, told) = pipeline.publish(candidate, &everything, &[], Trigger::Open, wall);
        Ok((pipeline, generation, told))
    }

    /// Takes up what serves: in a child that was forked, where nothing else can be relied on.
    ///
    /// The host hands over those that `is_memory`.
    pub(crate) fn resume(
        options: Arc<Options>,
        serving: &Generation,
        is_memory: impl Fn(usize) -> bool,
        opened_as: Privileges,
    ) -> Self {
        let parts = serving.parts().iter().zip(serving.contents());
        let mut units: Vec<_> = UnitFiles::of_units(&options)
            .into_iter()
            .zip(parts)
            .map(|(files, (part, digest))| Unit::resume(files, part, *digest))
            .collect();
        for (index, unit) in units.iter_mut().enumerate().filter(|(index, _)| is_memory(*index)) {
            unit.detach(index);
        }
        Self::new(options, serving.base_config().clone(), units, serving.number(), opened_as)
    }

    fn new(
        options: Arc<Options>,
        base_config: Arc<BaseConfig>,
        units: Vec<Unit>,
        number: u64,
        opened_as: Privileges,
    ) -> Self {
        let looked_as = opened_as.clone();
        Self { options, base_config, units, number, opened_as, looked_as }
    }

    pub(crate) fn options(&self) -> &Arc<Options> {
        &self.options
    }

    /// As whom the handle was opened.
    pub(crate) fn opened_as(&self) -> &Privileges {
        &self.opened_as
    }

    /// When the next pending unit that is not held is to be tried again.
    pub(crate) fn retry_at(&self, held: &OpenForWriting, now: Now) -> Option<Instant> {
        let free = self.units.iter().enumerate().filter(|(index, _)| !held.contains_key(index));
        free.filter_map(|(_, unit)| unit.retry_at(now)).min()
    }

    /// The units that were refused for a name that others may have brought meanwhile.
    pub(crate) fn refused_for_a_name(&self) -> impl Iterator<Item = usize> {
        let refused = |unit: &Unit| {
            unit.settle
                .failed()
                .is_some_and(|error| matches!(error.cause, Cause::NameMissing { .. }))
        };
        let units = self.units.iter().enumerate().filter(move |(_, unit)| refused(unit));
        units.map(|(index, _)| index)
    }

    /// Which secrets of the unit at `index` every user may read.
    pub(crate) fn exposed(&self, index: usize) -> &[Warning] {
        &self.units[index].exposed
    }

    /// Whether the host hands over the identity at `index`.
    pub(crate) fn is_memory(&self, index: usize) -> bool {
        self.units[index].is_memory()
    }

    /// What the unit at `index` is called by.
    pub(crate) fn path(&self, index: usize) -> &Path {
        self.units[index].files.path()
    }

    pub(crate) fn unit_count(&self) -> usize {
        self.units.len()
    }

    /// Every name that was looked up on the way to a file of the unit at `index`.
    pub(crate) fn lookups(&self, index: usize) -> &[Lookup] {
        &self.units[index].lookups
    }

    /// Looks at the files, and builds and proves a generation out of what is new and good.
    ///
    /// What is held is not looked at, and pending. That is asked again before anything is published:
    /// a writer may have begun while its files were read.
    pub(crate) fn look(
        &mut self,
        scope: &PassScope,
        held: &dyn Fn() -> OpenForWriting,
        moment: PassTime,
        wall: i64,
        newest: u64,
    ) -> PassResult {
        let mut failures = Vec::new();
        let held_before = held();
        // What was seen as another user was seen by somebody else.
        let privileges = Privileges::now();
        let scope = match scope {
            PassScope::Poll if self.looked_as != privileges => &PassScope::All,
            scope => scope,
        };
        if *scope == PassScope::All {
            self.looked_as = privileges;
        }
        let to_read = self.to_read(scope, &held_before, moment, wall);
        let mut notes: Vec<_> = held_before
            .into_keys()
            .filter(|index| self.units[*index].settle.pending().is_none())
            .map(|index| Note { index, finding: Finding::Pending })
            .collect();
        let fresh = self.read(&to_read, moment, wall, newest, &mut failures, &mut notes);
        let timeout = self.options.settle_timeout;
        let mut refused = Vec::new();
        let mut refuse = |unit: &mut Unit, index: usize, failure: Failure| {
            let told = unit.settle.fail(failure, moment, timeout);
            refused.push(unit.note(index, told.as_ref()));
            failures.extend(told);
        };
        let published = self.prove(fresh, held, moment, wall, &mut notes, &mut refuse);
        notes.append(&mut refused);
        PassResult {
            notes,
            outcome: self.outcome_of_files(published.is_some()),
            pending: self.pending(&held()),
            complete: self.complete(newest),
            looked_at: to_read,
            published,
            failures,
        }
    }

    /// Takes bytes that the host hands over for the identity at `index`, which has no files from then on.
    /// Nothing is waited for: what cannot be used is refused at once.
    ///
    /// What that came to is the caller's affair; the look is about how the files stand after it, for those
    /// who wait for them.
    pub(crate) fn push(
        &mut self,
        index: usize,
        bytes: IdentityBytes,
        held: &dyn Fn() -> OpenForWriting,
        now: Now,
        newest: u64,
    ) -> (PassResult, Result<Outcome, Error>) {
        let trigger = Trigger::Push;
        let moment = PassTime { trigger, now: now.instant, since: now.instant, is_quiet: true };
        let mut notes = Vec::new();
        let mut refused = None;
        let mut published = None;
        let with = self.loading(now.unix);
        match self.units[index].check(index, bytes, &with) {
            Ok(None) => {
                self.units[index].detach(index);
                notes.push(Note { index, finding: Finding::Good });
            }
            Ok(Some((part, digest))) => {
                let fresh = self.fresh(index, (part, digest, None), trigger);
                let fresh = Fresh { is_memory: true, ..fresh };
                let mut refuse = |_: &mut Unit, _, failure| refused = Some(failure);
                published = self.prove(
                    vec![fresh],
                    &OpenForWriting::new,
                    moment,
                    now.unix,
                    &mut notes,
                    &mut refuse,
                );
            }
            Err(failure) => refused = Some(failure),
        }
        let outcome = match (&refused, &published) {
            (Some(failure), _) => Err(failure.error.clone()),
            (None, Some(_)) => Ok(Outcome::Reloaded),
            (None, None) => Ok(Outcome::Unchanged),
        };
        let mut failures = Vec::new();
        if let Some(failure) = refused
            && self.units[index].refuse_pushed(&failure)
        {
            if self.units[index].is_memory() {
                notes.push(Note { index, finding: Finding::Failed(failure.error.clone()) });
            }
            failures.push((failure, trigger));
        }
        let look = PassResult {
            failures,
            outcome: self.outcome_of_files(published.is_some()),
            pending: self.pending(&held()),
            notes,
            complete: self.complete(newest),
            looked_at: vec![index],
            published,
        };
        (look, outcome)
    }

    /// Whether files stand failed, or what a look at them came to.
    fn outcome_of_files(&self, has_published: bool) -> Result<Outcome, Error> {
        // What was refused out of memory is not there to be looked at.
        let mut files = self.units.iter().filter(|unit| !unit.is_memory());
        match files.find_map(|unit| unit.settle.failed()) {
            Some(error) => Err(error.clone()),
            None if has_published => Ok(Outcome::Reloaded),
            None => Ok(Outcome::Unchanged),
        }
    }

    fn fresh(
        &self,
        index: usize,
        (part, digest, fingerprint): (Part, Digest, Option<Fingerprint>),
        trigger: Trigger,
    ) -> Fresh {
        let warnings = part.warnings_after(&self.units[index].serving);
        Fresh { index, part, digest, fingerprint, warnings, trigger, is_memory: false }
    }

    fn loading(&self, now: i64) -> LoadContext<'_> {
        let provider = self.base_config.provider();
        LoadContext { provider, options: &self.options, now, authorities: &[] }
    }

    /// The newest ticket since which every unit has been read.
    fn complete(&self, newest: u64) -> u64 {
        self.units.iter().map(Unit::read_for).min().unwrap_or(newest)
    }

    fn to_read(
        &self,
        scope: &PassScope,
        held: &OpenForWriting,
        moment: PassTime,
        wall: i64,
    ) -> Vec<usize> {
        let mut way = PathResolver::default();
        let now = Now { instant: moment.now, unix: wall };
        let next_poll = moment.now + self.options.poll_interval;
        let mut wanted = |(index, unit): &(usize, &Unit)| match scope {
            _ if unit.is_memory() || held.contains_key(index) => false,
            PassScope::All => true,
            PassScope::Poll => !unit.looks_unchanged(&mut way, next_poll),
            PassScope::Units(units) => units.contains(index),
            PassScope::Retries => unit.retry_at(now).is_some_and(|at| at <= moment.now),
        };
        let units = self.units.iter().enumerate().filter(|unit| wanted(unit));
        units.map(|(index, _)| index).collect()
    }

    /// The first unit that may still be half-written, or that its writer has not closed.
    fn pending(&self, held: &OpenForWriting) -> Option<Error> {
        let mut open = held.iter().filter(|(index, _)| !self.units[**index].is_memory());
        let open = open.next().map(|(_, path)| Error::at(path, Cause::StillOpen));
        self.units.iter().find_map(|unit| unit.settle.pending()).cloned().or(open)
    }

    /// Reads, parses and validates; what fails keeps its last good version.
    fn read(
        &mut self,
        to_read: &[usize],
        moment: PassTime,
        wall: i64,
        newest: u64,
        failures: &mut Vec<(Failure, Trigger)>,
        notes: &mut Vec<Note>,
    ) -> Vec<Fresh> {
        let timeout = self.options.settle_timeout;
        let (base_config, options) = (self.base_config.clone(), self.options.clone());
        let mut fresh = Vec::new();
        for index in to_read.iter().copied() {
            let authorities = {
                let serving = self.units.iter().map(|unit: &Unit| &unit.serving);
                authorities_for(&self.units[index].files, serving)
            };
            let with = LoadContext {
                provider: base_config.provider(),
                options: &options,
                now: wall,
                authorities: &authorities,
            };
            let unit = &mut self.units[index];
            match unit.load(&with, newest) {
                Ok(None) => {
                    notes.push(Note { index, finding: Finding::Good });
                    unit.settle.succeed();
                    unit.forget_sighting();
                }
                Ok(Some(loaded)) => {
                    let Some(trigger) = unit.settled(loaded.1, moment, &self.options) else {
                        continue;
                    };
                    fresh.push(self.fresh(index, loaded, trigger));
                }
                Err(mut failure) => {
                    failure.error = explain(failure.error, &self.opened_as);
                    unit.forget_sighting();
                    let told = unit.settle.fail(failure, moment, timeout);
                    notes.push(unit.note(index, told.as_ref()));
                    failures.extend(told);
                }
            }
        }
        fresh
    }

    /// Proves what is new with the very config that will serve it, and publishes what is proved; the rest
    /// goes to `refuse`.
    fn prove(
        &mut self,
        mut fresh: Vec<Fresh>,
        held: &dyn Fn() -> OpenForWriting,
        moment: PassTime,
        wall: i64,
        notes: &mut Vec<Note>,
        refuse: &mut dyn FnMut(&mut Unit, usize, Failure),
    ) -> Option<(Arc<Generation>, ReloadReport)> {
        let mut refuse = |units: &mut [Unit], index: usize, digest, error| {
            refuse(&mut units[index], index, Failure { error, digest: Some(digest) });
        };
        while !fresh.is_empty() {
            let candidate = match Candidate::new(&self.base_config, self.parts_with(&fresh)) {
                Ok(candidate) => candidate,
                Err(error) => {
                    for new in fresh {
                        refuse(&mut self.units, new.index, new.digest, error.clone());
                    }
                    return None;
                }
            };
            let mut refused = Vec::new();
            let names: Vec<_> = missing(&self.options, &candidate).cloned().collect();
            // Identities come before the trust among units. Where one is refused the candidate proves
            // nothing of the trust, which is proved with the next.
            fresh.retain(|new| {
                if new.part.as_identity().is_none() && !refused.is_empty() {
                    return true;
                }
                let serving = &self.units[new.index].serving;
                let result = match names.iter().find(|name| new.takes_away(serving, name)) {
                    Some(name) => Err(Cause::NameMissing { name: name.clone() }),
                    None => prove_guarded(&candidate, new.index, &new.part).map(|_| ()),
                };
                result.map_err(|cause| refused.push((new.index, new.digest, cause))).is_ok()
            });
            if refused.is_empty() {
                if self.put_back_held(&mut fresh, &held()) {
                    continue;
                }
                let warnings: Vec<_> =
                    fresh.iter_mut().flat_map(|new| std::mem::take(&mut new.warnings)).collect();
                let changed: Vec<_> = fresh.iter().map(|new| new.index).collect();
                let renewed = |&index: &usize| Note { index, finding: Finding::Renewed };
                notes.extend(changed.iter().map(renewed));
                let trigger = fresh.first().map_or(moment.trigger, |new| new.trigger);
                for new in fresh {
                    self.units[new.index].take(new);
                }
                return Some(self.publish(candidate, &changed, &warnings, trigger, wall));
            }
            for (index, digest, cause) in refused {
                let error = Error::at(self.units[index].files.path(), cause);
                refuse(&mut self.units, index, digest, error);
            }
        }
        None
    }

    /// What would serve with `fresh` in its place.
    fn parts_with(&self, fresh: &[Fresh]) -> Parts {
        let mut all: Vec<_> = self.units.iter().map(|unit| unit.serving.clone()).collect();
        for new in fresh {
            all[new.index] = new.part.clone();
        }
        all.into_iter().collect()
    }

    /// Leaves what is being written for when it is closed; tells whether anything is.
    fn put_back_held(&mut self, fresh: &mut Vec<Fresh>, held: &OpenForWriting) -> bool {
        let before = fresh.len();
        fresh.retain(|new| {
            let is_held = held.contains_key(&new.index);
            if is_held {
                self.units[new.index].put_back();
            }
            !is_held
        });
        fresh.len() < before
    }

    fn publish(
        &mut self,
        candidate: Candidate,
        changed: &[usize],
        warnings: &[Warning],
        trigger: Trigger,
        wall: i64,
    ) -> (Arc<Generation>, ReloadReport) {
        self.number += 1;
        let told = ReloadReport::new(&self.units, changed, &candidate, warnings, trigger);
        let contents = self.units.iter().map(Unit::digest).collect();
        let base_config = self.base_config.clone();
        let next = candidate.accept(self.number, wall, told.warnings, contents, base_config);
        (Arc::new(next), told)
    }
}

/// A file that cannot be had may be out of reach since the process gave something up.
fn explain(error: Error, opened_as: &Privileges) -> Error {
    match error.cause {
        Cause::NotFound | Cause::Permission => {
            error.under(Privileges::now().changes_since(opened_as))
        }
        _ => error,
    }
}

/// The required names that nobody in `candidate` has.
fn missing<'a>(
    options: &'a Options,
    candidate: &'a Candidate,
) -> impl Iterator<Item = &'a String> + 'a {
    options.required_names.iter().filter(|name| !candidate.covers(name))
}

fn serving(units: &[Unit]) -> Parts {
    units.iter().map(|unit| unit.serving.clone()).collect()
}

/// Proves what is new with the unit at `index`; tells whether clients are asked for certificates.
fn prove(candidate: &Candidate, index: usize, part: &Part) -> Result<bool, Cause> {
    match part {
        Part::Identity(_) => candidate.prove(index),
        Part::Trust(_) => candidate.prove_trust().map(|()| false),
        Part::TicketKeys(_) => Ok(false),
    }
}

/// The same, where a panic on the way is a failure.
fn prove_guarded(candidate: &Candidate, index: usize, part: &Part) -> Result<bool, Cause> {
    catch_panic(|| prove(candidate, index, part)).unwrap_or_else(|panic| Err(Cause::Panic(panic)))
}
