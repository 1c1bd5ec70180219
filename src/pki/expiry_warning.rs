//! Computes when the expiry warning of a certificate, OCSP response or CRL begins: it should have been renewed by then.

use std::time::Duration;

/// The longest time before expiry at which a warning begins by default, in seconds: 30 days. Certificates that are
/// valid for years are usually renewed in their last month.
const LONGEST_DEFAULT: i64 = 30 * 24 * 3600;

/// Returns when the expiry warning of a certificate or OCSP response begins: `warning` before `not_after`. Zero turns
/// it off.
///
/// `None` means the last third of the lifetime, at most 30 days. ACME clients renew at that time, and it suits
/// certificates that are valid for six days or for a year.
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
    // If `warning` is longer than the lifetime, the warning begins with the lifetime.
    Some(not_after.saturating_sub(window).max(not_before))
}

/// Returns when the expiry warning of a CRL begins: `warning` before `next_update`. Zero turns it off.
///
/// `None` means the last tenth of the CRL's period, at most 30 days. CAs publish the next CRL some time before
/// nextUpdate, and the shortest usual overlap is a tenth.
///
/// `warning` counts as a third of the period at most. The setting is meant for certificates and may exceed the period
/// of a CRL; the warning would then never end.
pub(super) fn list_expiring_from(
    this_update: i64,
    next_update: i64,
    warning: Option<Duration>,
) -> Option<i64> {
    let period = next_update.saturating_sub(this_update).max(0);
    let window = match warning {
        Some(Duration::ZERO) => return None,
        Some(warning) => i64::try_from(warning.as_secs()).unwrap_or(i64::MAX).min(period / 3),
        None => (period / 10).min(LONGEST_DEFAULT),
    };
    Some(next_update.saturating_sub(window))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    #[test]
    fn default_window_is_a_third_of_the_lifetime_up_to_thirty_days() {
        assert_eq!(expiring_from(0, 600, None), Some(400), "ten minutes");
        assert_eq!(expiring_from(0, 6 * DAY, None), Some(4 * DAY));
        assert_eq!(expiring_from(0, 90 * DAY, None), Some(60 * DAY));
        assert_eq!(expiring_from(0, 398 * DAY, None), Some(368 * DAY));
    }

    #[test]
    fn configured_window_is_used_up_to_the_lifetime() {
        let hour = Duration::from_secs(3600);
        assert_eq!(expiring_from(0, 90 * DAY, Some(hour)), Some(90 * DAY - 3600));
        assert_eq!(expiring_from(0, 600, Some(hour)), Some(0), "longer than the lifetime");
        assert_eq!(expiring_from(0, 90 * DAY, Some(Duration::ZERO)), None);
    }

    #[test]
    fn crl_window_is_the_last_tenth_of_its_period() {
        let (hour, month) = (Duration::from_secs(3600), Duration::from_secs(30 * 24 * 3600));
        assert_eq!(list_expiring_from(0, 10 * DAY, None), Some(9 * DAY));
        assert_eq!(
            list_expiring_from(0, 400 * DAY, None),
            Some(370 * DAY),
            "CRL of an offline root"
        );
        assert_eq!(list_expiring_from(0, 10 * DAY, Some(hour)), Some(10 * DAY - 3600));
        assert_eq!(
            list_expiring_from(0, 9 * DAY, Some(month)),
            Some(6 * DAY),
            "limited to a third"
        );
        assert_eq!(list_expiring_from(0, 9 * DAY, Some(Duration::ZERO)), None);
        assert_eq!(list_expiring_from(DAY, 0, None), Some(0), "nextUpdate before thisUpdate");
    }
}
