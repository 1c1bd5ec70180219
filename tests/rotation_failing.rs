//! Notifications that fail half-way (G19): whatever the writers do meanwhile, it is followed by
//! polling, told, and once the kernel tells of changes again it is followed by that.
//!
//! A program of its own, for the failure is one of the whole process.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use certreload::ffi::event::{certreload_event_kind as Kind, certreload_trigger as Trigger};
use certreload::ffi::status::certreload_watch_state as WatchState;
use certreload::testing::{break_watch, break_watch_reads, mend_watch};
use support::certificates::{Authority, Pair, Site, Writer};
use support::driver::Driver;
use support::host::{Builder, PATIENCE};
use support::rotation::{Finder, NAME, Row, run_all};
use support::shapes::Shape;

/// One test at a time: what one breaks is broken for the other.
static ALONE: Mutex<()> = Mutex::new(());

/// Mends the watch whatever happens.
struct Mended;

impl Drop for Mended {
    fn drop(&mut self) {
        mend_watch();
    }
}

#[test]
fn g19_every_writer_is_followed_while_notification_breaks_and_comes_back() {
    let _alone = ALONE.lock();
    let _mended = Mended;
    // Each writer on one shape, in turn, so that all of both are met.
    let shapes = Shape::all().cycle();
    let driver = Driver::of_this_run();
    let rows: Vec<_> = Writer::ALL
        .into_iter()
        .cycle()
        .zip(shapes)
        .take(3 * Writer::ALL.len())
        .map(|(writer, shape)| Row { writer, shape, finder: Finder::Failing, driver })
        .collect();
    let (over, broken) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                // The pace at which it breaks, and not a wait for anything.
                break_watch();
                thread::sleep(Duration::from_millis(70));
                mend_watch();
                thread::sleep(Duration::from_millis(110));
                broken.fetch_add(1, Ordering::SeqCst);
            }
        });
        let done = std::panic::catch_unwind(|| run_all(&rows, &Authority::new(), 3));
        over.store(true, Ordering::SeqCst);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    println!("broken and mended {} times", broken.into_inner());
}

#[test]
fn g19_a_broken_watch_is_reported_replaced_by_polls_and_restored() {
    let _alone = ALONE.lock();
    let _mended = Mended;
    let mut site = Site::new(Writer::Kubernetes, &Pair::new(&[NAME]));
    // Two of them: all handles share the watch.
    let hosts =
        [(), ()].map(|()| Builder::new().identity(&site.chain(), &site.key()).poll_ms(300).open());
    for _ in 0..3 {
        break_watch();
        for host in &hosts {
            wait_for(host, WatchState::Degraded);
        }
        let next = Pair::new(&[NAME]);
        site.renew(&next);
        for host in &hosts {
            host.wait_until_served(NAME, &next.sha256);
        }
        mend_watch();
        for host in &hosts {
            wait_for(host, WatchState::Notified);
        }
        let next = Pair::new(&[NAME]);
        site.renew(&next);
        for host in &hosts {
            host.wait_until_served(NAME, &next.sha256);
        }
    }
    for host in &hosts {
        host.recorder.wait_for_generation(7);
        let seen = host.recorder.all();
        let kinds: Vec<_> = seen.iter().map(|seen| seen.kind).collect();
        let round = [Kind::WatchDegraded, Kind::Reloaded, Kind::WatchRestored, Kind::Reloaded];
        assert_eq!(kinds[1..], round.repeat(3), "{seen:#?}");
        let triggers: Vec<_> = seen.iter().map(|seen| seen.trigger).collect();
        // The look that the break itself sets off may find the change, and a poll may come before the
        // watch that is back; but not each time.
        let some = |at: usize, trigger| triggers[1..].chunks(4).any(|round| round[at] == trigger);
        assert!(some(1, Trigger::Poll) && some(3, Trigger::Watch), "{seen:#?}");
        let words = &seen[1].message;
        assert!(words.contains("polling"), "{words}");
    }
}

#[test]
fn g19_a_watch_that_reads_no_events_is_reported_and_replaced_by_polls() {
    let _alone = ALONE.lock();
    let _mended = Mended;
    let mut site = Site::new(Writer::Kubernetes, &Pair::new(&[NAME]));
    let host = Builder::new().identity(&site.chain(), &site.key()).poll_ms(300).open();
    break_watch_reads();
    wait_for(&host, WatchState::Degraded);
    let next = Pair::new(&[NAME]);
    site.renew(&next);
    host.wait_until_served(NAME, &next.sha256);
    mend_watch();
    wait_for(&host, WatchState::Notified);
    let next = Pair::new(&[NAME]);
    site.renew(&next);
    host.wait_until_served(NAME, &next.sha256);
}

fn wait_for(host: &support::host::Host, state: WatchState) {
    let deadline = Instant::now() + PATIENCE;
    while host.status().watch != state {
        assert!(Instant::now() < deadline, "never {state:?}: {:#?}", host.recorder.all());
        thread::sleep(Duration::from_millis(1));
    }
}
