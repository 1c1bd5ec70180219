//! Roots and revocation lists that lie in a directory: however it changes, trust follows it (G1, G2, G13).

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use certreload::ffi::event::certreload_event_kind as Kind;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::trust_options::{
    certreload_client_auth, certreload_options_add_crl, certreload_options_set_client_auth,
};
use certreload::ffi::watch_options::certreload_watch as Watch;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, date_time_ymd,
};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::PrivateKeyDer;
use support::certificates::{Pair, write_private};
use support::client::AnyCertificate;
use support::host::{Builder, Host, c_path, last_error};
use support::rotation::{Finder, NAME, NEVER, run_each};
use support::witness::shake;

/// An authority, and a client of it.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    client: Arc<ClientConfig>,
}

/// The number of each client's certificate.
const SERIAL: u64 = 7;

/// Four of them; the first is trusted whatever happens.
static AUTHORITIES: LazyLock<[Authority; 4]> =
    LazyLock::new(|| ["base", "one", "two", "three"].map(Authority::new));

static SERVER: LazyLock<Pair> = LazyLock::new(|| Pair::new(&[NAME]));

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let client = client_of(&issuer);
        Self { pem, issuer, client }
    }

    /// A list of this number, on which the client is, or nobody.
    fn list(&self, number: u64, revokes: bool) -> Vec<u8> {
        let revoked = RevokedCertParams {
            serial_number: SERIAL.into(),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: revokes.then_some(revoked).into_iter().collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).unwrap();
        // One by one in both forms.
        if number % 2 == 0 { list.der().to_vec() } else { list.pem().unwrap().into_bytes() }
    }
}

/// A client that never resumes a session: each handshake shows what is trusted now.
fn client_of(issuer: &Issuer<'_, KeyPair>) -> Arc<ClientConfig> {
    let mut params = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
    params.serial_number = Some(SERIAL.into());
    let key = KeyPair::generate().unwrap();
    let chain = vec![params.signed_by(&key, issuer).unwrap().der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_client_auth_cert(chain, key)
        .unwrap();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

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

/// What a directory is to hold.
type Contents = BTreeMap<String, Vec<u8>>;

/// What lies in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Roots,
    Lists,
}

/// How its files become others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// New files are renamed into it, and nothing else changes.
    Added,
    /// The same, and they are written where they are.
    Created,
    Removed,
    RenamedOver,
    Rewritten,
    /// Another directory is renamed in its place.
    Swapped,
    /// As Kubernetes renews a volume.
    Volume,
    /// It is a link, and then leads elsewhere.
    Retargeted,
    /// It is removed with all that it holds, and made anew.
    Recreated,
    /// Its entries are links with names of OpenSSL's, to files of other names elsewhere.
    Hashed,
}

