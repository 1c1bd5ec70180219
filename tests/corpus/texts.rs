//! Cases of files: PEM as it is found in practice, and files that are something else.

use std::fs;

use rcgen::KeyPair;

use crate::case::Cases;
use crate::der::{self, Forge};
use crate::support::workshop::Workshop;

type Rewrite = fn(&str) -> Vec<u8>;

pub fn add(cases: &mut Cases) {
    let (certificate, key) = pair();
    let chain = der::pem("CERTIFICATE", &certificate);
    for (what, rewrite) in FORMS {
        cases.add(&format!("chain file: {what}"), rewrite(&chain), &key);
        cases.add(&format!("key file: {what}"), &chain, rewrite(&key));
    }
    // The certificate ends within a group of digits, whose last one becomes the next digit of the alphabet.
    let text = with_last_digits(&chain, |digits| {
        let digits = digits.trim_end_matches('=');
        assert_ne!(digits.len() % 4, 0);
        let (rest, last) = digits.split_at(digits.len() - 1);
        format!("{rest}{}", char::from(last.as_bytes()[0] + 1))
    });
    cases.add("chain file: no padding, bits behind the last byte", text, &key);
    for label in [
        "X509 CERTIFICATE",
        "TRUSTED CERTIFICATE",
        "CERTIFICATE REQUEST",
        "PKCS7",
        "certificate",
        "",
    ] {
        let text = chain.replace("CERTIFICATE", label);
        cases.add(&format!("chain file: labelled \"{label}\""), text, &key);
    }
    cases.add("chain file: DER", &certificate, &key);
    let both = [(&chain, &key), (&key, &chain)].map(|(one, two)| format!("{one}{two}"));
    cases.add_one_file("one file: chain, key", &both[0]);
    cases.add_one_file("one file: key, chain", &both[1]);
    cases.add_one_file("one file: key alone", &key);
    cases.add_one_file("one file: chain alone", &chain);
    cases.add("chain file: with the key", &both[0], &key);
    cases.add("key file: with the chain", &chain, &both[1]);
    for (what, other) in OTHERS {
        cases.add(&format!("chain file: {what} before"), format!("{other}{chain}"), &key);
        cases.add(&format!("key file: {what} before"), &chain, format!("{other}{key}"));
        cases.add(&format!("chain file: {what} behind"), format!("{chain}{other}"), &key);
        cases.add(&format!("key file: {what} behind"), &chain, format!("{key}{other}"));
    }
    add_of_openssl(cases);
}

/// A certificate and its key whose base64 has what some cases change: padding, and characters that are no letters.
fn pair() -> (Vec<u8>, String) {
    let mut keys = std::iter::repeat_with(|| KeyPair::generate().unwrap());
    let has_signs = |key: &KeyPair| base64(&key.serialize_pem()).contains(['+', '/']);
    let key = keys.find(has_signs).unwrap();
    let mut signed = std::iter::repeat_with(|| Forge::new(&key).sign(&key));
    let certificate = signed.find(|certificate| certificate.len() % 3 == 2).unwrap();
    (certificate, key.serialize_pem())
}

fn lines(text: &str, end: &str) -> Vec<u8> {
    text.lines().flat_map(|line| [line, end]).collect::<String>().into_bytes()
}

fn base64(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('-')).collect()
}

/// The text with its base64 in lines of another length.
fn in_lines_of(text: &str, length: usize) -> Vec<u8> {
    let digits = base64(text);
    let (begin, end) = (text.lines().next().unwrap(), text.lines().last().unwrap());
    let body = digits.as_bytes().chunks(length).map(|line| [line, b"\n"].concat());
    [
        format!("{begin}\n").into_bytes(),
        body.collect::<Vec<_>>().concat(),
        format!("{end}\n").into(),
    ]
    .concat()
}

/// The text with another last line of base64.
fn with_last_digits(text: &str, change: fn(&str) -> String) -> Vec<u8> {
    let digits = base64(text);
    text.replace('\n', "").replace(&digits, &format!("\n{}\n", change(&digits))).into_bytes()
}

