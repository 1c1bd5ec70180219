//! Lets tests inject faults and move the clock, which they cannot do from outside. Not part of the C or Rust API.

use crate::{runtime, watch};

/// Makes inotify fail in the whole process: reading fails, and no new instance can be started.
pub fn break_watch() {
    watch::testing::set_fault(watch::testing::START_FAILS);
    runtime::wake();
}

/// Makes reading from inotify fail, while new instances can be started.
pub fn break_watch_reads() {
    watch::testing::set_fault(watch::testing::READ_FAILS);
    runtime::wake();
}

/// Lets inotify work again.
pub fn mend_watch() {
    watch::testing::set_fault(watch::testing::NONE);
    runtime::wake();
}

/// Sets the wall clock that certreload reads to `offset_seconds` after the system's, and wakes the worker.
///
/// The process has one such clock, so tests that set it must not run at the same time.
pub fn set_clock(offset_seconds: i64) {
    runtime::set_clock(offset_seconds);
}

/// Returns how many steps the worker threads of this process have made, so that tests can show that the work does not
/// grow with the number of handles.
///
/// A worker makes one step for a handle when the handle was woken or its deadline has come.
#[must_use]
pub fn worker_steps() -> u64 {
    runtime::steps()
}
