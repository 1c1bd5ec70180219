use std::iter;

use rustls::pki_types::pem::SectionKind;
use rustls_pemfile::Item;

use super::*;
use crate::pki::skipped_lines::skipped_lines;

const BODY: &str = "MAMCAQU=";
const DER: [u8; 5] = [0x30, 0x03, 0x02, 0x01, 0x05];

fn pem(label: &str, body: &str) -> String {
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn only_section(text: &[u8]) -> Result<Vec<u8>, Cause> {
    let mut found = sections(text).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(found.len(), 1);
    Ok(found.remove(0).decode()?.to_vec())
}

#[test]
fn sections_are_found_in_all_common_layouts() {
    let plain = pem("X", BODY);
    let table = [
        ("plain", plain.clone()),
        ("CRLF", plain.replace('\n', "\r\n")),
        ("CR alone", plain.replace('\n', "\r")),
        ("spaces at the ends", plain.replace('\n', " \t\n")),
        ("no newline at the end", plain.trim_end().to_owned()),
        ("a byte order mark", format!("\u{feff}{plain}")),
        ("a byte order mark in the middle", format!("text\n\u{feff}{plain}")),
        ("all of it indented", plain.replace('\n', "\n  ").replacen('-', "\t -", 1)),
        ("text around it", format!("Bag Attributes\n    a: b\n{plain}trailing text\n")),
        ("blank lines within", pem("X", "\nMAMC\n\nAQU=\n")),
        ("lines of any length", pem("X", "M\nAMCAQ\nU=")),
        ("indented base64", pem("X", "  MAMC\n  AQU=")),
        ("no padding", pem("X", "MAMCAQU")),
        ("headers", pem("X", "A: b,\n c\nD: e\n\nMAMCAQU=")),
    ];
    for (shape, text) in table {
        assert_eq!(only_section(text.as_bytes()).as_deref(), Ok(&DER[..]), "{shape}");
    }
}

#[test]
fn malformed_and_truncated_sections_have_distinct_causes() {
    let cause = |text: &str| only_section(text.as_bytes()).unwrap_err();
    let whole = pem("X", BODY);
    let truncated = |line| Cause::PemTruncated { line, end: "\"END X\"".to_owned() };
    assert_eq!(cause(&whole[..20]), truncated(1));
    let malformed =
        |line, reason: &str| Cause::PemMalformed { line, reason: reason.to_owned().into() };
    let cut = malformed(3, "the END line does not end in five hyphens");
    assert_eq!(cause(&whole[..whole.len() - 3]), cut);
    let other = malformed(3, "\"END Y\" ends the section \"BEGIN X\" of line 1");
    assert_eq!(cause(&whole.replace("END X", "END Y")), other);
    let unquoted = malformed(3, "the END line does not match its BEGIN line");
    assert_eq!(cause(&whole.replace("END X", "END secret")), unquoted, "a piece of a key (G18)");
    let two = format!("{}\n{whole}", &whole[..20]);
    assert_eq!(cause(&two), truncated(1));
    for body in
        ["MA?CAQU=", "MAMCAQV", "MAMC=AQU", "MAMCA", "MAMCAQ=", "MAMCAQU==", "MAMCAQU=: a", "€", ""]
    {
        let cause = cause(&pem("X", body));
        assert!(matches!(cause, Cause::PemMalformed { .. }), "{body}: {cause}");
    }
    assert!(sections(b"").next().is_none());
    assert!(sections(b"- -----BEGIN X-----").next().is_none());
}

#[test]
fn g24_cause_names_the_line_with_any_line_ends() {
    let text = format!("# one\n\n{}# two\n{}", pem("X", BODY), pem("Y", "?"));
    for end in ["\n", "\r\n", "\r"] {
        let text = text.replace('\n', end);
        let last = sections(text.as_bytes()).last().unwrap().unwrap();
        let cause = last.decode().unwrap_err();
        assert!(matches!(cause, Cause::PemMalformed { line: 8, .. }), "{end:?}: {cause}");
        let with_header = text.replace('?', &format!("A: b{end}{end}MAMC{end}A?"));
        let cause = sections(with_header.as_bytes()).last().unwrap().unwrap().decode().unwrap_err();
        assert!(matches!(cause, Cause::PemMalformed { line: 11, .. }), "{end:?}: {cause}");
        let cut = &text[..text.len() - end.len() - 1];
        let cause = sections(cut.as_bytes()).last().unwrap().err().unwrap();
        assert!(matches!(cause, Cause::PemMalformed { line: 9, .. }), "{end:?}: {cause}");
    }
}

#[test]
fn begin_behind_other_text_is_reported_with_its_line() {
    let plain = pem("X", BODY);
    let skipped = |text: &str| {
        let lines = skipped_lines(text.as_bytes());
        lines.iter().map(|line| (line.number, line.is_comment)).collect::<Vec<_>>()
    };
    assert_eq!(skipped(&plain.repeat(2)), []);
    assert_eq!(skipped(&format!("{plain}text {plain}")), [(4, false)]);
    assert_eq!(skipped(&format!("# one\n- {plain}")), [(2, false)], "as RFC 4880 writes it");
    let comment = format!("# {}\n", plain.trim_end().replace('\n', "\n# "));
    assert_eq!(skipped(&format!("{comment}{plain}# {plain}")), [(1, true), (7, false)]);
    let prefixed = plain.replace('\n', "\nb.pem:").replacen('-', "b.pem:-", 1);
    assert_eq!(skipped(&prefixed), [(1, false)], "as grep writes it");
    let prose = "each between -----BEGIN X----- and -----END X-----";
    assert_eq!(skipped(&format!("{prose}\n{plain}")), []);
    assert_eq!(skipped(&format!("from -----BEGIN X-----\nto -----END X-----\n{plain}")), []);
    assert_eq!(skipped(&format!("from -----BEGIN X----- to -----END X-----\n{plain}")), []);
    let path = "see -----BEGIN CERTIFICATE----- in\n/etc/ssl/certs/ca-certificates.crt\n";
    assert_eq!(skipped(&format!("{path}{plain}")), []);
    let body = "MIIB".repeat(16);
    let lines = format!("-----BEGIN X-----\n{body}\n{body}\n-----END X-----\n");
    let numbered: Vec<_> =
        lines.lines().enumerate().map(|(at, line)| format!("{:6}\t{line}", at + 1)).collect();
    assert_eq!(skipped(&numbered.join("\n")), [(1, false)], "as \"cat -n\" writes it");
    let in_one = format!("x {}\n", lines.trim_end().replace('\n', " "));
    assert_eq!(skipped(&format!("{in_one}{plain}{in_one}")), [(1, false), (5, false)]);
    let spelled_out = format!("  ca: \"{}\"\n", lines.trim_end().replace('\n', "\\n"));
    assert_eq!(skipped(&format!("{plain}{spelled_out}")), [(4, false)], "as in YAML");
    let begin_alone = lines.replacen("-----\n", "-----", 1);
    assert_eq!(skipped(&format!("x {begin_alone}")), [(1, false)]);
    assert_eq!(sections(format!("{prose}\n{plain}").as_bytes()).count(), 1);
    let cut = format!("# -----BEGIN X-----\n{BODY}\n{plain}");
    assert_eq!((skipped(&cut), sections(cut.as_bytes()).count()), (vec![(1, false)], 1));
    assert_eq!(sections(format!("{plain}text {plain}").as_bytes()).count(), 1);
    for cut in ["-----BEGIN", "-----BEGIN \n"] {
        let cause = sections(cut.as_bytes()).next().unwrap().err().unwrap();
        assert!(matches!(cause, Cause::PemMalformed { line: 1, .. }), "{cut:?}: {cause}");
    }
    let joined = format!("{}{plain}", plain.trim_end());
    let cause = sections(joined.as_bytes()).next().unwrap().err().unwrap();
    assert!(cause.to_string().contains("END and BEGIN are on one line"), "{cause}");
}

/// If each line were compared with all that follow, this would take minutes.
#[test]
fn g17_lines_with_a_begin_behind_other_text_take_linear_time() {
    let text = "a -----BEGIN X\n".repeat(100_000);
    assert_eq!(skipped_lines(text.as_bytes()).len(), 0);
}

#[test]
fn sections_after_a_malformed_one_are_not_read() {
    let text = format!("-----BEGIN X\n{}", pem("Y", BODY));
    assert_eq!(sections(text.as_bytes()).count(), 1);
}

#[test]
fn certificates_are_read_and_other_sections_are_ignored() {
    let text = [
        pem("PRIVATE KEY", "not even base64"),
        pem("CERTIFICATE", BODY),
        pem("DH PARAMETERS", BODY),
        pem("X509 CERTIFICATE", BODY),
        // A certificate with empty trust settings, `SEQUENCE {}`.
        pem("TRUSTED CERTIFICATE", "MAMCAQUwAA=="),
    ];
    let found = certificates(text.concat().as_bytes()).unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|der| der.as_ref() == DER));
}

