//! A quiet guest in its process (G10). One test, for it looks at all threads and descriptors there are.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]
#![allow(clippy::wildcard_imports, reason = "one C name after another")]

mod support;

use std::collections::HashSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use support::certificates::{Pair, Site, Writer};
use support::driver::Driver;
use support::host::{Builder, PATIENCE};

#[test]
fn g10_one_set_of_threads_with_every_signal_blocked_that_goes_with_the_last_handle() {
    let (before, descriptors_before) = (threads(), descriptors());
    let site = Site::plain(&Pair::new(&["a.test"]));
    let hosts: Vec<_> = (0..20).map(|_| options(&site).open()).collect();
    let ours: Vec<_> = threads().into_iter().filter(|thread| !before.contains(thread)).collect();
    let mut names: Vec<_> = ours.iter().map(|thread| thread.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["certreload", "certreload-evt"]);
    for thread in &ours {
        // Every signal that can be blocked at all: not KILL, not STOP, nor the C library's own two.
        assert_eq!(thread.blocked | 0x1_8004_0100, !0, "{}: {:x}", thread.name, thread.blocked);
    }
    let inherited: HashSet<_> = descriptors_before.into_iter().map(|(number, _)| number).collect();
    let opened: Vec<_> =
        descriptors().into_iter().filter(|(number, _)| !inherited.contains(number)).collect();
    assert!(!opened.is_empty());
    for (number, flags) in opened {
        assert!(flags & i64::from(libc::O_CLOEXEC) != 0, "{number} is not close-on-exec");
    }
    assert_eq!(inotify_instances(), 1, "one for all handles");
    // Nothing is due for a day, and nothing changes: whoever wakes up meanwhile is no quiet guest.
    // The interval is not for something to happen in, but for nothing to happen in.
    let switches = || ours.iter().map(Thread::switches).collect::<Vec<_>>();
    wait_until_all_sleep(&switches);
    let asleep = switches();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(switches(), asleep, "a background thread woke up");
    watches_do_not_pile_up();
    drop(hosts);
    // A thread that has been waited for may still be listed for a moment.
    let deadline = Instant::now() + PATIENCE;
    while threads() != before {
        assert!(Instant::now() < deadline, "{:?}", threads());
        thread::yield_now();
    }
}

/// A directory that is swapped by renaming leaves no watch of the kernel's behind.
fn watches_do_not_pile_up() {
    let mut site = Site::new(Writer::SwapDirectory, &Pair::new(&["a.test"]));
    let host = options(&site).open();
    let before = kernel_watches();
    for _ in 0..10 {
        let next = Pair::new(&["a.test"]);
        site.renew(&next);
        host.wait_until_served("a.test", &next.sha256);
    }
    // Once more with nothing new: all that the last swap set off is done then.
    host.reload_wait();
    assert_eq!(kernel_watches(), before);
}

fn inotify_instances() -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().flatten();
    links
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|target| target.as_os_str() == "anon_inode:inotify")
        .count()
}

fn kernel_watches() -> usize {
    let infos = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    infos
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .map(|info| info.lines().filter(|line| line.starts_with("inotify wd:")).count())
        .sum()
}

fn options(site: &Site) -> Builder {
    let builder = Builder::new().driven_by(Driver::Threads);
    builder.identity(&site.chain(), &site.key()).poll_ms(86_400_000)
}

/// Number and flags of every open descriptor.
fn descriptors() -> Vec<(String, i64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap().flatten() {
        // The descriptor of the directory itself is gone by now.
        let Ok(info) = fs::read_to_string(entry.path()) else { continue };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let flags = i64::from_str_radix(flags, 8).unwrap();
        found.push((entry.file_name().into_string().unwrap(), flags));
    }
    found
}

#[derive(Debug)]
struct Thread {
    id: String,
    name: String,
    blocked: u64,
}

/// The main thread may not be back from making the test's, and with every signal blocked until then.
impl PartialEq for Thread {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Thread {
    /// How often it was put to sleep or interrupted.
    fn switches(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/self/task/{}/status", self.id)).unwrap();
        let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        counts.map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum()
    }
}

/// What is still on its way from the start comes to rest.
fn wait_until_all_sleep(switches: &impl Fn() -> Vec<u64>) {
    let deadline = Instant::now() + PATIENCE;
    let mut before = switches();
    loop {
        thread::sleep(Duration::from_millis(200));
        let now = switches();
        if now == before {
            return;
        }
        assert!(Instant::now() < deadline, "never at rest: {now:?}");
        before = now;
    }
}

fn threads() -> Vec<Thread> {
    let mut threads = Vec::new();
    for entry in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
        };
        threads.push(Thread {
            id: field("Pid:"),
            name: field("Name:"),
            blocked: u64::from_str_radix(&field("SigBlk:"), 16).unwrap(),
        });
    }
    threads
}
