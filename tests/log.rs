//! The log line for people: what reaches the host's function, and when no more.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::ffi::{c_char, c_void};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use certreload::ffi::handle::{certreload_close, certreload_open_files};
use certreload::ffi::log::certreload_log_level::{self as Level, Debug, Error, Info, Trace, Warn};
use certreload::ffi::log::{
    certreload_log_callback, certreload_log_level_str, certreload_set_log_callback,
};
use certreload::ffi::options::certreload_options_set_name;
use certreload::ffi::options::start::{certreload_options_set_start, certreload_start};
use certreload::ffi::options::trust::certreload_client_auth;
use certreload::ffi::options::watch::certreload_watch;
use certreload::ffi::reload::certreload_reload_wait;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::testing;
use support::certificates::{Pair, Site, write_private};
use support::client::Client;
use support::host::{Builder, c_path, checked, text};
use support::talk::talk;
use support::workshop::Workshop;

const NAME: &str = "a.test";

/// The log is the process's: whoever listens has it alone.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(callback: certreload_log_callback, userdata: *mut c_void, level: u32) -> Outcome {
    // SAFETY: the callbacks here have the signature, and their userdata outlives them.
    unsafe { certreload_set_log_callback(callback, userdata, None, level) }
}

fn forget() -> Outcome {
    listen(None, ptr::null_mut(), 0)
}

type Lines = Mutex<Vec<(Level, String)>>;

unsafe extern "C" fn note(userdata: *mut c_void, level: Level, message: *const c_char) {
    // SAFETY: the lines outlive the listening.
    let lines = unsafe { &*userdata.cast::<Lines>() };
    let line = text(message);
    lines.lock().unwrap().push((level, line));
}

/// What is logged while `body` runs.
fn logged(level: Level, body: impl FnOnce()) -> Vec<(Level, String)> {
    let lines = Lines::default();
    let userdata = (&raw const lines).cast_mut().cast();
    assert_eq!(listen(Some(note), userdata, level as u32), Outcome::Ok);
    body();
    assert_eq!(forget(), Outcome::Ok);
    let lines = lines.into_inner().unwrap();
    // Lines of rustls, for its developers, begin with its name.
    for (_, line) in lines.iter().filter(|(_, line)| !line.starts_with("rustls")) {
        checked(line.clone(), &[]);
    }
    lines
}

fn has(lines: &[(Level, String)], level: Level, words: &str) {
    let found = lines.iter().any(|(of, line)| *of == level && line.contains(words));
    assert!(found, "no {level:?} with {words:?} in {lines:#?}");
}

#[test]
fn each_event_is_a_line_with_no_event_callback_set() {
    let _alone = alone();
    let mut site = Site::plain(&Pair::new(&[NAME]));
    let chain = site.chain().display().to_string();
    let lines = logged(Debug, || {
        let (chain, key) = (c_path(&site.chain()), c_path(&site.key()));
        let mut handle = ptr::null_mut();
        // SAFETY: C strings, and a handle that is closed once.
        unsafe {
            let opened = certreload_open_files(chain.as_ptr(), key.as_ptr(), &raw mut handle);
            assert_eq!(opened, Outcome::Ok);
            site.renew(&Pair::new(&["b.test"]));
            certreload_reload_wait(handle, 60_000);
            site.renew(&Pair::expired());
            assert_eq!(certreload_reload_wait(handle, 60_000), Outcome::CertificateExpired);
            certreload_close(handle);
        }
    });
    has(&lines, Info, &format!("generation 1 serves: {chain}: {NAME}, valid until "));
    has(&lines, Warn, &format!("generation 2 serves: {chain}: b.test, valid until "));
    has(&lines, Error, "the reload failed: ");
    has(&lines, Debug, " is open; identities: 1");
    has(&lines, Debug, " is closed; identities: 1");
    assert!(lines.iter().all(|(_, line)| !line.starts_with("certreload")), "{lines:#?}");
}

