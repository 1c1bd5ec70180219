//! What a look costs: files that have not changed are not even opened.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]
#![allow(clippy::wildcard_imports, reason = "one C name after another")]

mod support;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use certreload::ffi::options::watch::certreload_watch as Watch;
use inotify::{Inotify, WatchMask};
use support::certificates::{Pair, Site, replace};
use support::host::{Builder, Host, PATIENCE};

/// Counts, by way of the kernel, how often each file is opened.
struct Openings {
    inotify: Inotify,
    paths: BTreeMap<i32, PathBuf>,
}

impl Openings {
    fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let inotify = Inotify::init().unwrap();
        let watch = |path: PathBuf| {
            let watch = inotify.watches().add(&path, WatchMask::OPEN).unwrap();
            (watch.get_watch_descriptor_id(), path)
        };
        let paths = paths.into_iter().map(watch).collect();
        Self { inotify, paths }
    }

    /// Since the last time.
    fn count(&mut self) -> BTreeMap<&Path, usize> {
        let mut counts = BTreeMap::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.inotify.read_events(&mut buffer) {
                Ok(events) => {
                    for event in events {
                        if let Some(path) = self.paths.get(&event.wd.get_watch_descriptor_id()) {
                            *counts.entry(path.as_path()).or_default() += 1;
                        }
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    return counts;
                }
            }
        }
    }
}

/// Waits until the handle has polled some times more.
fn wait_for_polls(host: &Host) {
    let before = host.status().unchanged;
    let deadline = Instant::now() + PATIENCE;
    while host.status().unchanged < before + 5 {
        assert!(Instant::now() < deadline, "no poll");
        std::thread::yield_now();
    }
}

#[test]
fn a_poll_opens_no_file_that_looks_unchanged_and_still_finds_every_change() {
    let mut last = Pair::new(&["a.test"]);
    let mut site = Site::plain(&last);
    let host =
        Builder::new().identity(&site.chain(), &site.key()).watch(Watch::Poll).poll_ms(10).open();
    let mut opened = Openings::of([site.chain(), site.key()]);
    let deadline = Instant::now() + PATIENCE;
    // At first the files are so young that their time stamps could hide another change.
    loop {
        wait_for_polls(&host);
        if opened.count().is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "a poll goes on reading what does not change");
    }
    for _ in 0..3 {
        let next = Pair::new(&["a.test"]);
        site.renew(&next);
        host.wait_until_served("a.test", &next.sha256);
        assert_ne!(next.sha256, last.sha256);
        last = next;
    }
}

#[test]
fn a_change_of_one_identity_opens_no_file_of_another() {
    let sites: Vec<_> =
        (0..20).map(|number| Site::plain(&Pair::new(&[&format!("{number}.test")]))).collect();
    let builder = sites
        .iter()
        .fold(Builder::new(), |builder, site| builder.identity(&site.chain(), &site.key()));
    let host = builder.poll_ms(86_400_000).open();
    // All that opening set off is done.
    host.reload_wait();
    let mut opened = Openings::of(sites[1..].iter().flat_map(|site| [site.chain(), site.key()]));
    let next = Pair::new(&["0.test"]);
    replace(&sites[0].chain(), &next.chain);
    replace(&sites[0].key(), &next.key);
    host.wait_until_served("0.test", &next.sha256);
    assert_eq!(opened.count(), BTreeMap::new());
    host.reload_wait();
    assert_eq!(opened.count().len(), 38, "an explicit reload reads every file");
}
