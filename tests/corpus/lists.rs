//! Cases of revocation lists. Each is of an authority that has certified two clients, 1 and 2, and revoked 2.

use std::path::PathBuf;

use rcgen::{KeyPair, SigningKey};

use crate::der::{
    self, BIT_STRING, COMMON_NAME, GENERALIZED_TIME, UTC_TIME, UTF8_STRING, extension, integer,
    name, oid, sequence, tlv,
};
use crate::trust::{Adder, Root};

/// The fields of a list, tags and lengths included.
struct List {
    version: Vec<u8>,
    algorithm: Vec<u8>,
    issuer: Vec<u8>,
    this_update: Vec<u8>,
    next_update: Vec<u8>,
    entries: Option<Vec<Vec<u8>>>,
    extensions: Option<Vec<Vec<u8>>>,
    whole: fn(Vec<u8>) -> Vec<u8>,
}

impl List {
    fn of(root: &Root) -> Self {
        Self {
            version: integer(&[1]),
            algorithm: sequence(&[&oid("1.2.840.10045.4.3.2")]),
            issuer: root.subject.clone(),
            this_update: tlv(UTC_TIME, b"260101000000Z"),
            next_update: tlv(UTC_TIME, b"490101000000Z"),
            entries: Some(vec![entry(2, &[])]),
            extensions: Some(vec![extension("2.5.29.20", false, &integer(&[7]))]),
            whole: |whole| whole,
        }
    }

    fn sign(&self, key: &KeyPair) -> Vec<u8> {
        let listed =
            |list: &Option<Vec<Vec<u8>>>| list.as_ref().map(|list| tlv(0x30, &list.concat()));
        let extensions = listed(&self.extensions).map(|list| tlv(0xa0, &list));
        let fields = sequence(&[
            &self.version,
            &self.algorithm,
            &self.issuer,
            &self.this_update,
            &self.next_update,
            &listed(&self.entries).unwrap_or_default(),
            &extensions.unwrap_or_default(),
        ]);
        let signature = tlv(BIT_STRING, &[vec![0], key.sign(&fields).unwrap()].concat());
        (self.whole)(sequence(&[&fields, &self.algorithm, &signature]))
    }
}

fn entry(serial: u8, extensions: &[Vec<u8>]) -> Vec<u8> {
    let extensions = match extensions {
        [] => Vec::new(),
        list => tlv(0x30, &list.concat()),
    };
    sequence(&[&integer(&[serial]), &tlv(UTC_TIME, b"260101000000Z"), &extensions])
}

type Edit = fn(&mut List);

const POINT: &str = "2.5.29.28";
/// The name of a distribution point: `a:`.
const POINT_NAME: &[u8] = b"\xa0\x06\xa0\x04\x86\x02a:";

fn with(list: &mut List, id: &str, is_critical: bool, value: &[u8]) {
    list.extensions.get_or_insert_default().push(extension(id, is_critical, value));
}

