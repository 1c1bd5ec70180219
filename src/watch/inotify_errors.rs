//! The errors of inotify in words for operators, and faults for tests.

use std::io;

use crate::error::{Cause, system_error_in_words};

pub(super) fn cause_of(error: &io::Error) -> Cause {
    match error.raw_os_error() {
        Some(libc::ENOSPC) => limit_reached(),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => Cause::NotFound,
        Some(libc::EACCES) => Cause::Permission,
        _ => Cause::Io(format!("cannot be watched: {}", system_error_in_words(error))),
    }
}

fn limit_reached() -> Cause {
    Cause::Io(
        "cannot be watched: the limit of inotify watches is reached (fs.inotify.max_user_watches)"
            .to_owned(),
    )
}

pub(super) fn describe_start_error(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "the limit of inotify instances (fs.inotify.max_user_instances) or \
             of descriptors is reached"
            .to_owned(),
        _ => system_error_in_words(error),
    }
}

/// Lets tests make inotify fail, in the whole process.
pub(crate) mod testing {
    use std::sync::atomic::{AtomicU8, Ordering};

    pub(crate) const NONE: u8 = 0;
    /// inotify cannot be started, and reading events from a running instance fails.
    pub(crate) const START_FAILS: u8 = 1;
    /// inotify can be started, but reading events fails.
    pub(crate) const READ_FAILS: u8 = 2;

    static FAULT: AtomicU8 = AtomicU8::new(NONE);

    pub(crate) fn set_fault(fault: u8) {
        FAULT.store(fault, Ordering::SeqCst);
    }

    pub(crate) fn fault() -> u8 {
        FAULT.load(Ordering::SeqCst)
    }
}
