//! From a trigger to a published generation: which units are read, what is incomplete, what is proved.

mod debounce;
mod load;
mod load_trust;
mod loading;
mod outcome;
mod pass;
mod pipeline;
mod report;
mod retry;
mod unit;
mod unit_files;
mod waiters;

pub(crate) use debounce::Debounce;
pub(crate) use outcome::{Finding, Note, Outcome};
pub(crate) use pass::{PassResult, PassScope};
pub(crate) use pipeline::Pipeline;
pub(crate) use retry::PassTime;
pub(crate) use waiters::Waiters;
