//! Scenarios from the field that are no row of the rotation table, each by its number.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use certreload::ffi::event::certreload_event_kind as Kind;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use support::certificates::{Authority, Pair, Site, Writer, in_the_past, replace, write_private};
use support::file_writers::relink;
use support::host::{Builder, Host};
use support::rotation::{Finder, NAME, NEVER};
use support::witness::{EndOf, Ledger, trusting};

fn notified(site: &Site) -> Host {
    Finder::Notification.options(site).open()
}

fn polled(site: &Site) -> Host {
    Finder::Polling.options(site).open()
}

/// Looks `count` times at the least.
fn wait_for_looks(host: &Host, count: u64) {
    let status = host.status();
    let looks = |status: &certreload::ffi::status::certreload_status| {
        status.unchanged + status.reloads + status.failures
    };
    let enough = looks(&status) + count;
    let deadline = Instant::now() + support::host::PATIENCE;
    while looks(&host.status()) < enough {
        assert!(Instant::now() < deadline, "looks no more");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn scenario_10_a_touch_is_nothing() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let (notified, polled) = (notified(&site), polled(&site));
    for round in 0..20_u64 {
        for path in [site.chain(), site.key()] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(round);
            File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
            let mode = if round % 2 == 0 { 0o600 } else { 0o400 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    wait_for_looks(&notified, 1);
    wait_for_looks(&polled, 3);
    for host in [&notified, &polled] {
        assert_eq!(host.reload_wait(), Outcome::Unchanged);
        assert_eq!(host.status().generation, 1);
        assert_eq!(host.recorder.all().len(), 1, "{:#?}", host.recorder.all());
    }
}

#[test]
fn scenario_11_a_renewed_intermediate_under_the_same_leaf_is_a_reload() {
    let authority = Authority::new();
    let pair = authority.issue(&[NAME]);
    let site = Site::plain(&pair);
    let hosts = [notified(&site), polled(&site)];
    for renewal in 1..=3 {
        let renewed = authority.reissue_intermediate(&pair);
        replace(&site.chain(), &renewed.chain);
        let issued = CertificateDer::pem_slice_iter(renewed.chain.as_bytes()).nth(1).unwrap();
        for host in &hosts {
            host.recorder.wait_for_generation(renewal + 1);
            assert_eq!(host.sha256(), pair.sha256);
            assert!(host.intermediate() == issued.as_ref().unwrap().as_ref(), "the old one");
        }
    }
}

#[test]
fn scenario_12_a_writer_that_pauses_for_two_seconds_gives_one_reload() {
    let authority = Authority::new();
    let first = authority.issue(&[NAME]);
    let site = Site::plain(&first);
    let hosts = [notified(&site), polled(&site)];
    let next = authority.issue(&[NAME]);
    let (ledger, clients) = (Ledger::default(), trusting(&authority));
    ledger.begin(&first);
    thread::scope(|scope| {
        let witness = scope.spawn(|| ledger.witness(&hosts[0], &clients, NAME, true));
        let end = EndOf(&ledger);
        ledger.begin(&next);
        for (path, text) in [(site.key(), &next.key), (site.chain(), &next.chain)] {
            let mut file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
            // In the middle of a line.
            file.write_all(&text.as_bytes()[..100]).unwrap();
            thread::sleep(Duration::from_secs(1));
            for host in &hosts {
                assert_eq!(host.status().generation, 1);
                assert_eq!(host.status().health, Health::Ok, "pending is not stale");
            }
            file.write_all(&text.as_bytes()[100..]).unwrap();
        }
        for host in &hosts {
            host.wait_until_loaded(&next);
            host.recorder.wait_for_generation(2);
            assert_eq!(host.recorder.all().len(), 2, "{:#?}", host.recorder.all());
        }
        drop(end);
        witness.join().unwrap();
    });
}

#[test]
fn scenario_15_reading_is_no_trigger() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let host = notified(&site);
    // What arming set off is over.
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    let before = host.status().unchanged;
    for _ in 0..200 {
        fs::read(site.chain()).unwrap();
        fs::read(site.key()).unwrap();
        fs::read_dir(site.path("live")).unwrap().for_each(drop);
    }
    // A change at the end that is nothing: whatever the reads had set off would come before it.
    let path = site.path("live/chain.pem");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    wait_for_looks(&host, 1);
    assert_eq!(host.status().unchanged, before + 1, "somebody's reading made the host look");
    // And its own reading least of all.
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(host.status().unchanged, before + 2, "its own reading made the host look");
}

#[test]
fn scenario_19_one_bad_pair_of_many_keeps_its_last_good_version_alone() {
    let names: Vec<_> = (0..40).map(|number| format!("site{number}.test")).collect();
    let mut sites: Vec<_> = names.iter().map(|name| Site::plain(&Pair::new(&[name]))).collect();
    let options = sites
        .iter()
        .fold(Builder::new(), |options, site| options.identity(&site.chain(), &site.key()));
    let host = options.poll_ms(NEVER).debounce_ms(10, 200).open();
    let old = host.served(&names[7]);
    write_private(&sites[7].key(), "garbage");
    let fresh: Vec<_> = names.iter().map(|name| Pair::new(&[name])).collect();
    for (number, pair) in fresh.iter().enumerate().filter(|(number, _)| *number != 7) {
        sites[number].renew(pair);
    }
    let failed = host.recorder.wait_for_failures(1);
    assert_eq!(Path::new(&failed[0].path), sites[7].key());
    for (number, pair) in fresh.iter().enumerate() {
        let expected = if number == 7 { &old } else { &pair.sha256 };
        host.wait_until_served(&names[number], expected);
    }
    sites[7].renew(&fresh[7]);
    host.wait_until_served(&names[7], &fresh[7].sha256);
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    assert_eq!(host.status().health, Health::Ok);
    assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 1);
}

#[test]
fn scenario_23_a_change_between_the_first_read_and_the_watch_is_found() {
    // The change falls anywhere into opening, which is made to take a while by many identities.
    let mut site = Site::new(Writer::AncestorExchanged, &Pair::new(&[NAME]));
    for round in 0..25_u64 {
        let options = (0..30).fold(Builder::new().poll_ms(NEVER), |options, _| {
            options.identity(&site.chain(), &site.key())
        });
        let next = Pair::new(&[NAME]);
        let host = thread::scope(|scope| {
            let opening = scope.spawn(|| options.try_open());
            // Not to wait for anything: each round strikes at another moment.
            thread::sleep(Duration::from_micros(700 * round));
            site.renew(&next);
            opening.join().unwrap()
        });
        // The exchange is one step, so there is no moment without a pair.
        let host = host.unwrap();
        host.wait_until_loaded(&next);
    }
}

#[test]
fn scenario_24_an_explicit_reload_is_not_overridden_by_a_background_one() {
    let authority = Authority::new();
    let mut last = authority.issue(&[NAME]);
    let mut site = Site::new(Writer::Kubernetes, &last);
    // Background looks all the time: by notification at once, by poll, and by other requests.
    let host =
        Builder::new().identity(&site.chain(), &site.key()).poll_ms(10).debounce_ms(0, 60_000);
    let host = host.open();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                host.reload();
                thread::yield_now();
            }
        });
        for _ in 0..100 {
            last = authority.issue(&[NAME]);
            site.renew(&last);
            let answer = host.reload_wait();
            assert!(matches!(answer, Outcome::Ok | Outcome::Unchanged), "{answer:?}");
            for _ in 0..20 {
                assert_eq!(host.sha256(), last.sha256, "older files override newer ones");
            }
        }
        over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn scenario_25_links_repointed_to_an_expired_pair_are_refused() {
    let authority = Authority::new();
    let good = authority.issue(&[NAME]);
    let mut site = Site::new(Writer::Certbot, &good);
    let host = notified(&site);
    let expired = authority.issue_with(&[NAME], in_the_past);
    for (name, text) in [("chain", &expired.chain), ("key", &expired.key)] {
        let target = site.path(&format!("live/archive/a/0.{name}.pem"));
        write_private(&target, text);
        relink(&target, &site.path(&format!("live/live/a/{name}.pem")));
    }
    let failed = host.recorder.wait_for_failures(1);
    assert_eq!(failed[0].result, Outcome::CertificateExpired);
    assert_eq!(host.shown(NAME), (&good).into());
    assert_eq!(host.status().health, Health::Stale);
    site.renew(&good);
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    assert_eq!(host.status().health, Health::Ok);
}

