//! Builds the message and the warnings of a RELOADED event.

use std::path::Path;
use std::sync::Arc;

use log::{Level, log_enabled};

use super::unit::Unit;
use super::warnings_of_all::{Change, warnings_of_all};
use crate::events::{Event, Trigger};
use crate::pki::{Identity, Trust, Warnings, format_time, in_words};
use crate::sys::LOG_TARGET;
use crate::tls::{AbsentUnit, Candidate, Generation, UnitContent};

/// The content of a RELOADED event, before the generation has a number.
pub(crate) struct ReloadReport {
    trigger: Trigger,
    pub(crate) warnings: Warnings,
    path: Arc<Path>,
    message: String,
    further: Vec<String>,
}

/// Number of changed units that the message describes.
const DESCRIBED: usize = 4;

impl ReloadReport {
    /// Returns the report of `change`, which turns `units` into `candidate`.
    pub(super) fn new(units: &[Unit], candidate: &Candidate, change: &Change<'_>) -> Self {
        let of_all = warnings_of_all(units, candidate, change);
        let lasting = units
            .iter()
            .flat_map(|unit| unit.serving.warnings().iter().chain(unit.file_warnings.iter()));
        let warnings = change.warnings.iter().chain(&of_all).chain(lasting);
        let changed = if change.units.is_empty() { &[0] } else { change.units };
        let (described, further) = changed.split_at(changed.len().min(DESCRIBED));
        let described: Vec<_> = described.iter().map(|index| describe(&units[*index])).collect();
        let more = match further.len() {
            0 => String::new(),
            1 => "; and 1 more identity".to_owned(),
            count => format!("; and {count} more identities"),
        };
        let mut parts = vec![described.join("; and ") + &more + refusal(candidate)];
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

/// Returns the end of the description of a generation with which no handshake succeeds.
fn refusal(candidate: &Candidate) -> &'static str {
    match candidate.refusal() {
        Some(AbsentUnit::Trust) => {
            "; but every handshake is refused until the trust store is loaded"
        }
        Some(_) => "; but every client is refused until an identity is loaded",
        None => "",
    }
}

fn describe(unit: &Unit) -> String {
    let path = unit.files.path().display();
    match &unit.serving {
        UnitContent::Identity(identity) => format!("{path}: {}", describe_identity(identity)),
        UnitContent::Trust(trust) => format!("{path}: {}", describe_trust(trust)),
        UnitContent::TicketKeys(keys) => format!("{path}: ticket keys: {}", keys.keys().len()),
        UnitContent::Absent(_) => format!("{path}: nothing has been loaded yet"),
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
