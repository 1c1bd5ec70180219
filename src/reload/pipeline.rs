//! One handle's way from a look at the files to a published generation. Runs on one thread at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::{Event, EventKind, Trigger};
use super::load::{Found, Loaded, load};
use super::settle::{Failure, Moment, Settle};
use super::standing::{Finding, Note};
use super::tickets::Outcome;
use rustls::crypto::CryptoProvider;

use crate::error::{Cause, Error};
use crate::generation::{Alive, Candidate, Foundation, Generation};
use crate::guard::guarded;
use crate::material::{Identity, Warning, WarningKind, Warnings, format_time, in_words};
use crate::options::{IdentityFiles, Options};
use crate::source::{Digest, Lookup, Way};

/// How long a poll takes a fingerprint for an answer. After that it reads the bytes again: a store
/// through a memory mapping, and a stamp that somebody forged with the disk's own tools, show nowhere
/// else.
const PROOF_LASTS: Duration = Duration::from_secs(60);

/// What changes together: one identity, good or bad as a whole.
struct Unit {
    files: IdentityFiles,
    serving: Arc<Identity>,
    /// Of the content that `serving` was made from.
    digest: Digest,
    settle: Settle,
    found: Found,
    /// When the files were last read.
    read_at: Instant,
}

impl Unit {
    /// Whether a poll may leave the files unread: they were good, and look as they did.
    fn looks_unchanged(&self, way: &mut Way, now: Instant) -> bool {
        let paths: Vec<&Path> = self.files.paths().collect();
        self.settle.is_good()
            && now < self.read_at + PROOF_LASTS
            && self.found.fingerprint.as_ref().is_some_and(|before| before.still_holds(&paths, way))
    }
}

/// An identity that has been loaded and not been proved yet.
struct Fresh {
    index: usize,
    identity: Arc<Identity>,
    digest: Digest,
    /// What taking it loses.
    warnings: Vec<Warning>,
    /// What began the wait for it, or the look that found it.
    trigger: Trigger,
}

/// Which units to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of them.
    All,
    /// All of them, but files that look unchanged are not read.
    Poll,
    /// These.
    Units(BTreeSet<usize>),
    /// Those that are pending, and due to be tried again.
    Retries,
}

/// Units of which a writer has a file open, and which file that is.
pub(super) type Held = BTreeMap<usize, PathBuf>;

/// What one look at the files came to.
pub(super) struct Look {
    /// To be made current, and told of with the event.
    pub(super) published: Option<(Arc<Generation>, Told)>,
    /// Failures that the host has not been told of.
    pub(super) failures: Vec<(Failure, Trigger)>,
    pub(super) outcome: Result<Outcome, Error>,
    /// The first unit that may still be half-written.
    pub(super) pending: Option<Error>,
    /// What was found of single units, where there is something to say.
    pub(super) notes: Vec<Note>,
    /// The units whose files were read: the ways to them may be others now.
    pub(super) looked_at: Vec<usize>,
}

/// The words of a RELOADED event.
pub(super) struct Told {
    pub(super) trigger: Trigger,
    pub(super) warnings: Warnings,
    pub(super) path: Arc<Path>,
    pub(super) message: String,
}

pub(super) struct Pipeline {
    options: Options,
    foundation: Foundation,
    units: Vec<Unit>,
    number: u64,
}