const FORMS: &[(&str, Rewrite)] = &[
    ("LF", |text| text.into()),
    ("CRLF", |text| lines(text, "\r\n")),
    ("CR", |text| lines(text, "\r")),
    ("LFCR", |text| lines(text, "\n\r")),
    ("blanks at the ends of lines", |text| lines(text, "  \n")),
    ("tabs at the ends of lines", |text| lines(text, "\t\n")),
    ("form feeds at the ends of lines", |text| lines(text, "\x0c\n")),
    ("blanks at the starts of lines", |text| {
        lines(&format!("  {}", text.replace('\n', "\n  ")), "\n")
    }),
    ("blanks before BEGIN", |text| format!("  {text}").into()),
    ("blanks before END", |text| text.replace("-----END", "  -----END").into()),
    ("blanks within lines", |text| text.replace('M', "M ").into()),
    ("blank lines between", |text| lines(text, "\n\n")),
    ("a blank line behind BEGIN", |text| text.replacen('\n', "\n\n", 1).into()),
    ("a blank line before END", |text| text.replace("-----END", "\n-----END").into()),
    ("blank lines before", |text| format!("\n\n{text}").into()),
    ("blank lines behind", |text| format!("{text}\n\n").into()),
    ("text before", |text| format!("subject=a.test\n\n{text}").into()),
    ("text behind", |text| format!("{text}subject=a.test\n").into()),
    ("other text on the line before BEGIN", |text| format!("# {text}").into()),
    ("text behind BEGIN", |text| text.replacen("-----\n", "----- # a.test\n", 1).into()),
    ("text behind END", |text| format!("{} # a.test\n", text.trim_end()).into()),
    ("a comment within", |text| text.replacen('\n', "\n# a.test\n", 1).into()),
    ("a header within", |text| text.replacen('\n', "\nComment: a.test\n\n", 1).into()),
    ("a header without a blank line", |text| text.replacen('\n', "\nComment: a.test\n", 1).into()),
    ("bag attributes before", |text| {
        format!("Bag Attributes\n    localKeyID: 01 02\nKey Attributes: <No Attributes>\n{text}")
            .into()
    }),
    ("a line of dashes before", |text| format!("----------\n{text}").into()),
    ("a text about BEGIN before", |text| format!("The -----BEGIN line comes next.\n{text}").into()),
    ("a long line before", |text| format!("{}\n{text}", "x".repeat(5000)).into()),
    ("a long line behind", |text| format!("{text}{}\n", "x".repeat(5000)).into()),
    ("UTF-8 before", |text| format!("Zertifikat für a.test\n{text}").into()),
    ("bytes that are no text before", |text| [b"\xff\xfe\x01\n", text.as_bytes()].concat()),
    ("a byte order mark", |text| format!("\u{feff}{text}").into()),
    ("UTF-16", |text| {
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    }),
    ("a NUL before", |text| format!("\0{text}").into()),
    ("a NUL line before", |text| format!("\0\n{text}").into()),
    ("a NUL within", |text| text.replacen('\n', "\n\0", 1).into()),
    ("a NUL behind", |text| format!("{text}\0").into()),
    ("a control-Z behind", |text| format!("{text}\x1a").into()),
    ("no newline at the end", |text| text.trim_end().into()),
    ("base64 in one line", |text| in_lines_of(text, 5000)),
    ("base64 in lines of 76", |text| in_lines_of(text, 76)),
    ("base64 in lines of 20", |text| in_lines_of(text, 20)),
    ("base64 in lines of 1", |text| in_lines_of(text, 1)),
    ("all in one line", |text| text.replace('\n', "").into()),
    ("all in one line, blanks between", |text| text.replace('\n', " ").into()),
    ("newlines spelled as \\n", |text| text.replace('\n', "\\n").into()),
    ("lower-case BEGIN", |text| text.replace("BEGIN", "begin").into()),
    ("four hyphens", |text| text.replace("-----", "----").into()),
    ("six hyphens", |text| text.replace("-----", "------").into()),
    ("other label at END", |text| text.replace("-----END ", "-----END X ").into()),
    ("no END", |text| text.split("-----END").next().unwrap().into()),
    ("no BEGIN", |text| text.split_once('\n').unwrap().1.into()),
    ("a digit that is not base64", |text| text.replacen('M', "?", 1).into()),
    ("a digit missing at the end", |text| {
        with_last_digits(text, |digits| digits[..digits.len() - 1].to_owned())
    }),
    ("four digits missing at the end", |text| {
        with_last_digits(text, |digits| digits[..digits.len() - 4].to_owned())
    }),
    ("no padding", |text| with_last_digits(text, |digits| digits.trim_end_matches('=').to_owned())),
    ("padding too long", |text| with_last_digits(text, |digits| format!("{digits}="))),
    ("base64 of URLs", |text| text.replace('+', "-").replace('/', "_").into()),
    ("no base64", |text| {
        text.replace(&base64(text), "")
            .lines()
            .filter(|line| line.starts_with('-'))
            .collect::<Vec<_>>()
            .join("\n")
            .into()
    }),
    ("empty", |_| Vec::new()),
    ("blanks alone", |_| b" \n\n".to_vec()),
    ("text alone", |_| b"a.test\n".to_vec()),
    ("twice", |text| text.repeat(2).into()),
    ("a cut-off copy behind", |text| format!("{text}{}", &text[..text.len() / 2]).into()),
    ("a cut-off copy before", |text| format!("{}\n{text}", &text[..text.len() / 2]).into()),
];