#[test]
fn chain_longer_than_the_limit_is_rejected() {
    let text = pem("CERTIFICATE", BODY).repeat(MAX_CERTIFICATES);
    assert_eq!(certificates(text.as_bytes()).unwrap().len(), MAX_CERTIFICATES);
    let cause = certificates((text + &pem("CERTIFICATE", BODY)).as_bytes()).unwrap_err();
    assert_eq!(cause, Cause::TooManyCertificates { limit: MAX_CERTIFICATES });
}

#[test]
fn g18_no_message_quotes_the_file() {
    for text in [
        "-----BEGIN PRIVATE KEY----- MIGHsecret",
        "-----BEGIN MIGHsecret-----\n",
        "-----BEGIN MIGHAGEAMBMGBYQGSM49-----\n",
    ] {
        let cause = only_section(text.as_bytes()).unwrap_err();
        assert!(!cause.to_string().contains("MIGH"), "{cause}");
    }
}

/// The references are rustls-pemfile 1 and rustls-pki-types, which have a parser each. In a whole file, all three find
/// the same sections. Of a damaged file, this reader takes the sections of the whole file, or what both references take;
/// otherwise, it refuses the file. Blanks in base64 are no difference: rustls-pemfile alone refuses them.
#[test]
fn sections_are_those_of_rustls_pemfile_and_of_rustls_pki_types() {
    let mut random = Random(1);
    let [mut same, mut refused, mut differ] = [0; 3];
    for _ in 0..10_000 {
        let whole = random.file();
        let text = || String::from_utf8_lossy(&whole);
        let expected = ours(&whole).unwrap();
        assert_eq!(by_pki_types(&whole), Some(expected.clone()), "{}", text());
        assert_eq!(by_pemfile(&whole), Some(expected.clone()), "{}", text());
        let damaged = random.damaged(whole);
        let (pki_types, pemfile) = (by_pki_types(&damaged), by_pemfile(&damaged));
        differ += usize::from(pki_types != pemfile);
        match ours(&damaged) {
            Ok(ours) => {
                let ours = Some(ours);
                let is_theirs = ours == pki_types && ours == by_pemfile(&without_blanks(&damaged));
                assert!(
                    ours == Some(expected) || is_theirs,
                    "{}",
                    String::from_utf8_lossy(&damaged)
                );
                same += 1;
            }
            Err(_) => refused += 1,
        }
    }
    let counts = format!("{same} same, {refused} refused, {differ} where the references differ");
    assert!(same > 100 && refused > 1_000 && differ > 10, "{counts}");
}

