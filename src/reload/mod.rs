//! From a trigger to a published generation: which units are read, what is incomplete, what is proved.

mod check;
mod debounce;
mod load;
mod outcome;
mod pass;
mod pass_result;
mod pipeline;
mod reloaded_event;
mod retry;
mod unit;
mod unit_files;
mod units;
mod waiters;

pub(crate) use debounce::{Debounce, OpenForWriting, Writers};
pub(crate) use outcome::{Finding, Note, Outcome};
pub(crate) use pass::{Pass, PassScope, PassTime};
pub(crate) use pass_result::PassResult;
pub(crate) use pipeline::Pipeline;
pub(crate) use waiters::Waiters;