const LISTS: &[(&str, Edit)] = &[
    ("usual", |_| {}),
    ("version 1", |list| (list.version, list.extensions) = (Vec::new(), None)),
    ("version 2 without extensions", |list| list.extensions = None),
    ("version 2 with an empty list of extensions", |list| list.extensions = Some(Vec::new())),
    ("version 3", |list| list.version = integer(&[2])),
    ("without number", |list| {
        let identifier = extension("2.5.29.35", false, &sequence(&[]));
        list.extensions = Some(vec![identifier]);
    }),
    ("number of 21 bytes", |list| {
        let number = integer(&[vec![0], vec![0xff; 20]].concat());
        list.extensions = Some(vec![extension("2.5.29.20", false, &number)]);
    }),
    ("number of 40 bytes", |list| {
        list.extensions = Some(vec![extension("2.5.29.20", false, &integer(&[0x55; 40]))]);
    }),
    ("negative number", |list| {
        list.extensions = Some(vec![extension("2.5.29.20", false, &integer(&[0xff]))]);
    }),
    ("critical number", |list| {
        list.extensions = Some(vec![extension("2.5.29.20", true, &integer(&[7]))]);
    }),
    ("without nextUpdate", |list| list.next_update = Vec::new()),
    ("expired", |list| list.next_update = tlv(UTC_TIME, b"260102000000Z")),
    ("not yet valid", |list| list.this_update = tlv(UTC_TIME, b"480101000000Z")),
    ("GeneralizedTime before 2050", |list| {
        list.next_update = tlv(GENERALIZED_TIME, b"20490101000000Z");
    }),
    ("GeneralizedTime 9999", |list| list.next_update = tlv(GENERALIZED_TIME, b"99991231235959Z")),
    ("date of month 13", |list| list.next_update = tlv(UTC_TIME, b"491301000000Z")),
    ("delta", |list| with(list, "2.5.29.27", true, &integer(&[1]))),
    ("delta, not critical", |list| with(list, "2.5.29.27", false, &integer(&[1]))),
    ("indirect", |list| with(list, POINT, true, &sequence(&[b"\x84\x01\xff"]))),
    ("distribution point", |list| with(list, POINT, true, &sequence(&[POINT_NAME]))),
    ("certificates of users only", |list| with(list, POINT, true, &sequence(&[b"\x81\x01\xff"]))),
    ("certificates of authorities only", |list| {
        with(list, POINT, true, &sequence(&[b"\x82\x01\xff"]));
    }),
    ("attribute certificates only", |list| with(list, POINT, true, &sequence(&[b"\x85\x01\xff"]))),
    ("some reasons only", |list| with(list, POINT, true, &sequence(&[b"\x83\x02\x06\x40"]))),
    ("empty distribution point", |list| with(list, POINT, true, &sequence(&[]))),
    ("unknown extension", |list| with(list, "1.3.6.1.4.1.99999.4", false, b"\x05\x00")),
    ("unknown critical extension", |list| with(list, "1.3.6.1.4.1.99999.4", true, b"\x05\x00")),
    ("freshestCRL", |list| with(list, "2.5.29.46", false, &sequence(&[&sequence(&[POINT_NAME])]))),
    ("issuerAltName", |list| with(list, "2.5.29.18", false, b"\x30\x04\x86\x02a:")),
    ("authorityInfoAccess", |list| with(list, "1.3.6.1.5.5.7.1.1", false, &sequence(&[]))),
    ("reason keyCompromise", |list| {
        let reason = extension("2.5.29.21", false, b"\x0a\x01\x01");
        list.entries = Some(vec![entry(2, &[reason])]);
    }),
    ("reason certificateHold", |list| {
        let reason = extension("2.5.29.21", false, b"\x0a\x01\x06");
        list.entries = Some(vec![entry(2, &[reason])]);
    }),
    ("reason unspecified", |list| {
        let reason = extension("2.5.29.21", false, b"\x0a\x01\x00");
        list.entries = Some(vec![entry(2, &[reason])]);
    }),
    ("reason unknown", |list| {
        let reason = extension("2.5.29.21", false, b"\x0a\x01\x07");
        list.entries = Some(vec![entry(2, &[reason])]);
    }),
    ("invalidityDate", |list| {
        let date = extension("2.5.29.24", false, &tlv(GENERALIZED_TIME, b"20260101000000Z"));
        list.entries = Some(vec![entry(2, &[date])]);
    }),
    ("holdInstructionCode", |list| {
        let code = extension("2.5.29.23", false, &oid("1.2.840.10040.2.1"));
        list.entries = Some(vec![entry(2, &[code])]);
    }),
    ("unknown extension of an entry", |list| {
        let unknown = extension("1.3.6.1.4.1.99999.4", false, b"\x05\x00");
        list.entries = Some(vec![entry(2, &[unknown])]);
    }),
    ("unknown critical extension of an entry", |list| {
        let unknown = extension("1.3.6.1.4.1.99999.4", true, b"\x05\x00");
        list.entries = Some(vec![entry(2, &[unknown])]);
    }),
    ("certificateIssuer of an entry", |list| {
        let issuer = sequence(&[&tlv(0xa4, &name(COMMON_NAME, UTF8_STRING, b"root"))]);
        list.entries = Some(vec![entry(2, &[extension("2.5.29.29", true, &issuer)])]);
    }),
    ("the same entry twice", |list| list.entries = Some(vec![entry(2, &[]), entry(2, &[])])),
    ("many entries", |list| {
        list.entries = Some([2].into_iter().chain(10..200).map(|at| entry(at, &[])).collect());
    }),
    ("bytes behind it", |list| list.whole = |whole| [whole, vec![0, 0]].concat()),
    ("cut off", |list| list.whole = |whole| whole[..whole.len() - 9].to_vec()),
    ("unknown signature algorithm", |list| {
        list.algorithm = sequence(&[&oid("1.3.6.1.4.1.99999.2")]);
    }),
];

