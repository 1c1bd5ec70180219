//! Writers that do not let go, and what those are told who ask meanwhile (G4, G6).

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]
#![allow(clippy::wildcard_imports, reason = "one C name after another")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use certreload::ffi::event::CERTRELOAD_WARNING_KEY_READABLE;
use certreload::ffi::options::required_name::certreload_options_require_name;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;
use rcgen::date_time_ymd;
use support::certificates::{Authority, Pair, Site, replace, write_private};
use support::host::{Builder, PATIENCE};
use support::rotation::{NAME, NEVER};

fn options(site: &Site) -> Builder {
    Builder::new().identity(&site.chain(), &site.key())
}

/// Runs `write` again and again while `meanwhile` runs.
fn without_end<T>(write: impl Fn() + Sync, meanwhile: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                write();
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
        over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn g6_a_request_includes_files_that_are_closed_while_others_are_read() {
    let authority = Authority::new();
    let first = authority.issue(&[NAME]);
    let site = Site::plain(&first);
    // Many others, so that the look takes a while.
    let others = tempfile::tempdir().unwrap();
    let builder = (0..200).fold(options(&site), |builder, number| {
        let path = |kind: &str| others.path().join(format!("{number}.{kind}"));
        write_private(&path("chain"), &first.chain);
        write_private(&path("key"), &first.key);
        builder.identity(&path("chain"), &path("key"))
    });
    let host = builder.poll_ms(NEVER).debounce_ms(200, 30_000).open();
    for round in 0..30 {
        let next = authority.issue(&[NAME]);
        let open = |path, text: &str| {
            let mut file = File::options().write(true).truncate(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        let files = (open(site.key(), &next.key), open(site.chain(), &next.chain));
        let closer = thread::spawn(move || {
            // Varies the moment within the look.
            thread::sleep(Duration::from_micros(500 * (round % 20)));
            drop(files);
        });
        assert_eq!(host.reload_wait(), Outcome::Ok, "round {round}");
        assert_eq!(host.sha256(), next.sha256, "round {round}");
        closer.join().unwrap();
    }
}

#[test]
fn g4_a_file_that_is_written_without_end_is_reported_after_the_timeout() {
    let authority = Authority::new();
    let site = Site::plain(&authority.issue(&[NAME]));
    let staple = site.chain().with_file_name("ocsp.der");
    fs::write(&staple, "x").unwrap();
    let host = Builder::new()
        .identity_with_staple(&site.chain(), &site.key(), Some(&staple))
        .poll_ms(NEVER)
        .debounce_ms(5, 300)
        .open();
    let file = File::options().write(true).open(&staple).unwrap();
    let next = authority.issue(&[NAME]);
    without_end(
        || file.write_all_at(b"y", 0).unwrap(),
        || {
            replace(&site.key(), &next.key);
            replace(&site.chain(), &next.chain);
            // Three files of one moment are not to be had (G2), and that is told.
            let told = host.recorder.wait_for_failures(1);
            assert_eq!(told[0].result, Outcome::FileUnstable, "{}", told[0].message);
            assert!(told[0].path.ends_with("ocsp.der"), "{}", told[0].path);
        },
    );
    drop(file);
    host.wait_until_loaded(&next);
    // The pair may have been taken while the writer drew breath: then it is this look that ends the trouble.
    host.reload_wait();
    assert_eq!(host.status().health, Health::Ok);
}

#[test]
fn g6_a_request_is_answered_whatever_is_written_without_end() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let host = options(&site).poll_ms(NEVER).debounce_ms(5, 300).open();
    let chain = File::create(site.chain()).unwrap();
    let answer = without_end(|| (&chain).write_all(b"x").unwrap(), || host.reload_wait());
    assert!(!matches!(answer, Outcome::TimedOut | Outcome::Ok | Outcome::Unchanged), "{answer:?}");
    host.recorder.wait_for_failures(1);
}

#[test]
fn g3_a_unit_that_is_being_written_is_reported_as_pending() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let host = options(&site).poll_ms(20).debounce_ms(5, 60_000).open();
    let mut file = File::options().append(true).open(site.chain()).unwrap();
    file.write_all(b"\n").unwrap();
    let wait_for = |pending| {
        let deadline = Instant::now() + PATIENCE;
        while host.identity_status(0).pending != pending {
            assert!(Instant::now() < deadline, "pending is never {pending}");
            thread::yield_now();
        }
    };
    wait_for(1);
    drop(file);
    wait_for(0);
    assert_eq!(host.status().health, Health::Ok);
}

#[test]
fn g15_a_required_name_that_moves_to_another_identity_is_accepted_at_once() {
    let authority = Authority::new();
    let names = [NAME, "x.test"];
    let (site, other) =
        (Site::plain(&authority.issue(&names)), Site::plain(&authority.issue(&["b.test"])));
    let builder =
        options(&site).identity(&other.chain(), &other.key()).poll_ms(NEVER).debounce_ms(5, 100);
    // SAFETY: live options and a C string.
    unsafe { certreload_options_require_name(builder.0, c"x.test".as_ptr()) };
    let host = builder.open();
    let lacks = authority.issue(&[NAME]);
    replace(&site.chain(), &lacks.chain);
    replace(&site.key(), &lacks.key);
    host.recorder.wait_for_failures(1);
    let brings = authority.issue(&["b.test", "x.test"]);
    replace(&other.chain(), &brings.chain);
    replace(&other.key(), &brings.key);
    host.wait_until_loaded(&lacks);
    assert_eq!(host.identity_sha256(1), brings.sha256);
    assert_eq!(host.status().health, Health::Ok);
}

#[test]
fn g15_the_warning_about_a_readable_key_follows_its_permissions() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let host = options(&site).poll_ms(NEVER).open();
    let warned = || {
        let all = [host.status().warnings, host.identity_status(0).warnings];
        all.map(|warnings| warnings & CERTRELOAD_WARNING_KEY_READABLE != 0)
    };
    for mode in [0o600, 0o644, 0o600] {
        fs::set_permissions(site.key(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(host.reload_wait(), Outcome::Unchanged, "a mode is no content (G5)");
        assert_eq!(warned(), [mode == 0o644; 2], "{mode:o}");
    }
}

#[test]
fn g20_a_certificate_that_comes_too_early_is_taken_when_its_time_comes() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let host = options(&site).poll_ms(NEVER).debounce_ms(5, 100).open();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let early = Pair::with(&[NAME], |params| {
        params.not_before = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(3);
    });
    replace(&site.chain(), &early.chain);
    replace(&site.key(), &early.key);
    let told = host.recorder.wait_for_failures(1);
    assert_eq!(told[0].result, Outcome::CertificateNotYetValid);
    host.wait_until_loaded(&early);
    assert_eq!(host.status().health, Health::Ok);
}
