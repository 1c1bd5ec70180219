//! Torture: random changes from all writers, good and bad, while clients connect all the time. No
//! handshake may fail or show what was never whole on disk, and every good state must go live. File systems that hang
//! or are slow are mixed in: they may delay nothing but the identities that are on them.
//!
//! `CERTRELOAD_TORTURE_SEED` replays the sequence of changes that a run has printed, and
//! `CERTRELOAD_TORTURE_CHANGES` says how many there are.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, unreachable_pub, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod clients;
#[path = "../hung_mounts/fuse.rs"]
mod fuse;
mod history;
mod mounts;
mod script;
mod told;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clients::Crowd;
use script::Script;

/// A few hundred by default: some seconds.
const CHANGES: u64 = 400;
/// Longer than anything takes without an end.
const HANG: Duration = Duration::from_secs(90);

#[test]
fn torture() {
    let seed = number("CERTRELOAD_TORTURE_SEED").unwrap_or_else(seed_of_now);
    let changes = number("CERTRELOAD_TORTURE_CHANGES").unwrap_or(CHANGES);
    say(&format!("CERTRELOAD_TORTURE_SEED={seed} CERTRELOAD_TORTURE_CHANGES={changes}"));
    let begun = Instant::now();
    let progress = Arc::new(AtomicU64::new(0));
    watch_for_hangs(progress.clone());

    let mut script = Script::new(seed);
    let crowd = Crowd::start(script.hosts(), script.histories(), script.authority());
    let warm_up = changes / 4;
    let mut before = None;
    for change in 0..changes {
        if change == warm_up {
            script.put_all_right();
            before = Some(crowd.measure());
        }
        script.step();
        progress.store(change, Ordering::SeqCst);
        crowd.check();
    }
    script.put_all_right();
    let after = crowd.measure();
    let met = crowd.end();
    let counted = script.end();
    say(&format!("{counted}\n{met}\nin {:.1} s", begun.elapsed().as_secs_f64()));
    if let Some(before) = before {
        say(&format!("{before}; at the end {after}"));
        // What grows at first has grown after a thousand changes: caches, heaps of threads.
        let percent = if warm_up >= 1_000 { 5 } else { 50 };
        after.assert_flat_since(&before, percent);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap() % 1_000_000_000
}

/// To people, even where the output of tests that pass is not shown.
fn say(words: &str) {
    let mut stderr = std::io::stderr();
    for line in words.lines() {
        writeln!(stderr, "torture: {line}").unwrap();
    }
}

fn watch_for_hangs(progress: Arc<AtomicU64>) {
    thread::spawn(move || {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            thread::sleep(Duration::from_secs(1));
            let now = progress.load(Ordering::SeqCst);
            if now != last {
                (last, since) = (now, Instant::now());
            }
            if since.elapsed() > HANG {
                say(&format!("HANGS after change {now}"));
                std::process::exit(101);
            }
        }
    });
}
