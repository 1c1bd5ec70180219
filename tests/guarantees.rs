//! What holds whatever the host does: explicit reloads, events, lifetimes, bad input, warnings.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]
#![allow(clippy::wildcard_imports, reason = "one C name after another")]

mod support;

use std::ffi::c_void;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use certreload::ffi::event::*;
use certreload::ffi::generation::*;
use certreload::ffi::handle::*;
use certreload::ffi::options::setter_failures::certreload_options_clear_error;
use certreload::ffi::options::watch::*;
use certreload::ffi::options::*;
use certreload::ffi::reload::*;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::set_event_callback::*;
use certreload::ffi::status::{certreload_health as Health, certreload_status};
use rustls::HandshakeKind;
use rustls::crypto::{CryptoProvider, KeyProvider, aws_lc_rs};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ResolvesServerCertUsingSni;
use rustls::sign::SigningKey;
use support::certificates::{Pair, Site, Writer, replace, write_private};
use support::driver::Driver;
use support::host::{Builder, Client, PATIENCE, handshake, last_error};

const NAME: &str = "a.test";

fn options(site: &Site) -> Builder {
    Builder::new().identity(&site.chain(), &site.key())
}

/// Only an explicit request looks at the files.
fn quiet(site: &Site) -> Builder {
    options(site).watch(certreload_watch::Off)
}

#[test]
fn g6_a_reload_that_is_waited_for_answers_for_the_files_as_they_are() {
    let mut site = Site::plain(&Pair::new(&[NAME]));
    let host = quiet(&site).open();
    for _ in 0..50 {
        let next = Pair::new(&[NAME]);
        site.renew(&next);
        assert_eq!(host.reload_wait(), Outcome::Ok);
        assert_eq!(host.sha256(), next.sha256);
        assert_eq!(host.reload_wait(), Outcome::Unchanged);
    }
    assert_eq!(host.status().generation, 51);
    assert_eq!(host.status().reloads, 50);
}

#[test]
fn g6_many_who_wait_at_once_are_all_answered() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let host = options(&site).poll_ms(10).open();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(host.reload_wait(), Outcome::Unchanged);
                }
            });
        }
    });
}

#[test]
fn g7_events_come_in_order_and_one_at_a_time() {
    let mut site = Site::plain(&Pair::new(&[NAME]));
    let host = quiet(&site).open();
    for _ in 0..20 {
        site.renew(&Pair::new(&[NAME]));
        assert_eq!(host.reload_wait(), Outcome::Ok);
    }
    host.recorder.wait_for_generation(21);
    let numbers: Vec<_> = host.recorder.all().iter().map(|seen| seen.generation).collect();
    assert_eq!(numbers, (1..=21).collect::<Vec<_>>());
}

/// A callback that stands still until the gate is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
    entered: AtomicUsize,
    left: AtomicUsize,
}

