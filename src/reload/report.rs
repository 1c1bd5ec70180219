//! The words of a RELOADED event.

use std::path::Path;
use std::sync::Arc;

use log::{Level, log_enabled};

use super::unit::Unit;
use crate::events::{Event, EventKind, LOG_TARGET, Trigger};
use crate::pki::{Identity, Trust, Warning, WarningKind, Warnings, format_time, in_words};
use crate::tls::{Candidate, Generation, Part};

/// What there is to tell of a generation, before it has a number.
pub(crate) struct ReloadReport {
    trigger: Trigger,
    pub(crate) warnings: Warnings,
    path: Arc<Path>,
    message: String,
    further: Vec<String>,
}

/// Of so many identities that are new the message tells in full.
const IN_FULL: usize = 4;

impl ReloadReport {
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
        let no_client = no_client_any_more(candidate);
        let warnings = warnings.iter().chain(&duplicate).chain(&no_client).chain(standing);
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
            path: units[changed[0]].files.path().into(),
            message: parts.join("; warning: "),
            further,
        }
    }

    pub(crate) fn event(self, generation: &Generation) -> Event {
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
    let path = |index: usize| units[index].files.path().display();
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

/// The client role proves itself with the first identity, and this one is for servers alone.
fn no_client_any_more(candidate: &Candidate) -> Option<Warning> {
    let name = candidate.client_without_identity()?;
    let text = format!(
        "the client role has nothing to prove itself with, for the extended key usage of the first identity \
         ({name}) lacks clientAuth"
    );
    Some(Warning::new(WarningKind::KeyUsage, text))
}

fn describe(unit: &Unit) -> String {
    let path = unit.files.path().display();
    match &unit.serving {
        Part::Identity(identity) => format!("{path}: {}", describe_identity(identity)),
        Part::Trust(trust) => format!("{path}: {}", describe_trust(trust)),
        Part::TicketKeys(keys) => format!("{path}: ticket keys: {}", keys.keys().len()),
    }
}

fn describe_identity(identity: &Identity) -> String {
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

fn describe_trust(trust: &Trust) -> String {
    let parts = [
        (trust.client_root_count(), "roots for clients"),
        (trust.server_root_count(), "roots for servers"),
        (trust.lists().len(), "revocation lists"),
        (trust.revoked_count(), "revoked certificates"),
    ];
    let told = parts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = told.map(|(count, what)| format!("{what}: {count}")).collect();
    told.join(", ")
}