/// The file without blanks in its lines of base64.
fn without_blanks(text: &[u8]) -> Vec<u8> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let is_kept = |line: &[u8], byte: u8| byte != b' ' || line.starts_with(b"-----");
    lines.flat_map(|line| line.iter().copied().filter(|byte| is_kept(line, *byte))).collect()
}

type Found = Vec<(SectionKind, Vec<u8>)>;

fn ours(text: &[u8]) -> Result<Found, Cause> {
    let mut found = Vec::new();
    for section in sections(text) {
        let section = section?;
        let der = section.decode()?.to_vec();
        if let Ok(kind) = SectionKind::try_from(section.label) {
            found.push((kind, der));
        }
    }
    Ok(found)
}

fn by_pki_types(text: &[u8]) -> Option<Found> {
    let mut rest = text;
    let next = || rustls::pki_types::pem::from_buf(&mut rest).transpose();
    iter::from_fn(next).collect::<Result<_, _>>().ok()
}

fn by_pemfile(text: &[u8]) -> Option<Found> {
    let mut rest = text;
    let next = || rustls_pemfile::read_one(&mut rest).transpose();
    let kind = |item| match item {
        Item::X509Certificate(der) => (SectionKind::Certificate, der),
        Item::RSAKey(der) => (SectionKind::RsaPrivateKey, der),
        Item::PKCS8Key(der) => (SectionKind::PrivateKey, der),
        Item::ECKey(der) => (SectionKind::EcPrivateKey, der),
        Item::Crl(der) => (SectionKind::Crl, der),
        other => panic!("{other:?}"),
    };
    iter::from_fn(next).map(|item| item.map(kind)).collect::<Result<_, _>>().ok()
}

/// Numbers that look random and are the same in each run (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn file(&mut self) -> Vec<u8> {
        const LABELS: [&str; 6] = [
            "CERTIFICATE",
            "PRIVATE KEY",
            "RSA PRIVATE KEY",
            "EC PRIVATE KEY",
            "X509 CRL",
            "DH PARAMETERS",
        ];
        let line_end = ["\n", "\r\n"][self.below(2)];
        let mut text = String::new();
        for _ in 0..=self.below(4) {
            if self.below(4) == 0 {
                text += ["Bag Attributes", line_end, "    name: value", line_end].concat().as_str();
            }
            let label = LABELS[self.below(LABELS.len())];
            let length = 1 + self.below(200);
            let der: Vec<u8> = (0..length).map(|_| self.byte()).collect();
            let mut buffer = [0; 512];
            let base64 = base64ct::Base64::encode(&der, &mut buffer).unwrap();
            let width = [64, 76, 1000][self.below(3)];
            text += ["-----BEGIN ", label, "-----", line_end].concat().as_str();
            for line in base64.as_bytes().chunks(width) {
                text += str::from_utf8(line).unwrap();
                text += line_end;
            }
            text += ["-----END ", label, "-----", line_end].concat().as_str();
        }
        text.into_bytes()
    }

    /// Cuts the file, or removes a byte or changes it.
    fn damaged(&mut self, mut file: Vec<u8>) -> Vec<u8> {
        let at = self.below(file.len());
        match self.below(3) {
            0 => file.truncate(at),
            1 => drop(file.remove(at)),
            _ => file[at] = b"A-\n ?"[self.below(5)],
        }
        file
    }
}
