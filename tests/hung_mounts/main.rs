//! File systems that do not answer, and callbacks that block, affect only what needs them (G21).

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]
#![allow(clippy::wildcard_imports, reason = "one C name after another")]

#[path = "../faults/alone.rs"]
mod alone;
mod arming;
mod crossing;
mod dates;
mod fuse;
mod starting;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use alone::{Needs, alone};
use certreload::ffi::event::certreload_event_kind as Kind;
use certreload::ffi::identity_bytes::certreload_identity_bytes;
use certreload::ffi::push_identity::certreload_push_identity;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;
use fuse::Fuse;
use support::certificates::{Pair, Site};
use support::driver::Driver;
use support::host::{Builder, Host, PATIENCE, last_error};

/// The name of the identities on mounts that answer, and of those on mounts that do not.
const GOOD: &str = "good.test";
const HUNG: &str = "hung.test";

/// What is promised within a second must be done within this time on a busy machine, too. The times are printed.
const SOON: Duration = Duration::from_secs(5);
/// How long a file system may not answer: longer than the server of the mounts takes on a busy machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs `body`, prints how long it took, and fails if that is not soon.
fn soon<T>(what: &str, body: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = body();
    let took = begun.elapsed();
    println!("{what}: {} ms", took.as_millis());
    assert!(took < SOON, "{what}: {took:?}");
    result
}

/// Who runs the passes; with the host, files are read on a reader thread.
fn builder(driver: Driver) -> Builder {
    let builder = Builder::new().driven_by(driver).poll_ms(200).debounce_ms(20, 3000);
    if driver == Driver::Host { builder.reader_thread() } else { builder }
}

/// A pair on a file system that answers, and a second handle for it.
struct Good {
    site: Site,
    other: Host,
    driver: Driver,
}

impl Good {
    fn new(driver: Driver) -> Self {
        let site = Site::plain(&Pair::new(&[GOOD]));
        let other = builder(driver).identity(&site.chain(), &site.key()).open();
        Self { site, other, driver }
    }

    /// Does what must not be delayed: `host` and the other handle renew, and a third one is opened, pushed to and closed.
    fn works_beside(&mut self, host: &Host) {
        let next = Pair::new(&[GOOD]);
        self.site.renew(&next);
        soon("  renewed in the same handle", || host.wait_until_served(GOOD, &next.sha256));
        soon("  renewed in another handle", || self.other.wait_until_served(GOOD, &next.sha256));
        assert_eq!(
            soon("  reload_wait of another", || self.other.reload_wait()),
            Outcome::Unchanged
        );
        let third = soon("  opened", || {
            builder(self.driver).identity(&self.site.chain(), &self.site.key()).open()
        });
        soon("  pushed", || push(&third, 0, &next));
        soon("  closed", || drop(third));
        soon("  forked", fork);
    }
}

fn push(host: &Host, index: usize, pair: &Pair) {
    let (chain, key) = (pair.chain.as_bytes(), pair.key.as_bytes());
    let bytes = certreload_identity_bytes {
        chain_pem: chain.as_ptr().cast(),
        chain_pem_size: chain.len(),
        key_pem: key.as_ptr().cast(),
        key_pem_size: key.len(),
        ocsp_der: ptr::null(),
        ocsp_der_size: 0,
    };
    let size = size_of::<certreload_identity_bytes>();
    // SAFETY: an open handle, and bytes that live until the call returns.
    let result = unsafe { certreload_push_identity(host.handle, index, &raw const bytes, size) };
    assert!(matches!(result, Outcome::Ok | Outcome::Unchanged), "{result:?}: {}", last_error());
}

/// Forks a child that exits at once. Its exit closes a file that a reader had open at the fork, which a FUSE file system
/// must answer: so it is waited for by [`reap`], when the file system answers again.
fn fork() {
    // SAFETY: the child calls nothing but _exit.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        assert!(child > 0);
    }
}

