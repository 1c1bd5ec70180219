//! Dates that are reached are told, however the clock comes there (G20); and health says what is
//! wrong with which identity, and since when.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::fs;
use std::sync::{Condvar, Mutex};

use certreload::ffi::event::certreload_event_kind::{self as Kind, Expired, Expiring, Reloaded};
use certreload::ffi::event::certreload_trigger as Trigger;
use certreload::ffi::event::{
    CERTRELOAD_MAX_WAITING_EVENTS, CERTRELOAD_WARNING_CHAIN_UNRELATED, certreload_event,
};
use certreload::ffi::identity_bytes::certreload_identity_bytes;
use certreload::ffi::options::watch::certreload_watch;
use certreload::ffi::push_identity::certreload_push_identity;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;
use support::certificates::{Pair, Site, replace};
use support::clock::{Clock, NAME, system_time};
use support::host::{Builder, Host, PATIENCE, Seen, last_error, text};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * 3600;

/// Nothing looks at the files but requests: what is told comes from the clock.
fn quiet(site: &Site) -> Builder {
    Builder::new().identity(&site.chain(), &site.key()).watch(certreload_watch::Off)
}

/// Waits for as many events as are expected, and sees that it is those.
fn told(host: &Host, expected: &[(Kind, u64)]) {
    let all = host.recorder.wait_until("events", |seen| seen.len() >= expected.len());
    let all: Vec<_> = all.iter().map(|seen| (seen.kind, seen.generation)).collect();
    assert_eq!(all, expected);
}

#[test]
fn g20_each_date_is_reported_when_the_clock_jumps_to_it_forward_and_back() {
    let clock = Clock::new();
    let site = Site::plain(&clock.pair(-10, 10 * MINUTE - 10));
    let host = quiet(&site).open();
    told(&host, &[(Reloaded, 1)]);
    assert_eq!(host.status().health, Health::Ok);

    // The last third of ten minutes.
    clock.set(7 * MINUTE);
    told(&host, &[(Reloaded, 1), (Expiring, 1)]);
    assert_eq!(host.status().health, Health::Expiring);
    assert_eq!(host.status().health_since, host.status().expiring_from);

    clock.set(11 * MINUTE);
    told(&host, &[(Reloaded, 1), (Expiring, 1), (Expired, 1)]);
    assert_eq!(host.status().health, Health::Expired);
    assert_eq!(host.status().health_since, host.status().earliest_not_after);

    clock.set(0);
    assert_eq!(host.status().health, Health::Ok);
    // Whatever a step after the jump would tell comes before what the next one tells.
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    clock.set(7 * MINUTE);
    told(&host, &[(Reloaded, 1), (Expiring, 1), (Expired, 1), (Expiring, 1)]);
    clock.set(20 * MINUTE);
    told(&host, &[(Reloaded, 1), (Expiring, 1), (Expired, 1), (Expiring, 1), (Expired, 1)]);
    assert_eq!(host.served(NAME), host.sha256(), "there is nothing better to serve");
}

#[test]
fn g20_each_date_is_reported_as_time_passes() {
    let clock = Clock::new();
    let site = Site::plain(&clock.pair(-3600, 3));
    let host = quiet(&site).expiry_warning(2).open();
    told(&host, &[(Reloaded, 1), (Expiring, 1), (Expired, 1)]);
    let passed = system_time() - clock.opened_at;
    assert!((4..10).contains(&passed), "told after {passed} s");
}

