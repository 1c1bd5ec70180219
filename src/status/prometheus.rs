//! Handles in the text format that Prometheus scrapes (version 0.0.4).

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;

use super::{Health, IdentityStatus, Status, TrustStatus};
use crate::error::Error;
use crate::tls::Generation;
use crate::watch::WatchState;

/// All that is written of one handle: taken at one moment, so that its series agree.
pub(crate) struct HandleMetrics {
    /// What the host calls it, if anything.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) status: Status,
    pub(crate) generation: Arc<Generation>,
    /// In the order of the generation's identities.
    pub(crate) identities: Vec<IdentityStatus>,
    /// Where the handle checks peers.
    pub(crate) trust: Option<TrustStatus>,
}

/// Writes the metrics of all `snapshots` as one page. The label `handle` is the name of each; one
/// without a name has the label where there are others on the page, and then it is its position.
/// No two may have the same, for a page that has a series twice is refused as a whole by its reader.
pub(crate) fn write(snapshots: &[HandleMetrics]) -> Result<String, Error> {
    let only = snapshots.len() == 1;
    let mut seen = HashSet::new();
    let mut handles = Vec::with_capacity(snapshots.len());
    for (position, of) in snapshots.iter().enumerate() {
        let label = match &of.name {
            Some(name) => label("handle", name),
            None if only => String::new(),
            None => label("handle", &position.to_string()),
        };
        if !seen.insert(label.clone()) {
            return Err(Error::invalid(format!("two handles of the page have the label {label}")));
        }
        handles.push(MetricSeries::new(of, label));
    }
    let mut page = Page::default();
    page.handles(&handles);
    page.identities(&handles);
    page.trusts(&handles);
    Ok(page.text)
}

/// The labels of one handle's series, made once.
struct MetricSeries<'a> {
    of: &'a HandleMetrics,
    handle: String,
    /// Of each identity, but for those that would repeat the labels of one before them.
    identities: Vec<(String, &'a IdentityStatus)>,
}