unsafe extern "C" fn stand_at_gate(userdata: *mut c_void, _: *const certreload_event) {
    // SAFETY: the gate outlives the callback.
    let gate = unsafe { &*userdata.cast::<Gate>() };
    gate.entered.fetch_add(1, Ordering::SeqCst);
    let open = gate.open.lock().unwrap();
    let (open, _) = gate.changed.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
    assert!(*open, "the gate was never opened");
    gate.left.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn g7_unregistering_waits_for_the_callback_that_runs_and_a_blocked_callback_blocks_no_reload() {
    let mut site = Site::plain(&Pair::new(&[NAME]));
    let host = quiet(&site).open();
    let gate = Gate::default();
    let userdata = (&raw const gate).cast_mut().cast();
    // SAFETY: an open handle; the gate lives until after the callback is unregistered.
    unsafe { certreload_set_event_callback(host.handle, Some(stand_at_gate), userdata, None) };
    let mut renew = || {
        let next = Pair::new(&[NAME]);
        site.renew(&next);
        assert_eq!(host.reload_wait(), Outcome::Ok);
        assert_eq!(host.served(NAME), next.sha256);
    };
    for _ in 0..3 {
        renew();
    }
    while gate.entered.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    thread::scope(|scope| {
        let unregistering = scope.spawn(|| {
            host.unregister();
            let entered = gate.entered.load(Ordering::SeqCst);
            assert_eq!(gate.left.load(Ordering::SeqCst), entered, "it was still running");
            entered
        });
        // One that does not wait returns meanwhile, and finds the callback running.
        thread::sleep(Duration::from_millis(100));
        *gate.open.lock().unwrap() = true;
        gate.changed.notify_all();
        let entered = unregistering.join().unwrap();
        renew();
        assert_eq!(gate.entered.load(Ordering::SeqCst), entered, "called after unregistering");
    });
}

static HELD: Mutex<()> = Mutex::new(());

unsafe extern "C" fn want_what_is_held(_: *mut c_void, _: *const certreload_event) {
    drop(HELD.lock().unwrap());
}

#[test]
fn g7_replacing_waits_for_the_callback_before_and_not_for_the_new_one() {
    let mut site = Site::plain(&Pair::new(&[NAME]));
    let host = quiet(&site).open();
    let gate = Gate::default();
    let userdata = (&raw const gate).cast_mut().cast();
    // SAFETY: an open handle; the gate lives until after the callback is replaced.
    unsafe { certreload_set_event_callback(host.handle, Some(stand_at_gate), userdata, None) };
    for _ in 0..3 {
        site.renew(&Pair::new(&[NAME]));
        assert_eq!(host.reload_wait(), Outcome::Ok);
    }
    while gate.entered.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    thread::scope(|scope| {
        let replacing = scope.spawn(|| {
            // The new callback cannot return before this lock is given back.
            let _held = HELD.lock().unwrap();
            host.set_callback(Some(want_what_is_held));
        });
        *gate.open.lock().unwrap() = true;
        gate.changed.notify_all();
        replacing.join().unwrap();
    });
    host.unregister();
}

static TO_CLOSE: AtomicPtr<certreload_handle> = AtomicPtr::new(ptr::null_mut());

unsafe extern "C" fn close_inside(userdata: *mut c_void, _: *const certreload_event) {
    // SAFETY: the library frees the sender after this call; the handle is closed once.
    unsafe {
        let mut handle: *mut certreload_handle = ptr::null_mut();
        while handle.is_null() {
            handle = TO_CLOSE.swap(ptr::null_mut(), Ordering::SeqCst);
        }
        certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER);
        certreload_close(handle);
        (*userdata.cast::<mpsc::Sender<()>>()).send(()).unwrap();
    }
}

unsafe extern "C" fn free_sender(userdata: *mut c_void) {
    // SAFETY: it was made from a box, and the library calls this once.
    drop(unsafe { Box::from_raw(userdata.cast::<mpsc::Sender<()>>()) });
}

#[test]
fn a_callback_may_reload_and_close_its_own_handle() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let (closed, is_closed) = mpsc::channel::<()>();
    // Without the host's loop, which is gone once the handle is.
    let options = options(&site).driven_by(Driver::Threads);
    let mut handle = ptr::null_mut();
    // Not on this stack: when the message arrives, the callback is still inside send().
    let userdata = Box::into_raw(Box::new(closed)).cast();
    // SAFETY: live options; the library owns the sender, and frees it after the callback has returned.
    let result = unsafe {
        let (callback, free) = (Some(close_inside as _), Some(free_sender as _));
        certreload_options_set_event_callback(options.0, callback, userdata, free)
    };
    assert_eq!(result, Outcome::Ok);
    // SAFETY: live options.
    assert_eq!(unsafe { certreload_open(options.0, &raw mut handle) }, Outcome::Ok);
    drop(options);
    TO_CLOSE.store(handle, Ordering::SeqCst);
    is_closed.recv_timeout(PATIENCE).unwrap();
    // And the process can open another one, with threads of its own.
    assert_eq!(options_again(&site), Outcome::Unchanged);
    let freed = is_closed.recv_timeout(PATIENCE);
    assert_eq!(freed, Err(mpsc::RecvTimeoutError::Disconnected), "the userdata is freed");
}

fn options_again(site: &Site) -> Outcome {
    options(site).open().reload_wait()
}

