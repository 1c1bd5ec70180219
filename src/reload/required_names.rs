//! Finds the names that the host requires and no identity has (G15).

use std::borrow::Cow;

use crate::error::{Cause, Incidental};
use crate::options::Options;
use crate::pki::Identity;
use crate::tls::Candidate;

/// Number of names that a message lists.
const LISTED: usize = 3;

/// Returns the required names that no identity of the server role in `candidate` covers.
pub(super) fn missing<'a>(
    options: &'a Options,
    candidate: &'a Candidate,
) -> impl Iterator<Item = &'a str> + 'a {
    let names = options.required_names.iter().map(String::as_str);
    names.filter(|name| !candidate.has_name(name))
}

/// Returns the failure that `candidate` lacks the names `missing`, if there are any.
pub(super) fn missing_in(candidate: &Candidate, missing: &[&str]) -> Option<Cause> {
    let servers = candidate.server_identities();
    let present = listed(servers.flat_map(|identity| names_of(identity)));
    cause(missing, present.map(|names| format!("; the identities have {names}")))
}

/// Returns the failure that `identity` loses the names `missing`, if there are any.
pub(super) fn missing_after(identity: Option<&Identity>, missing: &[&str]) -> Option<Cause> {
    let present = identity.and_then(|identity| listed(names_of(identity)));
    cause(missing, present.map(|names| format!("; the new certificate has {names}")))
}

fn cause(missing: &[&str], present: Option<String>) -> Option<Cause> {
    let names = listed(missing.iter().map(|name| Cow::Borrowed(*name)))?;
    let noun = if missing.len() == 1 { "name" } else { "names" };
    let present = Incidental(present.unwrap_or_default());
    Some(Cause::NameMissing { names: format!("{noun} {names}"), present })
}

fn names_of(identity: &Identity) -> impl Iterator<Item = Cow<'_, str>> {
    identity.names().iter().map(|name| name.to_string_lossy())
}

/// Returns the first names as a list, with the number of the others; `None` if there are none.
fn listed<'a>(mut names: impl Iterator<Item = Cow<'a, str>>) -> Option<String> {
    let first: Vec<_> = names.by_ref().take(LISTED).collect();
    let more = names.count();
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    (!first.is_empty()).then(|| first.join(", ") + &more)
}
