//! Runs reload passes for one handle: read, parse, validate, self-check. Only one thread at a time uses a pipeline. The
//! caller publishes the generation that a pass returns.
//!
//! A pass never serves less than before. A unit that cannot be loaded, or fails its self-check, keeps its last good
//! version. The new content of the other units is published without it (G3, G16).

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::adapters::{Adapter, Adapters};
use super::configured_files::ConfiguredFiles;
use super::debounce::OpenForWriting;
use super::findings::{Failure, Finding, Outcome};
use super::fresh::Fresh;
use super::load::LoadContext;
use super::pass::Pass;
use super::pass_result::{PassResult, Publication, ScannedUnit};
use super::reloaded_event::ReloadReport;
use super::self_check::{Refused, SelfCheck};
use super::unit::Unit;
use super::units::Units;
use super::warnings_of_all::Change;
use crate::clock::Now;
use crate::error::Error;
use crate::events::Trigger;
use crate::options::{IdentityBytes, Options};
use crate::pki::{Warning, Warnings};
use crate::sys::Privileges;
use crate::tls::{BaseConfig, Candidate, Generation, GenerationInfo};

pub(crate) struct Pipeline {
    pub(super) options: Arc<Options>,
    pub(super) base_config: Arc<BaseConfig>,
    pub(super) units: Units,
    /// Shared with the pipelines of forked children.
    pub(super) adapters: Arc<Adapters>,
    /// The number of the generation that is current.
    pub(super) number: u64,
    /// The privileges of the process when the handle was opened.
    pub(super) opened_as: Privileges,
    /// The privileges of the process when all files were last read.
    pub(super) read_as: Privileges,
}

/// The units that have new content in a generation. The RELOADED event describes them.
#[derive(Default)]
pub(super) struct RenewedUnits {
    pub(super) units: Vec<usize>,
    /// Warnings that a new certificate lacks names that its predecessor had, or expires earlier (G15).
    pub(super) warnings: Vec<Warning>,
}

impl Pipeline {
    /// Creates the pipeline of a forked child from the generation that it inherited.
    ///
    /// `is_memory` returns whether the host pushes the content of the unit at an index.
    pub(crate) fn resume(
        options: Arc<Options>,
        (serving, adapters): (&Generation, Arc<Adapters>),
        is_memory: impl Fn(usize) -> bool,
        opened_as: Privileges,
    ) -> Self {
        let parts = serving.parts().iter().zip(serving.contents());
        let mut units: Vec<_> = ConfiguredFiles::of_units(&options)
            .into_iter()
            .zip(parts)
            .map(|(files, (part, digest))| Unit::resume(files, part, *digest))
            .collect();
        for (index, unit) in units.iter_mut().enumerate().filter(|(index, _)| is_memory(*index)) {
            unit.detach(index);
        }
        Self {
            options,
            base_config: serving.base_config().clone(),
            units: Units(units),
            adapters,
            number: serving.number(),
            read_as: opened_as.clone(),
            opened_as,
        }
    }

    pub(crate) fn options(&self) -> &Arc<Options> {
        &self.options
    }

    /// Returns the adapters of the handle.
    pub(crate) fn adapters(&self) -> &Arc<Adapters> {
        &self.adapters
    }

    /// Adds an adapter, after it has prepared all that is served. Returns its index.
    pub(crate) fn add_adapter(&self, adapter: Arc<dyn Adapter>) -> Result<usize, Error> {
        self.adapters.add(adapter, &self.units)
    }

    /// Returns the privileges of the process when the handle was opened.
    pub(crate) fn opened_as(&self) -> &Privileges {
        &self.opened_as
    }

    /// Returns the earliest time to read a unit again without a notification; see [`Units::retry_at`].
    pub(crate) fn retry_at(&self, open: &OpenForWriting, now: Now) -> Option<Instant> {
        self.units.retry_at(open, now)
    }

    /// Returns the kinds of the warnings about the files of each unit.
    pub(crate) fn file_warnings(&self) -> impl Iterator<Item = Warnings> {
        self.units.iter().map(|unit| unit.file_warnings.kinds())
    }

