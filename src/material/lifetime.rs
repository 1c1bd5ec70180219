//! From when on a certificate should have been renewed.

use std::time::Duration;

/// Certificates that live for years are renewed in their last month, as their owners expect.
const LONGEST_DEFAULT: i64 = 30 * 24 * 3600;

/// When the warning window begins: `warning` before notAfter, and `None` where no warning is wanted.
///
/// Without a `warning` it is the last third of the lifetime, at most 30 days: that is when ACME
/// clients renew, and it fits a certificate of six days as well as one of a year.
pub(super) fn expiring_from(
    not_before: i64,
    not_after: i64,
    warning: Option<Duration>,
) -> Option<i64> {
    let window = match warning {
        Some(Duration::ZERO) => return None,
        Some(warning) => i64::try_from(warning.as_secs()).unwrap_or(i64::MAX),
        None => (not_after.saturating_sub(not_before) / 3).min(LONGEST_DEFAULT),
    };
    // A window that is longer than the lifetime begins with it.
    Some(not_after.saturating_sub(window).max(not_before))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    #[test]
    fn the_default_window_is_a_third_of_the_lifetime_and_at_most_thirty_days() {
        assert_eq!(expiring_from(0, 600, None), Some(400), "ten minutes");
        assert_eq!(expiring_from(0, 6 * DAY, None), Some(4 * DAY));
        assert_eq!(expiring_from(0, 90 * DAY, None), Some(60 * DAY));
        assert_eq!(expiring_from(0, 398 * DAY, None), Some(368 * DAY));
    }

    #[test]
    fn a_window_that_was_asked_for_is_taken_as_it_is() {
        let hour = Duration::from_secs(3600);
        assert_eq!(expiring_from(0, 90 * DAY, Some(hour)), Some(90 * DAY - 3600));
        assert_eq!(expiring_from(0, 600, Some(hour)), Some(0), "longer than the lifetime");
        assert_eq!(expiring_from(0, 90 * DAY, Some(Duration::ZERO)), None);
    }
}
