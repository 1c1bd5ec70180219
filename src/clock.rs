//! The wall clock of the process, as far as certreload reads it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// What it is ahead of the system's, in seconds: 0 but in tests.
static OFFSET: AtomicI64 = AtomicI64::new(0);

/// Seconds since 1970; before that, less than 0.
pub(crate) fn unix_now() -> i64 {
    let unix = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    unix.saturating_add(OFFSET.load(Ordering::Relaxed))
}

/// Sets it ahead of the system's by so many seconds.
pub(crate) fn set_offset(seconds: i64) {
    OFFSET.store(seconds, Ordering::SeqCst);
}

/// The same clock for rustls, which goes by it when it checks a peer's certificate.
#[derive(Debug)]
pub(crate) struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(unix_now()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// One moment on both clocks: deadlines go by the first, dates in certificates by the second.
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