#[test]
fn closing_ends_all_waits() {
    let site = Site::plain(&Pair::new(&[NAME]));
    // Only an explicit request looks at the files.
    let host = quiet(&site).debounce_ms(10, 3_600_000).open();
    fs::remove_file(site.key()).unwrap();
    thread::scope(|scope| {
        // Closing lets the wait go before it frees the handle.
        let waiting = scope.spawn(|| host.reload_wait_ms(CERTRELOAD_WAIT_FOREVER));
        // The first caller is inside its call: nothing else has looked for the key.
        let deadline = Instant::now() + PATIENCE;
        while host.identity_status(0).pending == 0 {
            assert!(Instant::now() < deadline, "the request was not seen");
            thread::yield_now();
        }
        // A second caller shows that the first is not answered: the key is missing, so it waits.
        assert_eq!(host.reload_wait_ms(300), Outcome::TimedOut);
        assert!(last_error().contains("no such file"), "{}", last_error());
        // SAFETY: closed once: the host is forgotten below.
        unsafe { certreload_close(host.handle) };
        assert_eq!(waiting.join().unwrap(), Outcome::Closed);
    });
    std::mem::forget(host);
}

#[test]
fn g8_an_old_generation_lives_as_long_as_its_last_user() {
    let old = Pair::new(&[NAME]);
    let mut site = Site::plain(&old);
    let host = quiet(&site).open();
    assert_eq!(host.status().generations_alive, 1);
    // SAFETY: an open handle; the reference is given back below.
    let generation = unsafe { certreload_generation_acquire(host.handle) };
    let config = host.config();
    for _ in 0..3 {
        site.renew(&Pair::new(&[NAME]));
        assert_eq!(host.reload_wait(), Outcome::Ok);
    }
    assert_eq!(host.status().generations_alive, 2, "those in between are gone");
    // SAFETY: acquired above.
    unsafe {
        assert_eq!(certreload_generation_number(generation), 1);
        certreload_generation_release(generation);
    }
    assert_eq!(host.status().generations_alive, 2, "the config holds it");
    drop(host);
    assert_eq!(handshake(config, NAME), old.sha256, "after the handle is closed");
}

/// What is bad, the code for it, and a word that the message must have.
fn bad_pairs() -> Vec<(&'static str, String, String, Outcome, &'static str)> {
    let (good, other) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
    let (expired, future) = (Pair::expired(), Pair::not_yet_valid());
    let cut = good.chain[..good.chain.len() - 30].to_owned();
    let garbled = good.chain.replacen('M', "?", 2);
    let two_keys = format!("{}{}", other.key, Pair::new(&[NAME]).key);
    let encrypted = good.key.replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,00\n\n", 1);
    let no_certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let (chain, key) = (&good.chain, &good.key);
    let row = |what, chain: &str, key: &str, code, word| {
        (what, chain.to_owned(), key.to_owned(), code, word)
    };
    vec![
        row("empty", "", key, Outcome::FileEmpty, "empty"),
        row("not PEM", "hello", key, Outcome::NoCertificate, "no PEM"),
        row("DER", "0\u{3}xyz", key, Outcome::NoCertificate, "DER"),
        row("truncated PEM", &cut, key, Outcome::PemTruncated, "END CERTIFICATE"),
        row("malformed PEM", &garbled, key, Outcome::PemMalformed, "base64"),
        row(
            "not a certificate",
            no_certificate,
            key,
            Outcome::CertificateMalformed,
            "the certificate cannot be parsed",
        ),
        row("too many", &chain.repeat(65), key, Outcome::TooManyCertificates, "64"),
        row("no key", chain, chain, Outcome::NoPrivateKey, "no private key"),
        row("two keys", chain, &two_keys, Outcome::SeveralPrivateKeys, "none is that"),
        row("encrypted key", chain, &encrypted, Outcome::KeyUnsupported, "openssl pkcs8 -topk8"),
        row("bad key", chain, &key.replacen("MIG", "MAG", 1), Outcome::KeyUnsupported, "key"),
        row("another key", chain, &other.key, Outcome::KeyMismatch, "does not match"),
        row("expired", &expired.chain, &expired.key, Outcome::CertificateExpired, "2021"),
        row("not yet valid", &future.chain, &future.key, Outcome::CertificateNotYetValid, "2150"),
        row("too large", &"x".repeat(1 << 21), key, Outcome::FileTooLarge, "1048576"),
    ]
}

