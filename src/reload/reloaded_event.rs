//! Builds the message and the warnings of a RELOADED event.

use std::path::Path;
use std::sync::Arc;

use log::{Level, log_enabled};

use super::unit::Unit;
use crate::events::{Event, LOG_TARGET, Trigger};
use crate::pki::{Identity, Trust, Warning, WarningKind, Warnings, format_time, in_words};
use crate::tls::{Candidate, Generation, UnitContent};

/// The content of a RELOADED event, before the generation has a number.
pub(crate) struct ReloadReport {
    trigger: Trigger,
    pub(crate) warnings: Warnings,
    path: Arc<Path>,
    message: String,
    further: Vec<String>,
}

/// The change that a new generation makes.
pub(super) struct Change<'a> {
    /// Indices of the units with new content.
    pub(super) units: &'a [usize],
    /// Warnings that a new certificate lacks names that its predecessor had, or expires earlier (G15).
    pub(super) warnings: &'a [Warning],
    pub(super) trigger: Trigger,
}

/// Number of changed units that the message describes.
const DESCRIBED: usize = 4;

impl ReloadReport {
    /// Returns the report of `change`, which turns `units` into `candidate`.
    pub(super) fn new(units: &[Unit], candidate: &Candidate, change: &Change<'_>) -> Self {
        let duplicate = duplicate_names(units, candidate);
        let no_client = client_without_certificate(candidate);
        let lasting = units
            .iter()
            .flat_map(|unit| unit.serving.warnings().iter().chain(unit.file_warnings.iter()));
        let warnings = change.warnings.iter().chain(&duplicate).chain(&no_client).chain(lasting);
        let changed = if change.units.is_empty() { &[0] } else { change.units };
        let (described, further) = changed.split_at(changed.len().min(DESCRIBED));
        let described: Vec<_> = described.iter().map(|index| describe(&units[*index])).collect();
        let more = match further.len() {
            0 => String::new(),
            1 => "; and 1 more identity".to_owned(),
            count => format!("; and {count} more identities"),
        };
        let mut parts = vec![described.join("; and ") + &more];
        parts.extend(in_words(warnings.clone()));
        // Describe the further units only if the log shows that: thousands of units may have changed.
        let further = if log_enabled!(target: LOG_TARGET, Level::Info) {
            further.iter().map(|index| describe(&units[*index])).collect()
        } else {
            Vec::new()
        };
        Self {
            trigger: change.trigger,
            warnings: warnings.collect(),
            path: units[changed[0]].files.path().into(),
            message: parts.join("; warning: "),
            further,
        }
    }

    /// Returns the event that reports `generation`, which has just been published.
    pub(crate) fn event(self, generation: &Generation) -> Event {
        Event::reloaded(self.trigger, generation, self.message)
            .about(self.path)
            .with_warnings(self.warnings)
            .with_further(self.further)
    }
}

/// Returns the warning of an identity that never serves one of its names, because an earlier identity with the same
/// kind of key does.
fn duplicate_names(units: &[Unit], candidate: &Candidate) -> Option<Warning> {
    let duplicates = candidate.duplicates();
    let (name, first, second) = duplicates.first.as_ref()?;
    let path = |index: usize| units[index].files.path().display();
    let more = match duplicates.count {
        1 => String::new(),
        count => format!(" (and {} more like it)", count - 1),
    };
    let text = format!(
        "{} never serves {name}: {} has the same name and kind of key, and was added first; keep the name in \
         one of them{more}",
        path(*second),
        path(*first)
    );
    Some(Warning::new(WarningKind::DuplicateName, text))
}

/// Returns the warning of a client role that presents no certificate.
///
/// Without a client identity the client role presents the first identity, which here is for servers only.
fn client_without_certificate(candidate: &Candidate) -> Option<Warning> {
    let name = candidate.client_without_identity()?;
    let text = format!(
        "the client role presents no certificate: the extended key usage of the first identity ({name}) \
         lacks clientAuth; add a client identity"
    );
    Some(Warning::new(WarningKind::KeyUsage, text))
}

fn describe(unit: &Unit) -> String {
    let path = unit.files.path().display();
    match &unit.serving {
        UnitContent::Identity(identity) => format!("{path}: {}", describe_identity(identity)),
        UnitContent::Trust(trust) => format!("{path}: {}", describe_trust(trust)),
        UnitContent::TicketKeys(keys) => format!("{path}: ticket keys: {}", keys.keys().len()),
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
        (trust.lists().len(), "CRLs"),
        (trust.revoked_count(), "revoked certificates"),
    ];
    let present = parts.iter().filter(|(count, _)| *count > 0);
    let present: Vec<_> = present.map(|(count, what)| format!("{what}: {count}")).collect();
    present.join(", ")
}
