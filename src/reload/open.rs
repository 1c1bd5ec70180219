//! Loads all units of a handle that is being opened.
//!
//! With [`StartMode::Strict`] the first failure ends the open. With [`StartMode::Available`] the units that cannot be
//! loaded are absent from the first generation, and their failures are reported. From then on passes try to load them,
//! as they do with any unit that has failed.

use std::sync::Arc;
use std::time::Instant;

use super::configured_files::ConfiguredFiles;
use super::findings::{Failure, ReportedFailure};
use super::fresh::NewContent;
use super::load::{LoadContext, Loaded, authorities_for, load_memory};
use super::pass_result::Publication;
use super::pipeline::{Pipeline, RenewedUnits};
use super::required_names::{missing, missing_in};
use super::self_check::self_check;
use super::unit::{Unit, guard_secrets};
use super::unit_read::{PasswordQuestion, ReadCalls, ReadFiles};
use super::units::Units;
use crate::error::{Cause, Error};
use crate::events::Trigger;
use crate::files::{Snapshot, SourcePath};
use crate::options::{Options, StartMode};
use crate::sys::{Privileges, catch_panic};
use crate::tls::{BaseConfig, Candidate, GenerationsAlive, check_template};

/// Reads the files of a unit for the first time.
pub(crate) trait OpenReader {
    /// Returns the files of `sources`. Fails if a file system does not answer in time.
    fn snapshot(&self, sources: Vec<SourcePath>) -> Result<Snapshot, Error>;
}

/// A handle that has been loaded.
pub(crate) struct Opened {
    pub(crate) pipeline: Pipeline,
    pub(crate) publication: Publication,
    /// The units that are absent, with the reasons.
    pub(crate) failures: Vec<(usize, ReportedFailure)>,
}

impl Pipeline {
    /// Loads every unit for the first time. Fails if a unit cannot be loaded, unless the options allow that.
    pub(crate) fn open(
        mut options: Options,
        reader: &dyn OpenReader,
        count: GenerationsAlive,
        unix: i64,
    ) -> Result<Opened, Error> {
        let base_config = Arc::new(BaseConfig::new(&options, count)?);
        let mut units = Units(Vec::with_capacity(options.identities.len()));
        let mut start = Start { mode: options.start, failures: Vec::new() };
        for (index, files) in ConfiguredFiles::of_units(&options).into_iter().enumerate() {
            let authorities =
                authorities_for(&files, units.iter().map(|unit: &Unit| &unit.serving));
            let with = LoadContext::new(&base_config, &options, unix, &authorities);
            let (opened, loaded) = Unit::open(files, reader, &with);
            units.0.push(opened);
            if let Err(failure) = loaded {
                start.leave_out(&mut units, index, failure)?;
            }
        }
        let (candidate, asks_clients) = loop {
            let candidate = Candidate::new(&base_config, units.parts())?;
            let missing: Vec<_> = missing(&options, &candidate).collect();
            if options.start == StartMode::Strict
                && let Some(cause) = missing_in(&candidate, &missing)
            {
                return Err(Error::new(cause));
            }
            if let Some(asks_clients) = start.check(&candidate, &mut units)? {
                break (candidate, asks_clients);
            }
        };
        check_template(&options, asks_clients)?;
        // The identities have been made from these bytes; no other copy of a key is kept (G18).
        options.identities.iter_mut().for_each(|files| files.memory = None);
        let privileges = Privileges::now();
        let mut pipeline = Self {
            options: options.into(),
            base_config,
            units,
            adapters: Arc::default(),
            number: 0,
            opened_as: privileges.clone(),
            read_as: privileges,
        };
        let loaded = pipeline.units.iter().enumerate();
        let loaded = loaded.filter(|(_, unit)| unit.serving.absent().is_none());
        let renewed =
            RenewedUnits { units: loaded.map(|(index, _)| index).collect(), warnings: Vec::new() };
        let publication = pipeline.build_publication(candidate, &renewed, Trigger::Open, unix);
        Ok(Opened { pipeline, publication, failures: start.failures })
    }
}

/// What the open does about failures.
struct Start {
    mode: StartMode,
    failures: Vec<(usize, ReportedFailure)>,
}

impl Start {
    /// Makes the unit at `index` absent, or fails.
    fn leave_out(
        &mut self,
        units: &mut Units,
        index: usize,
        failure: Failure,
    ) -> Result<(), Error> {
        if self.mode == StartMode::Strict {
            return Err(failure.error);
        }
        let unit = &mut units[index];
        unit.begin_without(failure.clone());
        self.failures.push((index, unit.reported(failure, Trigger::Open)));
        Ok(())
    }

    /// Runs the self-check of every unit. Returns whether the server asks clients for certificates, or `None` if some
    /// units are absent now, so that there must be another candidate.
    fn check(&mut self, candidate: &Candidate, units: &mut Units) -> Result<Option<bool>, Error> {
        let (mut asks_clients, mut has_failed) = (false, false);
        for index in 0..units.len() {
            let unit = &units[index];
            // The trust store is checked with identities, so a bad identity proves nothing about it.
            if has_failed && unit.serving.as_identity().is_none() {
                break;
            }
            let checked = catch_panic(|| self_check(candidate, index, &unit.serving));
            match checked.unwrap_or_else(|panic| Err(Cause::Panic(panic))) {
                Ok(asks) => asks_clients |= asks,
                Err(cause) => {
                    let error = Error::at(unit.files.path(), cause);
                    let failure = Failure { error, digest: Some(unit.digest()) };
                    self.leave_out(units, index, failure)?;
                    has_failed = true;
                }
            }
        }
        Ok((!has_failed).then_some(asks_clients))
    }
}

impl Unit {
    /// Creates the unit with these `files`, and loads it for the first time.
    fn open(
        files: ConfiguredFiles,
        reader: &dyn OpenReader,
        with: &LoadContext<'_>,
    ) -> (Self, Result<(), Failure>) {
        let memory = files.as_identity().and_then(|files| files.memory.clone());
        let mut unit = Self::absent(files, memory.is_some());
        let with = unit.context(with);
        let loaded = match (memory, unit.files.as_identity()) {
            (Some(bytes), Some(names)) => {
                match guard_secrets(|| load_memory(names, &bytes, None, &with)) {
                    Ok(Loaded::New(part, digest)) => Ok(Some((part, digest, None))),
                    Ok(Loaded::Same | Loaded::Waiting(_)) => Ok(None),
                    Err(failure) => Err(failure),
                }
            }
            _ => unit.read_first(reader, &with),
        };
        let loaded = loaded.and_then(|content| {
            // Unreachable: there is no earlier content that the loaded content could equal.
            content.ok_or_else(|| unit.panicked("nothing was loaded".to_owned()))
        });
        let loaded = loaded.map(|content| unit.begin_with(content));
        (unit, loaded)
    }

    fn read_first(
        &mut self,
        reader: &dyn OpenReader,
        with: &LoadContext<'_>,
    ) -> Result<Option<NewContent>, Failure> {
        let at = Instant::now();
        let snapshot = reader.snapshot(self.files.sources());
        let snapshot = snapshot.map_err(|error| Failure { error, digest: None })?;
        let question = PasswordQuestion::of(&self.files, [None; 3]);
        let password = question.and_then(|it| it.ask(&snapshot, &ReadCalls::OF_OPEN));
        self.load(ReadFiles { snapshot, password, at }, 0, with)
    }
}
