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

/// The same for a list that should have been followed by the next.
///
/// Without a `warning` it is the last tenth of its time, at most 30 days: authorities publish the next list
/// with an overlap, and the small ones among those overlaps are a tenth. A `warning` is meant for
/// certificates, and may be longer than a list ever holds: it counts up to a third of that.
pub(super) fn list_expiring_from(
    this_update: i64,
    next_update: i64,
    warning: Option<Duration>,
) -> Option<i64> {
    let holds = next_update.saturating_sub(this_update).max(0);
    let window = match warning {
        Some(Duration::ZERO) => return None,
        Some(warning) => i64::try_from(warning.as_secs()).unwrap_or(i64::MAX).min(holds / 3),
        None => (holds / 10).min(LONGEST_DEFAULT),
    };
    Some(next_update.saturating_sub(window))
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

    #[test]
    fn a_list_is_due_in_the_last_tenth_of_its_time() {
        let (hour, month) = (Duration::from_secs(3600), Duration::from_secs(30 * 24 * 3600));
        assert_eq!(list_expiring_from(0, 10 * DAY, None), Some(9 * DAY));
        assert_eq!(list_expiring_from(0, 400 * DAY, None), Some(370 * DAY), "of an offline root");
        assert_eq!(list_expiring_from(0, 10 * DAY, Some(hour)), Some(10 * DAY - 3600));
        assert_eq!(list_expiring_from(0, 9 * DAY, Some(month)), Some(6 * DAY), "not always due");
        assert_eq!(list_expiring_from(0, 9 * DAY, Some(Duration::ZERO)), None);
        assert_eq!(list_expiring_from(DAY, 0, None), Some(0), "it ends before it begins");
    }
}