impl<'a> MetricSeries<'a> {
    fn new(of: &'a HandleMetrics, handle: String) -> Self {
        let mut seen = HashSet::new();
        let mut identities = Vec::with_capacity(of.identities.len());
        for (status, identity) in of.identities.iter().zip(of.generation.identities()) {
            let path = label("identity", &status.chain.to_string_lossy());
            let name = identity.names().first().map(|name| name.to_string_lossy());
            let name = label("name", &name.unwrap_or_default());
            let labels = join(&[&handle, &path, &name]);
            if seen.insert(labels.clone()) {
                identities.push((labels, status));
            }
        }
        Self { of, handle, identities }
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn handles(&mut self, all: &[MetricSeries<'_>]) {
        let name = "certreload_reloads_total";
        self.family(
            name,
            "counter",
            "Reloads since the handle was opened: generations published, looks that found nothing \
             new, and distinct failures told.",
        );
        for MetricSeries { of, handle, .. } in all {
            let Status { reloads, unchanged, failures, .. } = of.status;
            let by_result = [("reloaded", reloads), ("unchanged", unchanged), ("failed", failures)];
            for (result, count) in by_result {
                self.sample(name, &join(&[handle, &label("result", result)]), count);
            }
        }
        for (name, help, value) in HANDLE_GAUGES {
            self.family(name, "gauge", help);
            for MetricSeries { of, handle, .. } in all {
                self.sample(name, handle, value(&of.status));
            }
        }
        let name = "certreload_health";
        let help = "1 for the state that the handle is in: the worst of its identities, its trust \
                    and its ticket keys.";
        self.family(name, "gauge", help);
        for MetricSeries { of, handle, .. } in all {
            self.states(name, handle, &HEALTHS, &of.status.health);
        }
        let name = "certreload_watch_state";
        self.family(name, "gauge", "1 for how changes are being found.");
        for MetricSeries { of, handle, .. } in all {
            self.states(name, handle, &WATCH_STATES, &of.status.watch);
        }
    }

    fn identities(&mut self, all: &[MetricSeries<'_>]) {
        for (name, help, value) in IDENTITY_GAUGES {
            self.family(name, "gauge", help);
            for (labels, status) in all.iter().flat_map(|series| &series.identities) {
                self.sample(name, labels, value(status));
            }
        }
        let name = "certreload_identity_health";
        self.family(name, "gauge", "1 for the state that the identity is in.");
        for (labels, status) in all.iter().flat_map(|series| &series.identities) {
            self.states(name, labels, &HEALTHS, &status.health);
        }
    }

    fn trusts(&mut self, all: &[MetricSeries<'_>]) {
        let trusts: Vec<_> = all
            .iter()
            .filter_map(|series| Some((&series.handle, series.of.trust.as_ref()?)))
            .collect();
        if trusts.is_empty() {
            return;
        }
        for (name, help, value) in TRUST_GAUGES {
            self.family(name, "gauge", help);
            for (handle, status) in &trusts {
                self.sample(name, handle, value(status));
            }
        }
        let ends = trusts.iter().filter_map(|(handle, status)| Some((handle, status.next_update?)));
        let name = "certreload_crl_next_update_timestamp_seconds";
        self.family(name, "gauge", "When the first of the revocation lists expires.");
        for (handle, end) in ends {
            self.sample(name, handle, end);
        }
        let name = "certreload_trust_health";
        self.family(name, "gauge", "1 for the state that roots and revocation lists are in.");
        for (handle, status) in &trusts {
            self.states(name, handle, &HEALTHS, &status.health);
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.text.extend(["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"]);
    }

    fn states<T: PartialEq>(&mut self, name: &str, labels: &str, all: &[(&str, T)], is: &T) {
        for (word, state) in all {
            let labels = join(&[labels, &label("state", word)]);
            self.sample(name, &labels, u8::from(state == is));
        }
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        self.text.extend([name, open, labels, close, " ", &value.to_string(), "\n"]);
    }
}

/// A name, what it says, and where it is found.
type Gauge<T> = (&'static str, &'static str, fn(&T) -> i64);

const HANDLE_GAUGES: [Gauge<Status>; 4] = [
    ("certreload_generation", "The number of the generation that serves.", |status| {
        i64::try_from(status.generation).unwrap_or(i64::MAX)
    }),
    ("certreload_generations_alive", "Generations whose memory, keys included, lives.", |status| {
        i64::try_from(status.generations_alive).unwrap_or(i64::MAX)
    }),
    (
        "certreload_last_reload_timestamp_seconds",
        "When the generation that serves was published.",
        |status| status.loaded_at,
    ),
    (
        "certreload_last_check_timestamp_seconds",
        "When files were last looked at, whatever that came to.",
        |status| status.last_checked_at,
    ),
];

const TRUST_GAUGES: [Gauge<TrustStatus>; 6] = [
    ("certreload_trust_client_roots", "Roots that clients are checked against.", |status| {
        i64::try_from(status.client_roots).unwrap_or(i64::MAX)
    }),
    ("certreload_trust_server_roots", "Roots that servers are checked against.", |status| {
        i64::try_from(status.server_roots).unwrap_or(i64::MAX)
    }),
    ("certreload_trust_crls", "Revocation lists that count.", |status| {
        i64::try_from(status.lists).unwrap_or(i64::MAX)
    }),
    ("certreload_trust_revoked", "Entries of all revocation lists.", |status| {
        i64::try_from(status.revoked).unwrap_or(i64::MAX)
    }),
    (
        "certreload_trust_consecutive_failures",
        "Failures told of roots and revocation lists since they were last good.",
        |status| i64::try_from(status.consecutive_failures).unwrap_or(i64::MAX),
    ),
    (
        "certreload_trust_renewed_timestamp_seconds",
        "When roots and revocation lists last changed, or were loaded first.",
        |status| status.renewed_at,
    ),
];

const IDENTITY_GAUGES: [Gauge<IdentityStatus>; 3] = [
    (
        "certreload_not_before_timestamp_seconds",
        "From when the certificate that serves is valid.",
        |status| status.not_before,
    ),
    (
        "certreload_not_after_timestamp_seconds",
        "Until when the certificate that serves is valid.",
        |status| status.not_after,
    ),
    (
        "certreload_consecutive_failures",
        "Distinct failures told since the files of the identity were last good.",
        |status| i64::try_from(status.consecutive_failures).unwrap_or(i64::MAX),
    ),
];

const HEALTHS: [(&str, Health); 4] = [
    ("ok", Health::Ok),
    ("expiring", Health::Expiring),
    ("stale", Health::Stale),
    ("expired", Health::Expired),
];

const WATCH_STATES: [(&str, WatchState); 4] = [
    ("off", WatchState::Off),
    ("polling", WatchState::Polling),
    ("notified", WatchState::Notified),
    ("degraded", WatchState::Degraded),
];

/// One label, its value escaped. Control characters, which a file name may hold, reach nobody's
/// terminal from here.
fn label(name: &str, value: &str) -> String {
    let mut text = format!("{name}=\"");
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            control if control.is_control() => text.push('?'),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

/// Labels beside each other, without those that are empty.
fn join(labels: &[&str]) -> String {
    let there: Vec<_> = labels.iter().copied().filter(|label| !label.is_empty()).collect();
    there.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_holds_any_file_name() {
        assert_eq!(label("identity", "/tls/a.pem"), r#"identity="/tls/a.pem""#);
        assert_eq!(
            label("identity", "a\"b\\c\nd\te\u{fc}"),
            "identity=\"a\\\"b\\\\c\\nd?e\u{fc}\""
        );
    }

    #[test]
    fn a_sample_without_labels_has_no_braces() {
        let mut page = Page::default();
        page.sample("up", "", 1);
        page.sample("up", &join(&["", &label("a", "b"), &label("c", "d")]), -2);
        assert_eq!(page.text, "up 1\nup{a=\"b\",c=\"d\"} -2\n");
    }
}
