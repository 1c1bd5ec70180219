//! Events and log lines: what the host is notified of.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use log::{Level, debug, info, log};

use crate::error::{Cause, Error};
use crate::options::Role;
use crate::pki::{Warning, Warnings};
use crate::sys::LOG_TARGET;
use crate::tls::{AbsentUnit, Generation};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EventKind {
    Reloaded,
    ReloadFailed,
    WatchDegraded,
    WatchRestored,
    Expiring,
    Expired,
    Recovered,
    Warning,
}

/// What started a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    Open,
    Watch,
    Poll,
    Request,
    Clock,
    Push,
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    pub(crate) trigger: Trigger,
    /// The cause of a failure. `None` for all other events.
    pub(crate) cause: Option<Cause>,
    pub(crate) warnings: Warnings,
    /// The number of the current generation.
    pub(crate) generation: u64,
    /// The earliest notAfter of the leaf certificates in the current generation, in seconds since 1970; `i64::MAX` if
    /// it has none.
    pub(crate) earliest_not_after: i64,
    /// The file that the event is about, if it is about one.
    pub(crate) path: Option<Arc<Path>>,
    pub(crate) message: String,
    /// Number of events that this one represents: itself, and older ones that were merged into it.
    pub(crate) count: u64,
    /// Descriptions of the changed units that `message` only counts, because it describes the first few alone. Each
    /// becomes one line of the log.
    pub(crate) further: Vec<String>,
    /// Whether nothing has been loaded for the current generation, neither an identity nor the trust store.
    pub(crate) serves_nothing: bool,
}

impl Event {
    fn new(kind: EventKind, trigger: Trigger, current: &Generation, message: String) -> Self {
        Self {
            kind,
            trigger,
            cause: None,
            warnings: Warnings::default(),
            generation: current.number(),
            earliest_not_after: current.earliest_not_after(),
            path: None,
            message,
            count: 1,
            further: Vec::new(),
            serves_nothing: current.is_empty(),
        }
    }

    /// Returns the event that reports a new generation. `trigger` started the reload.
    pub(crate) fn reloaded(trigger: Trigger, published: &Generation, message: String) -> Self {
        Self::new(EventKind::Reloaded, trigger, published, message)
    }

    /// Returns the event that reports a failure. `current` remains the current generation (G3).
    pub(crate) fn failed(error: &Error, trigger: Trigger, current: &Generation) -> Self {
        let served = format!("still serving generation {}", current.number());
        Self::failed_so(error, trigger, current, &served)
    }

    /// Returns the event that reports a failure of a unit of the kind `absent`, for which nothing has been loaded yet.
    pub(crate) fn failed_while_absent(
        error: &Error,
        trigger: Trigger,
        current: &Generation,
        absent: AbsentUnit,
    ) -> Self {
        let served = match absent {
            AbsentUnit::Identity(Role::Server) => "this identity is not served until it is loaded",
            AbsentUnit::Identity(Role::Client) => {
                "the client role presents no certificate until it is loaded"
            }
            AbsentUnit::Trust => "every handshake is refused until it is loaded",
            AbsentUnit::TicketKeys => {
                "until it is loaded, tickets are encrypted with keys of this process, which no other server accepts"
            }
        };
        Self::failed_so(error, trigger, current, served)
    }

    fn failed_so(error: &Error, trigger: Trigger, current: &Generation, served: &str) -> Self {
        let message = format!("{error}; {served}; {}", remedy(&error.cause, trigger));
        Self {
            cause: Some(error.cause.clone()),
            path: error.path.clone(),
            ..Self::new(EventKind::ReloadFailed, trigger, current, message)
        }
    }

    /// Returns the event that reports that `failure` has ended, and that the content of `current` is in place again.
    pub(crate) fn recovered(failure: &Error, trigger: Trigger, current: &Generation) -> Self {
        let what = match trigger {
            Trigger::Push => {
                "does not matter any more: the pushed identity is the one that is served"
            }
            _ => "can be used again, and is unchanged",
        };
        let (path, number) = (failure.path.clone(), current.number());
        let name = path.as_ref().map_or_else(String::new, |path| format!("{}: ", path.display()));
        let message = format!("{name}{what}; serving generation {number}");
        Self { path, ..Self::new(EventKind::Recovered, trigger, current, message) }
    }

    /// Returns the event that reports that change notifications are no longer available, because of `error` (G19).
    pub(crate) fn watch_degraded(error: &Error, current: &Generation) -> Self {
        let message = format!(
            "{error}; changes are found by polling alone; correct the cause, and notifications resume at a \
             later poll"
        );
        Self::of_watch(EventKind::WatchDegraded, error, current, message)
    }

