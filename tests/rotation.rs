//! However the files change, what is served follows them (G1–G5).

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]
#![allow(clippy::wildcard_imports, reason = "one C name after another")]

mod support;

use std::fs;
use std::io::Write;

use certreload::ffi::event::{certreload_event_kind as Kind, certreload_trigger as Trigger};
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::{certreload_health as Health, certreload_watch_state as WatchState};
use support::certificates::{Authority, Pair, Site, Writer, replace, write_private};
use support::driver::Driver;
use support::host::{Builder, Seen};
use support::rotation::{Finder, NAME, NEVER, Row, run_all};
use support::shapes::Shape;

fn options(site: &Site) -> Builder {
    Builder::new().identity(&site.chain(), &site.key())
}

/// Every writer on every shape: 308 rows.
fn rows(finder: Finder) -> impl Iterator<Item = Row> {
    let driver = Driver::of_this_run();
    let on_all_shapes =
        move |writer| Shape::all().map(move |shape| Row { writer, shape, finder, driver });
    Writer::ALL.into_iter().flat_map(on_all_shapes)
}

/// Every writer on the plain shape and on another, by turns, so that all of both are met: 56 rows, driven
/// by the host.
fn rows_of_host(finder: Finder) -> impl Iterator<Item = Row> {
    let driver = Driver::Host;
    let others = Shape::all().filter(|shape| *shape != Shape::Plain).cycle();
    let pairs = Writer::ALL.into_iter().zip(others);
    pairs
        .flat_map(|(writer, shape)| [(writer, Shape::Plain), (writer, shape)])
        .map(move |(writer, shape)| Row { writer, shape, finder, driver })
}

#[test]
fn g1_every_writer_on_every_shape_is_followed_by_notification() {
    let rows: Vec<_> = rows(Finder::Notification).collect();
    run_all(&rows, &Authority::new(), 3);
}

/// Half of the rows; the other half is the next test's.
#[test]
fn g1_every_writer_is_followed_by_polling_alone() {
    let rows: Vec<_> = rows(Finder::Polling).step_by(2).collect();
    run_all(&rows, &Authority::new(), 3);
}

#[test]
fn g6_every_writer_is_followed_by_request() {
    let rows: Vec<_> = rows(Finder::Request).skip(1).step_by(2).collect();
    run_all(&rows, &Authority::new(), 3);
}

/// All rows of the three above are run like this with `CERTRELOAD_TEST_DRIVER=host`.
#[test]
fn g1_every_writer_is_followed_by_a_host_that_does_the_work() {
    let notified = rows_of_host(Finder::Notification);
    let polling = rows_of_host(Finder::Polling).skip(1).step_by(8);
    let asking = rows_of_host(Finder::Request).skip(3).step_by(8);
    let rows: Vec<_> = notified.chain(polling).chain(asking).collect();
    run_all(&rows, &Authority::new(), 3);
}

#[test]
fn g4_a_key_that_lands_late_is_waited_for() {
    let (old, new) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
    let site = Site::plain(&old);
    let host = options(&site).poll_ms(NEVER).debounce_ms(20, 30_000).open();
    replace(&site.chain(), &new.chain);
    // An explicit reload sees the mismatch for certain, and finds it pending, not failed.
    assert_eq!(host.reload_wait_ms(200), Outcome::TimedOut);
    assert_eq!(host.sha256(), old.sha256);
    assert_eq!(host.status().health, Health::Ok, "pending is not stale");
    replace(&site.key(), &new.key);
    host.wait_until_served(NAME, &new.sha256);
    host.recorder.wait_for_generation(2);
    assert!(host.recorder.of(Kind::ReloadFailed).is_empty());
}

#[test]
fn g4_a_file_that_is_open_for_writing_is_waited_for() {
    let (old, other) = (Pair::new(&[NAME]), Pair::new(&["intermediate.test"]));
    let site = Site::plain(&old);
    let patient = options(&site).poll_ms(10).debounce_ms(10, 60_000).open();
    let hasty = options(&site).poll_ms(NEVER).debounce_ms(10, 200).open();
    // Every prefix that ends with a certificate is a good chain: only that the writer has not
    // closed the file tells that it is not all.
    let mut file = fs::File::options().write(true).truncate(true).open(site.chain()).unwrap();
    write!(file, "{}{}", old.chain, other.chain).unwrap();
    // The hasty one gives up waiting for the writer and takes what is there, long after the quiet
    // time of both, and after many a poll of the patient one.
    hasty.recorder.wait_for_generation(2);
    assert_eq!(patient.status().generation, 1, "read while its writer had it open");
    drop(file);
    patient.recorder.wait_for_generation(2);
}

