//! The clock that dates in certificates are compared with: the system's time. Tests shift it, so that certificates
//! expire without waiting.

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

/// Sets this clock ahead of the system's by `seconds`, or back if `seconds` is negative. For tests only.
pub(crate) fn set_offset(seconds: i64) {
    OFFSET.store(seconds, Ordering::SeqCst);
}

/// Gives rustls the time of [`unix_now`], so that rustls checks a peer's certificate by the same clock.
#[derive(Debug)]
pub(crate) struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(unix_now()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The present time as two clocks show it.
///
/// Deadlines use the monotonic clock, which does not jump if the system time is set. Dates in certificates can be
/// compared only with the system time.
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
