//! What the judges disagree about, and why.
//!
//! The verdicts are those of OpenSSL, plain rustls-ffi and certreload: S for served, L for loaded (and no client can
//! use it), R for refused. A question mark is a verdict of OpenSSL that depends on its release or build. A name with
//! `{one|two}` is a name for each of them.

use std::collections::BTreeMap;

/// The verdicts of a case, and the reason: a heading of docs/compatibility.md.
pub struct Row {
    pub verdicts: &'static str,
    pub reason: &'static str,
}

impl Row {
    pub fn is(&self, letters: &str) -> bool {
        let same = |(expected, found)| expected == '?' || expected == found;
        self.verdicts.chars().zip(letters.chars()).all(same)
    }
}

/// The rows by the names of their cases.
pub fn rows() -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for (reason, verdicts, names) in TABLE {
        for name in names.iter().flat_map(|name| expanded(name)) {
            assert!(verdicts.len() == 3 && !["SSS", "LLL", "RRR"].contains(verdicts), "{name}");
            let before = rows.insert(name.clone(), Row { verdicts, reason });
            assert!(before.is_none(), "two rows: {name}");
        }
    }
    rows
}

/// The names that `name` is short for.
fn expanded(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let (choices, after) = rest.split_once('}').unwrap();
    let after = expanded(after);
    let names = choices
        .split('|')
        .flat_map(|choice| after.iter().map(move |after| format!("{before}{choice}{after}")));
    names.collect()
}

type Names = &'static [&'static str];

