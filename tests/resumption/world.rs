//! A server with everything that can change, and the changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use certreload::ffi::options::trust::certreload_client_auth as ClientAuth;
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::sessions::certreload_resumption as Resumption;

use crate::ca::{Ca, Issued};
use crate::peers::{Peer, Version, Visitor};
use crate::server::Server;
use crate::support::certificates::Pair;
use crate::support::host::{Builder, Host, last_error};
use crate::support::sites::replace;
use crate::table::Change;

const NAMES: &[&str] = &["a.test", "b.test"];

/// A handle, on files that are there as long as this is.
pub(crate) struct World {
    pub(crate) files: Files,
    change: Change,
    resumption: Resumption,
    /// Taken out at the end, for the threads that serve have no end.
    host: Arc<Mutex<Option<Host>>>,
    root: Ca,
    issuer: Ca,
    identity: Issued,
    /// Who issued the client's certificate.
    staff: Ca,
    /// Who else is trusted, and what he issued.
    others: Ca,
    other: Issued,
    client: Issued,
    /// The first line of the file.
    pub(crate) ticket_key: String,
}

pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Renames it over what is there.
    pub(crate) fn write(&self, name: &str, text: &str) {
        replace(&self.path(name), text);
    }
}

impl World {
    /// As it is before the change.
    pub(crate) fn before(change: Change, resumption: Resumption) -> Self {
        let (root, staff, others) = (Ca::root("root"), Ca::root("staff"), Ca::root("others"));
        let issuer = root.intermediate("issuer");
        let world = Self {
            files: Files::new(),
            change,
            resumption,
            host: Arc::default(),
            identity: issuer.issue(NAMES),
            client: client_of(&staff),
            other: others.issue(&["other.test"]),
            ticket_key: ticket_key(),
            root,
            issuer,
            staff,
            others,
        };
        world.lay_out();
        world.start(if change == Change::NowAsked {
            ClientAuth::None
        } else {
            ClientAuth::Optional
        });
        world
    }

    /// A server on a port of its own.
    pub(crate) fn server(&self) -> Server {
        let host = self.host.clone();
        Server::new(move || host.lock().unwrap().as_ref().expect("the end").config())
    }

    pub(crate) fn visitor(&self, peer: Peer, version: Version) -> Visitor {
        let has_certificate = self.change != Change::NowRequiredOfNobody;
        let pair = (self.files.path("client.pem"), self.files.path("client.key"));
        Visitor {
            peer,
            version,
            name: if self.change == Change::NameLost { "b.test" } else { "a.test" }.to_owned(),
            root: self.files.path("root.pem"),
            pair: has_certificate.then_some(pair),
        }
    }

    /// Whom the server knows the client as, before the change and after it.
    pub(crate) fn known_as(&self) -> [&str; 2] {
        let client = &self.client.pair.sha256;
        match self.change {
            Change::NowRequiredOfNobody => ["nobody", "nobody"],
            Change::NowAsked => ["nobody", client],
            _ => [client, client],
        }
    }

    pub(crate) fn change(&mut self) {
        self.change_files();
        match self.change {
            Change::Restarted | Change::RestartedWithTicketKeys | Change::NowAsked => {
                self.start(ClientAuth::Optional);
            }
            Change::NowRequired | Change::NowRequiredOfNobody => self.start(ClientAuth::Required),
            Change::Invalidated | Change::InvalidatedWithTicketKeys => {
                self.host().as_ref().unwrap().invalidate_sessions();
            }
            Change::Nothing => self.reload(Outcome::Unchanged),
            _ => self.reload(Outcome::Ok),
        }
    }

    fn change_files(&mut self) {
        let (staff, others) = (&self.staff, &self.others);
        match self.change {
            Change::Certificate => self.renew(NAMES, true),
            Change::Key => self.renew(NAMES, false),
            Change::NameAdded => self.renew(&[NAMES, &["c.test"]].concat(), true),
            Change::OtherNameLost | Change::NameLost => self.renew(&["a.test"], true),
            Change::Chain => {
                self.root.renew(&mut self.issuer);
                self.write_identity();
            }
            Change::Staple => self.write_staple(),
            Change::RootsInAnotherOrder => self.write_roots(&[others, staff]),
            Change::RootOfServersAdded => {
                let third = Ca::root("third").certificate;
                self.files.write("servers.pem", &(self.root.certificate.clone() + &third));
            }
            Change::RootAdded => self.write_roots(&[staff, others, &Ca::root("third")]),
            Change::OtherRootRemoved => self.write_roots(&[staff]),
            Change::RootRemoved => self.trust_others_only(),
            Change::ListAnew => self.files.write("staff.crl", &staff.revoke(&[])),
            Change::OtherRevoked => self.files.write("others.crl", &others.revoke(&[&self.other])),
            Change::Revoked => self.files.write("staff.crl", &staff.revoke(&[&self.client])),
            Change::TicketKeyAdded => self.write_ticket_keys(&[&self.ticket_key, &ticket_key()]),
            Change::TicketKeyRotated => self.write_ticket_keys(&[&ticket_key(), &self.ticket_key]),
            Change::TicketKeyGone => self.write_ticket_keys(&[&ticket_key()]),
            _ => {}
        }
    }

