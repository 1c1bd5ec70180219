//! Bad roots and bad revocation lists: the trust that serves goes on, the host is told which file it is and why, and
//! what is mended goes live. The clients are `openssl s_client`.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::fs;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use certreload::ffi::event::certreload_event_kind::{self as Kind, Expired, Expiring, Reloaded};
use certreload::ffi::event::{
    CERTRELOAD_WARNING_CRL_EXPIRED, CERTRELOAD_WARNING_CRL_UNRELATED,
    CERTRELOAD_WARNING_ROOT_UNUSABLE,
};
use certreload::ffi::options::trust::*;
use certreload::ffi::options::watch::certreload_watch;
use certreload::ffi::result::certreload_result::{self as Outcome, *};
use certreload::ffi::status::certreload_health as Health;
use certreload::ffi::status::trust::{certreload_get_trust_status, certreload_trust_status};
use rustls::HandshakeKind;
use support::certificates::{Authority, Pair, Site, replace};
use support::clock::Clock;
use support::host::{Builder, Host, c_path, last_error};
use support::revoking::{Root, greet, is_let_in};
use support::talk::talk;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
/// PEM of no certificate, though it is DER.
const BAD: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n";

/// A server whose clients are under two roots, of which each has a list.
struct Scene {
    site: Site,
    one: Root,
    two: Root,
    /// Of a list that was not used yet.
    number: u64,
}

impl Scene {
    fn new() -> Self {
        let site = Site::plain(&Pair::new(&["a.test"]));
        let scene = Self { site, one: Root::new("one"), two: Root::new("two"), number: 2 };
        replace(&scene.roots(), &(scene.one.pem() + &scene.two.pem()));
        scene.write_lists(&[&scene.one.list(1, &[66]), &scene.two.list(1, &[])]);
        scene
    }

    fn roots(&self) -> PathBuf {
        self.site.path("roots.pem")
    }

    fn lists(&self) -> PathBuf {
        self.site.path("lists.pem")
    }

    fn write_lists(&self, lists: &[&str]) {
        replace(&self.lists(), &lists.concat());
    }

    fn options(&self, rules: u32) -> Builder {
        let options = Builder::new().identity(&self.site.chain(), &self.site.key());
        let (roots, lists) = (c_path(&self.roots()), c_path(&self.lists()));
        // SAFETY: live options and C strings.
        unsafe {
            let mode = certreload_client_auth::Required as u32;
            assert_eq!(certreload_options_set_client_auth(options.0, mode, roots.as_ptr()), Ok);
            assert_eq!(certreload_options_add_crl(options.0, lists.as_ptr()), Ok);
            assert_eq!(certreload_options_set_crl_rules(options.0, rules), Ok);
        }
        options.debounce_ms(10, 100)
    }

    /// Roots and lists as they should be, the list one that revokes another one besides.
    fn mend(&mut self) -> u64 {
        self.number += 1;
        let revoked = 1000 + self.number;
        replace(&self.roots(), &(self.one.pem() + &self.two.pem()));
        let lists = [self.one.list(self.number, &[66, revoked]), self.two.list(self.number, &[])];
        self.write_lists(&[&lists[0], &lists[1]]);
        revoked
    }

    fn lets_in(&self, address: SocketAddr, root: &Root, serial: u64) -> bool {
        is_let_in(address, Some(&root.client(&self.site.path(""), serial)))
    }
}

fn trust_status(host: &Host) -> certreload_trust_status {
    let mut status = MaybeUninit::<certreload_trust_status>::uninit();
    let size = size_of::<certreload_trust_status>();
    // SAFETY: an open handle, and room for `size` bytes that are all filled in on Ok.
    unsafe {
        assert_eq!(certreload_get_trust_status(host.handle, status.as_mut_ptr(), size), Ok);
        status.assume_init()
    }
}

/// What somebody does to the files by mistake.
struct Mistake {
    what: &'static str,
    make: fn(&Scene),
    result: Outcome,
    /// Which of the two files the event names, and words of the message.
    path: fn(&Scene) -> PathBuf,
    words: &'static str,
}