/// Lists that revoke nothing.
const EMPTY: &[(&str, Edit)] = &[
    ("no entries", |list| list.entries = None),
    ("an empty list of entries", |list| list.entries = Some(Vec::new())),
    ("another client", |list| list.entries = Some(vec![entry(9, &[])])),
];

pub fn add(adder: &mut Adder<'_>) {
    let (root, other) = (Root::new("root", |_| {}), Root::new("other", |_| {}));
    let clients = [1, 2].map(|serial| {
        adder.write(&format!("listed-{serial}.client"), root.client(serial).as_bytes())
    });
    let mut add = |what: &str, text: &[u8], revoked: &[PathBuf]| {
        let count = adder.directory.read_dir().unwrap().count();
        let path = adder.write(&format!("{count}.crl"), text);
        let case = adder.add(&format!("CRL: {what}"), root.pem.as_bytes(), &clients[0]);
        (case.lists, case.lists_path) = (Some(text.to_vec()), Some(path));
        case.refused = revoked.to_vec();
    };
    let pem = |list: &List, key: &KeyPair| der::pem("X509 CRL", &list.sign(key));
    let usual = List::of(&root);
    let text = pem(&usual, &root.key);
    for (what, edit) in LISTS {
        let mut list = List::of(&root);
        edit(&mut list);
        add(what, pem(&list, &root.key).as_bytes(), &clients[1..]);
    }
    for (what, edit) in EMPTY {
        let mut list = List::of(&root);
        edit(&mut list);
        add(what, pem(&list, &root.key).as_bytes(), &[]);
    }
    let foreign = pem(&List::of(&other), &other.key);
    let older = pem(
        &List {
            entries: None,
            this_update: tlv(UTC_TIME, b"250601000000Z"),
            extensions: Some(vec![extension("2.5.29.20", false, &integer(&[6]))]),
            ..List::of(&root)
        },
        &root.key,
    );
    add("of another issuer", foreign.as_bytes(), &clients[1..]);
    add("signed by another", pem(&usual, &other.key).as_bytes(), &clients[1..]);
    add("DER", &usual.sign(&root.key), &clients[1..]);
    for (what, text) in [
        ("CRLF", text.replace('\n', "\r\n")),
        ("label CRL", text.replace("X509 CRL", "CRL")),
        ("text around", format!("# list\n{text}# end\n")),
        ("a byte order mark", format!("\u{feff}{text}")),
        ("BEGIN behind other text", format!("{foreign}# {text}")),
        ("twice", text.repeat(2)),
        ("behind that of another issuer", format!("{foreign}{text}")),
        ("behind an older one", format!("{older}{text}")),
        ("before an older one", format!("{text}{older}")),
        ("with a certificate", format!("{}{text}", root.pem)),
        ("damaged base64", text.replacen('M', "?", 1)),
        ("a damaged one behind", text.clone() + &foreign.replacen('M', "?", 1)),
        ("a cut-off one behind", format!("{text}{}", &foreign[..foreign.len() / 2])),
        (
            "no list behind",
            format!("{text}-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"),
        ),
        ("a certificate alone", root.pem.clone()),
        ("text alone", "# list\n".to_owned()),
        ("empty", String::new()),
    ] {
        add(what, text.as_bytes(), &clients[1..]);
    }
}
