//! The few system calls that std lacks, each wrapped to be safe.

mod bell;
mod clock;
mod environment;
mod epoll;
mod file_system;
mod fork;
#[cfg(test)]
mod freed;
mod inherited;
mod process;
mod shared_words;
mod signals;
mod thread_number;
mod wait;

pub(crate) use bell::{Bell, ring};
pub(crate) use clock::{Alarm, ClockWatch};
pub(crate) use environment::environment_variable;
pub(crate) use epoll::Epoll;
pub(crate) use file_system::is_on_local_file_system;
pub(crate) use fork::unforked;
#[cfg(test)]
pub(crate) use freed::freed_with;
pub(crate) use inherited::Inherited;
pub(crate) use process::{Era, EraCell, Privileges};
pub(crate) use shared_words::{SHARED_WORDS, SharedWords, shared_words};
pub(crate) use signals::with_signals_blocked;
pub(crate) use thread_number::ThreadNumber;
pub(crate) use wait::wait_readable;
