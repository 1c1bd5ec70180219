//! The wall clock that certreload reads, set by tests.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use certreload::testing;

use super::certificates::Pair;

/// Whom the certificates are for.
pub const NAME: &str = "a.test";

/// The wall clock that certreload reads: one for the process, so whoever sets it has it alone.
pub struct Clock {
    pub opened_at: i64,
    _alone: MutexGuard<'static, ()>,
}

impl Clock {
    pub fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        testing::set_clock(0);
        Self { opened_at: system_time(), _alone: alone }
    }

    /// Sets the clock to so many seconds after the beginning of the test.
    pub fn set(&self, seconds: i64) {
        testing::set_clock(self.opened_at + seconds - system_time());
    }

    /// A pair that is valid from and until so many seconds after the beginning of the test.
    pub fn pair(&self, from: i64, until: i64) -> Pair {
        self.pair_for(NAME, from, until)
    }

    pub fn pair_for(&self, name: &str, from: i64, until: i64) -> Pair {
        let at = |seconds| {
            let since_1970 = u64::try_from(self.opened_at + seconds).unwrap();
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(since_1970)
        };
        Pair::with(&[name], |params| {
            params.not_before = at(from);
            params.not_after = at(until);
        })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        testing::set_clock(0);
    }
}

pub fn system_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
