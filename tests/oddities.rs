//! Changes that are easily missed: ways that are not there yet, other names for the same file, time
//! stamps that say nothing.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use certreload::ffi::event::{certreload_event_kind as Kind, certreload_trigger as Trigger};
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::{certreload_health as Health, certreload_watch_state as WatchState};
use support::certificates::{Authority, Pair, Site, Writer, replace, write_private};
use support::file_writers::Mapping;
use support::host::Builder;
use support::rotation::{Finder, NAME, NEVER};

#[test]
fn g1_a_way_that_is_not_there_yet_is_followed_as_it_is_built() {
    let authority = Authority::new();
    let first = authority.issue(&[NAME]);
    let site = Site::plain(&first);
    let way = site.path("a/b/c");
    fs::create_dir_all(&way).unwrap();
    let names = ["chain.pem", "key.pem"].map(|name| way.join(name));
    write_private(&names[0], &first.chain);
    write_private(&names[1], &first.key);
    let host = Builder::new().identity(&names[0], &names[1]).poll_ms(NEVER).debounce_ms(5, 100);
    let host = host.open();
    for round in 1..=5 {
        fs::remove_dir_all(site.path("a")).unwrap();
        host.recorder.wait_for_failures(round);
        // Level by level, and each level is looked at before the next one is there. The third is
        // a link to a directory that does not exist yet.
        fs::create_dir(site.path("a")).unwrap();
        assert_eq!(host.reload_wait(), Outcome::FileNotFound);
        fs::create_dir(site.path("a/b")).unwrap();
        assert_eq!(host.reload_wait(), Outcome::FileNotFound);
        let elsewhere = site.path(&format!("elsewhere{round}"));
        symlink(&elsewhere, &way).unwrap();
        assert_eq!(host.reload_wait(), Outcome::FileNotFound);
        let next = authority.issue(&[NAME]);
        fs::create_dir(&elsewhere).unwrap();
        write_private(&names[0], &next.chain);
        write_private(&names[1], &next.key);
        host.wait_until_loaded(&next);
        assert_eq!(host.reload_wait(), Outcome::Unchanged);
    }
    assert_eq!(host.status().watch, WatchState::Notified);
    assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 5);
}

#[test]
fn g1_what_is_written_through_another_hard_link_is_seen() {
    let authority = Authority::new();
    let first = authority.issue(&[NAME]);
    let site = Site::plain(&first);
    fs::create_dir(site.path("store")).unwrap();
    for name in ["chain.pem", "key.pem"] {
        fs::hard_link(site.path("live").join(name), site.path("store").join(name)).unwrap();
    }
    let host = Finder::Notification.options(&site).open();
    for _ in 0..3 {
        let next = authority.issue(&[NAME]);
        write_private(&site.path("store/chain.pem"), &next.chain);
        write_private(&site.path("store/key.pem"), &next.key);
        host.wait_until_loaded(&next);
    }
    assert_eq!(host.status().generation, 4);
}

#[test]
fn g4_what_is_cut_to_its_length_without_being_opened_goes_live() {
    let authority = Authority::new();
    let site = Site::plain(&authority.issue(&[NAME]));
    let host =
        Builder::new().identity(&site.chain(), &site.key()).poll_ms(NEVER).debounce_ms(10, 400);
    let host = host.open();
    let next = authority.issue(&[NAME]);
    let with_rest = format!("{}-----BEGIN CERTIFICATE-----\nrest", next.chain);
    replace(&site.key(), &next.key);
    replace(&site.chain(), &with_rest);
    host.recorder.wait_for_failures(1);
    // truncate(2) writes to a file that nobody opens, and so nobody closes.
    let path = support::host::c_path(&site.chain());
    let length = i64::try_from(next.chain.len()).unwrap();
    // SAFETY: a C string.
    #[allow(unsafe_code, reason = "std opens files before it cuts them")]
    let cut = unsafe { libc::truncate(path.as_ptr(), length) };
    assert_eq!(cut, 0);
    host.wait_until_loaded(&next);
}

#[test]
fn g1_content_that_changes_under_stamps_that_do_not_is_found_when_the_mapping_goes() {
    let authority = Authority::new();
    let first = authority.issue(&[NAME]);
    let site = Site::plain(&first);
    let padded = |text: &str| format!("{text:\n<4096}");
    write_private(&site.chain(), &padded(&first.chain));
    write_private(&site.key(), &padded(&first.key));
    let host = Finder::Notification.options(&site).open();
    let next = authority.issue(&[NAME]);
    let map = |path: &Path| {
        let file = File::options().read(true).write(true).open(path).unwrap();
        Mapping::new(&file, 4096)
    };
    let (chain, key) = (map(&site.chain()), map(&site.key()));
    chain.store(padded(&next.chain).as_bytes());
    key.store(padded(&next.key).as_bytes());
    drop(chain);
    drop(key);
    host.wait_until_loaded(&next);
}