#[rustfmt::skip]
const MISTAKES: [Mistake; 12] = [
    Mistake { what: "an empty roots file", make: |scene| replace(&scene.roots(), ""),
        result: FileEmpty, path: Scene::roots, words: "is empty" },
    Mistake { what: "a roots file without roots", make: |scene| replace(&scene.roots(), "# none\n"),
        result: NoCertificate, path: Scene::roots, words: "holds no certificate" },
    Mistake { what: "a root that is damaged", make: |scene| replace(&scene.roots(), &(scene.one.pem() + BAD)),
        result: CertificateMalformed, path: Scene::roots, words: "certificate 2 of 2 cannot be parsed" },
    Mistake { what: "roots that are cut off", make: |scene| {
            let text = scene.one.pem() + &scene.two.pem();
            replace(&scene.roots(), &text[..text.len() - 30]);
        }, result: PemTruncated, path: Scene::roots, words: "END CERTIFICATE" },
    Mistake { what: "lists of another issuer", make: |scene| scene.write_lists(&[&Root::new("three").list(9, &[])]),
        result: CrlLost, path: Scene::lists, words: "there is no certificate revocation list of" },
    Mistake { what: "a list that a forger signed", make: |scene| {
            scene.write_lists(&[&scene.two.list(9, &[]), &Root::new("one").list(9, &[])]);
        }, result: CrlSignature, path: Scene::lists, words: "list 2 was not signed with the key of one" },
    Mistake { what: "an older list", make: |scene| {
            let number = scene.number - 1;
            scene.write_lists(&[&scene.one.list(number, &[]), &scene.two.list(9999, &[])]);
        }, result: CrlRollback, path: Scene::lists, words: "list 1, of one, is older than one that was in use: number" },
    Mistake { what: "an expired list", make: |scene| {
            scene.write_lists(&[&scene.one.list(9999, &[]), &scene.two.list_between(9999, &[], -2 * HOUR, -HOUR)]);
        }, result: CrlExpired, path: Scene::lists, words: "list 2, of two, expired at 20" },
    Mistake { what: "one list less", make: |scene| scene.write_lists(&[&scene.one.list(9999, &[])]),
        result: CrlLost, path: Scene::lists, words: "list of two any more" },
    Mistake { what: "no lists", make: |scene| replace(&scene.lists(), BAD),
        result: NoCrl, path: Scene::lists, words: "holds no certificate revocation list" },
    Mistake { what: "garbage for a list", make: |scene| replace(&scene.lists(), &BAD.replace("CERTIFICATE", "X509 CRL")),
        result: CrlMalformed, path: Scene::lists, words: "list 1 cannot be used" },
    Mistake { what: "lists that are gone", make: |scene| fs::remove_file(scene.lists()).unwrap(),
        result: FileNotFound, path: Scene::lists, words: "no such file" },
];

#[test]
fn g3_with_bad_roots_or_crls_the_last_good_trust_store_is_used() {
    let mut scene = Scene::new();
    let host = Arc::new(scene.options(0).open());
    let address = greet(host.clone());
    for (at, mistake) in MISTAKES.iter().enumerate() {
        let what = mistake.what;
        let generation = host.status().generation + 1;
        let revoked = scene.mend();
        host.recorder.wait_for_generation(generation);
        assert!(!scene.lets_in(address, &scene.one, revoked), "{what}: mended, but not live");

        (mistake.make)(&scene);
        let failure = host.recorder.wait_for_failures(at + 1).remove(at);
        assert_eq!(failure.result, mistake.result, "{what}: {failure:?}");
        assert_eq!(failure.path, (mistake.path)(&scene).to_str().unwrap(), "{what}: {failure:?}");
        assert!(failure.message.contains(mistake.words), "{what}: {failure:?}");
        assert_eq!(failure.generation, generation, "{what}");
        assert_eq!(trust_status(&host).last_result, mistake.result, "{what}");
        for root in [&scene.one, &scene.two] {
            assert!(scene.lets_in(address, root, 1), "{what}");
        }
        assert!(!scene.lets_in(address, &scene.one, 66), "{what}");
    }
    assert!(!is_let_in(address, None), "a certificate is required");
    let status = trust_status(&host);
    assert_eq!((status.client_roots, status.crls, status.revoked), (2, 2, 2));
}

#[test]
fn a_bad_root_among_good_ones_and_a_list_of_no_root_are_taken_with_a_warning() {
    let scene = Scene::new();
    let host = Arc::new(scene.options(0).watch(certreload_watch::Off).open());
    let address = greet(host.clone());
    replace(&scene.roots(), &[&scene.one.pem(), BAD, &scene.two.pem()].concat());
    assert_eq!(host.reload_wait(), Ok, "{}", last_error());
    let third = Root::new("three").list(1, &[]);
    scene.write_lists(&[&third, &scene.one.list(2, &[66]), &scene.two.list(2, &[])]);
    assert_eq!(host.reload_wait(), Ok, "{}", last_error());
    host.recorder.wait_for_generation(3);
    let event = host.recorder.of(Reloaded).pop().unwrap();
    let both = CERTRELOAD_WARNING_ROOT_UNUSABLE | CERTRELOAD_WARNING_CRL_UNRELATED;
    assert_eq!(event.warnings & both, both, "{event:?}");
    let bad = format!("certificate 2 of 3 in {} is not used as a root", scene.roots().display());
    assert!(event.message.contains(&bad), "{event:?}");
    assert!(
        event.message.contains("is of \"three\", and no known certificate of that name"),
        "{event:?}"
    );
    assert!(scene.lets_in(address, &scene.two, 1));
    assert!(!scene.lets_in(address, &scene.one, 66));
}

