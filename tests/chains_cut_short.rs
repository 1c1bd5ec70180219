//! A chain that is cut behind its leaf, and a bundle of roots that is cut behind one of them, can be parsed. However
//! slowly they are written, none of them is served before the incomplete-file timeout (G4).
//!
//! Each scenario runs 20 times. `CERTRELOAD_SOAK_RUNS` sets another number.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::env;
use std::ffi::c_void;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Condvar, Mutex, RwLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

use certreload::ffi::event::{
    CERTRELOAD_WARNING_CHAIN_INCOMPLETE, certreload_event, certreload_event_kind as Kind,
};
use certreload::ffi::options::trust::certreload_client_auth;
use certreload::ffi::result::certreload_result as Outcome;
use support::certificates::{Authority, Pair, Site, replace, write_private};
use support::driver::Driver;
use support::host::{Builder, Host, PATIENCE, last_error};
use support::rotation::{NAME, NEVER, run_each};
use support::witness::Shown;

/// The incomplete-file timeout of most scenarios.
const TIMEOUT: Duration = Duration::from_millis(300);
const TIMEOUT_MS: u32 = 300;
/// How long a writer rests with half of a file written: its pace, and not a wait for anything.
const PAUSE: Duration = Duration::from_millis(30);
/// Longer than the quiet time.
const LONG_PAUSE: Duration = Duration::from_millis(120);

/// The queue of notifications is that of all handles of a runtime, so the test that fills it runs alone.
static QUEUE: RwLock<()> = RwLock::new(());

fn queue() -> RwLockReadGuard<'static, ()> {
    QUEUE.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn runs() -> usize {
    env::var("CERTRELOAD_SOAK_RUNS").map_or(20, |runs| runs.parse().unwrap())
}

/// Whether a run of a scenario counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Counts,
    /// The machine was so slow that the writer paused for longer than the timeout. Then half of the file may be served.
    TooSlow,
}

impl Run {
    /// The writer had half of a file on disk from `begun` until now.
    fn since(begun: Instant) -> Self {
        if begun.elapsed() < TIMEOUT { Self::Counts } else { Self::TooSlow }
    }
}

/// Runs a scenario as often as this run says. The number of the run lets it strike at another moment each time.
fn soak(scenario: &str, run: impl Fn(usize) -> Run + Sync) {
    let _queue = queue();
    let all: Vec<_> = (0..runs()).collect();
    run_each(&format!("runs: {scenario}"), &all, |number| {
        let counts = (0..20).any(|_| run(*number) == Run::Counts);
        assert!(counts, "the machine is too slow for a timeout of {TIMEOUT:?}");
        0
    });
}

/// A host that serves a whole chain, and the next one with its parts.
struct Scene {
    site: Site,
    host: Host,
    authority: Authority,
    new: Pair,
}

impl Scene {
    fn new(quiet_ms: u32) -> Self {
        Self::driven(quiet_ms, TIMEOUT_MS, Driver::of_this_run())
    }

    fn driven(quiet_ms: u32, timeout_ms: u32, driver: Driver) -> Self {
        let authority = Authority::new();
        let site = Site::plain(&authority.issue(&[NAME]));
        let options = Builder::new().identity(&site.chain(), &site.key());
        let options = options.poll_ms(NEVER).debounce_ms(quiet_ms, timeout_ms);
        let host = options.driven_by(driver).open();
        let new = authority.issue(&[NAME]);
        Self { site, host, authority, new }
    }

    /// The first certificate of the new chain, and the rest.
    fn halves(&self) -> (&str, &str) {
        self.new.chain.split_at(self.new.chain.rfind("-----BEGIN").unwrap())
    }

    fn append_rest(&self) {
        append(&self.site.chain(), self.halves().1);
    }

    /// Waits until the new chain is served, and checks that it is the only one after `before` generations.
    fn must_serve_only_the_whole(&self, before: u64, run: Run) -> Run {
        self.host.wait_until_loaded(&self.new);
        if run == Run::Counts {
            let generation = self.host.status().generation;
            assert_eq!(generation, before + 1, "{:#?}", self.host.recorder.all());
            assert_eq!(self.host.shown(NAME), Shown::from(&self.new));
            assert!(self.host.recorder.of(Kind::ReloadFailed).is_empty());
        }
        run
    }
}