#[test]
fn g1_the_last_of_many_changes_in_one_tick_of_the_clock_is_found_by_polling() {
    // The same size, the same inode, and time stamps that may well be the same.
    let authority = Authority::new();
    let pairs: Vec<_> = (0..40).map(|_| authority.issue(&[NAME])).collect();
    let padded = |text: &str| format!("{text:\n<4096}");
    let site = Site::plain(&pairs[0]);
    let write = |pair: &Pair| {
        for (path, text) in [(site.chain(), &pair.chain), (site.key(), &pair.key)] {
            let file = File::options().write(true).open(path).unwrap();
            file.write_all_at(padded(text).as_bytes(), 0).unwrap();
        }
    };
    let host = Builder::new()
        .identity(&site.chain(), &site.key())
        .watch(Watch::Poll)
        .poll_ms(10)
        .debounce_ms(0, 60_000)
        .open();
    for round in 0..40 {
        for pair in &pairs {
            write(pair);
            // A look may fall between any two of them.
            if round % 2 == 0 {
                host.reload();
            }
        }
        let last = &pairs[round];
        write(last);
        host.wait_until_loaded(last);
    }
    assert!(host.recorder.of(Kind::ReloadFailed).is_empty());
}

#[test]
fn g1_every_writer_is_followed_by_polling_when_the_files_have_been_at_rest() {
    // Only files at rest are polled by their stamps alone: the others are read each time.
    let authority = Authority::new();
    let rest = Duration::from_millis(2_300);
    let sites: Vec<_> = Writer::ALL
        .into_iter()
        .map(|writer| {
            let site = Site::new(writer, &authority.issue(&[NAME]));
            let host = Builder::new()
                .identity(&site.chain(), &site.key())
                .watch(Watch::Poll)
                .poll_ms(50)
                .debounce_ms(10, 60_000)
                .open();
            (writer, site, host)
        })
        .collect();
    thread::sleep(rest);
    for (writer, mut site, host) in sites {
        let next = authority.issue(&[NAME]);
        site.renew(&next);
        host.wait_until_loaded(&next);
        assert_eq!(host.reload_wait(), Outcome::Unchanged, "{writer:?}");
        assert!(writer.shows_halves() || host.status().generation == 2, "{writer:?}");
    }
}

#[test]
fn g3_a_handle_keeps_serving_while_its_files_keep_changing() {
    let authority = Authority::new();
    let first = authority.issue(&[NAME]);
    let site = Site::plain(&first);
    let host = Builder::new().identity(&site.chain(), &site.key()).poll_ms(20).debounce_ms(5, 150);
    let host = host.open();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                write_private(&site.chain(), "never a chain");
                write_private(&site.chain(), "");
            }
        });
        host.recorder.wait_for_failures(1);
        assert_eq!(host.shown(NAME), (&first).into());
        over.store(true, Ordering::SeqCst);
    });
    let next = authority.issue(&[NAME]);
    write_private(&site.chain(), &next.chain);
    write_private(&site.key(), &next.key);
    host.wait_until_loaded(&next);
    assert!(matches!(host.reload_wait(), Outcome::Ok | Outcome::Unchanged));
    assert_eq!(host.status().health, Health::Ok);
}

#[test]
fn g1_a_place_that_is_reached_by_two_ways_is_watched_for_both() {
    let authority = Authority::new();
    let mut site = Site::new(Writer::Rename, &authority.issue(&[NAME]));
    symlink(".", site.path("same")).unwrap();
    let around = site.path("same/same/same/live/key.pem");
    let host =
        Builder::new().identity(&site.chain(), &around).poll_ms(NEVER).debounce_ms(10, 60_000);
    let host = host.open();
    for _ in 0..5 {
        let next = authority.issue(&[NAME]);
        site.renew(&next);
        host.wait_until_loaded(&next);
    }
    host.recorder.wait_for_generation(6);
    let seen = host.recorder.all();
    assert_eq!(seen.len(), 6, "{seen:#?}");
    assert!(seen[1..].iter().all(|seen| seen.trigger == Trigger::Watch), "{seen:#?}");
}

/// The chain of a renewal with the same key, of which the end is still what was there before: the
/// certificate's content is new, its signature the old one's.
fn half_overwritten(authority: &Authority, before: &Pair) -> String {
    let lines = |chain: &str| chain.lines().map(str::to_owned).collect::<Vec<_>>();
    let old = lines(&before.chain);
    let end = old.iter().position(|line| line.starts_with("-----END")).unwrap();
    loop {
        let new = lines(&authority.renew(before, &[NAME]).chain);
        // Lengths differ by a byte now and then.
        let same_length = new.iter().map(String::len).eq(old.iter().map(String::len));
        if same_length {
            return [&new[..end - 2], &old[end - 2..]].concat().join("\n") + "\n";
        }
    }
}

#[test]
fn g4_a_certificate_that_is_new_in_front_and_old_behind_is_never_served() {
    let authority = Authority::new();
    let mut pair = authority.issue(&[NAME]);
    let mut site = Site::plain(&pair);
    let polled = Builder::new()
        .identity(&site.chain(), &site.key())
        .watch(Watch::Poll)
        .poll_ms(15)
        .debounce_ms(10, 200);
    let hosts = [
        polled.open(),
        Builder::new().identity(&site.chain(), &site.key()).debounce_ms(10, 200).open(),
    ];
    for round in 1..=5 {
        // The writer overwrites without truncating, and is held up, or has died.
        write_private(&site.chain(), &half_overwritten(&authority, &pair));
        for host in &hosts {
            let told = host.recorder.wait_for_failures(round).pop().unwrap();
            assert_eq!(told.result, Outcome::CertificateMalformed, "{}", told.message);
            assert_eq!(host.shown(NAME), (&pair).into());
        }
        pair = authority.renew(&pair, &[NAME]);
        site.renew(&pair);
        for host in &hosts {
            host.wait_until_loaded(&pair);
        }
    }
}
