//! Writers in trouble, and writers without end.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;

use super::alone::{Needs, alone};
use super::mounts::mount;
use super::support::certificates::{Pair, Site, Writer, write_private};
use super::support::host::{Host, PATIENCE, Seen};
use super::{Kind, NAME, NEVER, options};

#[test]
fn g4_a_file_cut_off_by_a_full_disk_is_reported_once_and_loaded_when_it_is_complete() {
    alone(Needs::Mounts, || {
        for poll in [NEVER, 50] {
            let (old, mut new) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
            // Long enough that half of it finds room.
            (0..20).for_each(|_| new.chain += &Pair::new(&["intermediate.test"]).chain);
            let site = Site::plain(&old);
            let live = site.path("live");
            mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"], &live);
            write_private(&site.chain(), &old.chain);
            write_private(&site.key(), &old.key);
            let host = options(&site).poll_ms(poll).debounce_ms(20, 3000).open();
            let filler = live.join("filler");
            fill(&filler);
            // In place: what it had is gone before it is found that the new does not fit.
            let mut file = File::create(site.chain()).unwrap();
            let cut_off = file.write_all(new.chain.as_bytes()).unwrap_err();
            assert_eq!(cut_off.kind(), ErrorKind::StorageFull);
            drop(file);
            let written = fs::metadata(site.chain()).unwrap().len();
            assert!((1..new.chain.len() as u64).contains(&written), "{written}");
            assert_eq!(host.reload_wait_ms(300), Outcome::TimedOut, "pending");
            assert_eq!(host.status().health, Health::Ok);
            let failure = host.recorder.wait_for_failures(1).remove(0);
            assert_eq!(failure.result, Outcome::PemTruncated, "{failure:?}");
            assert_eq!(failure.path, site.chain().to_str().unwrap());
            assert_eq!(host.reload_wait(), Outcome::PemTruncated);
            assert_eq!(host.served(NAME), old.sha256);
            assert_eq!(host.status().health, Health::Stale);
            fs::remove_file(&filler).unwrap();
            write_private(&site.chain(), &new.chain);
            write_private(&site.key(), &new.key);
            host.wait_until_served(NAME, &new.sha256);
            assert_eq!(host.reload_wait(), Outcome::Unchanged);
            assert_eq!(host.status().health, Health::Ok);
            assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 1, "told once");
        }
    });
}

/// Leaves one page: a temporary file system gives room out in pages.
fn fill(path: &Path) {
    let mut filler = File::create(path).unwrap();
    let full = (0..).find_map(|_| filler.write_all(&[0; 4096]).err()).unwrap();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
}

#[test]
fn g2_files_that_change_at_every_moment_are_never_served_half() {
    for writer in [Writer::Rename, Writer::InPlace, Writer::Recreate, Writer::Kubernetes] {
        for watch in [Watch::Auto, Watch::Poll] {
            endless_change(writer, watch);
        }
    }
}

/// Renewals without a pause: each handshake is with one of the pairs. When they end, the last one is
/// served.
fn endless_change(writer: Writer, watch: Watch) {
    let pairs: Vec<_> = (0..8).map(|_| Pair::new(&[NAME])).collect();
    let mut site = Site::new(writer, &pairs[0]);
    let host = options(&site).watch(watch).poll_ms(20).debounce_ms(5, 200).open();
    let stop = AtomicBool::new(false);
    let last = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut last = &pairs[0];
            for pair in pairs.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    return last;
                }
                site.renew(pair);
                last = pair;
            }
            unreachable!("pairs without end");
        });
        let known = |served: &String| pairs.iter().any(|pair| pair.sha256 == *served);
        // An interval for things to go wrong in.
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            let served = host.served(NAME);
            assert!(known(&served), "{writer:?}, {watch:?}: never written: {served}");
        }
        stop.store(true, Ordering::Relaxed);
        writing.join().unwrap()
    });
    recovers(&host, last);
    let failures = host.recorder.of(Kind::ReloadFailed);
    let of_a_pair_on_the_move = |result| {
        matches!(
            result,
            Outcome::FileUnstable
                | Outcome::KeyMismatch
                | Outcome::FileEmpty
                | Outcome::FileNotFound
                | Outcome::PemTruncated
        )
    };
    for failure in &failures {
        assert!(of_a_pair_on_the_move(failure.result), "{writer:?}, {watch:?}: {failure:?}");
    }
    let told_twice = |two: &[Seen]| two.iter().all(|seen| seen.result == Outcome::FileUnstable);
    let all = host.recorder.all();
    assert!(!all.windows(2).any(told_twice), "{writer:?}, {watch:?}: told twice: {all:#?}");
}

#[test]
fn g3_garbage_that_keeps_changing_is_reported_and_the_old_pair_is_served() {
    endless_garbage(Watch::Auto);
    endless_garbage(Watch::Poll);
}

fn endless_garbage(watch: Watch) {
    let (old, new) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
    let mut site = Site::plain(&old);
    let host = options(&site).watch(watch).poll_ms(20).debounce_ms(5, 200).open();
    let begun = Instant::now();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // In place, and open all the while: it is another file at each moment.
            let file = File::create(site.chain()).unwrap();
            for number in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                file.write_all_at(format!("garbage {number}\n").repeat(1000).as_bytes(), 0)
                    .unwrap();
            }
        });
        host.recorder.wait_for_failures(1);
        // An interval for things to go wrong in.
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            assert_eq!(host.served(NAME), old.sha256);
        }
        assert_eq!(host.status().health, Health::Stale);
        stop.store(true, Ordering::Relaxed);
    });
    // Each content that is bad is told of, and none before the incomplete-file timeout.
    let most = usize::try_from(begun.elapsed().as_millis()).unwrap() / 200 + 1;
    site.renew(&new);
    recovers(&host, &new);
    let told = host.recorder.of(Kind::ReloadFailed).len();
    assert!((1..=most).contains(&told), "{watch:?}: {told} failures told, at most {most} expected");
}

fn recovers(host: &Host, last: &Pair) {
    host.wait_until_served(NAME, &last.sha256);
    let deadline = Instant::now() + PATIENCE;
    while host.reload_wait() != Outcome::Unchanged {
        assert!(Instant::now() < deadline, "{:#?}", host.recorder.all());
    }
    assert_eq!(host.served(NAME), last.sha256);
    assert_eq!(host.status().health, Health::Ok);
}