#[test]
fn g5_what_does_not_change_is_nothing() {
    let pair = Pair::new(&[NAME]);
    let mut site = Site::plain(&pair);
    let host = options(&site).poll_ms(NEVER).open();
    let before = host.status();
    // Touched, chmodded, and replaced by its equal.
    fs::File::options()
        .append(true)
        .open(site.key())
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    site.renew(&pair);
    for _ in 0..3 {
        assert_eq!(host.reload_wait(), Outcome::Unchanged);
    }
    let after = host.status();
    assert_eq!(after.generation, before.generation);
    assert!(after.unchanged >= before.unchanged + 3);
    assert_eq!(after.last_result, Outcome::Unchanged);
    // The event of the first load, and nothing else.
    host.recorder.wait_for_generation(1);
    assert_eq!(host.recorder.all().len(), 1);
}

#[test]
fn g1_a_change_with_the_old_time_and_size_is_seen() {
    let (old, new) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
    let site = Site::plain(&old);
    let host = options(&site).watch(Watch::Poll).poll_ms(20).open();
    for (path, text) in [(site.chain(), &new.chain), (site.key(), &new.key)] {
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        write_private(&path, text);
        fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    }
    host.wait_until_served(NAME, &new.sha256);
}

#[test]
fn g1_nothing_is_missed_while_the_handle_is_opened() {
    // A writer that never rests: whenever the handle is opened, a change falls between the first
    // read and the watch.
    let pairs: Vec<_> = (0..4).map(|_| Pair::new(&[NAME])).collect();
    let mut site = Site::new(Writer::Kubernetes, &pairs[0]);
    for round in 0..60_usize {
        let host = options(&site).poll_ms(NEVER).open();
        let pair = &pairs[(round + 1) % pairs.len()];
        site.renew(pair);
        host.wait_until_served(NAME, &pair.sha256);
    }
}

#[test]
fn g1_nothing_is_missed_while_a_second_handle_is_opened_on_a_directory_that_is_watched() {
    let mut last = Pair::new(&[NAME]);
    let mut site = Site::new(Writer::Rename, &last);
    let first = options(&site).poll_ms(NEVER).open();
    for round in 0..30_u64 {
        let next = Pair::new(&[NAME]);
        // Many identities, so that opening takes a while, and the change falls into it.
        let many = (0..20).fold(Builder::new().poll_ms(NEVER), |builder, _| {
            builder.identity(&site.chain(), &site.key())
        });
        let second = std::thread::scope(|scope| {
            let opening = scope.spawn(|| many.try_open());
            // Not to wait for anything: each round strikes at another moment.
            std::thread::sleep(std::time::Duration::from_millis(round));
            site.renew(&next);
            opening.join().unwrap()
        });
        // A pair that was caught between its two files is refused at open; that is no miss.
        if let Ok(second) = second {
            second.wait_until_served(NAME, &next.sha256);
        }
        first.wait_until_served(NAME, &next.sha256);
        last = next;
    }
    assert_eq!(first.served(NAME), last.sha256);
}

#[test]
fn g1_a_directory_that_is_renamed_and_linked_anew_is_followed() {
    let mut last = Pair::new(&[NAME]);
    let site = Site::plain(&last);
    let link = site.path("current");
    std::os::unix::fs::symlink("live", &link).unwrap();
    let (chain, key) = (link.join("chain.pem"), link.join("key.pem"));
    let host = Builder::new().identity(&chain, &key).poll_ms(NEVER).open();
    let mut at = site.path("live");
    for round in 0..20 {
        // The same directory, by its inode, under another name.
        let next = site.path(&format!("release{round}"));
        fs::rename(&at, &next).unwrap();
        at = next;
        let temporary = site.path("new-link");
        std::os::unix::fs::symlink(&at, &temporary).unwrap();
        fs::rename(&temporary, &link).unwrap();
        last = Pair::new(&[NAME]);
        replace(&chain, &last.chain);
        replace(&key, &last.key);
        host.wait_until_served(NAME, &last.sha256);
    }
    assert_eq!(host.served(NAME), last.sha256);
    assert!(host.recorder.of(Kind::WatchDegraded).is_empty(), "{:#?}", host.recorder.all());
    assert!(host.recorder.of(Kind::ReloadFailed).is_empty());
}

#[test]
fn g3_a_failure_lasts_and_is_reported_once_whatever_comes_between() {
    let good = Pair::new(&[NAME]);
    let mut site = Site::plain(&good);
    let host = options(&site).poll_ms(NEVER).debounce_ms(0, 200).open();
    write_private(&site.chain(), "broken");
    host.recorder.wait_for_failures(1);
    assert_eq!(host.status().health, Health::Stale);
    // Missing for a moment, which may mend itself, and then as broken as before.
    fs::remove_file(site.chain()).unwrap();
    assert_eq!(host.reload_wait_ms(0), Outcome::TimedOut);
    assert_eq!(host.status().health, Health::Stale, "while it is pending");
    write_private(&site.chain(), "broken");
    assert_eq!(host.reload_wait(), Outcome::NoCertificate);
    assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 1);
    site.renew(&good);
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    assert_eq!(host.status().health, Health::Ok);
}