/// A log without an event callback shows an operator that a start on a bad day serves nothing.
#[test]
fn line_of_an_open_without_files_says_that_nothing_is_served() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let pair = Pair::new(&[NAME]);
    write_private(&path("b.key"), &pair.key);
    fs::write(path("b.pem"), &pair.chain).unwrap();
    let open = |name: &str, roots: Option<&str>| {
        let chain = path(&format!("{name}.pem"));
        let builder = Builder::new().identity(&chain, &path(&format!("{name}.key")));
        let builder = builder.watch(certreload_watch::Off);
        let builder = match roots {
            Some(roots) => builder.client_auth(certreload_client_auth::Required, &path(roots)),
            None => builder,
        };
        // SAFETY: live options.
        let set =
            unsafe { certreload_options_set_start(builder.0, certreload_start::Available as u32) };
        assert_eq!(set, Outcome::Ok);
        logged(Info, || drop(builder.open()))
    };
    let (chain, of_trust) = (path("a.pem"), path("roots.pem"));
    let lines = open("a", None);
    let of_open = format!("opened without: {}: ", chain.display());
    assert!(lines.iter().any(|(level, line)| *level == Error && line.starts_with(&of_open)));
    let words = "generation 1 serves nothing yet: ";
    let refused = "; but every client is refused until an identity is loaded";
    has(&lines, Info, &format!("{words}{}: nothing has been loaded yet{refused}", chain.display()));
    let lines = open("b", Some("roots.pem"));
    has(&lines, Info, "; but every handshake is refused until the trust store is loaded");
    has(&lines, Info, "generation 1 serves: ");
    has(&lines, Error, &format!("opened without: {}: ", of_trust.display()));
}

#[test]
fn lines_begin_with_the_name_of_the_handle_and_a_request_is_always_answered() {
    let _alone = alone();
    let site = Site::plain(&Pair::new(&[NAME]));
    let lines = logged(Debug, || {
        let builder = Builder::new().identity(&site.chain(), &site.key()).debounce_ms(5, 50);
        // SAFETY: live options and a C string.
        let named = unsafe { certreload_options_set_name(builder.0, c"public".as_ptr()) };
        assert_eq!(named, Outcome::Ok);
        let host = builder.watch(certreload_watch::Off).open();
        assert_eq!(host.reload_wait(), Outcome::Unchanged);
        // As a signal handler asks: nobody waits.
        let before = host.status().unchanged;
        host.reload();
        while host.status().unchanged == before {
            std::thread::yield_now();
        }
        fs::write(site.key(), "garbage").unwrap();
        assert_eq!(host.reload_wait(), Outcome::NoPrivateKey);
        assert_eq!(host.reload_wait(), Outcome::NoPrivateKey);
    });
    has(&lines, Info, "public: reload request: unchanged");
    has(&lines, Info, "public: reload request: still failing: ");
    let answers = lines.iter().filter(|(_, line)| line.contains("reload request: ")).count();
    assert_eq!(answers, 3, "the first failure is a line already: {lines:#?}");
    assert!(lines.iter().all(|(_, line)| line.starts_with("public: ")), "{lines:#?}");
}

#[test]
fn every_new_identity_is_logged_with_its_fingerprint() {
    let _alone = alone();
    let sites: Vec<_> =
        (0..6).map(|n| Site::plain(&Pair::new(&[format!("n{n}.test").as_str()]))).collect();
    let lines = logged(Info, || {
        let open = sites
            .iter()
            .fold(Builder::new(), |builder, site| builder.identity(&site.chain(), &site.key()));
        open.watch(certreload_watch::Off).open();
    });
    has(&lines, Info, "n0.test, valid until ");
    has(&lines, Info, "; and 2 more identities");
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for n in 0..6 {
        let told = format!("n{n}.test, valid until ");
        let by_fingerprint = |line: &str| {
            line.split(&told).nth(1).is_some_and(|rest| rest[20..].starts_with(", sha256 "))
        };
        assert!(lines.iter().any(|(_, line)| by_fingerprint(line)), "{n}: {lines:#?}");
    }
}

#[test]
fn dates_are_lines_too() {
    let _alone = alone();
    let site = Site::plain(&Pair::with(&[NAME], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2200, 1, 1);
    }));
    let lines = logged(Info, || {
        let host = Builder::new()
            .identity(&site.chain(), &site.key())
            .watch(certreload_watch::Off)
            .expiry_warning(u32::MAX)
            .open();
        for (fifty_years, events) in [(1, 2), (4, 3)] {
            testing::set_clock(fifty_years * 50 * 365 * 24 * 3600);
            host.recorder.wait_until("an event", |seen| seen.len() >= events);
        }
        testing::set_clock(0);
    });
    has(&lines, Warn, "a.test expires in ");
    has(&lines, Error, "a.test expired at ");
    assert!(lines.iter().all(|(level, _)| *level as u32 <= Info as u32), "{lines:#?}");
}

