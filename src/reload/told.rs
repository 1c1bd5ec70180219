//! The words of a RELOADED event.

use std::path::Path;
use std::sync::Arc;

use log::{Level, log_enabled};

use super::event::{Event, EventKind, LOG_TARGET, Trigger};
use super::unit::Unit;
use crate::generation::{Candidate, Generation};
use crate::material::{Warning, WarningKind, Warnings, format_time, in_words};

/// What there is to tell of a generation, before it has a number.
pub(super) struct Told {
    trigger: Trigger,
    pub(super) warnings: Warnings,
    path: Arc<Path>,
    message: String,
    further: Vec<String>,
}

/// Of so many identities that are new the message tells in full.
const IN_FULL: usize = 4;

impl Told {
    /// Of `units`, of which those at `changed` are new in `candidate`; `warnings` are what that loses.
    pub(super) fn new(
        units: &[Unit],
        changed: &[usize],
        candidate: &Candidate,
        warnings: &[Warning],
        trigger: Trigger,
    ) -> Self {
        let duplicate = duplicate_names(units, candidate);
        let standing =
            units.iter().flat_map(|unit| unit.serving.warnings().iter().chain(&unit.exposed));
        let warnings = warnings.iter().chain(&duplicate).chain(standing);
        let changed = if changed.is_empty() { &[0] } else { changed };
        let (in_full, further) = changed.split_at(changed.len().min(IN_FULL));
        let described: Vec<_> = in_full.iter().map(|index| describe(&units[*index])).collect();
        let more = match further.len() {
            0 => String::new(),
            1 => "; and 1 more identity".to_owned(),
            count => format!("; and {count} more identities"),
        };
        let mut parts = vec![described.join("; and ") + &more];
        parts.extend(in_words(warnings.clone()));
        // There may be very many, and nobody who listens.
        let further = if log_enabled!(target: LOG_TARGET, Level::Info) {
            further.iter().map(|index| describe(&units[*index])).collect()
        } else {
            Vec::new()
        };
        Self {
            trigger,
            warnings: warnings.collect(),
            path: units[changed[0]].files.chain.as_path().into(),
            message: parts.join("; warning: "),
            further,
        }
    }

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
            count: 1,
            further: self.further,
        }
    }
}

/// An identity that never serves one of its names, because another one before it does.
fn duplicate_names(units: &[Unit], candidate: &Candidate) -> Option<Warning> {
    let duplicates = candidate.duplicates();
    let (name, first, second) = duplicates.first.as_ref()?;
    let path = |index: usize| units[index].files.chain.display();
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

fn describe(unit: &Unit) -> String {
    let identity = &unit.serving;
    let names = identity.names();
    let name = names.first().map_or("no name".into(), |name| name.to_string_lossy());
    let more = match names.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    let until = format_time(identity.not_after());
    let fingerprint = identity.sha256().to_string_lossy();
    let chain = unit.files.chain.display();
    format!("{chain}: {name}{more}, valid until {until}, sha256 {fingerprint}")
}
