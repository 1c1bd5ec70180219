//! The wall clock that the library uses for dates in certificates; tests can shift it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// The seconds by which this clock is ahead of the system's; 0 except in tests.
static OFFSET: AtomicI64 = AtomicI64::new(0);

/// Returns the seconds since 1970, negative before 1970.
pub(crate) fn unix_now() -> i64 {
    let unix = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    unix.saturating_add(OFFSET.load(Ordering::Relaxed))
}

/// Sets this clock ahead of the system's by `seconds`.
pub(crate) fn set_offset(seconds: i64) {
    OFFSET.store(seconds, Ordering::SeqCst);
}

/// The same clock for rustls, which checks the dates of a peer's certificate with it.
#[derive(Debug)]
pub(crate) struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(unix_now()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// One moment on two clocks.
///
/// Deadlines use the monotonic clock, which is never set. Dates in certificates need the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    /// Seconds since 1970.
    pub(crate) unix: i64,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self { instant: Instant::now(), unix: unix_now() }
    }
}
