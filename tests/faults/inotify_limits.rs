//! inotify's limits reached, and its queue overflowing.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use certreload::ffi::status::certreload_watch_state as WatchState;

use super::alone::{Needs, alone};
use super::support::certificates::{Pair, Site, Writer};
use super::support::host::{Host, PATIENCE};
use super::{
    Kind, NAME, NEVER, Trigger, identity, notifications_are_back, options, renew, wait_for,
};

#[test]
fn g19_without_inotify_instances_changes_are_polled_for_until_there_are() {
    alone(Needs::InotifyLimits, || {
        set_limit("instances", 0);
        let mut site = Site::plain(&Pair::new(&[NAME]));
        let host = options(&site).poll_ms(200).debounce_ms(0, 5000).open();
        let degraded = wait_for(&host, Kind::WatchDegraded);
        assert!(degraded.message.contains("fs.inotify.max_user_instances"), "{degraded:?}");
        assert_eq!(host.status().watch, WatchState::Degraded);
        for _ in 0..3 {
            assert_eq!(renew(&host, &mut site), Trigger::Poll);
        }
        // An interval for the files to grow old in, after which a poll does not read them each time.
        thread::sleep(Duration::from_secs(3));
        set_limit("instances", 1);
        let raised = Instant::now();
        wait_for(&host, Kind::WatchRestored);
        // Once a minute everything is read and watched anew, whatever the stamps say.
        assert!(raised.elapsed() < Duration::from_secs(20), "{:?}", raised.elapsed());
        assert_eq!(host.status().watch, WatchState::Notified);
        notifications_are_back(&host, &mut site);
        assert_eq!(host.recorder.of(Kind::WatchDegraded).len(), 1, "told once");
        assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 0);
    });
}

#[test]
fn g19_with_too_few_inotify_watches_the_rest_is_polled_for_until_there_are_enough() {
    alone(Needs::InotifyLimits, || {
        for writer in [Writer::Rename, Writer::Certbot, Writer::Kubernetes] {
            let mut site = Site::new(writer, &Pair::new(&[NAME]));
            let open = |site: &Site| options(site).poll_ms(200).debounce_ms(0, 5000).open();
            set_limit("watches", 10_000);
            let host = open(&site);
            let enough = kernel_watches();
            assert!(enough > 1, "{enough} watches");
            drop(host);
            for limit in 0..enough {
                no_watches_are_left();
                set_limit("watches", limit);
                let host = open(&site);
                let degraded = wait_for(&host, Kind::WatchDegraded);
                assert!(degraded.message.contains("fs.inotify.max_user_watches"), "{degraded:?}");
                assert!(degraded.path.starts_with('/'), "{degraded:?}");
                assert_eq!(host.status().watch, WatchState::Degraded);
                for _ in 0..2 {
                    renew(&host, &mut site);
                }
                set_limit("watches", 10_000);
                wait_until_restored(&host);
                notifications_are_back(&host, &mut site);
                assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 0, "{writer:?} {limit}");
            }
            no_watches_are_left();
            set_limit("watches", enough);
            let host = open(&site);
            assert_eq!(host.status().watch, WatchState::Notified, "{writer:?}: {enough} do");
            assert_eq!(host.recorder.of(Kind::WatchDegraded).len(), 0);
        }
    });
}

#[test]
fn g19_the_limit_of_watches_is_reached_when_a_directory_is_replaced() {
    alone(Needs::InotifyLimits, || {
        let mut site = Site::new(Writer::SwapDirectory, &Pair::new(&[NAME]));
        let host = options(&site).poll_ms(200).debounce_ms(0, 5000).open();
        for _ in 0..3 {
            assert_eq!(host.status().watch, WatchState::Notified);
            // What is watched stays so, and nothing new can be.
            set_limit("watches", 0);
            renew(&host, &mut site);
            let degraded = wait_for(&host, Kind::WatchDegraded);
            assert!(degraded.message.contains("fs.inotify.max_user_watches"), "{degraded:?}");
            renew(&host, &mut site);
            set_limit("watches", 10_000);
            wait_until_restored(&host);
            notifications_are_back(&host, &mut site);
        }
        assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 0);
    });
}