    /// Returns whether the host pushes the content of the unit at `index`.
    pub(crate) fn is_memory(&self, index: usize) -> bool {
        self.units[index].is_memory()
    }

    /// Returns the path that messages name the unit at `index` by.
    pub(crate) fn path(&self, index: usize) -> &Path {
        self.units[index].files.path()
    }

    pub(crate) fn unit_count(&self) -> usize {
        self.units.len()
    }

    /// Ends a pass: builds a generation from new content that passes its self-check.
    ///
    /// A unit of which a process has a file open for writing is not published. That is checked once more before the
    /// generation is built, because a process may have opened a file after it was read.
    pub(crate) fn finish(&mut self, mut pass: Pass<'_>) -> PassResult {
        let fresh = std::mem::take(&mut pass.fresh);
        let (published, refused) = self.check_and_build(&mut pass, fresh);
        for (index, failure) in refused {
            self.fail(&mut pass, index, failure);
        }
        self.result(pass, published)
    }

    /// Records that the file systems of some units do not answer, while reads of these units have not ended.
    pub(crate) fn fail_unanswered(
        &mut self,
        mut pass: Pass<'_>,
        unanswered: Vec<(usize, Error)>,
    ) -> PassResult {
        for (index, error) in unanswered {
            let unit = &mut self.units[index];
            let Some(reading) = &mut unit.reading else { continue };
            reading.is_reported = true;
            pass.time.trigger = reading.trigger;
            unit.answer_unread(pass.newest_waiter);
            self.fail(&mut pass, index, Failure { error, digest: None });
        }
        self.result(pass, None)
    }

    /// Loads bytes that the host pushes for the identity at `index`. If they are accepted, the identity has no files
    /// from then on. Bytes that cannot be used are refused at once, without retries.
    ///
    /// The returned outcome is that of the push. The pass result is about the handle's files, and answers waiters.
    pub(crate) fn push(
        &mut self,
        index: usize,
        bytes: IdentityBytes,
        mut pass: Pass<'_>,
    ) -> (PassResult, Result<Outcome, Error>) {
        let with = LoadContext::new(&self.base_config, &self.options, pass.time.now.unix, &[]);
        let loaded = self.units[index].load_pushed(index, bytes, &with);
        let (published, refused) = match loaded {
            Ok(None) => {
                pass.note_good(index, self.units[index].retry.failed(), pass.time.trigger);
                self.units[index].detach(index);
                (None, None)
            }
            Ok(Some((part, digest))) => {
                let trigger = pass.time.trigger;
                let fresh =
                    Fresh::new(index, &self.units[index].serving, (part, digest, None), trigger);
                let fresh = vec![Fresh { is_memory: true, ..fresh }];
                let (published, refused) = self.check_and_build(&mut pass, fresh);
                (published, refused.into_iter().next().map(|(_, failure)| failure))
            }
            Err(failure) => (None, Some(failure)),
        };
        let outcome = match (&refused, &published) {
            (Some(failure), _) => Err(failure.error.clone()),
            (None, Some(_)) => Ok(Outcome::Reloaded),
            (None, None) => Ok(Outcome::Unchanged),
        };
        if let Some(failure) = refused
            && self.units[index].refuse_pushed(&failure)
        {
            if self.units[index].is_memory() {
                pass.note(index, Finding::Failed(failure.error.clone()));
            }
            let trigger = pass.time.trigger;
            pass.failures.push(self.units[index].reported(failure, trigger));
        }
        pass.scanned.push(index);
        (self.result(pass, published), outcome)
    }

