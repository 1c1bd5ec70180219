//! Cases of roots, revocation lists and OCSP responses.

use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PublicKeyData};

use crate::case::write_bytes;
use crate::der::{
    self, COMMON_NAME, Forge, PRINTABLE_STRING, UTC_TIME, UTF8_STRING, extension, name, oid,
    sequence, tlv,
};
use crate::keys::Signer;
use crate::lists;
use crate::staples;

/// A root file, with the CRLs of which clients are refused by it.
pub struct Trust {
    pub name: String,
    pub roots: Vec<u8>,
    pub roots_path: PathBuf,
    pub lists: Option<Vec<u8>>,
    pub lists_path: Option<PathBuf>,
    /// Chain and key, in one file, of the peers that these roots certify.
    pub accepted: Vec<PathBuf>,
    /// The same of the peers that these lists revoke.
    pub refused: Vec<PathBuf>,
}

/// An OCSP response.
pub struct Stapled {
    pub name: String,
    pub path: PathBuf,
    /// Whether the client of OpenSSL accepts it.
    pub accepts: bool,
}

pub struct TrustCases {
    /// The identity of the server, of which the OCSP responses are.
    pub chain: PathBuf,
    pub key: PathBuf,
    pub trust: Vec<Trust>,
    pub staples: Vec<Stapled>,
}

/// An authority, and the clients that it certified.
pub struct Root {
    pub key: KeyPair,
    pub subject: Vec<u8>,
    pub pem: String,
}

impl Root {
    pub fn new(subject: &str, edit: impl FnOnce(&mut Forge)) -> Self {
        let key = KeyPair::generate().unwrap();
        let subject = name(COMMON_NAME, UTF8_STRING, subject.as_bytes());
        let mut forge = Forge::new(&key);
        (forge.subject, forge.issuer) = (subject.clone(), subject.clone());
        forge.extensions = Some(vec![AUTHORITY.to_vec()]);
        edit(&mut forge);
        let pem = der::pem("CERTIFICATE", &forge.sign(&key));
        Self { key, subject, pem }
    }

    /// An authority that this one certified.
    fn certify(&self, subject: &str) -> Self {
        let below = Self::new(subject, |_| {});
        let mut forge = Forge::new(&below.key);
        (forge.subject, forge.issuer) = (below.subject.clone(), self.subject.clone());
        forge.extensions = Some(vec![AUTHORITY.to_vec()]);
        Self { pem: der::pem("CERTIFICATE", &forge.sign(&self.key)), ..below }
    }

    /// The chain and key of a client.
    pub fn client(&self, serial: u8) -> String {
        let key = KeyPair::generate().unwrap();
        let certificate = self.certificate(&key, serial);
        certificate + &key.serialize_pem()
    }

    fn certificate(&self, key: &KeyPair, serial: u8) -> String {
        let mut forge = Forge::new(&self.key);
        (forge.issuer, forge.serial) = (self.subject.clone(), vec![serial]);
        forge.public_key = key.subject_public_key_info();
        der::pem("CERTIFICATE", &forge.sign(&self.key))
    }
}

/// basicConstraints with CA:TRUE, critical.
const AUTHORITY: &[u8] = b"\x30\x0f\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x05\x30\x03\x01\x01\xff";

impl TrustCases {
    pub fn new(directory: &Path, signers: &[Signer]) -> Self {
        let directory = directory.join("trust");
        std::fs::create_dir(&directory).unwrap();
        let (chain, key) = (directory.join("server.chain"), directory.join("server.key"));
        let staples = staples::make(&directory, &chain, &key);
        let mut cases = Self { chain, key, trust: Vec::new(), staples };
        let mut adder = Adder { directory: &directory, cases: &mut cases.trust };
        for signer in signers {
            let name = format!("root: with a key of {}", signer.kind);
            let client = adder.write(&format!("{}.client", signer.kind), &signer.client);
            adder.add(&name, &signer.root, &client);
        }
        add_roots(&mut adder);
        lists::add(&mut adder);
        cases
    }
}

/// Adds cases, whose files are in a directory.
pub struct Adder<'a> {
    pub directory: &'a Path,
    cases: &'a mut Vec<Trust>,
}

impl Adder<'_> {
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.join(name);
        write_bytes(&path, bytes);
        path
    }

    pub fn add(&mut self, name: &str, roots: &[u8], client: &Path) -> &mut Trust {
        let roots_path = self.write(&format!("{}.roots", self.cases.len()), roots);
        assert!(self.cases.iter().all(|other| other.name != name), "two cases: {name}");
        self.cases.push(Trust {
            name: name.to_owned(),
            roots: roots.to_vec(),
            roots_path,
            lists: None,
            lists_path: None,
            accepted: vec![client.to_owned()],
            refused: Vec::new(),
        });
        self.cases.last_mut().unwrap()
    }
}

type Edit = fn(&mut Forge);

