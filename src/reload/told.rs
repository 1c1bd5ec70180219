//! The words of a RELOADED event.

use std::path::Path;
use std::sync::Arc;

use super::event::{Event, EventKind, Trigger};
use super::unit::Unit;
use crate::generation::{Candidate, Generation};
use crate::material::{Identity, Warning, WarningKind, Warnings, format_time, in_words};

/// What there is to tell of a generation, before it has a number.
pub(super) struct Told {
    trigger: Trigger,
    pub(super) warnings: Warnings,
    path: Arc<Path>,
    message: String,
}

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
        let first = &units[changed.first().copied().unwrap_or(0)];
        let more = match changed.len() {
            0 | 1 => String::new(),
            count => format!("; and {} more identities", count - 1),
        };
        let mut parts =
            vec![format!("{}: {}{more}", first.files.chain.display(), describe(&first.serving))];
        parts.extend(in_words(warnings.clone()));
        Self {
            trigger,
            warnings: warnings.collect(),
            path: first.files.chain.as_path().into(),
            message: parts.join("; warning: "),
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