#[test]
fn records_of_rustls_pass_through_under_its_name() {
    let _alone = alone();
    let site = Site::plain(&Pair::new(&[NAME]));
    let host =
        Builder::new().identity(&site.chain(), &site.key()).watch(certreload_watch::Off).open();
    let lines = logged(Trace, || {
        host.served(NAME);
    });
    let theirs = lines.iter().filter(|(_, line)| line.starts_with("rustls::")).count();
    assert!(theirs > 0, "{lines:#?}");
    let looks = logged(Trace, || {
        let (open, new) = (Builder::new(), Pair::new(&[NAME]));
        let mut site = Site::plain(&new);
        let host = open.identity(&site.chain(), &site.key()).watch(certreload_watch::Off).open();
        site.renew(&Pair::new(&[NAME]));
        assert_eq!(host.reload_wait(), Outcome::Ok);
    });
    has(&looks, Info, "generation 2 serves");
    let theirs: Vec<_> = looks.iter().filter(|(_, line)| line.starts_with("rustls::")).collect();
    assert!(theirs.is_empty(), "of the self-check: {theirs:#?}");
    assert_eq!(logged(Info, || drop(host.served(NAME))), [], "below the level that was asked for");
}

/// The host gets only a general error, or what looks like a fault of the server: a line says what is missing.
#[test]
fn g24_refusal_for_want_of_files_is_explained_once_a_minute() {
    let _alone = alone();
    let (directory, site) = (tempfile::tempdir().unwrap(), Site::plain(&Pair::new(&[NAME])));
    let (none, roots) = (directory.path().join("none.pem"), directory.path().join("roots.pem"));
    let open = |builder: Builder| {
        // SAFETY: live options.
        let set =
            unsafe { certreload_options_set_start(builder.0, certreload_start::Available as u32) };
        assert_eq!(set, Outcome::Ok);
        builder.watch(certreload_watch::Off).open()
    };
    let with_site = || Builder::new().identity(&site.chain(), &site.key());
    let empty = open(Builder::new().identity(&none, &none));
    let of_server = open(with_site().client_auth(certreload_client_auth::Required, &roots));
    let of_client = open(with_site().server_roots(&roots));
    let server = open(with_site());
    let client = Client::new();
    let cases: [(&dyn Fn(), &Path, &str); 3] = [
        (
            &|| client.is_refused(empty.config(), NAME),
            &none,
            "no identity has been loaded yet; a client",
        ),
        (
            &|| client.is_refused(of_server.config(), NAME),
            &roots,
            "the trust store has not been loaded; a client",
        ),
        (
            &|| {
                let call = AssertUnwindSafe(|| talk(&of_client, &server.config()));
                assert!(catch_unwind(call).is_err(), "it talked to any server");
            },
            &roots,
            "the trust store has not been loaded; a server",
        ),
    ];
    for (minutes, (connect, path, words)) in (1..).step_by(2).zip(cases) {
        testing::set_clock(minutes * 60);
        let lines = logged(Info, || (0..3).for_each(|_| connect()));
        let words = format!("{}: {words} was refused; correct the files", path.display());
        let ours = lines.iter().filter(|(level, line)| *level == Warn && line.starts_with(&words));
        // A minute may end between the handshakes.
        assert!((1..=2).contains(&ours.count()), "{words}: {lines:#?}");
    }
    testing::set_clock(0);
}

/// The two client certificates that beginners make. Each refusal is logged once a minute, whatever the client does.
#[test]
fn g24_refusal_of_a_client_certificate_is_explained_once() {
    let _alone = alone();
    let of_version_1 = "openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 \
         -out client.pem; cp root.pem roots.pem";
    let own_root = "openssl req -x509 -key client.key -subj /CN=client -days 9 -out client.pem; cp client.pem roots.pem";
    for (script, words) in [
        (of_version_1, "a client certificate is refused: it has X.509 version 1"),
        (own_root, "a client certificate is refused: it is the certificate of an authority"),
    ] {
        let workshop = Workshop::after(&format!(
            "ec P-256; certify; cp key.pem server.key; authority root root; issue client root; \
             cp key.pem client.key; cp server.key key.pem; {script}"
        ));
        let roots = workshop.path("roots.pem");
        let host = workshop.options().client_auth(certreload_client_auth::Required, &roots).open();
        let client = Client::presenting(&workshop.path("client.pem"), &workshop.path("client.key"));
        let lines = logged(Info, || (0..3).for_each(|_| client.is_refused(host.config(), NAME)));
        let ours = lines.iter().filter(|(level, line)| *level == Info && line.starts_with(words));
        // A minute may end between the handshakes.
        assert!((1..=2).contains(&ours.count()), "{lines:#?}");
    }
}

