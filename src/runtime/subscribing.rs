//! Subscribes the units of an instance to notifications, and answers what those say about processes that write.

use std::sync::{Arc, Weak};
use std::time::Instant;

use super::instance::Instance;
use crate::files::Lookup;
use crate::options::WatchMode;
use crate::reload::{OpenForWriting, Writers};
use crate::watch::{ChangeReceiver, ReadOutcome, Subscribed};

impl Instance {
    /// Subscribes `unit` to every name in `lookups`, in place of its earlier subscriptions.
    pub(super) fn subscribe(&self, unit: usize, lookups: &[Lookup]) -> Subscribed {
        let observer: Weak<dyn ChangeReceiver> = Arc::downgrade(&(self.debounce.clone() as _));
        let subscribed = self.runtime.watcher().subscribe((self.id, unit), &observer, lookups);
        if subscribed.notified_others && self.host_loop.is_none() {
            // Wake the worker, which may be asleep: this thread may belong to the host.
            self.handle_waker.waker().wake();
        }
        subscribed
    }
}

impl Writers for Instance {
    /// Returns the units of which a process has a file open for writing. First reads the notifications that the kernel
    /// has queued, because the worker reads none while it runs a pass.
    fn open_for_writing(&self) -> OpenForWriting {
        if self.runtime.watcher().read() == ReadOutcome::Notified {
            // The notifications may have made steps of other handles due, and this thread may belong to the host: wake
            // the worker.
            self.handle_waker.waker().wake();
        }
        self.debounce.open_for_writing(Instant::now())
    }

    fn is_open(&self, unit: usize) -> bool {
        self.debounce.is_open(unit)
    }

    /// Subscribes `unit` before its new content is accepted: only that shows whether its directories were watched.
    fn reports_writes(&self, unit: usize, lookups: &[Lookup]) -> bool {
        // A key-password callback of this pass may have closed the handle.
        if self.shared.options.watch != WatchMode::Auto || self.is_closed() {
            return false;
        }
        let Subscribed { needs_scan, missed_writes, .. } = self.subscribe(unit, lookups);
        if needs_scan && !missed_writes {
            // The subscription after the pass finds nothing new, so the scan that it would cause is requested here.
            self.debounce.mark_again(unit);
        }
        !missed_writes
    }
}