#[test]
fn g3_the_end_of_a_failure_is_reported_if_the_files_are_as_before() {
    let (good, new) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
    let (mut site, healthy) = (Site::plain(&good), Site::plain(&Pair::new(&["b.test"])));
    let options = Builder::new().identity(&healthy.chain(), &healthy.key());
    let options = options.identity(&site.chain(), &site.key());
    let host = options.poll_ms(NEVER).debounce_ms(0, 200).open();
    let recovered = |seen: &[Seen]| {
        let all = seen.iter().filter(|seen| seen.kind == Kind::Recovered);
        all.cloned().collect::<Vec<_>>()
    };
    for round in 1..=3 {
        write_private(&site.chain(), "broken");
        host.recorder.wait_for_failures(round);
        site.renew(&good);
        let all = host.recorder.wait_until("the end", |seen| recovered(seen).len() >= round);
        let event = recovered(&all).pop().unwrap();
        assert_eq!((event.result, event.generation), (Outcome::Ok, 1), "{event:?}");
        assert_eq!(event.path, site.chain().to_str().unwrap());
        let words = "chain.pem: can be used again, and is unchanged; serving generation 1";
        assert!(event.message.ends_with(words), "{event:?}");
        // Files that are as good as before report nothing.
        assert_eq!(host.reload_wait(), Outcome::Unchanged);
        assert_eq!(recovered(&host.recorder.all()).len(), round);
    }
    // The event names the path and the trigger of what it ends: the first pass found a key that does not match.
    let broken = Pair::new(&[NAME]);
    write_private(&site.key(), &broken.key);
    assert_eq!(host.recorder.wait_for_failures(4)[3].path, site.key().to_str().unwrap());
    site.renew(&good);
    let all = host.recorder.wait_until("the end", |seen| recovered(seen).len() >= 4);
    let event = recovered(&all).pop().unwrap();
    assert_eq!(event.path, site.key().to_str().unwrap());
    assert_eq!(event.trigger, Trigger::Watch);
    // New files report RELOADED and nothing else.
    write_private(&site.chain(), "broken");
    host.recorder.wait_for_failures(5);
    site.renew(&new);
    host.recorder.wait_for_generation(2);
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    assert_eq!(recovered(&host.recorder.all()).len(), 4);
}

#[test]
fn g3_a_missing_directory_is_reported_once_and_its_return_found() {
    let (old, new) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
    let mut site = Site::new(Writer::SwapDirectory, &old);
    let host = options(&site).poll_ms(NEVER).debounce_ms(20, 300).open();
    fs::remove_dir_all(site.path("live")).unwrap();
    let failures = host.recorder.wait_for_failures(1);
    assert_eq!(failures[0].result, Outcome::FileNotFound);
    assert_eq!(failures[0].path, site.chain().to_str().unwrap());
    assert_eq!(host.served(NAME), old.sha256);
    assert_eq!(host.status().health, Health::Stale);
    site.renew(&new);
    host.wait_until_served(NAME, &new.sha256);
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    assert_eq!(host.status().health, Health::Ok);
    assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 1);
}

#[test]
fn g3_a_bad_unit_keeps_its_last_good_version_and_others_are_renewed() {
    let (a, b) = (Pair::new(&["a.test"]), Pair::new(&["b.test"]));
    let (mut site_a, mut site_b) = (Site::plain(&a), Site::plain(&b));
    let host = Builder::new()
        .identity(&site_a.chain(), &site_a.key())
        .identity(&site_b.chain(), &site_b.key())
        .poll_ms(NEVER)
        .debounce_ms(0, 0)
        .open();
    let next_a = Pair::new(&["a.test"]);
    write_private(&site_b.key(), "garbage");
    site_a.renew(&next_a);
    assert_eq!(host.reload_wait(), Outcome::NoPrivateKey);
    assert_eq!(host.served("a.test"), next_a.sha256);
    assert_eq!(host.served("b.test"), b.sha256);
    assert_eq!(host.served("nobody.test"), next_a.sha256);
    let next_b = Pair::new(&["b.test"]);
    site_b.renew(&next_b);
    assert!(matches!(host.reload_wait(), Outcome::Ok | Outcome::Unchanged));
    assert_eq!(host.served("b.test"), next_b.sha256);
    assert_eq!(host.status().health, Health::Ok);
}

#[test]
fn g19_the_status_shows_the_state_of_the_watch() {
    let site = Site::plain(&Pair::new(&[NAME]));
    for (mode, state) in [
        (Watch::Auto, WatchState::Notified),
        (Watch::Poll, WatchState::Polling),
        (Watch::Off, WatchState::Off),
    ] {
        assert_eq!(options(&site).watch(mode).open().status().watch, state);
    }
}