impl Pipeline {
    /// Loads everything for the first time: all good, or the first failure.
    pub(super) fn open(
        options: Options,
        alive: Alive,
        wall: i64,
    ) -> Result<(Self, Arc<Generation>, Told), Error> {
        let foundation = Foundation::new(&options, alive)?;
        let mut units = Vec::with_capacity(options.identities.len());
        for files in &options.identities {
            let read_at = Instant::now();
            let (loaded, found) = load(files, None, foundation.provider(), wall);
            // Nothing is known yet, so whatever is loaded is new.
            if let Loaded::New(identity, digest) = loaded.map_err(|failure| failure.error)? {
                let identity = identity.with_expiry_warning(options.expiry_warning);
                let (files, serving) = (files.clone(), Arc::new(identity));
                let settle = Settle::Good;
                units.push(Unit { files, serving, digest, settle, found, read_at });
            }
        }
        let candidate = foundation.candidate(serving(&units));
        if let Some(name) = missing(&options, &candidate).next() {
            return Err(Error::new(Cause::NameMissing { name: name.clone() }));
        }
        for (index, unit) in units.iter().enumerate() {
            candidate.prove(index).map_err(|cause| Error::at(&unit.files.chain, cause))?;
        }
        let mut pipeline = Self { options, foundation, units, number: 0 };
        let everything: Vec<_> = (0..pipeline.units.len()).collect();
        let (generation, told) =
            pipeline.publish(candidate, &everything, Vec::new(), Trigger::Open, wall);
        Ok((pipeline, generation, told))
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// When the next pending unit that is not held is to be tried again.
    pub(super) fn retry_at(&self, held: &Held) -> Option<Instant> {
        let free = self.units.iter().enumerate().filter(|(index, _)| !held.contains_key(index));
        free.filter_map(|(_, unit)| unit.settle.retry_at()).min()
    }

    pub(super) fn unit_count(&self) -> usize {
        self.units.len()
    }

    /// Every name that was looked up on the way to a file of the unit at `index`.
    pub(super) fn lookups(&self, index: usize) -> &[Lookup] {
        &self.units[index].found.lookups
    }

    /// Looks at the files, and builds and proves a generation out of what is new and good.
    ///
    /// What is held is not looked at, and pending. That is asked again before anything is published:
    /// a writer may have begun while its files were read.
    pub(super) fn look(
        &mut self,
        scope: &Scope,
        held: &dyn Fn() -> Held,
        moment: Moment,
        wall: i64,
    ) -> Look {
        let mut failures = Vec::new();
        let to_read = self.to_read(scope, &held(), moment);
        let mut notes = Vec::new();
        let fresh = self.read(&to_read, moment, wall, &mut failures, &mut notes);
        let published = self.prove(fresh, held, moment, wall, &mut failures, &mut notes);
        let failed = self.units.iter().find_map(|unit| unit.settle.failed()).cloned();
        Look {
            notes,
            outcome: match (failed, &published) {
                (Some(error), _) => Err(error),
                (None, Some(_)) => Ok(Outcome::Reloaded),
                (None, None) => Ok(Outcome::Unchanged),
            },
            pending: self.pending(&held()),
            looked_at: to_read,
            published,
            failures,
        }
    }

    fn to_read(&self, scope: &Scope, held: &Held, moment: Moment) -> Vec<usize> {
        let mut way = Way::default();
        let mut wanted = |(index, unit): &(usize, &Unit)| match scope {
            _ if held.contains_key(index) => false,
            Scope::All => true,
            Scope::Poll => !unit.looks_unchanged(&mut way, moment.now),
            Scope::Units(units) => units.contains(index),
            Scope::Retries => unit.settle.retry_at().is_some_and(|at| at <= moment.now),
        };
        let units = self.units.iter().enumerate().filter(|unit| wanted(unit));
        units.map(|(index, _)| index).collect()
    }

    /// The first unit that may still be half-written, or that its writer has not closed.
    fn pending(&self, held: &Held) -> Option<Error> {
        let open = held.values().next().map(|path| Error::at(path, Cause::StillOpen));
        self.units.iter().find_map(|unit| unit.settle.pending()).cloned().or(open)
    }

    /// Reads, parses and validates; what fails keeps its last good version.
    fn read(
        &mut self,
        to_read: &[usize],
        moment: Moment,
        wall: i64,
        failures: &mut Vec<(Failure, Trigger)>,
        notes: &mut Vec<Note>,
    ) -> Vec<Fresh> {
        let timeout = self.options.settle_timeout;
        let provider = self.foundation.provider();
        let mut fresh = Vec::new();
        for index in to_read.iter().copied() {
            let unit = &mut self.units[index];
            unit.read_at = Instant::now();
            let (loaded, found) = load_guarded(unit, provider, wall);
            unit.found = found;
            match loaded {
                Ok(Loaded::Same) => {
                    if !unit.settle.is_good() {
                        notes.push(Note { index, finding: Finding::Good });
                    }
                    unit.settle.succeed();
                }
                Ok(Loaded::New(identity, digest)) => {
                    let warnings = identity.warnings_after(&unit.serving);
                    let trigger = unit.settle.trigger().unwrap_or(moment.trigger);
                    let identity = identity.with_expiry_warning(self.options.expiry_warning);
                    let identity = Arc::new(identity);
                    fresh.push(Fresh { index, identity, digest, warnings, trigger });
                }
                Err(failure) => {
                    let told = unit.settle.fail(failure, moment, timeout);
                    notes.push(note_of(index, &unit.settle, told.as_ref()));
                    failures.extend(told);
                }
            }
        }
        fresh
    }

    /// Proves what is new with the very config that will serve it, and publishes what is proved.
    fn prove(
        &mut self,
        mut fresh: Vec<Fresh>,
        held: &dyn Fn() -> Held,
        moment: Moment,
        wall: i64,
        failures: &mut Vec<(Failure, Trigger)>,
        notes: &mut Vec<Note>,
    ) -> Option<(Arc<Generation>, Told)> {
        let timeout = self.options.settle_timeout;
        let mut refuse = |units: &mut [Unit], index: usize, digest, error| {
            let failure = Failure { error, digest: Some(digest) };
            let settle = &mut units[index].settle;
            let told = settle.fail(failure, moment, timeout);
            notes.push(note_of(index, settle, told.as_ref()));
            failures.extend(told);
        };
        while !fresh.is_empty() {
            let mut identities = serving(&self.units);
            for new in &fresh {
                identities[new.index] = new.identity.clone();
            }
            let mut candidate = self.foundation.candidate(identities.clone());
            let mut refused = Vec::new();
            let names: Vec<_> = missing(&self.options, &candidate).cloned().collect();
            fresh.retain(|new| {
                let serving = &self.units[new.index].serving;
                let result = match names.iter().find(|name| takes_away(serving, new, name)) {
                    Some(name) => Err(Cause::NameMissing { name: name.clone() }),
                    None => prove_guarded(&candidate, new.index),
                };
                result.map_err(|cause| refused.push((new.index, new.digest, cause))).is_ok()
            });
            if refused.is_empty() {
                if self.put_back_held(&mut fresh, &held()) {
                    continue;
                }
                let warnings: Vec<_> =
                    fresh.iter_mut().flat_map(|new| std::mem::take(&mut new.warnings)).collect();
                if Warnings::from_iter(&warnings).contains(WarningKind::NamesLost) {
                    // A session of a name that is no longer served must not be resumed. Without
                    // fresh ticket keys (the system has no randomness) nothing is published.
                    if let Err(error) = self.foundation.forget_sessions() {
                        for new in fresh {
                            refuse(&mut self.units, new.index, new.digest, error.clone());
                        }
                        return None;
                    }
                    candidate = self.foundation.candidate(identities);
                }
                let changed: Vec<_> = fresh.iter().map(|new| new.index).collect();
                let renewed = |&index: &usize| Note { index, finding: Finding::Renewed };
                notes.extend(changed.iter().map(renewed));
                let trigger = fresh.first().map_or(moment.trigger, |new| new.trigger);
                for new in fresh {
                    let unit = &mut self.units[new.index];
                    unit.serving = new.identity;
                    unit.digest = new.digest;
                    unit.settle.succeed();
                }
                return Some(self.publish(candidate, &changed, warnings, trigger, wall));
            }
            for (index, digest, cause) in refused {
                let error = Error::at(&self.units[index].files.chain, cause);
                refuse(&mut self.units, index, digest, error);
            }
        }
        None
    }

    /// Leaves what is being written for when it is closed; tells whether anything is.
    fn put_back_held(&mut self, fresh: &mut Vec<Fresh>, held: &Held) -> bool {
        let before = fresh.len();
        fresh.retain(|new| !held.contains_key(&new.index));
        for index in held.keys() {
            // Of what was read, which is not what serves.
            self.units[*index].found.fingerprint = None;
        }
        fresh.len() < before
    }

    fn publish(
        &mut self,
        candidate: Candidate,
        changed: &[usize],
        mut warnings: Vec<Warning>,
        trigger: Trigger,
        wall: i64,
    ) -> (Arc<Generation>, Told) {
        self.number += 1;
        warnings.extend(self.duplicate_names(&candidate));
        let standing = self.units.iter().flat_map(|unit| unit.serving.warnings());
        let told = self.tell(changed, warnings.iter().chain(standing), trigger);
        (Arc::new(candidate.accept(self.number, wall, told.warnings)), told)
    }

    /// An identity that never serves one of its names, because another one before it does.
    fn duplicate_names(&self, candidate: &Candidate) -> Option<Warning> {
        let duplicates = candidate.duplicates();
        let (name, first, second) = duplicates.first.as_ref()?;
        let path = |index: usize| self.units[index].files.chain.display();
        let more = match duplicates.count {
            1 => String::new(),
            count => format!(" (and {} more like it)", count - 1),
        };
        let text = format!(
            "{} never serves {name}, for {} does, with the same kind of key{more}",
            path(*second),
            path(*first)
        );
        Some(Warning::new(WarningKind::DuplicateName, text))
    }

    fn tell<'a>(
        &self,
        changed: &[usize],
        warnings: impl Iterator<Item = &'a Warning> + Clone,
        trigger: Trigger,
    ) -> Told {
        let first = &self.units[changed.first().copied().unwrap_or(0)];
        let more = match changed.len() {
            0 | 1 => String::new(),
            count => format!("; and {} more identities", count - 1),
        };
        let mut parts =
            vec![format!("{}: {}{more}", first.files.chain.display(), describe(&first.serving))];
        parts.extend(in_words(warnings.clone()));
        let message = parts.join("; warning: ");
        Told {
            trigger,
            warnings: warnings.collect(),
            path: first.files.chain.as_path().into(),
            message,
        }
    }
}

