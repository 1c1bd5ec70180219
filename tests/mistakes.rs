//! Bad states (scenarios 8 and 9): the old pair serves, the host is told once what is wrong with which
//! file, and the fix is followed. A client connects all the while.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use certreload::ffi::event::{CERTRELOAD_WARNING_NAMES_LOST, certreload_event_kind as Kind};
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;
use support::certificates::{
    Authority, Pair, Site, Writer, in_the_future, in_the_past, replace, write_private,
};
use support::host::{Builder, Host, Seen};
use support::rotation::{Finder, NAME, NEVER, run_each};
use support::witness::{EndOf, Ledger, trusting};

/// What somebody does to the files by mistake.
struct Mistake {
    what: &'static str,
    /// Does it.
    make: fn(&Site, &Authority),
    result: Outcome,
    /// Which of the two files the event names, and words of the message.
    path: fn(&Site) -> PathBuf,
    words: &'static str,
}

impl std::fmt::Debug for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what)
    }
}

fn pair_with(
    site: &Site,
    authority: &Authority,
    change: impl FnOnce(&mut rcgen::CertificateParams),
) {
    let pair = authority.issue_with(&[NAME], change);
    replace(&site.chain(), &pair.chain);
    replace(&site.key(), &pair.key);
}

/// The PEM's content, in binary.
fn der_of(path: &Path) -> Vec<u8> {
    let read = Command::new("openssl").args(["x509", "-outform", "DER", "-in"]).arg(path).output();
    let read = read.unwrap();
    assert!(read.status.success());
    read.stdout
}

fn in_the_way(path: &Path, put: impl FnOnce(&Path)) {
    fs::remove_file(path).unwrap();
    put(path);
}

#[rustfmt::skip]
const MISTAKES: [Mistake; 22] = [
    Mistake { what: "garbage for a chain", make: |site, _| write_private(&site.chain(), "garbage"),
        result: Outcome::NoCertificate, path: Site::chain, words: "no PEM" },
    Mistake { what: "garbage for a key", make: |site, _| replace(&site.key(), "garbage"),
        result: Outcome::NoPrivateKey, path: Site::key, words: "no PEM" },
    Mistake { what: "an empty chain", make: |site, _| write_private(&site.chain(), ""),
        result: Outcome::FileEmpty, path: Site::chain, words: "empty" },
    Mistake { what: "an empty key", make: |site, _| replace(&site.key(), ""),
        result: Outcome::FileEmpty, path: Site::key, words: "empty" },
    Mistake { what: "another pair's key", make: |site, authority| replace(&site.key(), &authority.issue(&[NAME]).key),
        result: Outcome::KeyMismatch, path: Site::key, words: "does not match" },
    Mistake { what: "another pair's chain", make: |site, authority| replace(&site.chain(), &authority.issue(&[NAME]).chain),
        result: Outcome::KeyMismatch, path: Site::key, words: "does not match" },
    Mistake { what: "DER", make: |site, _| fs::write(site.chain(), der_of(&site.chain())).unwrap(),
        result: Outcome::NoCertificate, path: Site::chain, words: "DER" },
    Mistake { what: "two keys", make: |site, authority| {
            let both = authority.issue(&[NAME]).key + &authority.issue(&[NAME]).key;
            replace(&site.key(), &both);
        }, result: Outcome::SeveralPrivateKeys, path: Site::key, words: "none is that" },
    Mistake { what: "a key where the chain should be", make: |site, _| { fs::copy(site.key(), site.chain()).unwrap(); },
        result: Outcome::NoCertificate, path: Site::chain, words: "no certificate" },
    Mistake { what: "a chain where the key should be", make: |site, _| { fs::copy(site.chain(), site.key()).unwrap(); },
        result: Outcome::NoPrivateKey, path: Site::key, words: "no private key" },
    Mistake { what: "a chain that is cut off", make: |site, _| {
            let text = fs::read_to_string(site.chain()).unwrap();
            replace(&site.chain(), &text[..text.len() - 30]);
        }, result: Outcome::PemTruncated, path: Site::chain, words: "END CERTIFICATE" },
    Mistake { what: "an expired pair", make: |site, authority| pair_with(site, authority, in_the_past),
        result: Outcome::CertificateExpired, path: Site::chain, words: "2021" },
    Mistake { what: "a pair of the future", make: |site, authority| pair_with(site, authority, in_the_future),
        result: Outcome::CertificateNotYetValid, path: Site::chain, words: "2150" },
    Mistake { what: "a directory", make: |site, _| in_the_way(&site.chain(), |path| fs::create_dir(path).unwrap()),
        result: Outcome::FileNotRegular, path: Site::chain, words: "directory" },
    Mistake { what: "a FIFO", make: |site, _| {
            // Made beside it: a process may take longer to start than a missing file is waited for.
            let fifo = site.path("fifo");
            assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
            in_the_way(&site.key(), |path| fs::rename(&fifo, path).unwrap());
        }, result: Outcome::FileNotRegular, path: Site::key, words: "FIFO" },
    Mistake { what: "a link to a device", make: |site, _| in_the_way(&site.key(), |path| symlink("/dev/zero", path).unwrap()),
        result: Outcome::FileNotRegular, path: Site::key, words: "device" },
    Mistake { what: "a link to nowhere", make: |site, _| in_the_way(&site.chain(), |path| symlink("nowhere.pem", path).unwrap()),
        result: Outcome::FileNotFound, path: Site::chain, words: "nowhere.pem, which does not exist" },
    Mistake { what: "links in a loop", make: |site, _| in_the_way(&site.chain(), |path| {
            symlink("chain.pem", path).unwrap();
        }), result: Outcome::FileIo, path: Site::chain, words: "symbolic links" },
    Mistake { what: "a chain that is gone", make: |site, _| fs::remove_file(site.chain()).unwrap(),
        result: Outcome::FileNotFound, path: Site::chain, words: "no such file" },
    Mistake { what: "a directory that is gone", make: |site, _| fs::remove_dir_all(site.path("live")).unwrap(),
        result: Outcome::FileNotFound, path: Site::chain, words: "live does not exist" },
    Mistake { what: "too large a chain", make: |site, _| replace(&site.chain(), &"x".repeat(1 << 21)),
        result: Outcome::FileTooLarge, path: Site::chain, words: "1048576" },
    Mistake { what: "a sparse file without an end", make: |site, _| {
            fs::File::options().write(true).open(site.key()).unwrap().set_len(1 << 40).unwrap();
        }, result: Outcome::FileTooLarge, path: Site::key, words: "1048576" },
];