#[test]
fn g18_a_line_is_one_line_and_holds_no_key() {
    let _alone = alone();
    let pair = Pair::new(&[NAME]);
    let site = Site::plain(&pair);
    let odd = site.path("odd\nname\u{1b}[31m.pem");
    write_private(&odd, &pair.chain);
    let lines = logged(Trace, || {
        let builder = Builder::new().identity(&odd, &site.key()).debounce_ms(5, 50);
        let host = builder.watch(certreload_watch::Off).open();
        host.served(NAME);
        fs::write(&odd, &pair.key).unwrap();
        assert_eq!(host.reload_wait(), Outcome::NoCertificate);
    });
    has(&lines, Info, "odd?name?[31m.pem: a.test");
    for (_, line) in &lines {
        assert!(!line.contains(char::is_control), "{line:?}");
        let secret = pair.key.lines().nth(1).unwrap();
        assert!(!line.contains(secret), "{line}");
    }
}

#[test]
fn what_is_logged_inside_the_callback_is_dropped() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn log_again(_: *mut c_void, _: Level, _: *const c_char) {
        CALLS.fetch_add(1, Ordering::SeqCst);
        log::error!("from inside");
    }
    let _alone = alone();
    assert_eq!(listen(Some(log_again), ptr::null_mut(), Error as u32), Outcome::Ok);
    log::error!("from outside");
    log::error!("and once more");
    assert_eq!(forget(), Outcome::Ok);
    log::error!("to nobody");
    assert_eq!(CALLS.load(Ordering::SeqCst), 2);
}

/// A callback that tells when it has begun, and ends when it is let go.
struct Slow {
    begun: mpsc::Sender<()>,
    go: Mutex<mpsc::Receiver<()>>,
    ended: AtomicBool,
}

unsafe extern "C" fn slowly(userdata: *mut c_void, _: Level, _: *const c_char) {
    // SAFETY: it outlives the listening.
    let slow = unsafe { &*userdata.cast::<Slow>() };
    slow.begun.send(()).unwrap();
    slow.go.lock().unwrap().recv().unwrap();
    slow.ended.store(true, Ordering::SeqCst);
}

#[test]
fn unregistering_waits_for_a_call_that_runs() {
    let _alone = alone();
    let (begun, has_begun) = mpsc::channel();
    let (let_go, go) = mpsc::channel();
    let slow = Slow { begun, go: Mutex::new(go), ended: AtomicBool::new(false) };
    let userdata = (&raw const slow).cast_mut().cast();
    assert_eq!(listen(Some(slowly), userdata, Error as u32), Outcome::Ok);
    thread::scope(|scope| {
        scope.spawn(|| log::error!("a line"));
        has_begun.recv().unwrap();
        let unregistering = scope.spawn(|| {
            assert_eq!(forget(), Outcome::Ok);
            slow.ended.load(Ordering::SeqCst)
        });
        // Time for it to return too early, should it not wait.
        thread::sleep(Duration::from_millis(50));
        let_go.send(()).unwrap();
        assert!(unregistering.join().unwrap(), "it returned while a call was running");
    });
}

#[test]
fn a_callback_may_unregister_itself_while_another_call_of_it_runs() {
    unsafe extern "C" fn leave(_: *mut c_void, _: Level, _: *const c_char) {
        assert_eq!(forget(), Outcome::Ok);
        CALLS.fetch_add(1, Ordering::SeqCst);
    }
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let _alone = alone();
    for round in 1..=50 {
        let before = CALLS.load(Ordering::SeqCst);
        assert_eq!(listen(Some(leave), ptr::null_mut(), Error as u32), Outcome::Ok);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| log::error!("a line"));
            }
        });
        let calls = CALLS.load(Ordering::SeqCst) - before;
        assert!((1..=4).contains(&calls), "{calls} calls in round {round}");
    }
}

#[test]
fn replacing_while_others_log_loses_no_thread() {
    let _alone = alone();
    let lines = Lines::default();
    let userdata: *mut c_void = (&raw const lines).cast_mut().cast();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    log::error!("a line");
                }
            });
        }
        for _ in 0..200 {
            assert_eq!(listen(Some(note), userdata, Error as u32), Outcome::Ok);
            assert_eq!(forget(), Outcome::Ok);
            // Nobody else writes there now.
            lines.try_lock().unwrap().clear();
        }
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_level_is_one_of_five() {
    let _alone = alone();
    for bad in [0, 6, u32::MAX] {
        assert_eq!(listen(Some(note), ptr::null_mut(), bad), Outcome::InvalidParameter);
    }
    assert_eq!(text(certreload_log_level_str(Warn as u32)), "warn");
    assert_eq!(text(certreload_log_level_str(6)), "unknown");
}