#[test]
fn scenario_26_a_failed_renewal_does_not_look_like_an_expired_certificate() {
    let authority = Authority::new();
    // Expires in two seconds.
    let now = SystemTime::now();
    let short = authority.issue_with(&[NAME], |params| {
        params.not_before = (now - Duration::from_secs(60)).into();
        params.not_after = (now + Duration::from_secs(2)).into();
    });
    let mut site = Site::plain(&short);
    let host = Builder::new().identity(&site.chain(), &site.key()).debounce_ms(0, 0).open();
    write_private(&site.key(), "");
    assert_eq!(host.reload_wait(), Outcome::FileEmpty);
    assert_eq!(host.status().health, Health::Stale, "the renewal failed; the service is up");
    let deadline = Instant::now() + support::host::PATIENCE;
    while host.status().health != Health::Expired {
        assert!(Instant::now() < deadline, "never expired");
        thread::sleep(Duration::from_millis(20));
    }
    let renewed = authority.issue(&[NAME]);
    site.renew(&renewed);
    assert!(matches!(host.reload_wait(), Outcome::Ok | Outcome::Unchanged));
    assert_eq!(host.status().health, Health::Ok);
}

#[test]
fn scenario_29_after_a_storm_of_requests_nothing_is_lost() {
    let authority = Authority::new();
    let mut site = Site::plain(&authority.issue(&[NAME]));
    let host = Finder::Request.options(&site).open();
    for _ in 0..20 {
        let next = authority.issue(&[NAME]);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..2_000).for_each(|_| host.reload()));
            }
            site.renew(&next);
        });
        // The last request comes after the last change: no other trigger is there to help.
        host.reload();
        host.wait_until_loaded(&next);
    }
    let status = host.status();
    assert_eq!(status.reloads, 20);
    assert!(status.unchanged < 20_000, "{} looks for 120,000 requests", status.unchanged);
}

