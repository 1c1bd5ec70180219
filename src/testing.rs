//! Faults and times that tests cannot make from outside. No part of the API, in C or in Rust.

use crate::{runtime, watch};

/// From now on inotify fails, and nothing is watched any more, in all of the process.
pub fn break_watch() {
    watch::testing::set_fault(watch::testing::BROKEN);
    runtime::wake();
}

/// From now on inotify can be had, and fails whenever it is to tell something.
pub fn deafen_watch() {
    watch::testing::set_fault(watch::testing::DEAF);
    runtime::wake();
}

/// inotify works again.
pub fn mend_watch() {
    watch::testing::set_fault(watch::testing::NONE);
    runtime::wake();
}

/// Sets the wall clock, as far as certreload reads it, ahead of the system's by so many seconds; the
/// worker learns of it at once. One clock for the process: tests that set it take turns.
pub fn set_clock(offset_seconds: i64) {
    runtime::set_clock(offset_seconds);
}

/// Returns how many steps the worker threads of this process have made: one is made for a handle that was
/// woken, or whose deadline has come.
#[must_use]
pub fn worker_steps() -> u64 {
    runtime::steps()
}
