//! Roots and revocation lists that lie in a directory: however it changes, trust follows it (G1, G2, G13).

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod authorities;
mod scene;
#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use authorities::AUTHORITIES;
use certreload::ffi::event::certreload_event_kind as Kind;
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use scene::{CHANGES, Change, Contents, Scene, add_lists, trusting, try_trusting};
use support::host::{Host, last_error};
use support::rotation::{Finder, NAME, NEVER, run_each};
use support::witness::shake;

/// Clients of which of the authorities are let in now.
fn admitted(host: &Host) -> [bool; 4] {
    let config = host.config();
    [0, 1, 2, 3].map(|index| {
        let client = &AUTHORITIES[index].client;
        shake(client, config.clone(), NAME).is_ok()
    })
}

/// Waits until these are let in, and no others; tells how many handshakes that took.
fn wait_until_admitted(host: &Host, expected: [bool; 4]) -> usize {
    for looks in 1.. {
        let seen = host.status().generation;
        if admitted(host) == expected {
            return looks * expected.len();
        }
        host.recorder.wait_for_generation(seen + 1);
    }
    unreachable!("it looks for ever");
}

/// What lies in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Roots,
    Lists,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    what: What,
    change: Change,
    finder: Finder,
}

impl Row {
    /// What the directory holds after so many changes, and who is let in then.
    fn at(self, step: usize) -> (Contents, [bool; 4]) {
        let Self { what, change, .. } = self;
        let adds = matches!(change, Change::Added | Change::Created);
        let mut contents = Contents::new();
        let mut add = |stem: &str, number: usize, bytes: Vec<u8>| {
            let name = match (what, change) {
                (What::Roots, Change::Hashed) => format!("0123456{number}.0"),
                (What::Lists, Change::Hashed) => format!("0123456{number}.r0"),
                (What::Roots, _) => format!("{stem}.pem"),
                (What::Lists, _) => format!("{stem}.crl"),
            };
            contents.insert(name, bytes);
        };
        let mut expected = [true, false, false, false];
        match what {
            What::Roots => {
                add("base", 0, AUTHORITIES[0].pem.clone().into_bytes());
                let trusted = match change {
                    _ if adds => 1..2 + step,
                    Change::Removed => 1..4 - step,
                    _ => 1 + step % 2..2 + step % 2,
                };
                for index in trusted {
                    expected[index] = true;
                    let number = if adds || change == Change::Removed { index } else { 1 };
                    let pem = AUTHORITIES[index].pem.clone().into_bytes();
                    add(&format!("root{number}"), number, pem);
                }
            }
            What::Lists => {
                add("base", 0, AUTHORITIES[0].list(1, false));
                expected[1] = step.is_multiple_of(2);
                for number in if adds { 0..=step } else { step..=step } {
                    let list = AUTHORITIES[1].list(number as u64 + 1, number % 2 == 1);
                    let number = if adds { number + 1 } else { 1 };
                    add(&format!("list{number}"), number, list);
                }
            }
        }
        (contents, expected)
    }

    fn run(self) -> usize {
        let Self { what, change, finder } = self;
        let scene = Scene::new();
        let (mut before, expected) = self.at(0);
        scene.begin(change, &before);
        let options = finder.tuned(scene.options());
        let host = match what {
            What::Roots => trusting(options, &scene.path("place")),
            What::Lists => {
                let roots = [&AUTHORITIES[0], &AUTHORITIES[1]].map(|one| one.pem.as_str());
                fs::write(scene.path("roots"), roots.concat()).unwrap();
                add_lists(&options, &scene.path("place"));
                trusting(options, &scene.path("roots"))
            }
        };
        assert_eq!(admitted(&host), expected);
        let mut handshakes = expected.len();
        for step in 1..=2 {
            let (next, expected) = self.at(step);
            scene.change(change, &before, &next, step);
            if finder == Finder::Request {
                assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
                assert_eq!(admitted(&host), expected);
            }
            handshakes += wait_until_admitted(&host, expected);
            before = next;
        }
        assert!(host.recorder.of(Kind::ReloadFailed).is_empty(), "{:#?}", host.recorder.all());
        handshakes
    }
}

/// Every change of both, but that a list that is gone is another matter.
fn rows(finder: Finder) -> Vec<Row> {
    let of_both = CHANGES
        .into_iter()
        .flat_map(|change| [What::Roots, What::Lists].map(|what| Row { what, change, finder }));
    of_both.filter(|row| (row.what, row.change) != (What::Lists, Change::Removed)).collect()
}

#[test]
fn g1_g13_every_change_of_a_directory_is_followed_by_notification() {
    run_each("changes of directories", &rows(Finder::Notification), |row| row.run());
}

#[test]
fn g1_g13_every_change_of_a_directory_is_followed_by_polling_alone() {
    run_each("changes of directories", &rows(Finder::Polling), |row| row.run());
}

#[test]
fn g6_g13_every_change_of_a_directory_is_followed_by_request() {
    run_each("changes of directories", &rows(Finder::Request), |row| row.run());
}

