//! Writes the metrics of handles in the Prometheus text format, version 0.0.4.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;

use super::{Health, IdentityStatus, Observation, Status, TrustStatus, UnitHealth};
use crate::error::Error;
use crate::watch::WatchState;

/// The metrics of one handle, taken at one moment, so that all series agree.
pub(crate) struct HandleMetrics {
    /// The name that the host gave the handle, if any.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) status: Status,
    /// In the order in which identities were added.
    pub(crate) identities: Vec<IdentityStatus>,
    /// `None` if the handle has no trust store.
    pub(crate) trust: Option<TrustStatus>,
}

impl HandleMetrics {
    /// Returns the metrics of a handle that the host calls `name`.
    pub(crate) fn of(observation: &Observation<'_>, name: Option<Arc<str>>) -> Self {
        let identities = 0..observation.current.parts().identities.len();
        Self {
            name,
            status: Status::of(observation),
            identities: identities
                .filter_map(|index| IdentityStatus::of(observation, index))
                .collect(),
            trust: TrustStatus::of(observation),
        }
    }
}

/// Returns the metrics of all `snapshots` as one page.
///
/// The label `handle` is the handle's name. A handle without a name has its position as the label, or no label if
/// it is alone on the page. Two handles with the same label are an error, because a scraper rejects the whole
/// page if a series appears twice.
pub(crate) fn write(snapshots: &[HandleMetrics]) -> Result<String, Error> {
    let only = snapshots.len() == 1;
    let mut seen = HashSet::new();
    let mut handles = Vec::with_capacity(snapshots.len());
    for (position, metrics) in snapshots.iter().enumerate() {
        let label = match &metrics.name {
            Some(name) => label("handle", name),
            None if only => String::new(),
            None => label("handle", &position.to_string()),
        };
        if !seen.insert(label.clone()) {
            return Err(Error::invalid(format!("two handles of the page have the label {label}")));
        }
        handles.push(MetricSeries::new(metrics, label));
    }
    let mut page = Page::default();
    page.handles(&handles);
    page.identities(&handles);
    page.trusts(&handles);
    Ok(page.text)
}

/// The metrics of one handle with the labels of its series.
struct MetricSeries<'a> {
    metrics: &'a HandleMetrics,
    handle: String,
    /// One entry per identity. An identity with the same labels as an earlier one is left out.
    identities: Vec<(String, &'a IdentityStatus)>,
}