#[test]
fn g19_what_is_about_to_be_given_up_makes_room_for_what_takes_its_place() {
    alone(Needs::InotifyLimits, || {
        for writer in [Writer::Kubernetes, Writer::Certbot, Writer::SwapDirectory] {
            no_watches_are_left();
            set_limit("watches", 10_000);
            let mut site = Site::new(writer, &Pair::new(&[NAME]));
            let host = options(&site).poll_ms(NEVER).debounce_ms(0, 5000).open();
            set_limit("watches", kernel_watches());
            for _ in 0..5 {
                assert_eq!(renew(&host, &mut site), Trigger::Watch, "{writer:?}");
            }
            assert_eq!(host.recorder.of(Kind::WatchDegraded).len(), 0, "{writer:?}");
        }
    });
}

#[test]
fn g19_nothing_is_missed_when_the_queue_of_events_overflows() {
    const DIRECTORY: &str = "CERTRELOAD_TEST_DIRECTORY";
    alone(Needs::Process, || {
        if let Some(directory) = env::var_os(DIRECTORY) {
            return serve_and_report(&PathBuf::from(directory));
        }
        let room: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let mut site = Site::new(Writer::SwapDirectory, &Pair::new(&[NAME]));
        let mut host = OtherProcess::start(DIRECTORY, &site);
        for _ in 0..3 {
            let next = Pair::new(&[NAME]);
            host.signal(libc::SIGSTOP);
            // Two events each at least: the queue is full long before the renewal.
            for _ in 0..room {
                let file = site.chain().with_extension("flood");
                File::create(&file).unwrap();
                fs::remove_file(&file).unwrap();
            }
            site.renew(&next);
            host.signal(libc::SIGCONT);
            host.must_serve(&next);
            // What is watched is what is there now.
            let next = Pair::new(&[NAME]);
            site.renew(&next);
            host.must_serve(&next);
        }
    });
}

/// Serves, and answers each fingerprint that it reads as soon as it is served.
fn serve_and_report(directory: &std::path::Path) {
    let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
    let host = identity(&chain, &key).poll_ms(NEVER).open();
    println!("\nopen");
    for fingerprint in std::io::stdin().lines() {
        host.wait_until_served(NAME, &fingerprint.unwrap());
        println!("served");
    }
}

/// The running test once more, in the part of the server.
struct OtherProcess(Child, BufReader<std::process::ChildStdout>);

impl OtherProcess {
    fn start(variable: &str, site: &Site) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(env::args_os().skip(1))
            .env(variable, site.chain().parent().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut other = Self(child, answers);
        other.wait_for("open");
        other
    }

    fn signal(&self, signal: i32) {
        // SAFETY: our own child, not waited for yet.
        assert_eq!(unsafe { libc::kill(i32::try_from(self.0.id()).unwrap(), signal) }, 0);
    }

    fn must_serve(&mut self, pair: &Pair) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{}", pair.sha256).unwrap();
        self.wait_for("served");
    }

    fn wait_for(&mut self, answer: &str) {
        let mut lines = (&mut self.1).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == answer), "it ended before it said {answer:?}");
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// At the edge of a limit it may have been restored and degraded again in between.
fn wait_until_restored(host: &Host) {
    host.recorder.wait_until("WATCH_RESTORED", |seen| {
        let watch = |kind| matches!(kind, Kind::WatchDegraded | Kind::WatchRestored);
        let last = seen.iter().rfind(|seen| watch(seen.kind));
        last.is_some_and(|last| last.kind == Kind::WatchRestored)
            && host.status().watch == WatchState::Notified
    });
}

/// Sets a limit of this user namespace.
fn set_limit(what: &str, limit: usize) {
    fs::write(format!("/proc/sys/user/max_inotify_{what}"), limit.to_string()).unwrap();
}

fn no_watches_are_left() {
    let deadline = Instant::now() + PATIENCE;
    while kernel_watches() > 0 {
        assert!(Instant::now() < deadline, "{} watches are left", kernel_watches());
        thread::yield_now();
    }
}

/// Those of the one instance; a host that drives the work has several descriptors for it.
fn kernel_watches() -> usize {
    let infos = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let count = |info: String| info.lines().filter(|line| line.starts_with("inotify wd:")).count();
    infos
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .map(count)
        .max()
        .unwrap_or_default()
}
