//! Faults and times that tests cannot make from outside. No part of the API, in C or in Rust.

use crate::{reload, watch};

/// From now on inotify fails, and nothing is watched any more, in all of the process.
pub fn break_watch() {
    watch::testing::set_broken(true);
    reload::wake();
}

/// inotify works again.
pub fn mend_watch() {
    watch::testing::set_broken(false);
    reload::wake();
}