    /// A certificate as an ACME client gets it, live.
    pub(crate) fn rotate(&mut self, keeps_key: bool) {
        self.renew(NAMES, keeps_key);
        self.reload(Outcome::Ok);
    }

    fn renew(&mut self, names: &[&str], keeps_key: bool) {
        self.identity = if keeps_key {
            self.issuer.issue_anew(names, &self.identity)
        } else {
            self.issuer.issue(names)
        };
        self.write_identity();
    }

    fn lay_out(&self) {
        self.files.write("root.pem", &self.root.certificate);
        self.files.write("client.pem", &self.client.pair.chain);
        self.files.write("client.key", &self.client.pair.key);
        self.write_identity();
        self.write_staple();
        self.write_roots(&[&self.staff, &self.others]);
        self.files.write("servers.pem", &self.root.certificate);
        self.files.write("staff.crl", &self.staff.revoke(&[]));
        self.files.write("others.crl", &self.others.revoke(&[]));
        self.write_ticket_keys(&[&self.ticket_key]);
    }

    fn write_identity(&self) {
        let Pair { chain, key, .. } = &self.identity.pair;
        self.files.write("chain.pem", &(chain.clone() + &self.issuer.certificate));
        self.files.write("key.pem", key);
    }

    /// Other changes are not about it, and it takes a while.
    fn write_staple(&self) {
        if self.change == Change::Staple {
            fs::write(self.files.path("staple.der"), self.issuer.staple(&self.identity)).unwrap();
        }
    }

    /// Takes out who issued the client's certificate.
    pub(crate) fn trust_others_only(&self) {
        self.write_roots(&[&self.others]);
    }

    fn write_roots(&self, all: &[&Ca]) {
        let all: String = all.iter().map(|ca| ca.certificate.as_str()).collect();
        self.files.write("roots.pem", &all);
    }

    pub(crate) fn write_ticket_keys(&self, keys: &[&str]) {
        self.files.write("ticket.keys", &keys.concat());
    }

    fn host(&self) -> MutexGuard<'_, Option<Host>> {
        self.host.lock().unwrap()
    }

    fn reload(&self, expected: Outcome) {
        let outcome = self.host().as_ref().unwrap().reload_wait();
        assert_eq!(outcome, expected, "{:?}: {}", self.change, last_error());
    }

    /// Starts the server, in the place of one that ran.
    fn start(&self, mode: ClientAuth) {
        drop(self.host().take());
        *self.host() = Some(open(self.change, self.resumption, mode, &self.files.path("")));
    }
}

/// Opens a handle on the files of a world.
pub(crate) fn open(change: Change, resumption: Resumption, mode: ClientAuth, files: &Path) -> Host {
    let staple = (change == Change::Staple).then(|| files.join("staple.der"));
    let mut options = Builder::new()
        .identity_with_staple(&files.join("chain.pem"), &files.join("key.pem"), staple.as_deref())
        .resumption(resumption)
        .watch(Watch::Off)
        .debounce_ms(0, 0);
    if change.is_with_ticket_keys() {
        options = options.ticket_keys(&files.join("ticket.keys"));
    }
    if mode != ClientAuth::None {
        options = options.client_auth(mode, &files.join("roots.pem"));
        options = options.crl(&files.join("staff.crl")).crl(&files.join("others.crl"));
    }
    if change == Change::RootOfServersAdded {
        options = options.server_roots(&files.join("servers.pem"));
    }
    options.open()
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.host().take());
    }
}

/// A client whose weekly boundary, at which it has to make a full handshake, is not within the hour.
fn client_of(staff: &Ca) -> Issued {
    const WEEK: u64 = 7 * 86400;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    loop {
        let client = staff.issue(&["client.test"]);
        let digits = client.pair.sha256.bytes().map(|digit| (digit as char).to_digit(16).unwrap());
        let offset = digits.fold(0, |rest, digit| (rest * 16 + u64::from(digit)) % WEEK);
        if (now + offset) % WEEK < WEEK - 3600 {
            return client;
        }
    }
}

/// A line for a file of ticket keys.
pub(crate) fn ticket_key() -> String {
    let made = Command::new("openssl").args(["rand", "-base64", "48"]).output().unwrap();
    String::from_utf8(made.stdout).unwrap()
}