const ROOTS: &[(&str, Edit)] = &[
    ("usual", |_| {}),
    ("version 1", |forge| (forge.version, forge.extensions) = (None, None)),
    ("version 3 without extensions", |forge| forge.extensions = None),
    ("CA:FALSE", |forge| forge.extensions = Some(vec![extension("2.5.29.19", true, b"\x30\x00")])),
    ("path length 0", |forge| {
        forge.extensions =
            Some(vec![extension("2.5.29.19", true, b"\x30\x06\x01\x01\xff\x02\x01\x00")]);
    }),
    ("without keyCertSign", |forge| {
        let usage = extension("2.5.29.15", true, b"\x03\x02\x07\x80");
        forge.extensions.get_or_insert_default().push(usage);
    }),
    ("keyCertSign without cRLSign", |forge| {
        let usage = extension("2.5.29.15", true, b"\x03\x02\x02\x04");
        forge.extensions.get_or_insert_default().push(usage);
    }),
    ("for servers only", |forge| {
        let usage =
            extension("2.5.29.37", false, b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01");
        forge.extensions.get_or_insert_default().push(usage);
    }),
    ("unknown critical extension", |forge| {
        let unknown = extension("1.3.6.1.4.1.99999.4", true, b"\x05\x00");
        forge.extensions.get_or_insert_default().push(unknown);
    }),
    ("critical policies", |forge| {
        let policies = extension("2.5.29.32", true, b"\x30\x06\x30\x04\x06\x02\x2a\x03");
        forge.extensions.get_or_insert_default().push(policies);
    }),
    ("name constraints that permit the client", |forge| {
        let constraints = extension("2.5.29.30", true, b"\x30\x0c\xa0\x0a\x30\x08\x82\x06a.test");
        forge.extensions.get_or_insert_default().push(constraints);
    }),
    ("name constraints that exclude the client", |forge| {
        let constraints = extension("2.5.29.30", true, b"\x30\x0c\xa0\x0a\x30\x08\x82\x06b.test");
        forge.extensions.get_or_insert_default().push(constraints);
    }),
    ("expired", |forge| forge.not_after = tlv(UTC_TIME, b"250601000000Z")),
    ("not yet valid", |forge| forge.not_before = tlv(UTC_TIME, b"480601000000Z")),
    ("negative serial", |forge| forge.serial = vec![0xff, 0x01]),
    ("serial of 40 bytes", |forge| forge.serial = vec![0x55; 40]),
    ("issued by another", |forge| forge.issuer = name(COMMON_NAME, UTF8_STRING, b"another")),
    ("its name in a PrintableString", |forge| {
        forge.subject = name(COMMON_NAME, PRINTABLE_STRING, b"root");
        forge.issuer = forge.subject.clone();
    }),
    ("wrong signature", |forge| forge.signature = |_| vec![0, 1, 2, 3]),
    ("wrong signature, key identifiers", |forge| {
        forge.signature = |mut signature| {
            *signature.last_mut().unwrap() ^= 1;
            signature
        };
        forge.extensions.get_or_insert_default().extend([
            extension("2.5.29.14", false, &tlv(0x04, &[9; 20])),
            extension("2.5.29.35", false, &sequence(&[&tlv(0x80, &[9; 20])])),
        ]);
    }),
    ("unknown signature algorithm", |forge| {
        forge.inner_algorithm = sequence(&[&oid("1.3.6.1.4.1.99999.2")]);
        forge.outer_algorithm = forge.inner_algorithm.clone();
    }),
    ("version 4", |forge| forge.version = Some(3)),
    ("one extension twice", |forge| {
        let list = forge.extensions.get_or_insert_default();
        list.push(list[0].clone());
    }),
];

fn add_roots(adder: &mut Adder<'_>) {
    for (number, (what, edit)) in ROOTS.iter().enumerate() {
        let root = Root::new("root", edit);
        let client = adder.write(&format!("{number}.client"), root.client(1).as_bytes());
        adder.add(&format!("root: {what}"), root.pem.as_bytes(), &client);
    }
    let (root, other) = (Root::new("root", |_| {}), Root::new("other", |_| {}));
    let (one, two) = (root.pem.as_str(), other.pem.as_str());
    let client = adder.write("one.client", root.client(1).as_bytes());
    let damaged = two.replacen('M', "?", 1);
    let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let unparsable = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let foreign = "-----BEGIN ANYTHING-----\nMAA=\n-----END ANYTHING-----\n";
    for (what, text) in [
        ("two", format!("{two}{one}")),
        ("the same twice", one.repeat(2)),
        ("another alone", two.to_owned()),
        ("CRLF", one.replace('\n', "\r\n")),
        ("CR", one.replace('\n', "\r")),
        ("text around", format!("# root\n{one}# end\n")),
        ("a byte order mark", format!("\u{feff}{one}")),
        ("BEGIN behind other text", format!("{two}# {one}")),
        ("blanks before BEGIN", format!("{two}   {one}")),
        ("trusted label", one.replace("CERTIFICATE", "TRUSTED CERTIFICATE")),
        ("X509 label", one.replace("CERTIFICATE", "X509 CERTIFICATE")),
        ("damaged base64 before", format!("{damaged}{one}")),
        ("damaged base64 behind", format!("{one}{damaged}")),
        ("no certificate before", format!("{empty}{one}")),
        ("no certificate behind", format!("{one}{empty}")),
        ("no DER behind", format!("{one}{unparsable}")),
        ("cut-off behind", format!("{one}{}", &two[..two.len() / 2])),
        ("another section behind", format!("{one}{foreign}")),
        ("a key behind", format!("{one}{}", root.key.serialize_pem())),
        ("a key alone", root.key.serialize_pem()),
        ("no certificate alone", empty.to_owned()),
        ("text alone", "# root\n".to_owned()),
        ("empty", String::new()),
    ] {
        adder.add(&format!("roots file: {what}"), text.as_bytes(), &client);
    }
    let forged = Forge::new(&root.key).sign(&root.key);
    adder.add("roots file: DER of another", &forged, &client);
    let peer = root.client(7);
    let pinned = adder.write("pinned.client", peer.as_bytes());
    let certificate = peer.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
    adder.add("root: the certificate of the peer", certificate.as_bytes(), &pinned);
    let middle = root.certify("middle");
    let below = adder.write("below.client", middle.client(1).as_bytes());
    adder.add("root: an intermediate alone", middle.pem.as_bytes(), &below);
    adder.add(
        "root: an intermediate and its issuer",
        format!("{}{one}", middle.pem).as_bytes(),
        &below,
    );
}