/// The required names that nobody in `candidate` has.
fn missing<'a>(
    options: &'a Options,
    candidate: &'a Candidate,
) -> impl Iterator<Item = &'a String> + 'a {
    options.required_names.iter().filter(|name| !candidate.covers(name))
}

/// Whether `name` was covered by what serves, and is not by what is new.
fn takes_away(serving: &Identity, new: &Fresh, name: &str) -> bool {
    serving.covers(name) && !new.identity.covers(name)
}

impl Told {
    pub(super) fn event(self, generation: &Generation) -> Event {
        Event {
            kind: EventKind::Reloaded,
            trigger: self.trigger,
            cause: None,
            warnings: self.warnings,
            generation: generation.number(),
            earliest_not_after: generation.earliest_not_after(),
            path: Some(self.path),
            message: self.message,
        }
    }
}

/// What there is to say of a unit that failed.
fn note_of(index: usize, settle: &Settle, told: Option<&(Failure, Trigger)>) -> Note {
    let finding = match told {
        Some((failure, _)) => Finding::Failed(failure.error.clone()),
        None if settle.pending().is_some() => Finding::Pending,
        None => Finding::StillFailed,
    };
    Note { index, finding }
}

/// Loads a unit; a panic on the way, which is a defect, is a failure of this unit alone.
fn load_guarded(
    unit: &Unit,
    provider: &CryptoProvider,
    wall: i64,
) -> (Result<Loaded, Failure>, Found) {
    guarded(|| load(&unit.files, Some(unit.digest), provider, wall)).unwrap_or_else(|panic| {
        let error = Error::at(&unit.files.chain, Cause::Panic(panic));
        let found = Found { lookups: unit.found.lookups.clone(), fingerprint: None };
        (Err(Failure { error, digest: None }), found)
    })
}

fn prove_guarded(candidate: &Candidate, index: usize) -> Result<(), Cause> {
    guarded(|| candidate.prove(index)).unwrap_or_else(|panic| Err(Cause::Panic(panic)))
}

fn serving(units: &[Unit]) -> Vec<Arc<Identity>> {
    units.iter().map(|unit| unit.serving.clone()).collect()
}

fn describe(identity: &Identity) -> String {
    let names = identity.names();
    let name = names.first().map_or("no name".into(), |name| name.to_string_lossy());
    let more = match names.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    let until = format_time(identity.not_after());
    let fingerprint = identity.sha256().to_string_lossy();
    format!("{name}{more}, valid until {until}, sha256 {fingerprint}")
}