#[test]
fn g12_each_kind_of_bad_input_has_its_own_code_at_open() {
    for (what, chain, key, code, word) in bad_pairs() {
        let site = Site::plain(&Pair::new(&[NAME]));
        write_private(&site.chain(), &chain);
        write_private(&site.key(), &key);
        let result = options(&site).try_open().err();
        assert_eq!(result, Some(code), "{what}: {}", last_error());
        assert!(last_error().contains(word), "{what}: {}", last_error());
        assert!(last_error().contains(site.path("live").to_str().unwrap()), "{}", last_error());
        let secret = Pair::new(&[NAME]).key.lines().nth(1).unwrap()[..20].to_owned();
        assert!(!last_error().contains(&secret), "G18");
    }
}

#[test]
fn g3_bad_input_after_open_is_reported_once_and_the_old_pair_is_served() {
    for (what, chain, key, code, word) in bad_pairs() {
        let good = Pair::new(&[NAME]);
        let mut site = Site::plain(&good);
        let host = options(&site).poll_ms(10).debounce_ms(0, 50).open();
        write_private(&site.chain(), &chain);
        write_private(&site.key(), &key);
        let failures =
            host.recorder.wait_until(what, |seen| seen.iter().any(|seen| seen.result == code));
        let told = failures.iter().find(|seen| seen.result == code).unwrap();
        assert_eq!(told.kind, certreload_event_kind::ReloadFailed);
        assert!(told.message.contains(word), "{what}: {}", told.message);
        assert!(told.message.contains("still serving generation 1; "), "{}", told.message);
        assert_eq!(host.reload_wait(), code, "{what}");
        assert_eq!(host.served(NAME), good.sha256, "{what}");
        assert_eq!(host.status().health, Health::Stale, "{what}");
        // Many polls later it has still been told once.
        for _ in 0..20 {
            assert_eq!(host.reload_wait(), code, "{what}");
        }
        let all = host.recorder.all();
        assert_eq!(all.iter().filter(|seen| seen.result == code).count(), 1, "{what}: {all:#?}");
        // The good pair back: healthy, and no new generation for content that is served already.
        site.renew(&good);
        assert_eq!(host.reload_wait(), Outcome::Unchanged, "{what}");
        assert_eq!(host.status().health, Health::Ok, "{what}");
        assert_eq!(host.status().generation, 1, "{what}");
    }
}

#[test]
fn g17_special_files_are_refused_at_once() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let fifo = site.path("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for special in [&fifo, Path::new("/dev/zero"), &site.path("live")] {
        let result = Builder::new().identity(special, &site.key()).try_open().err();
        assert_eq!(result, Some(Outcome::FileNotRegular), "{}", last_error());
    }
    let host = options(&site).poll_ms(10).debounce_ms(0, 3_600_000).open();
    fs::remove_file(site.key()).unwrap();
    std::os::unix::fs::symlink(&fifo, site.key()).unwrap();
    let failures = host.recorder.wait_for_failures(1);
    assert_eq!(
        failures[0].result,
        Outcome::FileNotRegular,
        "long before the incomplete-file timeout"
    );
}

#[test]
fn a_path_may_be_any_bytes_and_a_relative_one_is_fixed_at_open() {
    use std::os::unix::ffi::OsStrExt;
    let (old, new) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
    let site = Site::plain(&old);
    let odd = site.root.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&odd).unwrap();
    write_private(&odd.join("chain.pem"), &old.chain);
    write_private(&odd.join("key.pem"), &old.key);
    let host =
        Builder::new().identity(&odd.join("chain.pem"), &odd.join("key.pem")).poll_ms(10).open();
    assert_eq!(host.served(NAME), old.sha256);
    replace(&odd.join("chain.pem"), &new.chain);
    replace(&odd.join("key.pem"), &new.key);
    host.wait_until_served(NAME, &new.sha256);
}