#[test]
fn g20_an_expiry_event_names_the_file_the_certificate_and_the_date() {
    let clock = Clock::new();
    let site = Site::plain(&clock.pair(-80 * DAY, 9 * DAY + MINUTE));
    let host = quiet(&site).open();
    told(&host, &[(Reloaded, 1), (Expiring, 1)]);
    let expiring = host.recorder.of(Expiring).remove(0);
    assert_eq!(expiring.trigger, Trigger::Clock);
    assert_eq!(expiring.result, Outcome::Ok);
    assert_eq!(expiring.path, site.chain().display().to_string());
    let expected = format!("{}: a.test expires in 9 days, at ", site.chain().display());
    assert!(expiring.message.starts_with(&expected), "{}", expiring.message);
    assert!(
        expiring.message.ends_with("; no renewal was found: check the job that renews it"),
        "{}",
        expiring.message
    );

    replace(&site.chain(), "garbage");
    assert_eq!(host.reload_wait(), Outcome::NoCertificate);
    clock.set(10 * DAY);
    told(&host, &[(Reloaded, 1), (Expiring, 1), (Kind::ReloadFailed, 1), (Expired, 1)]);
    let expired = host.recorder.of(Expired).remove(0);
    assert!(expired.message.contains("a.test expired at "), "{}", expired.message);
    let why =
        format!("the renewal was rejected and must be corrected: {}: ", site.chain().display());
    assert!(expired.message.contains(&why), "{}", expired.message);
}

#[test]
fn g20_a_certificate_of_six_days_expires_in_its_last_two() {
    let clock = Clock::new();
    let site = Site::plain(&clock.pair(0, 6 * DAY));
    let host = quiet(&site).open();
    clock.set(4 * DAY - MINUTE);
    assert_eq!(host.status().health, Health::Ok);
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    clock.set(4 * DAY + MINUTE);
    told(&host, &[(Reloaded, 1), (Expiring, 1)]);
    assert_eq!(host.status().health, Health::Expiring);
}

#[test]
fn g20_the_warning_window_is_what_the_host_says() {
    let clock = Clock::new();
    let site = Site::plain(&clock.pair(-80 * DAY, 10 * DAY));
    let unwarned = quiet(&site).expiry_warning(0).open();
    let warned = quiet(&site).expiry_warning(5 * 24 * 3600).open();
    assert_eq!(unwarned.status().expiring_from, 0);
    assert_eq!(warned.status().expiring_from, clock.opened_at + 5 * DAY);
    clock.set(6 * DAY);
    told(&warned, &[(Reloaded, 1), (Expiring, 1)]);
    assert_eq!(unwarned.status().health, Health::Ok);
    clock.set(11 * DAY);
    told(&unwarned, &[(Reloaded, 1), (Expired, 1)]);
}

#[test]
fn g20_a_renewal_is_reported_before_its_dates_and_ends_the_warning() {
    let clock = Clock::new();
    let mut site = Site::plain(&clock.pair(-80 * DAY, 10 * DAY));
    let host = quiet(&site).open();
    told(&host, &[(Reloaded, 1), (Expiring, 1)]);

    // A renewal that is itself about to expire.
    site.renew(&clock.pair(-70 * DAY, 20 * DAY));
    assert_eq!(host.reload_wait(), Outcome::Ok);
    told(&host, &[(Reloaded, 1), (Expiring, 1), (Reloaded, 2), (Expiring, 2)]);

    clock.set(DAY);
    site.renew(&clock.pair(0, 90 * DAY));
    assert_eq!(host.reload_wait(), Outcome::Ok);
    let status = host.status();
    assert_eq!(status.health, Health::Ok);
    assert!((DAY..DAY + MINUTE).contains(&(status.health_since - clock.opened_at)));
    clock.set(60 * DAY + MINUTE);
    told(
        &host,
        &[(Reloaded, 1), (Expiring, 1), (Reloaded, 2), (Expiring, 2), (Reloaded, 3), (Expiring, 3)],
    );
}

#[test]
fn g20_dates_are_reported_while_a_writer_has_a_file_open() {
    use std::io::Write;
    let clock = Clock::new();
    let site = Site::plain(&clock.pair(-10, 10 * MINUTE));
    let host = Builder::new()
        .identity(&site.chain(), &site.key())
        .poll_ms(86_400_000)
        .debounce_ms(10, 3_600_000)
        .open();
    let mut writer = fs::OpenOptions::new().append(true).open(site.chain()).unwrap();
    writer.write_all(b"\n").unwrap();
    clock.set(9 * MINUTE);
    told(&host, &[(Reloaded, 1), (Expiring, 1)]);
}