fn open(site: &Site, finder: Finder) -> Host {
    let options = Builder::new().identity(&site.chain(), &site.key()).debounce_ms(10, 250);
    match finder {
        Finder::Polling => options
            .watch(certreload::ffi::options::watch::certreload_watch::Poll)
            .poll_ms(15)
            .open(),
        _ => options.poll_ms(NEVER).open(),
    }
}

/// Removes whatever stands in the way of a good pair.
fn clear(path: &Path) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if metadata.is_dir() {
        fs::remove_dir(path).unwrap();
    }
}

fn fix(site: &mut Site, pair: &Pair) {
    fs::create_dir_all(site.path("live")).unwrap();
    clear(&site.chain());
    clear(&site.key());
    site.renew(pair);
}

fn failures(host: &Host) -> Vec<Seen> {
    host.recorder.of(Kind::ReloadFailed)
}

/// Makes the mistake, twice, with a fix each time; gives the number of handshakes.
fn make_and_fix(mistake: &Mistake, finder: Finder, authority: &Authority) -> usize {
    let first = authority.issue(&[NAME]);
    let mut site = Site::new(Writer::Rename, &first);
    let host = open(&site, finder);
    let (ledger, clients) = (Ledger::default(), trusting(authority));
    ledger.begin(&first);
    thread::scope(|scope| {
        let witness = scope.spawn(|| ledger.witness(&host, &clients, NAME, true));
        let end = EndOf(&ledger);
        let mut good = first;
        for round in 1..=2 {
            (mistake.make)(&site, authority);
            let told = host.recorder.wait_until(mistake.what, |seen| {
                let failed = |seen: &&Seen| seen.kind == Kind::ReloadFailed;
                seen.iter().filter(failed).any(|seen| seen.result == mistake.result)
                    && seen.iter().filter(failed).count() >= round
            });
            let told = told.last().unwrap();
            assert_eq!(told.result, mistake.result, "{}", told.message);
            assert_eq!(Path::new(&told.path), (mistake.path)(&site), "{}", told.message);
            assert!(told.message.contains(mistake.words), "{}", told.message);
            let loaded = host.status();
            assert_eq!(loaded.health, Health::Stale);
            // However often it is looked at again, it has been told.
            for _ in 0..5 {
                assert_eq!(host.reload_wait(), mistake.result);
            }
            assert_eq!(failures(&host).len(), round, "once each: {:#?}", failures(&host));
            assert_eq!(host.shown(NAME), (&good).into(), "the old pair serves");
            // The first time the same pair comes back, the second time a newer one.
            if round == 2 {
                good = authority.issue(&[NAME]);
                ledger.begin(&good);
            }
            fix(&mut site, &good);
            host.wait_until_loaded(&good);
            let answer = host.reload_wait();
            assert!(matches!(answer, Outcome::Ok | Outcome::Unchanged), "{answer:?}");
            assert_eq!(host.status().health, Health::Ok);
            assert_eq!(host.shown(NAME), (&good).into());
        }
        let status = host.status();
        assert_eq!((status.generation, status.failures), (2, 2), "{:#?}", host.recorder.all());
        drop(end);
        witness.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    ledger.handshakes()
}

#[test]
fn g3_each_mistake_is_reported_once_and_its_fix_found_by_notification() {
    let authority = Authority::new();
    let run = |mistake: &Mistake| make_and_fix(mistake, Finder::Notification, &authority);
    run_each("mistakes by notification", &MISTAKES, run);
}

#[test]
fn g3_each_mistake_is_reported_once_and_its_fix_found_by_polling() {
    let authority = Authority::new();
    let run = |mistake: &Mistake| make_and_fix(mistake, Finder::Polling, &authority);
    run_each("mistakes by polling", &MISTAKES, run);
}

#[test]
fn g15_another_hosts_pair_is_served_with_a_warning_that_names_were_lost() {
    let authority = Authority::new();
    let mut site = Site::plain(&authority.issue(&[NAME]));
    let host = open(&site, Finder::Notification);
    let other = authority.issue(&["other.test"]);
    site.renew(&other);
    host.wait_until_loaded(&other);
    host.recorder.wait_for_generation(2);
    let told = host.recorder.all().remove(1);
    assert_eq!(told.warnings, CERTRELOAD_WARNING_NAMES_LOST, "{}", told.message);
    assert_eq!(host.status().health, Health::Ok);
}

#[test]
fn g3_another_mistake_is_another_failure() {
    let authority = Authority::new();
    let good = authority.issue(&[NAME]);
    let mut site = Site::plain(&good);
    let host = open(&site, Finder::Notification);
    let expected = [Outcome::NoCertificate, Outcome::FileEmpty, Outcome::NoCertificate];
    for (count, text) in ["garbage", "", "other garbage"].into_iter().enumerate() {
        write_private(&site.chain(), text);
        host.recorder.wait_for_failures(count + 1);
    }
    let told: Vec<_> = failures(&host).iter().map(|seen| seen.result).collect();
    assert_eq!(told, expected);
    site.renew(&good);
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    assert_eq!(host.status().health, Health::Ok);
    assert_eq!(failures(&host).len(), 3);
}

const NOBODY: u32 = 65_534;
const AS_NOBODY: &str = "CERTRELOAD_TEST_IS_NOBODY";

/// What may not be read depends on who reads: root may read everything, so root runs this as nobody.
#[test]
fn g3_an_unreadable_file_is_reported_once_and_its_fix_found() {
    // SAFETY: no arguments, and it cannot fail.
    #[allow(unsafe_code, reason = "who runs this")]
    let user = unsafe { libc::geteuid() };
    if user != 0 {
        return unreadable(user);
    }
    assert!(std::env::var_os(AS_NOBODY).is_none(), "still root");
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let program = directory.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let test = "g3_an_unreadable_file_is_reported_once_and_its_fix_found";
    let mut command = Command::new(&program);
    command.args([test, "--exact", "--nocapture"]).env(AS_NOBODY, "1").current_dir("/");
    let output = command.uid(NOBODY).gid(NOBODY).output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
}

fn unreadable(user: u32) {
    let authority = Authority::new();
    let permit = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for finder in [Finder::Notification, Finder::Polling] {
        let good = authority.issue(&[NAME]);
        let site = Site::plain(&good);
        let host = open(&site, finder);
        // The file, and then the directory that leads to it.
        for (count, path, mode) in [(1, site.key(), 0o600), (2, site.path("live"), 0o700)] {
            permit(&path, 0);
            let told = host.recorder.wait_for_failures(count).remove(count - 1);
            assert_eq!(told.result, Outcome::FilePermission, "{}", told.message);
            assert!(Path::new(&told.path).starts_with(site.path("live")), "{}", told.message);
            let what = if count == 1 { "read" } else { "search the directory" };
            let denies = format!("; user {user} may not {what} {};", path.display());
            assert!(told.message.contains(&denies), "{}", told.message);
            assert_eq!(host.reload_wait(), Outcome::FilePermission);
            assert_eq!(host.shown(NAME), (&good).into());
            permit(&path, mode);
            assert_eq!(host.reload_wait(), Outcome::Unchanged);
            assert_eq!(host.status().health, Health::Ok);
        }
        assert_eq!(failures(&host).len(), 2);
    }
}