fn append(path: &Path, text: &str) {
    File::options().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn create(path: &Path, text: &str) -> File {
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Waits until the host has found that its files do not match.
fn wait_until_pending(host: &Host) {
    let deadline = Instant::now() + PATIENCE;
    while host.identity_status(0).pending == 0 {
        assert!(Instant::now() < deadline, "never pending: {:#?}", host.recorder.all());
        thread::yield_now();
    }
}

#[test]
fn g4_key_first_then_leaf_then_intermediate() {
    soak("key, leaf, pause, intermediate", |number| {
        let scene = Scene::new(50);
        write_private(&scene.site.key(), &scene.new.key);
        wait_until_pending(&scene.host);
        // Not to wait for anything: the retries come at 20, 60, 140 ms, and each run strikes at another moment.
        thread::sleep(Duration::from_millis(7 * (number as u64 % 20)));
        let begun = Instant::now();
        write_private(&scene.site.chain(), scene.halves().0);
        thread::sleep(PAUSE);
        scene.append_rest();
        scene.must_serve_only_the_whole(1, Run::since(begun))
    });
}

#[test]
fn g4_a_shell_script_that_verifies_and_concatenates() {
    const SCRIPT: &str = "cp new-key.pem live/key.pem
        openssl verify -CAfile root.pem -untrusted int.pem leaf.pem >/dev/null || exit 1
        sleep $1
        cat leaf.pem >live/chain.pem
        cat int.pem >>live/chain.pem";
    // The rest follows the leaf within some milliseconds, so few renewals of the code before met a retry there.
    const RENEWALS: u64 = 8;
    soak("a shell script, 8 renewals", |number| {
        let mut scene = Scene::new(10);
        let mut run = Run::Counts;
        for before in 1..=RENEWALS {
            let (leaf, rest) = scene.halves();
            let (root, key) = (scene.authority.root_pem(), &scene.new.key);
            for (name, text) in [("leaf", leaf), ("int", rest), ("root", &root), ("new-key", key)] {
                write_private(&scene.site.path(&format!("{name}.pem")), text);
            }
            let begun = Instant::now();
            let mut shell = Command::new("sh");
            // Not to wait for anything: each renewal strikes at another moment.
            let pause = format!("0.0{}", (number as u64 + 3 * before) % 10);
            shell.args(["-c", SCRIPT, "sh", &pause]).current_dir(scene.site.path(""));
            assert!(shell.status().unwrap().success());
            if scene.must_serve_only_the_whole(before, Run::since(begun)) == Run::TooSlow {
                run = Run::TooSlow;
                break;
            }
            scene.new = scene.authority.issue(&[NAME]);
        }
        run
    });
}

#[test]
fn g4_a_writer_that_keeps_half_a_chain_open_past_the_timeout() {
    soak("a file that is open past the timeout", |_| {
        let scene = Scene::new(50);
        write_private(&scene.site.key(), &scene.new.key);
        let mut file = create(&scene.site.chain(), scene.halves().0);
        // Three timeouts, in which the call waits as the handle does.
        assert_eq!(scene.host.reload_wait_ms(3 * TIMEOUT_MS), Outcome::TimedOut);
        let message = last_error();
        assert!(message.contains("may be cut short"), "{message}");
        assert_eq!(scene.host.identity_status(0).pending, 1);
        assert_eq!(scene.host.status().generation, 1);
        file.write_all(scene.halves().1.as_bytes()).unwrap();
        drop(file);
        scene.must_serve_only_the_whole(1, Run::Counts)
    });
}

#[test]
fn g4_a_directory_made_anew_while_its_chain_is_written() {
    soak("a directory made anew", |_| {
        let scene = Scene::new(50);
        let live = scene.site.path("live");
        fs::rename(&live, scene.site.path("old")).unwrap();
        fs::create_dir(&live).unwrap();
        write_private(&scene.site.key(), &scene.new.key);
        let begun = Instant::now();
        let mut file = create(&scene.site.chain(), scene.halves().0);
        thread::sleep(LONG_PAUSE);
        file.write_all(scene.halves().1.as_bytes()).unwrap();
        drop(file);
        scene.must_serve_only_the_whole(1, Run::since(begun))
    });
}

#[test]
fn g4_a_directory_swapped_while_its_chain_is_written() {
    soak("a directory swapped", |_| {
        let scene = Scene::new(50);
        let (live, next) = (scene.site.path("live"), scene.site.path("next"));
        fs::create_dir(&next).unwrap();
        write_private(&next.join("key.pem"), &scene.new.key);
        let mut file = create(&next.join("chain.pem"), scene.halves().0);
        let begun = Instant::now();
        fs::rename(&live, scene.site.path("old")).unwrap();
        fs::rename(&next, &live).unwrap();
        thread::sleep(LONG_PAUSE);
        file.write_all(scene.halves().1.as_bytes()).unwrap();
        drop(file);
        scene.must_serve_only_the_whole(1, Run::since(begun))
    });
}

/// No rule about content applies to a leaf that issued itself, so only the quiet time can show that more follows.
#[test]
fn g4_a_directory_made_anew_is_quiet_before_it_is_read() {
    soak("a directory made anew, certificates that issued themselves", |_| {
        let old = Pair::new(&[NAME]);
        let mut new = Pair::new(&[NAME]);
        let rest = Pair::new(&["other.test"]).chain;
        let site = Site::plain(&old);
        let options = Builder::new().identity(&site.chain(), &site.key());
        let host = options.poll_ms(NEVER).debounce_ms(100, 5000).open();
        let live = site.path("live");
        fs::rename(&live, site.path("old")).unwrap();
        fs::create_dir(&live).unwrap();
        write_private(&site.key(), &new.key);
        let mut file = create(&site.chain(), &new.chain);
        // Never a whole quiet time without a write, for several quiet times.
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(20));
            file.write_all(b"\n").unwrap();
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        file.write_all(rest.as_bytes()).unwrap();
        drop(file);
        new.chain += &rest;
        host.wait_until_loaded(&new);
        if longest > Duration::from_millis(80) {
            return Run::TooSlow;
        }
        assert_eq!(host.status().generation, 2, "{:#?}", host.recorder.all());
        Run::Counts
    });
}

/// The gate that the callback of the overflow waits for, and whether the callback waits.
static GATE: Mutex<()> = Mutex::new(());
static WAITS: Mutex<bool> = Mutex::new(false);
static CHANGED: Condvar = Condvar::new();

unsafe extern "C" fn wait_at_the_gate(_: *mut c_void, _: *const certreload_event) {
    *WAITS.lock().unwrap() = true;
    CHANGED.notify_all();
    drop(GATE.lock().unwrap());
}

/// The host that does the work is kept in its callback, so it reads no notifications until the queue is full.
#[test]
fn g4_the_queue_of_notifications_overflows_while_a_chain_is_written() {
    let _queue = QUEUE.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    let room = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let room: usize = room.trim().parse().unwrap();
    let run = || {
        let mut scene = Scene::driven(10, TIMEOUT_MS, Driver::Host);
        let closed = GATE.lock().unwrap();
        *WAITS.lock().unwrap() = false;
        scene.host.recorder.wait_for_generation(1);
        scene.host.set_callback(Some(wait_at_the_gate));
        let between = scene.authority.issue(&[NAME]);
        scene.site.renew(&between);
        let waits = WAITS.lock().unwrap();
        let (waits, _) = CHANGED.wait_timeout_while(waits, PATIENCE, |waits| !*waits).unwrap();
        assert!(*waits, "no event");
        drop(waits);
        let flood = scene.site.path("live/flood");
        // Three events each.
        for _ in 0..room / 2 {
            File::create(&flood).unwrap();
            fs::remove_file(&flood).unwrap();
        }
        write_private(&scene.site.key(), &scene.new.key);
        let mut file = create(&scene.site.chain(), scene.halves().0);
        let begun = Instant::now();
        drop(closed);
        thread::sleep(2 * LONG_PAUSE);
        file.write_all(scene.halves().1.as_bytes()).unwrap();
        drop(file);
        scene.must_serve_only_the_whole(2, Run::since(begun))
    };
    for number in 0..runs() {
        let counts = (0..20).any(|_| run() == Run::Counts);
        assert!(counts, "run {number}: the machine is too slow for a timeout of {TIMEOUT:?}");
    }
}

#[test]
fn g4_a_bundle_of_roots_cut_short() {
    let roots: Vec<_> = (0..4).map(|_| Authority::new().root_pem()).collect();
    let pair = Pair::new(&[NAME]);
    soak("a bundle of roots", |_| {
        let site = Site::plain(&pair);
        let bundle = site.path("roots.pem");
        // The text around the certificates changes with each version.
        fs::write(&bundle, format!("# version 1\n{}", roots[..3].concat())).unwrap();
        let host = trusting(&site, &bundle);
        let begun = Instant::now();
        fs::write(&bundle, format!("# version 2\n{}", roots[..2].concat())).unwrap();
        thread::sleep(LONG_PAUSE);
        append(&bundle, &roots[2..].concat());
        let run = Run::since(begun);
        host.recorder.wait_for_generation(2);
        assert!(matches!(host.reload_wait(), Outcome::Ok | Outcome::Unchanged));
        if run == Run::Counts {
            assert_eq!(host.status().generation, 2, "{:#?}", host.recorder.all());
            let reload = host.recorder.of(Kind::Reloaded).remove(1);
            assert!(reload.message.contains("roots for clients: 4"), "{reload:?}");
        }
        run
    });
}

fn trusting(site: &Site, bundle: &Path) -> Host {
    let options = Builder::new().identity(&site.chain(), &site.key());
    let options = options.client_auth(certreload_client_auth::Required, bundle);
    options.poll_ms(NEVER).debounce_ms(50, TIMEOUT_MS).open()
}

#[test]
fn g13_a_bundle_that_stays_shorter_is_published_after_the_timeout() {
    let _queue = queue();
    let roots: Vec<_> = (0..3).map(|_| Authority::new().root_pem()).collect();
    let site = Site::plain(&Pair::new(&[NAME]));
    let bundle = site.path("roots.pem");
    replace(&bundle, &roots.concat());
    let host = trusting(&site, &bundle);
    let begun = Instant::now();
    replace(&bundle, &roots[..2].concat());
    // The notification may have been faster; the answer is the same.
    assert!(matches!(host.reload_wait(), Outcome::Ok | Outcome::Unchanged));
    assert!(begun.elapsed() >= TIMEOUT, "{:?}", begun.elapsed());
    host.recorder.wait_for_generation(2);
    // A root that is removed elsewhere than at the end cannot be a cut.
    let begun = Instant::now();
    replace(&bundle, &roots[1]);
    assert!(matches!(host.reload_wait(), Outcome::Ok | Outcome::Unchanged));
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
    host.recorder.wait_for_generation(3);
}

#[test]
fn g15_a_chain_that_stays_without_its_intermediate_is_published_after_the_timeout_with_a_warning() {
    let _queue = queue();
    let scene = Scene::new(50);
    let begun = Instant::now();
    replace(&scene.site.key(), &scene.new.key);
    replace(&scene.site.chain(), scene.halves().0);
    assert!(matches!(scene.host.reload_wait(), Outcome::Ok | Outcome::Unchanged));
    assert!(begun.elapsed() >= TIMEOUT, "{:?}", begun.elapsed());
    scene.host.recorder.wait_for_generation(2);
    let reload = scene.host.recorder.of(Kind::Reloaded).remove(1);
    assert_eq!(reload.warnings & CERTRELOAD_WARNING_CHAIN_INCOMPLETE, reload.warnings);
    assert_ne!(reload.warnings, 0, "{reload:?}");
    assert!(reload.message.contains("ends below \"intermediate.test\""), "{reload:?}");
    assert_eq!(scene.host.identity_status(0).pending, 0);
    assert!(scene.host.recorder.of(Kind::ReloadFailed).is_empty());
    // The next chain without an intermediate loses none.
    let begun = Instant::now();
    let next = scene.authority.issue(&[NAME]);
    replace(&scene.site.key(), &next.key);
    replace(&scene.site.chain(), next.chain.split_at(next.chain.rfind("-----BEGIN").unwrap()).0);
    assert!(matches!(scene.host.reload_wait(), Outcome::Ok | Outcome::Unchanged));
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
    assert_eq!(scene.host.sha256(), next.sha256);
}

#[test]
fn g4_half_a_chain_that_is_never_closed_is_published_after_ten_timeouts() {
    let _queue = queue();
    let scene = Scene::driven(5, 60, Driver::of_this_run());
    write_private(&scene.site.key(), &scene.new.key);
    let begun = Instant::now();
    let file = create(&scene.site.chain(), scene.halves().0);
    scene.host.recorder.wait_for_generation(2);
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(10 * 60 - 10), "{waited:?}");
    assert!(waited < PATIENCE / 10, "{waited:?}");
    drop(file);
}

/// A change of permissions does not show that the writer is done.
#[test]
fn g4_a_file_that_is_written_and_chmodded_is_still_open() {
    let _queue = queue();
    let (old, other) = (Pair::new(&[NAME]), Pair::new(&["other.test"]));
    let site = Site::plain(&old);
    let options = Builder::new().identity(&site.chain(), &site.key());
    let host = options.poll_ms(NEVER).debounce_ms(10, 60_000).open();
    let mut file = create(&site.chain(), &old.chain);
    file.write_all(other.chain.as_bytes()).unwrap();
    fs::set_permissions(site.chain(), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(host.reload_wait_ms(300), Outcome::TimedOut);
    assert_eq!(host.status().generation, 1, "read while its writer had it open");
    drop(file);
    host.recorder.wait_for_generation(2);
    assert_eq!(host.shown(NAME).length, 2);
}