    fn result(&mut self, mut pass: Pass<'_>, published: Option<Publication>) -> PassResult {
        let scanned = std::mem::take(&mut pass.scanned);
        let mut warnings = Vec::new();
        for index in &scanned {
            let unit = &mut self.units[*index];
            // If new content waits, RELOADED will report them.
            if unit.sightings.retry_at().is_none() {
                warnings.append(&mut unit.file_warnings.take_unreported());
            }
        }
        let scanned = scanned.into_iter().map(|index| ScannedUnit {
            index,
            file_warnings: self.units[index].file_warnings.kinds(),
        });
        let mut again = std::mem::take(&mut pass.again);
        if published.is_some() {
            again.extend(self.units.refused_for_name());
        }
        PassResult {
            outcome: self.units.outcome_of_files(published.is_some()),
            pending: self.units.pending(&pass.open_for_writing()),
            complete: self.units.read_for(pass.newest_waiter),
            scanned: scanned.collect(),
            again,
            published,
            scope: pass.scope,
            time: pass.time,
            newest_waiter: pass.newest_waiter,
            notes: pass.notes,
            warnings,
            failures: pass.failures,
            ended: pass.ended,
        }
    }

    /// Records that the files of the unit at `index` cannot be used. They may be incomplete and retried.
    pub(super) fn fail(&mut self, pass: &mut Pass<'_>, index: usize, failure: Failure) {
        let unit = &mut self.units[index];
        let reported = unit.retry.fail(failure, pass.time, self.options.incomplete_timeout);
        pass.notes.push(unit.note(index, reported.as_ref()));
        let reported = reported.map(|(failure, trigger)| unit.reported(failure, trigger));
        pass.failures.extend(reported);
    }

    /// Builds a candidate with all of `fresh`, and runs its self-check. If some units fail, those are refused and the
    /// next candidate has the others (G16). Returns the generation to publish, if any, and the refused units.
    fn check_and_build(
        &mut self,
        pass: &mut Pass<'_>,
        mut fresh: Vec<Fresh>,
    ) -> (Option<Publication>, Refused) {
        let mut refused = Refused::new();
        while !fresh.is_empty() {
            let candidate = match Candidate::new(&self.base_config, self.units.parts_with(&fresh)) {
                Ok(candidate) => candidate,
                Err(error) => {
                    refused.extend(fresh.iter().map(|new| new.failure(error.clone())));
                    break;
                }
            };
            let checks = SelfCheck {
                candidate: &candidate,
                units: &self.units,
                options: &self.options,
                adapters: &self.adapters,
            };
            let (passed, failed) = checks.run(fresh);
            let passed_all = failed.is_empty();
            refused.extend(failed);
            fresh = passed;
            if passed_all {
                let count = fresh.len();
                fresh = self.units.without_open(fresh, &pass.open_for_writing());
                if fresh.len() == count {
                    return (Some(self.accept(pass, candidate, fresh)), refused);
                }
            }
        }
        (None, refused)
    }

    /// Accepts `fresh` as the content that is served, and builds the generation to publish from `candidate`.
    fn accept(
        &mut self,
        pass: &mut Pass<'_>,
        candidate: Candidate,
        fresh: Vec<Fresh>,
    ) -> Publication {
        let trigger = fresh.first().map_or(pass.time.trigger, |new| new.trigger);
        let mut renewed = RenewedUnits::default();
        for mut new in fresh {
            pass.note(new.index, Finding::Renewed);
            renewed.units.push(new.index);
            renewed.warnings.append(&mut new.warnings);
            self.units[new.index].accept(new);
        }
        self.build_publication(candidate, &renewed, trigger, pass.time.now.unix)
    }

    pub(super) fn build_publication(
        &mut self,
        candidate: Candidate,
        renewed: &RenewedUnits,
        trigger: Trigger,
        unix: i64,
    ) -> Publication {
        self.number += 1;
        let RenewedUnits { units, warnings } = renewed;
        let options = &self.options;
        let change = Change { units, warnings, trigger, unix, options };
        let report = ReloadReport::new(&self.units, &candidate, &change);
        self.units.iter_mut().for_each(|unit| unit.file_warnings.report_all());
        let next = candidate.accept(GenerationInfo {
            number: self.number,
            loaded_at: unix,
            warnings: report.warnings,
            contents: self.units.contents(),
            base_config: self.base_config.clone(),
        });
        Publication { generation: Arc::new(next), report }
    }
}
