//! Operating-system services that the standard library lacks, each behind a safe interface.
//!
//! System calls are made with rustix. Where rustix has no such function, or must not be used, libc is called in an
//! `unsafe` block, which says why.

mod access;
mod catch_panic;
mod directory;
mod dropped_privileges;
mod environment_variable;
mod fork_delay;
mod handle_id;
mod inherited_fds;
mod kernel_random;
mod local_file_system;
mod memory_across_fork;
mod mutex;
mod nesting_depth;
mod once_slots;
mod poller;
mod process_number;
mod secret_bytes;
mod set_once;
mod shared_memory;
mod signals;
mod stack_wipe;
#[cfg(test)]
mod test_fork;
#[cfg(test)]
mod test_freed_memory;
mod thread_id;
mod timer;
pub(crate) mod wait_graph;
mod waker;
mod without_logging;

pub(crate) use access::{effective_user, may_read, may_search};
pub(crate) use catch_panic::catch_panic;
pub(crate) use directory::Directory;
pub(crate) use dropped_privileges::Privileges;
pub(crate) use environment_variable::environment_variable;
pub(crate) use fork_delay::without_fork;
pub(crate) use handle_id::HandleId;
pub(crate) use inherited_fds::InheritedFd;
pub(crate) use kernel_random::fill_from_kernel;
pub(crate) use local_file_system::is_on_local_file_system;
pub(crate) use mutex::{Condvar, Mutex, MutexGuard};
pub(crate) use once_slots::OnceSlots;
pub(crate) use poller::{Poller, wait_readable};
pub(crate) use process_number::{ProcessNumber, ProcessNumberCell};
pub(crate) use secret_bytes::SecretBytes;
pub(crate) use shared_memory::{SHARED_WORDS, SharedWords, shared_words};
pub(crate) use signals::with_signals_blocked;
pub(crate) use stack_wipe::wiping_stack;
#[cfg(test)]
pub(crate) use test_freed_memory::freed_with;
pub(crate) use thread_id::ThreadId;
pub(crate) use timer::{ClockWatch, Timer};
pub(crate) use wait_graph::{Deadlock, Resource, WaitGraph};
pub(crate) use waker::{Waker, wake_descriptor};
pub(crate) use without_logging::{LOG_TARGET, is_logging_disabled, without_logging};
