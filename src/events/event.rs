//! What happened, as the host is told.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use log::{Level, debug, info, log};

use crate::error::{Cause, Error};
use crate::pki::Warnings;
use crate::tls::Generation;

/// Under this name our own lines go to the log.
pub(crate) const LOG_TARGET: &str = "certreload";

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Reloaded,
    ReloadFailed,
    WatchDegraded,
    WatchRestored,
    Expiring,
    Expired,
}

/// Why a reload was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    Open,
    Watch,
    Poll,
    Request,
    Clock,
    Push,
}

/// One event, owned.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    pub(crate) trigger: Trigger,
    /// `None` where nothing failed.
    pub(crate) cause: Option<Cause>,
    pub(crate) warnings: Warnings,
    /// The generation that serves now, and the earliest notAfter in it.
    pub(crate) generation: u64,
    pub(crate) earliest_not_after: i64,
    pub(crate) path: Option<Arc<Path>>,
    pub(crate) message: String,
    /// How many events it stands for: itself, and those that went into it.
    pub(crate) count: u64,
    /// What is new besides and does not fit into the message: a line of the log each.
    pub(crate) further: Vec<String>,
}

impl Event {
    /// A failure that the host has not been told of, while `current` goes on serving.
    pub(crate) fn failed(error: &Error, trigger: Trigger, current: &Generation) -> Self {
        let number = current.number();
        Self {
            kind: EventKind::ReloadFailed,
            trigger,
            cause: Some(error.cause.clone()),
            warnings: Warnings::default(),
            generation: number,
            earliest_not_after: current.earliest_not_after(),
            path: error.path.clone(),
            message: format!("{error}; generation {number} goes on serving"),
            count: 1,
            further: Vec::new(),
        }
    }

    /// The watch is degraded because of `error`, or restored after it.
    pub(crate) fn of_watch(kind: EventKind, error: &Error, current: &Generation) -> Self {
        let message = match kind {
            EventKind::WatchRestored => "the kernel tells of changes again".to_owned(),
            _ => format!("{error}; changes are found by polling until the watch is back"),
        };
        Self {
            kind,
            trigger: Trigger::Watch,
            cause: None,
            warnings: Warnings::default(),
            generation: current.number(),
            earliest_not_after: current.earliest_not_after(),
            path: error.path.clone(),
            message,
            count: 1,
            further: Vec::new(),
        }
    }

    /// Writes the event to the log: one line, and one for each of what is new further.
    pub(super) fn log(&self, of: HandleName<'_>) {
        let Self { generation, message, .. } = self;
        let warned = self.warnings != Warnings::default();
        match self.kind {
            EventKind::Reloaded => {
                let level = if warned { Level::Warn } else { Level::Info };
                log!(target: LOG_TARGET, level, "{of}generation {generation} serves: {message}");
                for further in &self.further {
                    info!(target: LOG_TARGET, "{of}generation {generation} serves too: {further}");
                }
            }
            EventKind::ReloadFailed => {
                log!(target: LOG_TARGET, Level::Error, "{of}the reload failed: {message}");
            }
            EventKind::WatchDegraded => {
                log!(target: LOG_TARGET, Level::Warn, "{of}the watch is degraded: {message}");
            }
            EventKind::WatchRestored => log!(target: LOG_TARGET, Level::Info, "{of}{message}"),
            EventKind::Expiring => log!(target: LOG_TARGET, Level::Warn, "{of}{message}"),
            EventKind::Expired => log!(target: LOG_TARGET, Level::Error, "{of}{message}"),
        }
    }
}

/// Begins a line of the log: the name of the handle that it is of, where it has one.
#[derive(Clone, Copy)]
pub(crate) struct HandleName<'a>(pub(crate) Option<&'a str>);

impl fmt::Display for HandleName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, "{name}: "))
    }
}

/// Writes down that a handle opens or closes.
pub(crate) fn log_life(of: HandleName<'_>, what: &str, id: u64, identities: usize) {
    debug!(target: LOG_TARGET, "{of}handle {id} {what}; identities: {identities}");
}

/// Writes down what a request came to that no event tells of.
pub(crate) fn log_answer(of: HandleName<'_>, answer: &str) {
    info!(target: LOG_TARGET, "{of}asked to reload: {answer}");
}

/// Where events go: a function of the host.
#[derive(Clone)]
pub(crate) struct EventSink(Arc<dyn Fn(&Event) + Send + Sync>);

impl EventSink {
    pub(crate) fn new(tell: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn tell(&self, event: &Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventSink")
    }
}