#[test]
fn g4_a_poll_accepts_no_chain_that_is_still_growing() {
    let authority = Authority::new();
    let first = authority.issue(&[NAME]);
    let site = Site::plain(&first);
    let host = Builder::new()
        .identity(&site.chain(), &site.key())
        .watch(certreload::ffi::options::watch::certreload_watch::Poll)
        .poll_ms(10)
        .debounce_ms(2_000, 60_000)
        .open();
    // The leaf first, for the key that stays: a good chain, if the one in use had no intermediate.
    let next = authority.renew(&first, &[NAME]);
    let leaf = &next.chain[..next.chain.rfind("-----BEGIN").unwrap()];
    replace(&site.chain(), leaf);
    // Polls see it, and so do requests, and none of them accepts it.
    let deadline = Instant::now() + support::host::PATIENCE;
    while host.identity_status(0).pending == 0 {
        assert!(Instant::now() < deadline, "no poll has found it");
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(host.reload_wait_ms(200), certreload::ffi::result::certreload_result::TimedOut);
    assert_eq!(host.status().generation, 1, "the front of a chain is served");
    replace(&site.chain(), &next.chain);
    host.wait_until_loaded(&next);
    assert_eq!(host.status().generation, 2, "one reload");
    assert!(
        host.recorder.of(certreload::ffi::event::certreload_event_kind::ReloadFailed).is_empty()
    );
}