    /// Returns the event that reports that change notifications work again. `error` had made them unavailable (G19).
    pub(crate) fn watch_restored(error: &Error, current: &Generation) -> Self {
        let what = "notifications of changes work again";
        let message = match &error.path {
            Some(path) => format!("{}: {what}", path.display()),
            None => what.to_owned(),
        };
        Self::of_watch(EventKind::WatchRestored, error, current, message)
    }

    fn of_watch(kind: EventKind, error: &Error, current: &Generation, message: String) -> Self {
        Self { path: error.path.clone(), ..Self::new(kind, Trigger::Watch, current, message) }
    }

    /// Returns the event that reports that a certificate, OCSP response, CRL or ticket key in `current` entered its
    /// warning window or expired (G20).
    pub(crate) fn expiry(kind: EventKind, current: &Generation, message: String) -> Self {
        Self::new(kind, Trigger::Clock, current, message)
    }

    /// Returns the event that reports a warning that has begun without a new generation.
    pub(crate) fn warning(warning: &Warning, trigger: Trigger, current: &Generation) -> Self {
        Self::new(EventKind::Warning, trigger, current, warning.text.clone())
            .with_warnings([warning].into_iter().collect())
    }

    /// Sets the path that the event is about.
    pub(crate) fn about(self, path: Arc<Path>) -> Self {
        Self { path: Some(path), ..self }
    }

    pub(crate) fn with_warnings(self, warnings: Warnings) -> Self {
        Self { warnings, ..self }
    }

    /// Sets the descriptions of the changed units that the message only counts. The log gets one line for each; the
    /// host gets none.
    pub(crate) fn with_further(self, further: Vec<String>) -> Self {
        Self { further, ..self }
    }

    /// Writes the event to the log: one line with the message, and one for each changed unit that the message only
    /// counts.
    pub(super) fn log(&self, handle: HandleName<'_>) {
        let Self { generation, message, .. } = self;
        let has_warnings = self.warnings != Warnings::default();
        match self.kind {
            EventKind::Reloaded => {
                let level = if has_warnings { Level::Warn } else { Level::Info };
                let what = if self.serves_nothing { "serves nothing yet" } else { "serves" };
                log!(target: LOG_TARGET, level, "{handle}generation {generation} {what}: {message}");
                for further in &self.further {
                    info!(target: LOG_TARGET, "{handle}generation {generation} also serves: {further}");
                }
            }
            EventKind::ReloadFailed => {
                let what = match self.trigger {
                    Trigger::Open => "opened without",
                    _ => "the reload failed",
                };
                log!(target: LOG_TARGET, Level::Error, "{handle}{what}: {message}");
            }
            EventKind::WatchDegraded => {
                log!(target: LOG_TARGET, Level::Warn, "{handle}the watch is degraded: {message}");
            }
            EventKind::WatchRestored | EventKind::Recovered => {
                log!(target: LOG_TARGET, Level::Info, "{handle}{message}");
            }
            EventKind::Warning | EventKind::Expiring => {
                log!(target: LOG_TARGET, Level::Warn, "{handle}{message}");
            }
            EventKind::Expired => log!(target: LOG_TARGET, Level::Error, "{handle}{message}"),
        }
    }
}

/// Returns what an operator can do about a failure (G24).
fn remedy(cause: &Cause, trigger: Trigger) -> &'static str {
    match cause {
        Cause::Panic(_) => "please report this defect of certreload",
        _ if trigger == Trigger::Push => "push a corrected identity",
        Cause::NotYetValid { .. } => "it is published once it is valid",
        Cause::NotAnswering { .. } | Cause::NoReader => "it is read when the file system answers",
        Cause::PasswordAwaited { .. } => "it is loaded when the callback returns",
        _ => "correct the files, no restart is needed",
    }
}

/// The start of each log line of a handle: its name and a colon, or nothing if the handle has no name.
#[derive(Clone, Copy)]
pub(crate) struct HandleName<'a>(pub(crate) Option<&'a str>);

impl fmt::Display for HandleName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, "{name}: "))
    }
}

/// Logs that a handle was opened or closed, as `what` says.
pub(crate) fn log_life(handle: HandleName<'_>, what: &str, id: u64, identities: usize) {
    debug!(target: LOG_TARGET, "{handle}handle {id} {what}; identities: {identities}");
}

/// Logs the outcome of a reload request that no event reports: nothing changed, or `failure` was reported earlier and
/// lasts.
///
/// Without this line, an operator could not see that the request was served.
pub(crate) fn log_unreported(handle: HandleName<'_>, failure: Option<&Error>) {
    match failure {
        None => info!(target: LOG_TARGET, "{handle}reload request: unchanged"),
        Some(error) => info!(target: LOG_TARGET, "{handle}reload request: still failing: {error}"),
    }
}

/// The host's event callback.
#[derive(Clone)]
pub(crate) struct EventSink(Arc<dyn Fn(&Event) + Send + Sync>);

impl EventSink {
    pub(crate) fn new(callback: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    pub(super) fn notify(&self, event: &Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventSink")
    }
}