const CHANGES: [Change; 10] = [
    Change::Added,
    Change::Created,
    Change::Removed,
    Change::RenamedOver,
    Change::Rewritten,
    Change::Swapped,
    Change::Volume,
    Change::Retargeted,
    Change::Recreated,
    Change::Hashed,
];

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
                expected[1] = step % 2 == 0;
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
            What::Roots => scene.trusting(options, &scene.path("place")),
            What::Lists => {
                let roots = [&AUTHORITIES[0], &AUTHORITIES[1]].map(|one| one.pem.as_str());
                fs::write(scene.path("roots"), roots.concat()).unwrap();
                add_lists(&options, &scene.path("place"));
                scene.trusting(options, &scene.path("roots"))
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

/// A server, and a place for roots and lists.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        write_private(&scene.path("chain"), &SERVER.chain);
        write_private(&scene.path("key"), &SERVER.key);
        scene
    }

    /// With the first two roots in a directory, which holds a README besides.
    fn with_roots() -> Self {
        let scene = Self::new();
        fs::create_dir(scene.path("place")).unwrap();
        for (name, authority) in [("base", &AUTHORITIES[0]), ("one", &AUTHORITIES[1])] {
            fs::write(scene.path("place").join(name).with_extension("pem"), &authority.pem)
                .unwrap();
        }
        fs::write(scene.path("place/README"), "no certificate").unwrap();
        scene
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn options(&self) -> Builder {
        Builder::new().identity(&self.path("chain"), &self.path("key"))
    }

    /// Opens a host that takes the clients of these roots alone.
    fn trusting(&self, options: Builder, roots: &Path) -> Host {
        self.try_trusting(options, roots)
            .unwrap_or_else(|code| panic!("{code:?}: {}", last_error()))
    }

    fn try_trusting(&self, options: Builder, roots: &Path) -> Result<Host, Outcome> {
        let mode = certreload_client_auth::Required as u32;
        let roots = c_path(roots);
        // SAFETY: live options and a C string.
        let set = unsafe { certreload_options_set_client_auth(options.0, mode, roots.as_ptr()) };
        assert_eq!(set, Outcome::Ok);
        options.try_open()
    }

    fn begin(&self, change: Change, contents: &Contents) {
        match change {
            Change::Volume => {
                fs::create_dir(self.path("place")).unwrap();
                self.change_volume(&Contents::new(), contents, 0);
            }
            Change::Retargeted => {
                fill(&self.path("version0"), contents);
                symlink("version0", self.path("place")).unwrap();
            }
            Change::Hashed => {
                fs::create_dir(self.path("place")).unwrap();
                fs::create_dir(self.path("store")).unwrap();
                self.change_hashed(contents, 0);
            }
            _ => fill(&self.path("place"), contents),
        }
    }

    fn change(&self, change: Change, before: &Contents, next: &Contents, step: usize) {
        let place = self.path("place");
        let news = next.iter().filter(|(name, bytes)| before.get(*name) != Some(bytes));
        match change {
            Change::Added | Change::RenamedOver => {
                for (name, bytes) in news {
                    let hidden = place.join(format!(".{name}.tmp"));
                    fs::write(&hidden, bytes).unwrap();
                    fs::rename(&hidden, place.join(name)).unwrap();
                }
            }
            Change::Created | Change::Rewritten => {
                news.for_each(|(name, bytes)| fs::write(place.join(name), bytes).unwrap());
            }
            Change::Removed => {
                let gone = before.keys().filter(|name| !next.contains_key(*name));
                gone.for_each(|name| fs::remove_file(place.join(name)).unwrap());
            }
            Change::Swapped => {
                fill(&self.path("next"), next);
                fs::rename(&place, self.path(&format!("old{step}"))).unwrap();
                fs::rename(self.path("next"), &place).unwrap();
            }
            Change::Volume => self.change_volume(before, next, step),
            Change::Retargeted => {
                let version = format!("version{step}");
                fill(&self.path(&version), next);
                symlink(version, self.path("next")).unwrap();
                fs::rename(self.path("next"), &place).unwrap();
            }
            Change::Recreated => {
                fs::remove_dir_all(&place).unwrap();
                fill(&place, next);
            }
            Change::Hashed => self.change_hashed(next, step),
        }
    }

    fn change_volume(&self, before: &Contents, next: &Contents, step: usize) {
        let path = |name: String| self.path("place").join(name);
        fill(&path(format!("..{step}")), next);
        symlink(format!("..{step}"), path("..data_tmp".to_owned())).unwrap();
        fs::rename(path("..data_tmp".to_owned()), path("..data".to_owned())).unwrap();
        for name in next.keys().filter(|name| !before.contains_key(*name)) {
            symlink(Path::new("..data").join(name), path(name.clone())).unwrap();
        }
        for name in before.keys().filter(|name| !next.contains_key(*name)) {
            fs::remove_file(path(name.clone())).unwrap();
        }
        if let Some(last) = step.checked_sub(1) {
            fs::remove_dir_all(path(format!("..{last}"))).unwrap();
        }
    }

    fn change_hashed(&self, next: &Contents, step: usize) {
        for (name, bytes) in next {
            let stored = format!("{name} of {step}");
            fs::write(self.path("store").join(&stored), bytes).unwrap();
            symlink(Path::new("../store").join(stored), self.path("place/next")).unwrap();
            fs::rename(self.path("place/next"), self.path("place").join(name)).unwrap();
        }
    }
}

fn fill(directory: &Path, contents: &Contents) {
    fs::create_dir(directory).unwrap();
    contents.iter().for_each(|(name, bytes)| fs::write(directory.join(name), bytes).unwrap());
}

fn add_lists(options: &Builder, path: &Path) {
    let path = c_path(path);
    // SAFETY: live options and a C string.
    let added = unsafe { certreload_options_add_crl(options.0, path.as_ptr()) };
    assert_eq!(added, Outcome::Ok);
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
    let options = scene.options().poll_ms(10).settle_ms(10, 60_000);
    let host = scene.trusting(options, &scene.path("place"));
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
    let host = scene.trusting(scene.options().poll_ms(NEVER).settle_ms(10, 60_000), &place(""));
    // Somebody writes to files there all the time, and nobody waits for them.
    let mut open = ["README", ".two.pem.tmp", "log"].map(|name| File::create(place(name)).unwrap());
    open.iter_mut().for_each(|file| file.write_all(b"no certificate").unwrap());
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
    let host = scene.trusting(scene.options().poll_ms(NEVER).settle_ms(0, 0), &place(""));
    fs::rename(place("one.pem"), place("renamed.crt")).unwrap();
    symlink("renamed.crt", place("0123abcd.0")).unwrap();
    fs::copy(place("base.pem"), place("copy.pem")).unwrap();
    assert_eq!(host.reload_wait(), Outcome::Unchanged, "{}", last_error());
    assert_eq!(host.status().generation, 1);
}

#[test]
fn g3_a_directory_that_is_emptied_or_goes_leaves_trust_as_it_was() {
    let scene = Scene::with_roots();
    let options = scene.options().watch(Watch::Off).settle_ms(0, 0);
    let host = scene.trusting(options, &scene.path("place"));
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
    let options = scene.options().watch(Watch::Off).settle_ms(0, 0);
    add_lists(&options, &scene.path("lists"));
    let host = scene.trusting(options, &scene.path("roots"));
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
    let options = || scene.options().poll_ms(NEVER).settle_ms(10, 60_000);
    let host = scene.trusting(options(), &scene.path("place"));
    add(1000);
    let failed = host.recorder.wait_for_failures(1);
    assert_eq!(failed[0].result, Outcome::TooManyFiles);
    assert_eq!(Path::new(&failed[0].path), scene.path("place"));
    assert_eq!(admitted(&host), [true, true, false, false]);
    let refused = scene.try_trusting(options(), &scene.path("place")).err();
    assert_eq!(refused, Some(Outcome::TooManyFiles));
}