impl<'a> MetricSeries<'a> {
    fn new(metrics: &'a HandleMetrics, handle: String) -> Self {
        let mut seen = HashSet::new();
        let mut identities = Vec::with_capacity(metrics.identities.len());
        for status in &metrics.identities {
            let path = label("identity", &status.chain.to_string_lossy());
            let name = status.name.as_ref().map(|name| name.to_string_lossy());
            let name = label("name", &name.unwrap_or_default());
            let labels = join(&[&handle, &path, &name]);
            if seen.insert(labels.clone()) {
                identities.push((labels, status));
            }
        }
        Self { metrics, handle, identities }
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
            "Reloads since the handle was opened: generations published, passes that found no \
             change, and distinct failures reported.",
        );
        for MetricSeries { metrics, handle, .. } in all {
            let Status { reloads, unchanged, failures, .. } = metrics.status;
            let by_result = [("reloaded", reloads), ("unchanged", unchanged), ("failed", failures)];
            for (result, count) in by_result {
                self.sample(name, &join(&[handle, &label("result", result)]), count);
            }
        }
        for (name, help, value) in HANDLE_GAUGES {
            self.family(name, "gauge", help);
            for MetricSeries { metrics, handle, .. } in all {
                self.sample(name, handle, value(&metrics.status));
            }
        }
        let name = "certreload_health";
        let help = "1 for the current health of the handle: the worst of its identities, trust store \
                    and ticket keys.";
        self.family(name, "gauge", help);
        for MetricSeries { metrics, handle, .. } in all {
            self.states(name, handle, &HEALTHS, &metrics.status.health.level);
        }
        let name = "certreload_warning";
        let help = "1 for each warning of the handle, its identities and trust store included.";
        self.family(name, "gauge", help);
        for MetricSeries { metrics, handle, .. } in all {
            self.warnings(name, handle, &metrics.status.health);
        }
        let name = "certreload_watch_state";
        self.family(name, "gauge", "1 for how changes of files are currently detected.");
        for MetricSeries { metrics, handle, .. } in all {
            self.states(name, handle, &WATCH_STATES, &metrics.status.watch);
        }
    }

    fn identities(&mut self, all: &[MetricSeries<'_>]) {
        for (name, help, value) in IDENTITY_GAUGES {
            self.family(name, "gauge", help);
            for (labels, status) in all.iter().flat_map(|series| &series.identities) {
                // An identity that was never loaded has no dates.
                if let Some(value) = value(status) {
                    self.sample(name, labels, value);
                }
            }
        }
        let name = "certreload_identity_health";
        self.family(name, "gauge", "1 for the current health of the identity.");
        for (labels, status) in all.iter().flat_map(|series| &series.identities) {
            self.states(name, labels, &HEALTHS, &status.health.level);
        }
        let name = "certreload_identity_warning";
        self.family(name, "gauge", "1 for each warning about the identity alone.");
        for (labels, status) in all.iter().flat_map(|series| &series.identities) {
            self.warnings(name, labels, &status.health);
        }
    }

    fn trusts(&mut self, all: &[MetricSeries<'_>]) {
        let trusts: Vec<_> = all
            .iter()
            .filter_map(|series| Some((&series.handle, series.metrics.trust.as_ref()?)))
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
        self.family(name, "gauge", "The earliest nextUpdate of all CRLs.");
        for (handle, end) in ends {
            self.sample(name, handle, end);
        }
        let name = "certreload_trust_health";
        self.family(name, "gauge", "1 for the current health of the trust store.");
        for (handle, status) in &trusts {
            self.states(name, handle, &HEALTHS, &status.health.level);
        }
        let name = "certreload_trust_warning";
        self.family(name, "gauge", "1 for each warning about the trust store.");
        for (handle, status) in &trusts {
            self.warnings(name, handle, &status.health);
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

    /// Writes a series for each warning that lasts. A thousand identities would have a page full of zeros otherwise.
    fn warnings(&mut self, name: &str, labels: &str, health: &UnitHealth) {
        for kind in health.warnings.kinds() {
            let word = label("warning", &kind.word().to_string_lossy());
            self.sample(name, &join(&[labels, &word]), 1);
        }
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        self.text.extend([name, open, labels, close, " ", &value.to_string(), "\n"]);
    }
}

/// The name of a gauge, its help text, and its value in a status.
type Gauge<T> = (&'static str, &'static str, fn(&T) -> i64);

const HANDLE_GAUGES: [Gauge<Status>; 4] = [
    ("certreload_generation", "The number of the current generation.", |status| {
        i64::try_from(status.generation).unwrap_or(i64::MAX)
    }),
    (
        "certreload_generations_alive",
        "Generations that are still in memory, keys included.",
        |status| i64::try_from(status.generations_alive).unwrap_or(i64::MAX),
    ),
    (
        "certreload_last_reload_timestamp_seconds",
        "When the current generation was published.",
        |status| status.loaded_at,
    ),
    (
        "certreload_last_check_timestamp_seconds",
        "When files were last checked, whatever the outcome.",
        |status| status.health.checked_at,
    ),
];

const TRUST_GAUGES: [Gauge<TrustStatus>; 6] = [
    ("certreload_trust_client_roots", "Roots for client certificates.", |status| {
        i64::try_from(status.client_roots).unwrap_or(i64::MAX)
    }),
    ("certreload_trust_server_roots", "Roots for server certificates.", |status| {
        i64::try_from(status.server_roots).unwrap_or(i64::MAX)
    }),
    ("certreload_trust_crls", "CRLs in the trust store.", |status| {
        i64::try_from(status.crls).unwrap_or(i64::MAX)
    }),
    ("certreload_trust_revoked", "Revoked certificates in all CRLs.", |status| {
        i64::try_from(status.revoked).unwrap_or(i64::MAX)
    }),
    (
        "certreload_trust_consecutive_failures",
        "Distinct failures reported since the files of the trust store were last good.",
        |status| i64::try_from(status.health.consecutive_failures).unwrap_or(i64::MAX),
    ),
    (
        "certreload_trust_renewed_timestamp_seconds",
        "When the trust store last changed, or was first loaded.",
        |status| status.health.renewed_at,
    ),
];

/// As [`Gauge`], of a value that an identity may lack.
type IdentityGauge = (&'static str, &'static str, fn(&IdentityStatus) -> Option<i64>);

const IDENTITY_GAUGES: [IdentityGauge; 4] = [
    (
        "certreload_not_before_timestamp_seconds",
        "The notBefore of the certificate that is served.",
        |status| Some(status.dates?.not_before),
    ),
    (
        "certreload_not_after_timestamp_seconds",
        "The notAfter of the certificate that is served.",
        |status| Some(status.dates?.not_after),
    ),
    (
        "certreload_chain_not_after_timestamp_seconds",
        "The first notAfter that breaks clients: of the certificate, or of an intermediate if the chain \
         has no other path.",
        |status| Some(status.dates?.chain_not_after),
    ),
    (
        "certreload_consecutive_failures",
        "Distinct failures reported since the files of the identity were last good.",
        |status| Some(i64::try_from(status.health.consecutive_failures).unwrap_or(i64::MAX)),
    ),
];

const HEALTHS: [(&str, Health); 5] = [
    ("ok", Health::Ok),
    ("expiring", Health::Expiring),
    ("stale", Health::Stale),
    ("expired", Health::Expired),
    ("missing", Health::Missing),
];

const WATCH_STATES: [(&str, WatchState); 4] = [
    ("off", WatchState::Off),
    ("polling", WatchState::Polling),
    ("notified", WatchState::Notified),
    ("degraded", WatchState::Degraded),
];

/// Returns one label with its value escaped.
///
/// A file name may contain control characters. They become `?`, so that they cannot control an operator's terminal.
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

/// Returns all labels that are not empty, separated by commas.
fn join(labels: &[&str]) -> String {
    let labels: Vec<_> = labels.iter().copied().filter(|label| !label.is_empty()).collect();
    labels.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_escapes_any_file_name() {
        assert_eq!(label("identity", "/tls/a.pem"), r#"identity="/tls/a.pem""#);
        assert_eq!(
            label("identity", "a\"b\\c\nd\te\u{fc}"),
            "identity=\"a\\\"b\\\\c\\nd?e\u{fc}\""
        );
    }

    #[test]
    fn sample_without_labels_has_no_braces() {
        let mut page = Page::default();
        page.sample("up", "", 1);
        page.sample("up", &join(&["", &label("a", "b"), &label("c", "d")]), -2);
        assert_eq!(page.text, "up 1\nup{a=\"b\",c=\"d\"} -2\n");
    }
}