#[test]
fn g20_every_expiry_is_reported_when_many_come_at_once_and_the_host_is_slow() {
    static GATE: Mutex<()> = Mutex::new(());
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    static MORE: Condvar = Condvar::new();
    const MANY: usize = 2 * CERTRELOAD_MAX_WAITING_EVENTS;
    unsafe extern "C" fn slowly(_: *mut c_void, event: *const certreload_event) {
        drop(GATE.lock().unwrap());
        // SAFETY: the event lives while the callback runs.
        let event = unsafe { &*event };
        if event.kind == Expired {
            TOLD.lock().unwrap().insert(text(event.path));
            MORE.notify_all();
        }
    }
    let clock = Clock::new();
    let site = Site::plain(&clock.pair(-DAY, 89 * DAY));
    let mut builder = quiet(&site);
    for number in 1..MANY {
        let chain = site.path(&format!("{number}.pem"));
        fs::hard_link(site.chain(), &chain).unwrap();
        builder = builder.identity(&chain, &site.key());
    }
    let closed = GATE.lock().unwrap();
    let host = builder.open();
    host.set_callback(Some(slowly));
    clock.set(100 * DAY);
    for _ in 0..2 {
        assert_eq!(host.reload_wait(), Outcome::Unchanged);
    }
    drop(closed);
    let told = TOLD.lock().unwrap();
    let (told, _) = MORE.wait_timeout_while(told, PATIENCE, |told| told.len() < MANY).unwrap();
    assert_eq!(told.len(), MANY);
}

/// Two identities, of which only the first will be broken.
struct Two {
    first: Site,
    second: Site,
    host: Host,
}

impl Two {
    fn new(clock: &Clock) -> Self {
        let first = Site::plain(&clock.pair_for("a.test", -DAY, 89 * DAY));
        let second = Site::plain(&clock.pair_for("b.test", -DAY, 59 * DAY));
        let host = quiet(&first).identity(&second.chain(), &second.key()).debounce_ms(5, 50).open();
        Self { first, second, host }
    }
}

#[test]
fn g3_one_stale_identity_marks_no_other_one() {
    let clock = Clock::new();
    let mut two = Two::new(&clock);
    clock.set(100);
    replace(&two.first.key(), "garbage");
    two.second.renew(&clock.pair_for("b.test", -DAY, 70 * DAY));
    assert_eq!(two.host.reload_wait(), Outcome::NoPrivateKey);

    let (first, second) = (two.host.identity_status(0), two.host.identity_status(1));
    assert_eq!(first.health, Health::Stale);
    assert_eq!(first.last_result, Outcome::NoPrivateKey);
    let expected = format!("{}: holds no private key", two.first.key().display());
    assert!(text(first.last_failure.as_ptr()).starts_with(&expected));
    assert_eq!(first.consecutive_failures, 1);
    assert_eq!((first.renewed_generation, first.pending), (1, 0));
    assert_eq!(first.health_since, first.last_failure_at);
    assert!((100..160).contains(&(first.last_failure_at - clock.opened_at)));

    assert_eq!(second.health, Health::Ok);
    assert_eq!(second.last_result, Outcome::Ok);
    assert_eq!(text(second.last_failure.as_ptr()), "");
    assert_eq!((second.consecutive_failures, second.last_failure_at), (0, 0));
    assert_eq!(second.renewed_generation, 2);
    assert!((100..160).contains(&(second.renewed_at - clock.opened_at)));
    assert!(second.last_checked_at >= second.renewed_at);
    assert_eq!(second.not_after, clock.opened_at + 70 * DAY);

    let whole = two.host.status();
    assert_eq!((whole.health, whole.health_since), (Health::Stale, first.health_since));
    assert_eq!(whole.consecutive_failures, 1);
    assert_eq!(whole.last_failure, first.last_failure);
    assert_eq!(whole.earliest_not_after, second.not_after);
}