fn reap() {
    // SAFETY: waits for any child of the test that was forked, but not for the server of the mounts, which runs on.
    while unsafe { libc::waitpid(0, ptr::null_mut(), libc::WNOHANG) } > 0 {}
}

/// The number of threads of this process that belong to the library.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("certreload")).count()
}

fn wait_for_health(host: &Host, index: usize, health: Health) {
    let deadline = Instant::now() + PATIENCE;
    while host.identity_status(index).health != health {
        assert!(Instant::now() < deadline, "{:?}", host.identity_status(index).health);
        thread::sleep(Duration::from_millis(5));
    }
}

fn one_unit_hangs(driver: Driver) {
    let Some(mut fuse) = Fuse::mount(1) else { return };
    let mut good = Good::new(driver);
    fuse.put(0, &Pair::new(&[HUNG]));
    let (chain, key) = (fuse.path(0, "chain.pem"), fuse.path(0, "key.pem"));
    let host = builder(driver)
        .identity(&good.site.chain(), &good.site.key())
        .identity(&chain, &key)
        .open();
    for (round, kind) in ["lookup", "open", "read", "all"].into_iter().enumerate() {
        println!("hung in {kind}");
        let served = host.served(HUNG);
        fuse.hang(0, kind);
        fuse.wait_until_hung(0);
        good.works_beside(&host);
        let failures = host.recorder.wait_for_failures(round + 1);
        let failure = &failures[round];
        assert_eq!(failure.result, Outcome::TimedOut, "{failure:?}");
        assert!(
            failure.path.starts_with(&*chain.parent().unwrap().to_string_lossy()),
            "{failure:?}"
        );
        assert!(
            failure.message.contains("the file system has not answered for 3 s"),
            "{failure:?}"
        );
        assert_eq!(host.identity_status(1).health, Health::Stale);
        assert_eq!(host.identity_status(0).health, Health::Ok);
        good.works_beside(&host);
        let answer = soon("  reload_wait of the same handle", || host.reload_wait());
        assert_eq!(answer, Outcome::TimedOut, "{}", last_error());
        assert_eq!(host.served(HUNG), served);
        fuse.release(0);
        host.recorder.wait_until("RECOVERED", |seen| {
            seen.iter().filter(|seen| seen.kind == Kind::Recovered).count() == round + 1
        });
        assert_eq!(host.identity_status(1).health, Health::Ok);
        reap();
        let next = Pair::new(&[HUNG]);
        fuse.put(0, &next);
        host.wait_until_served(HUNG, &next.sha256);
        assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), round + 1, "reported once");
    }
    fuse.hang(0, "all");
    fuse.wait_until_hung(0);
    soon("closed with a read that hangs", || drop(host));
    soon("the other closed", || drop(good));
    fuse.release(0);
}

#[test]
fn g21_a_mount_that_hangs_delays_only_its_own_unit() {
    alone(Needs::Mounts, || one_unit_hangs(Driver::Threads));
}

#[test]
fn g21_a_mount_that_hangs_delays_only_its_own_unit_with_a_reader_thread() {
    alone(Needs::Mounts, || one_unit_hangs(Driver::Host));
}