const TABLE: &[(&str, &str, Names)] = &[
    (
        "Kinds of keys",
        "SRR",
        &[
            "key: ed448, pkcs8",
            "key: rsa-1024, {pkcs8|traditional}",
            "key: rsa-3-primes, {pkcs8|traditional}",
            "key: {rsa-pss|rsa-pss-sha256}, pkcs8",
            "root: with a key of {rsa-1024|rsa-pss|ed448|secp256k1|brainpoolP256r1}",
        ],
    ),
    (
        "Kinds of keys",
        "?RR",
        &[
            "key: {P-192|brainpoolP384r1|brainpoolP512r1|ML-DSA-44|ML-DSA-65|ML-DSA-87}, pkcs8",
            "key: {P-224|dsa}, {pkcs8|traditional}",
            "key: {secp256k1|brainpoolP256r1}, {pkcs8|traditional|behind-parameters|behind-explicit-parameters}",
            "key: {secp256k1|brainpoolP256r1}, {explicit|explicit-pkcs8|compressed|no-public|text}",
        ],
    ),
    ("Ed25519 keys with their public part", "?SS", &["key: ed25519 by rcgen"]),
    ("Labels of keys", "SRR", &["key: P-256, PKCS#8 as ENCRYPTED PRIVATE KEY"]),
    (
        "Encrypted keys",
        "SRS",
        &[
            "key: {rsa-2048|P-256|P-384|ed25519}, encrypted-{aes-128-cbc|aes-192-cbc|aes-256-cbc|des3|1-round}",
            "key: {rsa-2048|P-256|P-384|ed25519}, encrypted-hmacWithSHA{1|224|256|384|512}",
            "key: P-256, encrypted-scrypt",
            "one file: openssl pkcs12",
        ],
    ),
    (
        "Other encryption of keys",
        "SRR",
        &[
            "key: {rsa-2048|P-256|P-384|ed25519}, encrypted-{aes-256-cfb|aes-256-ofb|aria-256-cbc|camellia-256-cbc}",
            "key: {rsa-2048|P-256|P-384|ed25519}, encrypted-PBE-SHA1-{3DES|2DES}",
            "key: {rsa-2048|P-256}, encrypted-traditional-{aes128|aes256|des3|aria128|camellia128}",
        ],
    ),
    ("Several keys", "RLS", &["several keys: own behind {another|RSA}"]),
    (
        "Keys of other certificates",
        "RLR",
        &[
            "pair: key {of the same kind|on another curve|RSA for ECDSA|ECDSA for RSA|RSA of another size}",
            "several keys: two others",
            "chain: {lower|lower upper|root|other}",
            "chain: leaf lower upper, key of lower",
            "certificate: public key of an unknown algorithm",
            "key: P-256 by hand, one byte short",
        ],
    ),
    (
        "Expired and future certificates",
        "SSR",
        &[
            "notAfter: {past|1999}",
            "notBefore: future",
            "certificate: ended before it began",
            "chain: {old-leaf|old-leaf lower}",
        ],
    ),
    (
        "Usage by servers",
        "SSR",
        &["extension: extendedKeyUsage {clientAuth|codeSigning|without usages}{|, critical}"],
    ),
    (
        "Dates that are no dates",
        "SSR",
        &[
            "notAfter: {month 13|30 February|hour 24|second 60|letters}",
            "notAfter: GeneralizedTime with an offset",
        ],
    ),
    ("Dates that are no dates", "?SR", &["notAfter: {UTCTime|GeneralizedTime} without Z"]),
    ("Dates that are no dates", "?SS", &["notAfter: {UTCTime|GeneralizedTime} without seconds"]),
    ("Dates that are no dates", "RSR", &["certificate: dates of another type"]),
    (
        "Damaged certificates",
        "RSR",
        &[
            "certificate: {another tag|bytes behind it|signature without a byte for unused bits}",
            "chain file: an empty certificate behind",
            "chain: no certificate behind the leaf",
        ],
    ),
    (
        "Damaged certificates",
        "?SR",
        &[
            "certificate: one extension twice",
            "subjectAltName: {cut off|a kind that is not as its tag says}",
        ],
    ),
    (
        "Damaged certificates",
        "RLR",
        &[
            "certificate: cut off",
            "chain file: {an empty certificate before|four digits missing at the end|no base64}",
        ],
    ),
    ("Damaged certificates", "SLR", &["certificate: length not given"]),
    (
        "Wrong signatures",
        "SSR",
        &["{certificate: signature wrong|root: wrong signature}, key identifiers"],
    ),
    (
        "Damaged extensions",
        "?SS",
        &[
            "extension: {basicConstraints|keyUsage|extendedKeyUsage|nameConstraints}, damaged{|, critical}",
            "extension: {subjectKeyIdentifier|authorityKeyIdentifier}, damaged{|, critical}",
            "extension: crlDistributionPoints, damaged{|, critical}",
            "extension: basicConstraints, negative path length{|, critical}",
            "extension: keyUsage without bits{|, critical}",
            "subjectAltName: unknown kind",
        ],
    ),
    (
        "Unusual numbers and strings",
        "RSS",
        &[
            "certificate: serial {with a needless zero|without bytes}",
            "name: {BMPString|UniversalString} of an odd length",
            "name: {UTF8String that is not UTF-8|VisibleString}",
        ],
    ),
    ("Long chains", "SSR", &["chain: {65|100} certificates"]),
    (
        "Order of a chain",
        "RLS",
        &[
            "chain: {lower leaf|other leaf|upper lower leaf|root upper lower leaf|root leaf lower upper}",
            "one file: upper, lower, leaf, key",
        ],
    ),
    (
        "Files without a certificate",
        "RLR",
        &[
            "chain file: {DER|PKCS#12|PKCS#7|UTF-16|request|public key|empty|blanks alone|text alone}",
            "chain file: {a NUL before|other text on the line before BEGIN|no BEGIN|lower-case BEGIN}",
            "chain file: {four|six} hyphens",
            "chain file: labelled \"{|certificate|CERTIFICATE REQUEST|PKCS7}\"",
            "one file: key alone",
            "pair: the key twice",
        ],
    ),
    (
        "Labels and byte order marks",
        "SLS",
        &[
            "chain file: a byte order mark",
            "chain file: labelled \"{X509|TRUSTED} CERTIFICATE\"",
            "chain file: {trusted|rejected} for servers",
        ],
    ),
    (
        "Labels and byte order marks",
        "SRS",
        &["{key file|roots file|CRL}: a byte order mark", "roots file: {X509|trusted} label"],
    ),
    ("Labels and byte order marks", "RRS", &["CRL: label CRL"]),
    (
        "Line ends, blanks and padding",
        "RSS",
        &[
            "{chain|key} file: {CR|LFCR|blank lines between|a blank line before END}",
            "chain file: {a NUL line before|no padding|a digit missing at the end}",
            "roots file: CR",
        ],
    ),
    (
        "Line ends, blanks and padding",
        "SRS",
        &["{chain|key} file: {tabs|form feeds} at the ends of lines"],
    ),
    (
        "Line ends, blanks and padding",
        "RLS",
        &["chain file: {blanks before BEGIN|blanks at the starts of lines}"],
    ),
    (
        "Line ends, blanks and padding",
        "RRS",
        &[
            "{chain|key} file: blanks before END",
            "key file: {blanks before BEGIN|blanks at the starts of lines}",
            "roots file: blanks before BEGIN",
        ],
    ),
    ("Text in and behind sections", "RSS", &["{chain|key} file: text behind END"]),
    (
        "Text in and behind sections",
        "RRS",
        &["{chain|key} file: {a header within|a header without a blank line}"],
    ),
    (
        "Sections of other kinds",
        "RSS",
        &[
            "chain file: {an empty unknown section|an unknown section that is not base64} {before|behind}",
        ],
    ),
    (
        "Sections that are cut off",
        "SSR",
        &["key file: {a cut-off copy|an unknown section that is cut off} behind"],
    ),
    ("Sections that are cut off", "RSR", &["chain file: no padding, bits behind the last byte"]),
    (
        "Roots are names and keys",
        "RSS",
        &[
            "root: {CA:FALSE|version 3 without extensions|without keyCertSign|for servers only}",
            "root: {expired|not yet valid|unknown critical extension|unknown signature algorithm}",
            "root: {issued by another|an intermediate alone}",
        ],
    ),
    ("Names in other bytes", "SRR", &["root: its name in a PrintableString"]),
    ("Versions of roots", "SRR", &["root: version 4"]),
    (
        "Damaged certificates among roots",
        "RSS",
        &["roots file: {no certificate before|no certificate behind|no DER behind}"],
    ),
    (
        "Forms of CRLs",
        "SRR",
        &[
            "CRL: {version 1|version 2 without extensions|version 2 with an empty list of extensions|version 3}",
            "CRL: {negative number|number of 40 bytes|without nextUpdate|reason unknown|bytes behind it}",
        ],
    ),
    (
        "Forms of CRLs",
        "?RR",
        &[
            "CRL: {certificates of users only|empty distribution point|certificateIssuer of an entry}",
            "CRL: {delta|delta, not critical}",
        ],
    ),
    ("Extensions of CRLs", "RSS", &["CRL: {critical number|distribution point}"]),
    ("Dates of CRLs", "RSR", &["CRL: expired"]),
    ("Dates of CRLs", "RSS", &["CRL: not yet valid"]),
    ("Several CRLs of one issuer", "SLS", &["CRL: behind an older one"]),
    ("CRLs in DER", "RRS", &["CRL: DER"]),
    (
        "OCSP responses",
        "RSR",
        &[
            "OCSP: {revoked|revoked, delegated|unknown|of another certificate|try later}",
            "OCSP: good, {expired|not yet valid|delegated, without certificates|by an unfit responder}",
            "OCSP: good, by {another authority|a responder of another authority}",
            "OCSP: {PEM|base64|text|a certificate|cut off|damaged}",
        ],
    ),
    ("OCSP responses", "SSR", &["OCSP: bytes behind it"]),
    ("OCSP responses", "?SR", &["OCSP: good, signed with SHA-1"]),
];

#[test]
fn short_names_are_expanded() {
    assert_eq!(expanded("a"), ["a"]);
    assert_eq!(expanded("{a|b} {c|}."), ["a c.", "a .", "b c.", "b ."]);
}
