//! Makes generations: decides which units are read, retries incomplete ones, and proves new content before it is used.
//!
//! A notification, a poll, a request or a retry leads to one `Pass` over the files of some units. `Pipeline::run` reads
//! these units, builds a candidate from new content, proves it by handshakes, and returns the generation to publish.
//! Each stage returns an owned value to the next, so that a failure at any stage leaves what is served untouched (G3).
//!
//! This module starts no thread and delivers no event. Its caller decides when a pass runs, publishes the result, and
//! reports it to the host.

mod adapters;
mod backoff;
mod configured_files;
mod debounce;
mod file_warnings;
mod findings;
mod fresh;
mod load;
mod open;
mod pass;
mod pass_reads;
mod pass_result;
mod pipeline;
mod reloaded_event;
mod required_names;
mod self_check;
mod sighting;
mod unit;
mod unit_outdated;
mod unit_read;
mod unit_retry;
mod units;
mod waiters;
mod warnings_of_all;

pub(crate) use adapters::{Adapter, Adapters, NotPrepared, Prepared};
pub(crate) use debounce::{Debounce, OpenForWriting, Writers};
pub(crate) use file_warnings::FileWarning;
pub(crate) use findings::{Finding, Note, Outcome, ReportedFailure};
pub(crate) use open::{OpenReader, Opened};
pub(crate) use pass::{Pass, PassScope, PassTime};
pub(crate) use pass_result::PassResult;
pub(crate) use pipeline::Pipeline;
pub(crate) use unit_read::{FinishedRead, ReadCalls, UnitRead};
pub(crate) use waiters::{PassAnswer, Waiters};