#[test]
fn g21_forty_hung_mounts_cost_seventeen_threads_at_most() {
    alone(Needs::Mounts, || {
        const MOUNTS: usize = 40;
        let Some(mut fuse) = Fuse::mount(MOUNTS) else { return };
        let mut good = Good::new(Driver::Threads);
        let mut builder = builder(Driver::Threads).identity(&good.site.chain(), &good.site.key());
        for index in 0..MOUNTS {
            fuse.put(index, &Pair::new(&[HUNG]));
            builder =
                builder.identity(&fuse.path(index, "chain.pem"), &fuse.path(index, "key.pem"));
        }
        let host = builder.open();
        let threads_before = threads();
        fuse.hang("all", "all");
        // Which of the mounts are touched first, and keep a reader, is chance.
        host.recorder.wait_for_failures(1);
        good.works_beside(&host);
        host.recorder.wait_for_failures(MOUNTS);
        good.works_beside(&host);
        let most = threads();
        println!("{threads_before} threads before, {most} while {MOUNTS} mounts hang");
        // 16 that are stuck, and one for the mounts that answer.
        assert!(most <= threads_before + 17, "{most}");
        fuse.release("all");
        for index in 0..=MOUNTS {
            wait_for_health(&host, index, Health::Ok);
        }
        let deadline = Instant::now() + PATIENCE;
        while threads() > threads_before {
            assert!(Instant::now() < deadline, "{} threads are left", threads());
            thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn g21_fifty_handles_on_a_slow_mount_do_not_delay_the_others() {
    alone(Needs::Mounts, || {
        let Some(mut fuse) = Fuse::mount(1) else { return };
        let mut good = Good::new(Driver::Threads);
        fuse.put(0, &Pair::new(&[HUNG]));
        let (chain, key) = (fuse.path(0, "chain.pem"), fuse.path(0, "key.pem"));
        let slow: Vec<_> =
            (0..50).map(|_| builder(Driver::Threads).identity(&chain, &key).open()).collect();
        let host = builder(Driver::Threads).identity(&good.site.chain(), &good.site.key()).open();
        fuse.slow(0, 5);
        for _ in 0..3 {
            good.works_beside(&host);
        }
        let next = Pair::new(&[HUNG]);
        fuse.put(0, &next);
        for host in &slow {
            host.wait_until_served(HUNG, &next.sha256);
            assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 0);
        }
    });
}

#[test]
fn g21_an_open_of_files_that_hang_fails_in_time_and_delays_no_other() {
    alone(Needs::Mounts, || {
        let Some(mut fuse) = Fuse::mount(1) else { return };
        let mut good = Good::new(Driver::Threads);
        let host = builder(Driver::Threads).identity(&good.site.chain(), &good.site.key()).open();
        fuse.put(0, &Pair::new(&[HUNG]));
        let (chain, key) = (fuse.path(0, "chain.pem"), fuse.path(0, "key.pem"));
        for kind in ["lookup", "open", "read"] {
            fuse.hang(0, kind);
            let begun = Instant::now();
            let opening = {
                let (chain, key) = (chain.clone(), key.clone());
                thread::spawn(move || {
                    let result = builder(Driver::Threads).identity(&chain, &key).try_open();
                    (result.map(drop).unwrap_err(), last_error())
                })
            };
            fuse.wait_until_hung(0);
            good.works_beside(&host);
            let (result, message) = opening.join().unwrap();
            assert_eq!(result, Outcome::TimedOut, "{message}");
            assert!(message.contains("the file system has not answered for"), "{message}");
            assert!(message.starts_with(&*chain.parent().unwrap().to_string_lossy()), "{message}");
            assert!(begun.elapsed() >= ANSWER_TIMEOUT);
            fuse.release(0);
            // Until the call that hung has returned, an open fails at once, and makes no call that could hang.
            let deadline = Instant::now() + PATIENCE;
            while builder(Driver::Threads).identity(&chain, &key).try_open().is_err() {
                assert!(Instant::now() < deadline, "{}", last_error());
            }
        }
    });
}

/// Checks that `path` is on a mount of its own, so that the tests test what they say.
#[test]
fn the_test_file_system_hangs_and_answers_again() {
    alone(Needs::Mounts, || {
        let Some(mut fuse) = Fuse::mount(1) else { return };
        fuse.put(0, &Pair::new(&[HUNG]));
        let path = fuse.path(0, "chain.pem");
        fuse.hang(0, "read");
        let reading = thread::spawn(move || fs::read(Path::new(&path)).unwrap().len());
        fuse.wait_until_hung(0);
        assert!(!reading.is_finished());
        fuse.release(0);
        assert!(reading.join().unwrap() > 0);
    });
}