#[test]
fn failures_are_counted_until_the_next_success_clears_them() {
    let clock = Clock::new();
    let mut two = Two::new(&clock);
    for (at, bad) in [(100, "garbage"), (200, "other garbage"), (300, "other garbage")] {
        clock.set(at);
        replace(&two.first.key(), bad);
        assert_eq!(two.host.reload_wait(), Outcome::NoPrivateKey);
    }
    let status = two.host.identity_status(0);
    assert_eq!(status.consecutive_failures, 2, "the same bytes are no other failure");
    assert!((100..160).contains(&(status.health_since - clock.opened_at)));
    assert!((200..260).contains(&(status.last_failure_at - clock.opened_at)));
    assert!((300..360).contains(&(status.last_checked_at - clock.opened_at)));
    assert!((300..360).contains(&(two.host.status().last_checked_at - clock.opened_at)));
    assert!((300..360).contains(&(two.host.identity_status(1).last_checked_at - clock.opened_at)));

    clock.set(400);
    two.first.renew(&clock.pair_for("a.test", -DAY, 89 * DAY));
    assert_eq!(two.host.reload_wait(), Outcome::Ok);
    let status = two.host.identity_status(0);
    assert_eq!((status.health, status.last_result), (Health::Ok, Outcome::Ok));
    assert_eq!((status.consecutive_failures, status.last_failure_at), (0, 0));
    assert_eq!(text(status.last_failure.as_ptr()), "");
    assert_eq!(text(two.host.status().last_failure.as_ptr()), "");
    assert!((400..460).contains(&(status.health_since - clock.opened_at)));
    assert_eq!(two.host.status().health_since, status.health_since);
}

#[test]
fn g4_what_is_pending_is_not_stale() {
    let clock = Clock::new();
    let site = Site::plain(&clock.pair(-DAY, 89 * DAY));
    let host = quiet(&site).debounce_ms(5, 3_600_000).open();
    fs::remove_file(site.key()).unwrap();
    assert_eq!(host.reload_wait_ms(50), Outcome::TimedOut);
    let status = host.identity_status(0);
    assert_eq!((status.health, status.pending), (Health::Ok, 1));
    assert_eq!(status.consecutive_failures, 0);
    assert_eq!(text(status.last_failure.as_ptr()), "");
}

#[test]
fn the_health_is_the_worst_that_applies_and_keeps_the_failure_visible() {
    let clock = Clock::new();
    let two = Two::new(&clock);
    // b.test enters its last 20 days, and a.test breaks.
    clock.set(40 * DAY);
    replace(&two.first.key(), "garbage");
    assert_eq!(two.host.reload_wait(), Outcome::NoPrivateKey);
    assert_eq!(two.host.identity_status(1).health, Health::Expiring);
    assert_eq!(two.host.status().health, Health::Stale);
    // b.test expires.
    clock.set(60 * DAY);
    assert_eq!(two.host.identity_status(0).health, Health::Stale);
    assert_eq!(two.host.identity_status(1).health, Health::Expired);
    let status = two.host.status();
    assert_eq!(status.health, Health::Expired);
    assert_eq!(status.health_since, two.host.identity_status(1).not_after);
    assert_ne!(text(status.last_failure.as_ptr()), "");
    // The stale one expires too.
    clock.set(90 * DAY);
    assert_eq!(two.host.identity_status(0).health, Health::Expired);
    assert_eq!(two.host.identity_status(0).last_result, Outcome::NoPrivateKey);
}

