//! What the handles report, counted.

use std::ffi::c_void;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use certreload::ffi::event::{certreload_event, certreload_event_kind as Kind};
use certreload::ffi::result::certreload_result as Outcome;

use crate::mounts::{self, HANGS};
use crate::support::host::text;

/// What was told, by handle.
struct Told {
    generation: AtomicU64,
    reloads: AtomicU64,
    failures: AtomicU64,
    /// Failures with `TIMED_OUT` of the identity on the mount that hangs.
    unanswered: AtomicU64,
    degraded: AtomicU64,
    restored: AtomicU64,
    out_of_order: AtomicU64,
    /// The first failure that no change explains.
    surprise: Mutex<Option<String>>,
}

impl Told {
    const fn new() -> Self {
        Self {
            generation: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            degraded: AtomicU64::new(0),
            restored: AtomicU64::new(0),
            out_of_order: AtomicU64::new(0),
            surprise: Mutex::new(None),
        }
    }

    /// The counter of a failure.
    fn failed(&self, event: &certreload_event) -> &AtomicU64 {
        let path = text(event.path);
        let mount = mounts::mount_of(Path::new(&path));
        match event.result {
            Outcome::TimedOut if mount == Some(HANGS) => return &self.unanswered,
            Outcome::TimedOut => {}
            // Only whole pairs are on the mounts.
            _ if mount.is_none() => return &self.failures,
            _ => {}
        }
        let message = text(event.message);
        self.surprise.lock().unwrap().get_or_insert(format!("{:?}: {message}", event.result));
        &self.failures
    }
}

static TOLD: [Told; 2] = [Told::new(), Told::new()];

/// Counts, and keeps nothing: what is kept would be memory that grows.
pub unsafe extern "C" fn count<const SIDE: usize>(_: *mut c_void, event: *const certreload_event) {
    // SAFETY: live while the callback runs.
    let event = unsafe { &*event };
    let told = &TOLD[SIDE];
    let before = told.generation.swap(event.generation, Ordering::SeqCst);
    let expected = before + u64::from(event.kind == Kind::Reloaded);
    if before != 0 && event.generation != expected {
        told.out_of_order.fetch_add(1, Ordering::SeqCst);
    }
    let counter = match event.kind {
        Kind::Reloaded => &told.reloads,
        Kind::ReloadFailed => told.failed(event),
        Kind::WatchDegraded => &told.degraded,
        Kind::WatchRestored => &told.restored,
        #[allow(unreachable_patterns, reason = "kinds that come later")]
        _ => return,
    };
    counter.fetch_add(1, Ordering::SeqCst);
}

/// What was told in the course of so many changes, in words.
pub fn in_words(changes: u64) -> String {
    let mut words = String::new();
    for (told, side) in TOLD.iter().zip(["notified", "polled"]) {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        assert_eq!(*told.surprise.lock().unwrap(), None, "{side}");
        assert_eq!(count(&told.out_of_order), 0, "generations out of order");
        assert!(count(&told.failures) <= 4 * changes, "more failures than changes");
        write!(
            words,
            "\n{side}: {} reloads, {} failures told, {} times no answer, {} times degraded, {} restored",
            count(&told.reloads),
            count(&told.failures),
            count(&told.unanswered),
            count(&told.degraded),
            count(&told.restored)
        )
        .unwrap();
    }
    words
}