#[test]
fn g13_a_root_goes_out_of_a_bundle_that_never_was_good_as_a_whole() {
    let scene = Scene::new();
    replace(&scene.roots(), &[BAD, &scene.one.pem(), &scene.two.pem()].concat());
    let host = Arc::new(scene.options(0).watch(certreload_watch::Off).open());
    let address = greet(host.clone());
    assert!(scene.lets_in(address, &scene.two, 1));
    replace(&scene.roots(), &[BAD, &scene.one.pem()].concat());
    assert_eq!(host.reload_wait(), Ok, "{}", last_error());
    assert!(scene.lets_in(address, &scene.one, 1));
    assert!(!scene.lets_in(address, &scene.two, 1));
    assert_eq!(trust_status(&host).client_roots, 1);
}

#[test]
fn a_bad_trust_store_fails_open_and_an_expired_crl_depends_on_the_rules() {
    let scene = Scene::new();
    let old = scene.one.list_between(1, &[66], -2 * HOUR, -HOUR);
    scene.write_lists(&[&old, &scene.two.list(1, &[])]);
    assert_eq!(scene.options(0).try_open().err(), Some(CrlExpired));
    assert!(last_error().contains("lists.pem: certificate revocation list 1, of one, expired"));
    let host = Arc::new(scene.options(CERTRELOAD_CRL_ALLOW_EXPIRED).open());
    host.recorder.wait_for_generation(1);
    assert_ne!(host.recorder.of(Reloaded)[0].warnings & CERTRELOAD_WARNING_CRL_EXPIRED, 0);
    let address = greet(host);
    assert!(scene.lets_in(address, &scene.one, 1));
    assert!(!scene.lets_in(address, &scene.one, 66));
}

#[test]
fn g20_a_crl_that_is_due_and_one_that_has_expired_are_reported() {
    let clock = Clock::new();
    let scene = Scene::new();
    let list = scene.one.list_between(1, &[66], -10, 100 * MINUTE - 10);
    scene.write_lists(&[&list, &scene.two.list(1, &[])]);
    let host = Arc::new(scene.options(0).watch(certreload_watch::Off).open());
    let address = greet(host.clone());
    let told = |expected: &[Kind]| {
        let all = host.recorder.wait_until("events", |seen| seen.len() >= expected.len());
        let kinds: Vec<_> = all.iter().map(|seen| seen.kind).collect();
        assert_eq!(kinds, expected, "{all:#?}");
        all.last().unwrap().clone()
    };
    clock.set(89 * MINUTE);
    assert_eq!(host.reload_wait(), Unchanged);
    told(&[Reloaded]);

    // The last tenth of its time.
    clock.set(91 * MINUTE);
    let event = told(&[Reloaded, Expiring]);
    assert_eq!(event.path, scene.lists().to_str().unwrap());
    assert_eq!(trust_status(&host).health, Health::Expiring);
    assert!(scene.lets_in(address, &scene.one, 1));

    // In the second of its nextUpdate it holds no more.
    clock.set(trust_status(&host).next_update - clock.opened_at);
    assert_eq!(trust_status(&host).health, Health::Expired);
    told(&[Reloaded, Expiring, Expired]);
    assert!(!scene.lets_in(address, &scene.one, 1), "nobody knows whether it is revoked");
    assert!(scene.lets_in(address, &scene.two, 1), "the other list holds");

    scene.write_lists(&[&scene.one.list(2, &[66]), &scene.two.list(1, &[])]);
    assert_eq!(host.reload_wait(), Ok, "{}", last_error());
    told(&[Reloaded, Expiring, Expired, Reloaded]);
    assert!(scene.lets_in(address, &scene.one, 1));
}

#[test]
fn g13_the_client_role_resumes_no_server_once_a_list_has_expired() {
    let clock = Clock::new();
    let (authority, other) = (Authority::new(), Root::new("one"));
    let site = Site::plain(&authority.issue(&["a.test"]));
    let (roots, list) = (site.path("roots.pem"), site.path("list.pem"));
    replace(&roots, &(authority.root_pem() + &other.pem()));
    replace(&list, &other.list_between(1, &[], -10, 100 * MINUTE));
    let options = Builder::new().identity(&site.chain(), &site.key());
    let options = options.watch(certreload_watch::Off).server_roots(&roots).crl(&list);
    // SAFETY: live options.
    let result =
        unsafe { certreload_options_set_crl_rules(options.0, CERTRELOAD_CRL_ALLOW_UNKNOWN) };
    assert_eq!(result, Ok);
    let host = options.debounce_ms(1, 2).open();
    assert_eq!(talk(&host, &host.config()), HandshakeKind::Full);
    assert_eq!(talk(&host, &host.config()), HandshakeKind::Resumed);
    clock.set(101 * MINUTE);
    assert_eq!(talk(&host, &host.config()), HandshakeKind::Full);
    assert_eq!(talk(&host, &host.config()), HandshakeKind::Full);
    replace(&list, &other.list_between(2, &[], -10, 200 * MINUTE));
    assert_eq!(host.reload_wait(), Ok, "{}", last_error());
    assert_eq!(talk(&host, &host.config()), HandshakeKind::Full, "checked with another list");
    assert_eq!(talk(&host, &host.config()), HandshakeKind::Resumed);
}
