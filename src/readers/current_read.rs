//! The read that this thread runs, if it is a reader: before each system call that can block, says which path it is about.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::reader::{Blocked, Reader};
use crate::sys::ProcessNumber;

/// Knows which mounts must not be touched.
pub(super) trait Gate: Send + Sync {
    /// Returns why `reader` must not touch `path` now.
    fn gate(&self, reader: &Arc<Reader>, path: &Path) -> Option<Blocked>;

    /// Returns why `reader` must not call a callback of the host now. If it may, [`Gate::leave_host`] follows.
    fn enter_host(&self, reader: &Arc<Reader>) -> Option<Blocked>;

    fn leave_host(&self, reader: &Arc<Reader>);
}

/// A reader's thread.
#[derive(Clone)]
pub(super) struct CurrentRead {
    pub(super) gate: Arc<dyn Gate>,
    pub(super) reader: Arc<Reader>,
    /// A callback of the host may fork on this thread. The child has no readers.
    pub(super) process: ProcessNumber,
}

thread_local! {
    static CURRENT: RefCell<Option<CurrentRead>> = const { RefCell::new(None) };
}

impl CurrentRead {
    /// Makes this thread a reader.
    pub(super) fn set(self) {
        CURRENT.set(Some(self));
    }

    /// Makes this thread a reader no more.
    pub(super) fn clear() {
        CURRENT.set(None);
    }

    fn get() -> Option<Self> {
        let current = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
        current.filter(|current| current.process == ProcessNumber::now())
    }
}

/// Makes a system call about `path`, which can block if the mount of `path` does not answer. `path` is absolute, and its
/// directories are no symbolic links.
///
/// On a reader, fails without making the call if the mount has another reader that is stuck. The read is repeated later.
/// On other threads, just makes the call.
pub(crate) fn touching<T>(path: &Path, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(CurrentRead { gate, reader, .. }) = CurrentRead::get() else { return call() };
    if !reader.is_interrupted()
        && let Some(why) = gate.gate(&reader, path)
    {
        reader.block(why);
    }
    if reader.is_interrupted() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    reader.enter_file(path);
    let result = call();
    reader.leave();
    result
}

/// Makes a system call about `path` that must not be left out, such as `close(2)`. It can block as well.
pub(crate) fn closing(path: &Path, call: impl FnOnce()) {
    let Some(CurrentRead { reader, .. }) = CurrentRead::get() else { return call() };
    reader.enter_file(path);
    call();
    reader.leave();
}

/// Calls a callback of the host, which can block for as long as it likes. Returns `None` on a reader whose read was
/// interrupted, for example because the handle is closed: then the callback is not called.
pub(crate) fn calling_host<T>(call: impl FnOnce() -> T) -> Option<T> {
    let Some(CurrentRead { gate, reader, .. }) = CurrentRead::get() else { return Some(call()) };
    if reader.is_interrupted() {
        return None;
    }
    if let Some(why) = gate.enter_host(&reader) {
        reader.block(why);
        return None;
    }
    reader.enter_host();
    let result = call();
    reader.leave();
    gate.leave_host(&reader);
    Some(result)
}

/// Returns whether the read on this thread was interrupted. Its result is not used then.
pub(crate) fn is_interrupted() -> bool {
    CurrentRead::get().is_some_and(|current| current.reader.is_interrupted())
}
