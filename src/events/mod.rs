//! Notifies the host: events, the queue that keeps their order, and the threads that deliver them.

mod dispatcher;
mod event;
mod log_lines;
mod queue;

pub(crate) use dispatcher::Dispatcher;
pub(crate) use event::{
    Event, EventKind, EventSink, HandleName, Trigger, log_life, log_unreported,
};
pub(crate) use log_lines::{LogLines, write_log_line};
pub(crate) use queue::{EventQueue, MAX_WAITING, QueueOwner};