#[test]
fn g4_a_file_that_is_half_written_is_waited_for() {
    let scene = Scene::with_roots();
    let options = scene.options().poll_ms(10).debounce_ms(10, 60_000);
    let host = trusting(options, &scene.path("place"));
    let (before, after) = ([true, true, false, false], [true, true, true, false]);
    let pem = AUTHORITIES[2].pem.as_bytes();
    let mut file = File::create(scene.path("place/two.pem")).unwrap();
    file.write_all(&pem[..pem.len() / 2]).unwrap();
    assert_eq!(host.reload_wait_ms(200), Outcome::TimedOut);
    assert_eq!((admitted(&host), host.status().generation), (before, 1));
    // By now it is a good root; but who knows what else will stand there?
    file.write_all(&pem[pem.len() / 2..]).unwrap();
    assert_eq!(host.reload_wait_ms(200), Outcome::TimedOut);
    assert_eq!((admitted(&host), host.status().generation), (before, 1), "its writer has it open");
    drop(file);
    wait_until_admitted(&host, after);
    assert!(host.recorder.of(Kind::ReloadFailed).is_empty());
}

#[test]
fn g17_what_else_lies_in_a_directory_does_no_harm() {
    let scene = Scene::with_roots();
    let place = |name: &str| scene.path("place").join(name);
    for fifo in ["fifo.pem", "fifo.crl"] {
        assert!(Command::new("mkfifo").arg(place(fifo)).status().unwrap().success());
    }
    fs::create_dir(place("directory.pem")).unwrap();
    symlink("nowhere", place("dangling.pem")).unwrap();
    symlink("/dev/zero", place("zero.pem")).unwrap();
    fs::write(place(".hidden.pem"), "no certificate").unwrap();
    let host = trusting(scene.options().poll_ms(NEVER).debounce_ms(10, 60_000), &place(""));
    // Somebody writes to files there all the time, and nobody waits for them.
    let mut open = ["README", ".two.pem.tmp", "log"].map(|name| File::create(place(name)).unwrap());
    for file in &mut open {
        file.write_all(b"no certificate").unwrap();
    }
    assert_eq!(host.reload_wait(), Outcome::Unchanged, "{}", last_error());
    assert_eq!(host.status().generation, 1);
    fs::write(scene.path("two"), &AUTHORITIES[2].pem).unwrap();
    fs::rename(scene.path("two"), place("two.crt")).unwrap();
    wait_until_admitted(&host, [true, true, true, false]);
    assert!(host.recorder.of(Kind::ReloadFailed).is_empty(), "{:#?}", host.recorder.all());
}

#[test]
fn g5_another_name_for_a_file_is_no_change() {
    let scene = Scene::with_roots();
    let place = |name: &str| scene.path("place").join(name);
    let host = trusting(scene.options().poll_ms(NEVER).debounce_ms(0, 0), &place(""));
    fs::rename(place("one.pem"), place("renamed.crt")).unwrap();
    symlink("renamed.crt", place("0123abcd.0")).unwrap();
    fs::copy(place("base.pem"), place("copy.pem")).unwrap();
    assert_eq!(host.reload_wait(), Outcome::Unchanged, "{}", last_error());
    assert_eq!(host.status().generation, 1);
}

#[test]
fn g3_a_directory_that_is_emptied_or_goes_leaves_trust_as_it_was() {
    let scene = Scene::with_roots();
    let options = scene.options().watch(Watch::Off).debounce_ms(0, 0);
    let host = trusting(options, &scene.path("place"));
    let before = admitted(&host);
    fs::remove_file(scene.path("place/base.pem")).unwrap();
    fs::remove_file(scene.path("place/one.pem")).unwrap();
    assert_eq!(host.reload_wait(), Outcome::NoCertificate, "{}", last_error());
    fs::remove_dir_all(scene.path("place")).unwrap();
    assert_eq!(host.reload_wait(), Outcome::FileNotFound, "{}", last_error());
    assert_eq!(admitted(&host), before);
    // A list that is gone is no reason to trust again whom it revoked.
    fs::create_dir(scene.path("lists")).unwrap();
    fs::write(scene.path("lists/base.crl"), AUTHORITIES[0].list(1, false)).unwrap();
    fs::write(scene.path("lists/one.crl"), AUTHORITIES[1].list(2, true)).unwrap();
    let roots = [&AUTHORITIES[0], &AUTHORITIES[1]].map(|one| one.pem.as_str());
    fs::write(scene.path("roots"), roots.concat()).unwrap();
    let options = scene.options().watch(Watch::Off).debounce_ms(0, 0);
    add_lists(&options, &scene.path("lists"));
    let host = trusting(options, &scene.path("roots"));
    let revoked = [true, false, false, false];
    assert_eq!(admitted(&host), revoked);
    fs::remove_file(scene.path("lists/one.crl")).unwrap();
    assert_eq!(host.reload_wait(), Outcome::CrlLost, "{}", last_error());
    fs::remove_file(scene.path("lists/base.crl")).unwrap();
    assert_eq!(host.reload_wait(), Outcome::NoCrl, "{}", last_error());
    assert_eq!(admitted(&host), revoked);
}

#[test]
fn g17_a_directory_of_too_many_files_is_refused_and_trust_stays() {
    let scene = Scene::with_roots();
    let add = |number| {
        let name = scene.path("place").join(format!("{number}.pem"));
        fs::hard_link(scene.path("place/one.pem"), name).unwrap();
    };
    (2..1000).for_each(add);
    let options = || scene.options().poll_ms(NEVER).debounce_ms(10, 60_000);
    let host = trusting(options(), &scene.path("place"));
    add(1000);
    let failed = host.recorder.wait_for_failures(1);
    assert_eq!(failed[0].result, Outcome::TooManyFiles);
    assert_eq!(Path::new(&failed[0].path), scene.path("place"));
    assert_eq!(admitted(&host), [true, true, false, false]);
    let refused = try_trusting(options(), &scene.path("place")).err();
    assert_eq!(refused, Some(Outcome::TooManyFiles));
}
