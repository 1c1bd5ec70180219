//! What happened, as the host is told.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::error::Cause;
use crate::material::Warnings;

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