/// A renewal that was appended to the file of the certificate, with the same key: the valid one of both is served, also
/// when a date passes and no file changes.
#[test]
fn of_the_versions_of_a_certificate_in_one_file_the_valid_one_is_served() {
    let clock = Clock::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let version = |name: &str, from: i64, until: i64| {
        let at = |seconds: i64| {
            let since_1970 = u64::try_from(clock.opened_at + seconds).unwrap();
            rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(since_1970)
        };
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (at(from), at(until));
        let certificate = params.self_signed(&key).unwrap();
        Pair {
            sha256: support::certificates::sha256(certificate.der()),
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    };
    let (old, new) = (version(NAME, -HOUR, HOUR), version(NAME, 2 * HOUR, 4 * HOUR));
    let next = version(NAME, -MINUTE, 3 * HOUR);
    let together = |all: &[&Pair]| Pair {
        chain: all.iter().map(|pair| pair.chain.as_str()).collect(),
        ..all[0].clone()
    };
    let mut site = Site::plain(&together(&[&old, &new, &next]));
    let host = quiet(&site).expiry_warning(0).open();
    assert_eq!(host.served(NAME), old.sha256, "the first that is valid");
    clock.set(HOUR + 1);
    host.recorder.wait_for_generation(2);
    assert_eq!(host.served(NAME), next.sha256, "the first has expired");
    let seen = host.recorder.of(Reloaded);
    assert!(
        seen[1].message.contains("expired at ")
            && seen[1].message.contains("certificate 3 has the same key and names, and is served"),
        "{}",
        seen[1].message
    );
    assert_ne!(host.status().warnings & CERTRELOAD_WARNING_CHAIN_UNRELATED, 0);
    assert_eq!(host.status().health, Health::Ok);
    assert!(host.recorder.of(Expired).is_empty(), "{:?}", host.recorder.all());
    assert_eq!(host.reload_wait(), Outcome::Unchanged, "{}", last_error());
    clock.set(2 * HOUR + 1);
    host.recorder.wait_for_generation(3);
    assert_eq!(host.served(NAME), new.sha256, "the second is valid now");
    // When the last one has expired, there is nothing better, and no failure.
    clock.set(4 * HOUR + 1);
    let expired = |seen: &[Seen]| seen.iter().any(|seen| seen.kind == Expired);
    host.recorder.wait_until("the expiry of the last one", expired);
    assert_eq!(host.reload_wait(), Outcome::Unchanged, "{}", last_error());
    assert_eq!(host.served(NAME), new.sha256);
    assert!(host.recorder.of(Kind::ReloadFailed).is_empty());
    // Another certificate of the key is no version of this one.
    clock.set(0);
    let other = version("other.test", -MINUTE, 3 * HOUR);
    site.renew(&together(&[&version(NAME, -HOUR, -MINUTE), &other]));
    assert_eq!(host.reload_wait(), Outcome::CertificateExpired);
    let first = version(NAME, -HOUR, HOUR);
    site.renew(&together(&[&first, &other]));
    assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
    assert_eq!(host.served(NAME), first.sha256);
}

/// The library keeps no pushed key, so it cannot choose again: the host pushes the same bytes again.
#[test]
fn of_the_versions_of_a_pushed_certificate_the_valid_one_is_served_after_the_next_push() {
    let clock = Clock::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let version = |from: i64, until: i64| {
        let at = |seconds: i64| {
            let since_1970 = u64::try_from(clock.opened_at + seconds).unwrap();
            rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(since_1970)
        };
        let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (at(from), at(until));
        params.self_signed(&key).unwrap()
    };
    let (old, new) = (version(-HOUR, HOUR), version(-MINUTE, 3 * HOUR));
    let (chain, key) = (old.pem() + &new.pem(), key.serialize_pem());
    let host = quiet(&Site::plain(&clock.pair(-HOUR, HOUR))).open();
    let push = || {
        let bytes = certreload_identity_bytes {
            chain_pem: chain.as_ptr().cast(),
            chain_pem_size: chain.len(),
            key_pem: key.as_ptr().cast(),
            key_pem_size: key.len(),
            ocsp_der: std::ptr::null(),
            ocsp_der_size: 0,
        };
        // SAFETY: an open handle, and bytes that live until the call returns.
        unsafe { certreload_push_identity(host.handle, 0, &raw const bytes, size_of_val(&bytes)) }
    };
    assert_eq!(push(), Outcome::Ok, "{}", last_error());
    assert_eq!(host.served(NAME), support::certificates::sha256(old.der()));
    assert_eq!(push(), Outcome::Unchanged);
    clock.set(HOUR + 1);
    assert_eq!(push(), Outcome::Ok, "{}", last_error());
    assert_eq!(host.served(NAME), support::certificates::sha256(new.der()));
    assert_eq!(push(), Outcome::Unchanged);
}