#[test]
fn what_is_accepted_with_a_warning_says_so() {
    let long = Pair::with(&["a.test", "b.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    });
    let mut site = Site::plain(&long);
    let staple = site.path("staple.der");
    write_private(&staple, "not an OCSP response");
    fs::set_permissions(site.key(), fs::Permissions::from_mode(0o644)).unwrap();
    let host = Builder::new()
        .identity_with_staple(&site.chain(), &site.key(), Some(&staple))
        .watch(certreload_watch::Off)
        .open();
    host.recorder.wait_for_generation(1);
    let told = host.recorder.all().remove(0);
    assert_eq!(told.warnings, CERTRELOAD_WARNING_KEY_READABLE | CERTRELOAD_WARNING_OCSP_UNUSABLE);
    assert!(told.message.contains("every user may read"), "{}", told.message);
    for path in [site.key(), staple.clone()] {
        assert!(told.message.contains(path.to_str().unwrap()), "{}", told.message);
    }
    assert_eq!(host.status().warnings, told.warnings);
    let short = Pair::with(&["a.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2098, 1, 1);
    });
    site.renew(&short);
    fs::remove_file(&staple).unwrap();
    assert_eq!(host.reload_wait(), Outcome::Ok);
    host.recorder.wait_for_generation(2);
    let told = host.recorder.all().remove(1);
    let expected = CERTRELOAD_WARNING_NAMES_LOST
        | CERTRELOAD_WARNING_EXPIRES_EARLIER
        | CERTRELOAD_WARNING_OCSP_UNUSABLE;
    assert_eq!(told.warnings, expected, "{}", told.message);
}

#[test]
fn g14_sessions_survive_a_renewal_and_not_the_loss_of_a_name() {
    let mut site = Site::plain(&Pair::new(&["a.test", "b.test"]));
    let host = quiet(&site).open();
    let client = Client::new();
    assert_eq!(client.connect(&host), HandshakeKind::Full);
    assert_eq!(client.connect(&host), HandshakeKind::Resumed);
    site.renew(&Pair::new(&["a.test", "b.test", "c.test"]));
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(client.connect(&host), HandshakeKind::Resumed);
    site.renew(&Pair::new(&["b.test", "c.test"]));
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(client.connect(&host), HandshakeKind::Full);
}

/// A provider that panics where a key is loaded, when told to: a defect inside, as good as any.
#[derive(Debug)]
struct Panicky;

static PANIC: AtomicBool = AtomicBool::new(false);

impl KeyProvider for Panicky {
    fn load_private_key(
        &self,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        assert!(!PANIC.load(Ordering::SeqCst), "the provider falls over");
        aws_lc_rs::default_provider().key_provider.load_private_key(key)
    }
}

#[test]
fn g12_a_panic_inside_becomes_a_code_and_the_old_one_serves() {
    let provider = CryptoProvider { key_provider: &Panicky, ..aws_lc_rs::default_provider() };
    let template = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    let template = Arc::new(template);
    let (first, second) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
    let mut site = Site::plain(&first);
    let options = quiet(&site);
    // SAFETY: live options; rustls-ffi's documented layout; the Arc outlives the call.
    let result =
        unsafe { certreload_options_set_server_template(options.0, Arc::as_ptr(&template).cast()) };
    assert_eq!(result, Outcome::Ok);
    let host = options.open();
    PANIC.store(true, Ordering::SeqCst);
    site.renew(&second);
    for _ in 0..3 {
        assert_eq!(host.reload_wait(), Outcome::Panic);
        assert!(last_error().contains("the provider falls over"), "{}", last_error());
    }
    assert_eq!(host.served(NAME), first.sha256);
    assert_eq!(host.recorder.wait_for_failures(1).len(), 1, "told once");
    PANIC.store(false, Ordering::SeqCst);
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(host.served(NAME), second.sha256);
    // And in the call itself.
    PANIC.store(true, Ordering::SeqCst);
    // SAFETY: live options.
    unsafe {
        let options = quiet(&site);
        certreload_options_set_server_template(options.0, Arc::as_ptr(&template).cast());
        assert_eq!(certreload_check(options.0), Outcome::Panic);
    }
}

/// A template of a server that speaks TLS 1.2 with RSA certificates and nothing else.
fn rsa_only() -> Arc<rustls::ServerConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384];
    let template = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    Arc::new(template)
}