/// Sections beside the right one.
const OTHERS: &[(&str, &str)] = &[
    ("DH parameters", "-----BEGIN DH PARAMETERS-----\nMAYCAQsCAQI=\n-----END DH PARAMETERS-----\n"),
    ("a section of an unknown kind", "-----BEGIN ANYTHING-----\nMAA=\n-----END ANYTHING-----\n"),
    (
        "an unknown section that is not base64",
        "-----BEGIN ANYTHING-----\n?\n-----END ANYTHING-----\n",
    ),
    ("an empty unknown section", "-----BEGIN ANYTHING-----\n-----END ANYTHING-----\n"),
    ("an unknown section that is cut off", "-----BEGIN ANYTHING-----\nMAA=\n"),
    ("a public key", "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"),
    ("an empty certificate", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
];

/// Files as tools of OpenSSL write them.
fn add_of_openssl(cases: &mut Cases) {
    let workshop = Workshop::after(
        "ec P-256; certify
         openssl x509 -in chain.pem -text -out text
         openssl x509 -in chain.pem -addtrust serverAuth -setalias a.test -out trusted
         openssl x509 -in chain.pem -addreject serverAuth -out rejected
         openssl pkcs12 -export -passout pass:x -in chain.pem -inkey key.pem -name a.test -out p12
         openssl pkcs12 -in p12 -passin pass:x -nodes -out bag
         openssl pkcs12 -in p12 -passin pass:x -passout pass:x -out encrypted-bag
         openssl crl2pkcs7 -nocrl -certfile chain.pem -out p7
         openssl req -new -key key.pem -subj /CN=a.test -out request
         openssl pkey -in key.pem -pubout -out public",
    );
    let read = |name: &str| fs::read(workshop.path(name)).unwrap();
    for (what, chain) in [
        ("openssl x509 -text", "text"),
        ("trusted for servers", "trusted"),
        ("rejected for servers", "rejected"),
        ("PKCS#12", "p12"),
        ("PKCS#7", "p7"),
        ("request", "request"),
        ("public key", "public"),
    ] {
        cases.add(&format!("chain file: {what}"), read(chain), read("key.pem"));
    }
    for (what, key) in [("PKCS#12", "p12"), ("public key", "public")] {
        cases.add(&format!("key file: {what}"), read("chain.pem"), read(key));
    }
    cases.add_one_file("one file: openssl pkcs12 -nodes", read("bag"));
    cases.add_one_file("one file: PKCS#12", read("p12"));
    cases.add("one file: openssl pkcs12", read("encrypted-bag"), read("encrypted-bag")).password =
        Some("x");
}
