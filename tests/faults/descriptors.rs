//! No descriptor to be had (`RLIMIT_NOFILE`).

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Instant;

use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::{certreload_health as Health, certreload_watch_state as WatchState};

use super::alone::{Needs, alone};
use super::support::certificates::{Pair, Site, write_private};
use super::support::driver::Driver;
use super::support::host::{PATIENCE, last_error};
use super::{Kind, NAME, notifications_are_back, options, wait_for};

#[test]
fn g3_descriptors_that_run_out_while_reloading_fail_the_reload_alone() {
    alone(Needs::Process, || {
        let (old, new) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
        let site = Site::plain(&old);
        let host = options(&site).poll_ms(30).debounce_ms(0, 200).open();
        // Renaming takes no descriptor.
        let (chain, key) = (site.path("chain.new"), site.path("key.new"));
        write_private(&chain, &new.chain);
        write_private(&key, &new.key);
        let limit = Limit::none_left();
        fs::rename(&chain, site.chain()).unwrap();
        fs::rename(&key, site.key()).unwrap();
        let failure = host.recorder.wait_for_failures(1).remove(0);
        assert_eq!(failure.result, Outcome::FileIo, "{failure:?}");
        assert!(failure.message.contains("open files"), "{failure:?}");
        assert_eq!(failure.path, site.chain().to_str().unwrap());
        assert_eq!(host.served(NAME), old.sha256);
        assert_eq!(host.status().health, Health::Stale);
        for _ in 0..10 {
            assert_eq!(host.reload_wait(), Outcome::FileIo);
        }
        assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 1, "told once");
        drop(limit);
        host.wait_until_served(NAME, &new.sha256);
        assert_eq!(host.reload_wait(), Outcome::Unchanged);
        assert_eq!(host.status().health, Health::Ok);
        assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 1);
    });
}

#[test]
fn g12_descriptors_that_run_out_while_opening_give_a_code_or_a_handle_that_polls() {
    alone(Needs::Process, || {
        let mut site = Site::plain(&Pair::new(&[NAME]));
        let before = descriptors();
        for left in 0.. {
            let limit = Limit::left(left);
            // A host that drives takes descriptors of its own.
            let options = options(&site).driven_by(Driver::Threads);
            match options.poll_ms(100).debounce_ms(0, 5000).try_open() {
                Err(code) => {
                    let said = last_error();
                    assert!(matches!(code, Outcome::FileIo | Outcome::System), "{code:?}: {said}");
                    assert!(said.contains("open files"), "{said}");
                    drop(limit);
                }
                Ok(host) if host.status().watch == WatchState::Degraded => {
                    let degraded = wait_for(&host, Kind::WatchDegraded);
                    assert!(degraded.message.contains("descriptors"), "{degraded:?}");
                    drop(limit);
                    wait_for(&host, Kind::WatchRestored);
                    assert_eq!(host.status().watch, WatchState::Notified);
                    notifications_are_back(&host, &mut site);
                }
                Ok(host) => {
                    assert_eq!(host.status().watch, WatchState::Notified);
                    assert!(left > 1, "there was something to run out of");
                    return;
                }
            }
            nothing_is_left_open(before);
        }
    });
}

/// Threads that were told to end may have descriptors for a moment.
fn nothing_is_left_open(before: usize) {
    let deadline = Instant::now() + PATIENCE;
    while descriptors() != before {
        assert!(Instant::now() < deadline, "{} descriptors, {before} before", descriptors());
        thread::yield_now();
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The process's limit of descriptors, put back when dropped.
struct Limit(libc::rlimit);

impl Limit {
    fn none_left() -> Self {
        Self::left(0)
    }

    /// So many can be opened still. Those that are open stay so.
    fn left(count: u64) -> Self {
        // The kernel gives out the lowest number that is free: all below are in use.
        let lowest_free = File::open("/dev/null").unwrap().as_raw_fd();
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a live rlimit to write to.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut before) }, 0);
        let current = u64::try_from(lowest_free).unwrap() + count;
        set(libc::rlimit { rlim_cur: current, ..before });
        Self(before)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        set(self.0);
    }
}

fn set(limit: libc::rlimit) {
    // SAFETY: a live rlimit to read from.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}