#[test]
fn g16_an_identity_that_no_client_could_use_is_refused() {
    // Chain, key and dates are all in order: only a handshake tells that these do not go together.
    let site = Site::plain(&Pair::new(&[NAME]));
    let options = quiet(&site);
    let template = rsa_only();
    // SAFETY: live options; rustls-ffi's documented layout; the Arc outlives the call.
    let result =
        unsafe { certreload_options_set_server_template(options.0, Arc::as_ptr(&template).cast()) };
    assert_eq!(result, Outcome::Ok);
    assert_eq!(options.try_open().err(), Some(Outcome::SelfCheckFailed));
    assert!(last_error().contains("(self-check)"), "{}", last_error());
}

#[test]
fn a_check_says_what_open_would_say() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let good = options(&site);
    // SAFETY: live options.
    assert_eq!(unsafe { certreload_check(good.0) }, Outcome::Ok);
    fs::write(site.key(), "garbage").unwrap();
    // SAFETY: live options.
    assert_eq!(unsafe { certreload_check(good.0) }, Outcome::NoPrivateKey);
    // SAFETY: live options.
    assert_eq!(unsafe { certreload_check(Builder::new().0) }, Outcome::NothingToLoad);
}

/// G22: every call that failed left its settings as they were.
#[test]
fn options_with_failed_calls_open_after_the_error_is_cleared() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let options = options(&site);
    // SAFETY: live options.
    unsafe {
        assert_eq!(certreload_options_set_watch(options.0, 3), Outcome::InvalidParameter);
        assert_eq!(
            certreload_options_set_poll_interval_ms(options.0, 9),
            Outcome::InvalidParameter
        );
        assert_eq!(
            certreload_options_set_debounce_ms(options.0, 3_600_001),
            Outcome::InvalidParameter
        );
        let empty = c"".as_ptr();
        assert_eq!(
            certreload_options_add_identity(options.0, empty, empty, ptr::null()),
            Outcome::InvalidParameter
        );
        let long = std::ffi::CString::new("x".repeat(256)).unwrap();
        let protocols = [c"h2".as_ptr(), long.as_ptr()];
        assert_eq!(
            certreload_options_set_alpn(options.0, protocols.as_ptr(), 2),
            Outcome::InvalidParameter
        );
        assert_eq!(certreload_options_set_alpn(options.0, ptr::null(), 1), Outcome::NullParameter);
        assert_eq!(certreload_check(options.0), Outcome::InvalidParameter);
        let expected = "certreload_options_set_watch: 3 is no certreload_watch";
        assert_eq!(last_error(), expected);
        // The latest first.
        assert_eq!(certreload_options_clear_error(options.0), Outcome::NullParameter);
        for _ in 0..5 {
            assert_eq!(certreload_options_clear_error(options.0), Outcome::InvalidParameter);
        }
        assert_eq!(certreload_options_clear_error(options.0), Outcome::Ok);
    }
    let host = options.open();
    assert_eq!(host.status().identities, 1);
}

#[test]
fn a_status_is_cut_to_the_size_that_the_host_knows() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let host = options(&site).open();
    let mut bytes = [0xaa_u8; size_of::<certreload_status>()];
    // SAFETY: an open handle, and at least 16 bytes; the buffer is written to as bytes.
    let result = unsafe {
        certreload::ffi::status::certreload_get_status(host.handle, bytes.as_mut_ptr().cast(), 16)
    };
    assert_eq!(result, Outcome::Ok);
    assert_eq!(bytes[..8], 16_u64.to_ne_bytes());
    assert_eq!(bytes[8..16], 1_u64.to_ne_bytes());
    assert!(bytes[16..].iter().all(|byte| *byte == 0xaa));
}

#[test]
fn g9_requests_from_many_threads_coalesce_and_the_last_one_counts() {
    let mut site = Site::new(Writer::RenameKeyFirst, &Pair::new(&[NAME]));
    let host = quiet(&site).open();
    let stop = AtomicBool::new(false);
    let asked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    host.reload();
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..20 {
            let next = Pair::new(&[NAME]);
            site.renew(&next);
            host.wait_until_served(NAME, &next.sha256);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let last = Pair::new(&[NAME]);
    site.renew(&last);
    host.reload();
    host.wait_until_served(NAME, &last.sha256);
    let looked = host.status().reloads + host.status().unchanged;
    let asked = asked.load(Ordering::Relaxed) as u64;
    assert!(asked > 10 * looked, "{asked} requests gave {looked} looks");
}
