//! Warnings about all units of a generation together, and about units of which nothing has been loaded.

use super::required_names::{missing, missing_in};
use super::unit::Unit;
use crate::events::Trigger;
use crate::options::Options;
use crate::pki::{Warning, WarningKind, format_time};
use crate::tls::{AbsentUnit, Candidate, DuplicateName};

/// The change that a new generation makes.
pub(super) struct Change<'a> {
    /// Indices of the units with new content.
    pub(super) units: &'a [usize],
    /// Warnings that a new certificate lacks names that its predecessor had, or expires earlier (G15).
    pub(super) warnings: &'a [Warning],
    pub(super) trigger: Trigger,
    /// When the change is made, in seconds since 1970.
    pub(super) unix: i64,
    pub(super) options: &'a Options,
}

/// Returns the warnings about `candidate`, which `change` makes of `units`.
pub(super) fn warnings_of_all(
    units: &[Unit],
    candidate: &Candidate,
    change: &Change<'_>,
) -> Vec<Warning> {
    let all = [
        missing_name(candidate, change),
        not_yet_valid(units, change),
        missing_ticket_keys(units),
        duplicate_names(units, candidate, change.unix),
        client_without_certificate(candidate),
    ];
    all.into_iter().flatten().collect()
}

/// Returns the warning that a required name is not served. A handle that was opened with all its names keeps them.
fn missing_name(candidate: &Candidate, change: &Change<'_>) -> Option<Warning> {
    let missing: Vec<_> = missing(change.options, candidate).collect();
    let cause = missing_in(candidate, &missing)?;
    Some(Warning::new(WarningKind::NameMissing, cause.to_string()))
}

/// Returns the warning of an identity that is served although it is not valid yet.
fn not_yet_valid(units: &[Unit], change: &Change<'_>) -> Option<Warning> {
    let identities = units.iter().filter_map(|unit| Some((unit, unit.serving.as_identity()?)));
    let mut early = identities.filter(|(_, identity)| change.unix < identity.not_before());
    let (unit, identity) = early.next()?;
    let text = format!(
        "{}: the certificate is not valid before {}, and the clock of this machine reads {}; clients refuse it until \
         then, if their clocks agree{}",
        unit.files.path().display(),
        format_time(identity.not_before()),
        format_time(change.unix),
        more(early.count())
    );
    Some(Warning::new(WarningKind::NotYetValid, text))
}

/// Returns the warning that nothing has been loaded for the ticket keys.
fn missing_ticket_keys(units: &[Unit]) -> Option<Warning> {
    let is_absent = |unit: &&Unit| unit.serving.absent() == Some(AbsentUnit::TicketKeys);
    let unit = units.iter().rev().find(is_absent)?;
    let text = format!(
        "the ticket keys in {} have not been loaded: tickets are encrypted with keys of this process, which no other \
         server accepts",
        unit.files.path().display()
    );
    Some(Warning::new(WarningKind::TicketKeysMissing, text))
}

/// Returns the number of further cases, for a message.
fn more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" (and {count} more like it)") }
}

/// Returns the warning of an identity that has a name which an earlier identity with the same kind of key has, too. It
/// serves the name only when the certificate of the earlier one is not valid.
fn duplicate_names(units: &[Unit], candidate: &Candidate, now: i64) -> Option<Warning> {
    let duplicates = candidate.duplicates();
    let DuplicateName { name, earlier, later, is_needed } = duplicates.first.as_ref()?;
    let is_valid = |index: &usize| Some(units[*index].serving.as_identity()?.is_valid_at(now));
    let path = |index: &usize| units[*index].files.path().display();
    let (path, other) = (path(later), path(earlier));
    let what = if *is_needed && is_valid(later)? && !is_valid(earlier)? {
        format!(
            "{path} serves {name}, because the certificate of {other} is not valid now; that one"
        )
    } else if *is_needed {
        format!("{path} serves {name} only when the certificate of {other} is not valid; that one")
    } else {
        format!("{path} never serves {name}: {other}")
    };
    let more = more(duplicates.count - 1);
    let text = format!(
        "{what} has the same name and kind of key, and was added first; keep the name in one of them{more}"
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
