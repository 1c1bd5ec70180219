//! Keys for session tickets that several processes share: a file of them.
//!
//! The forms are those that servers have in common: keys of 48 or of 80 bytes, one after the other (nginx,
//! Apache), or each in base64 on a line of its own (haproxy). A line of base64 may have a comment before it that dates it.

use std::fmt;
use std::path::Path;

use base64ct::{Base64Unpadded, Encoding};
use zeroize::Zeroizing;

use super::ticket_key::TicketKey;
use super::x509::parse_time;
use crate::error::{Cause, Error};

/// More than a fleet lists: a key of the day before, that of today and that of tomorrow are three.
const MAX_KEYS: usize = 64;
/// The year 2020. Images and stores of packages give files an mtime of 0, of 1 or of 1980, which says nothing of a key.
const EARLIEST: i64 = 1_577_836_800;
const SHORT: usize = 48;
const LONG: usize = 80;
/// What a comment begins with that says when the key after it was made.
const CREATED: &str = "certreload-created:";
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// The keys of a file: the first encrypts, all decrypt. One at least.
pub(crate) struct TicketKeys {
    keys: Vec<TicketKey>,
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TicketKeys").field(&self.keys.len()).finish()
    }
}

/// What is known of the file besides its bytes.
#[derive(Clone, Copy)]
pub(crate) struct TicketFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) bytes: &'a [u8],
    pub(crate) is_readable_by_others: bool,
    /// Its mtime, in seconds since 1970: a hint.
    pub(crate) modified: i64,
}

impl TicketKeys {
    /// Reads keys at the time `now`, where `before` served.
    pub(crate) fn new(
        file: &TicketFile<'_>,
        now: i64,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        Self::read(file, now, before).map_err(|cause| Error::at(file.path, cause))
    }

    fn read(file: &TicketFile<'_>, now: i64, before: Option<&Self>) -> Result<Self, Cause> {
        let is_known = (EARLIEST..now).contains(&file.modified);
        let written = if is_known { file.modified } else { now };
        let mut keys: Vec<TicketKey> = Vec::new();
        for Secret { bytes, created } in secrets(file.bytes)? {
            let mut key = TicketKey::derived_from(&bytes)?;
            if let Some(first) = keys.iter().position(|other| other.name == key.name) {
                return Err(Cause::TicketKeyRepeated { first: first + 1, second: keys.len() + 1 });
            }
            let served = before.and_then(|before| before.with_name(&key.name));
            // The clock of the host that wrote a date may be ahead.
            let dated = created.map(|created| created.min(now));
            key.since = dated.unwrap_or_else(|| served.map_or(written, |served| served.since));
            keys.push(key);
        }
        if file.is_readable_by_others {
            return Err(Cause::TicketKeysReadable);
        }
        Ok(Self { keys })
    }

    /// In the order of the file.
    pub(crate) fn keys(&self) -> &[TicketKey] {
        &self.keys
    }

    /// The one that new tickets are made with.
    pub(crate) fn encrypting(&self) -> &TicketKey {
        &self.keys[0]
    }

    /// That of this name, if it is there.
    pub(crate) fn with_name(&self, name: &[u8]) -> Option<&TicketKey> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// One key as the file has it.
struct Secret {
    bytes: Bytes,
    /// Seconds since 1970, if the file says it.
    created: Option<i64>,
}

type Bytes = Zeroizing<Vec<u8>>;

fn secrets(bytes: &[u8]) -> Result<Vec<Secret>, Cause> {
    let secrets = match text(bytes) {
        _ if bytes.is_empty() => return Err(Cause::Empty),
        Some(text) => secrets_of_lines(text)?,
        None => secrets_of_bytes(bytes)?,
    };
    match secrets.iter().position(|secret| secret.bytes.iter().all(|byte| *byte == 0)) {
        Some(zero) => Err(malformed(format!("all bytes of key {} are zero", zero + 1))),
        None => Ok(secrets),
    }
}

/// The file, if it can be nothing but text: keys are random, and no 48 random bytes look like it.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes)).ok()?;
    let is_of_text = |char: char| !char.is_control() || matches!(char, '\t' | '\r' | '\n');
    text.chars().all(is_of_text).then_some(text)
}

fn secrets_of_bytes(bytes: &[u8]) -> Result<Vec<Secret>, Cause> {
    let length = bytes.len();
    let size = match (length.is_multiple_of(SHORT), length.is_multiple_of(LONG)) {
        (true, false) => SHORT,
        (false, true) => LONG,
        (true, true) => {
            return Err(malformed(format!(
                "{length} bytes are so many keys of 48 bytes or so many of 80; as lines of base64 they can be told apart"
            )));
        }
        (false, false) => {
            return Err(malformed(format!(
                "keys have 48 bytes each or 80, and {length} bytes are no number of them"
            )));
        }
    };
    if length / size > MAX_KEYS {
        return Err(too_many());
    }
    let secret = |key: &[u8]| Secret { bytes: Zeroizing::new(key.to_vec()), created: None };
    Ok(bytes.chunks(size).map(secret).collect())
}

fn secrets_of_lines(text: &str) -> Result<Vec<Secret>, Cause> {
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let mut lines = lines.filter_map(|(index, line)| read_line(index + 1, line)).peekable();
    let mut secrets = Vec::new();
    let mut created = None;
    while let Some(line) = lines.next() {
        let (number, mut bytes) = match line? {
            Line::Created(date) => {
                created = Some(date);
                continue;
            }
            Line::Bytes(number, bytes) => (number, bytes),
        };
        if bytes.len() == SHORT
            && let Some(Ok(Line::Bytes(_, rest))) = lines.next_if(is_rest)
        {
            bytes = Zeroizing::new([&bytes[..], &rest[..]].concat());
        }
        if !matches!(bytes.len(), SHORT | LONG) {
            let length = bytes.len();
            return Err(malformed(format!(
                "keys have 48 bytes each or 80, and that of line {number} has {length}"
            )));
        }
        if secrets.len() == MAX_KEYS {
            return Err(too_many());
        }
        // A date is that of one key, the next: the one behind that may be of another day.
        secrets.push(Secret { bytes, created: created.take() });
    }
    if secrets.is_empty() {
        return Err(malformed("there are only comments and empty lines".to_owned()));
    }
    Ok(secrets)
}

enum Line {
    /// Its number, and what it says in base64.
    Bytes(usize, Bytes),
    /// Seconds since 1970.
    Created(i64),
}

/// None for a comment that says nothing here.
fn read_line(number: usize, line: &str) -> Option<Result<Line, Cause>> {
    let Some(comment) = line.strip_prefix('#') else { return Some(decode(number, line)) };
    let date = comment.trim_start().strip_prefix(CREATED)?.trim();
    let malformed =
        || malformed(format!("line {number} has no date such as # {CREATED} 2026-11-30T06:00:00Z"));
    Some(parse_time(date).map(Line::Created).ok_or_else(malformed))
}

/// Whether a line that ends at 48 bytes, as "openssl rand -base64 80" breaks it, continues in this one.
fn is_rest(next: &Result<Line, Cause>) -> bool {
    matches!(next, Ok(Line::Bytes(_, rest)) if rest.len() == LONG - SHORT)
}

fn decode(number: usize, line: &str) -> Result<Line, Cause> {
    let digits = line.trim_end_matches('=');
    let mut secret = Zeroizing::new(vec![0; digits.len() / 4 * 3 + 3]);
    let Ok(decoded) = Base64Unpadded::decode(digits, &mut secret) else {
        return Err(malformed(format!(
            "it is text, and line {number} is no key in base64, no comment, and not empty"
        )));
    };
    let length = decoded.len();
    secret.truncate(length);
    Ok(Line::Bytes(number, secret))
}

fn too_many() -> Cause {
    malformed(format!("there are more than {MAX_KEYS}"))
}

fn malformed(words: String) -> Cause {
    Cause::TicketKeysMalformed(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn file(bytes: &[u8]) -> TicketFile<'_> {
        let path = Path::new("keys");
        TicketFile { path, bytes, is_readable_by_others: false, modified: NOW - 100 }
    }

    fn keys(bytes: &[u8]) -> Result<TicketKeys, Cause> {
        TicketKeys::new(&file(bytes), NOW, None).map_err(|error| error.cause)
    }

    /// So many bytes that look like a key, and differ from those of another `seed`.
    fn secret(seed: u8, length: u8) -> Vec<u8> {
        (0..length).map(|at| seed.wrapping_mul(101) ^ at.wrapping_mul(89) ^ 0x80).collect()
    }

    fn base64(bytes: &[u8]) -> String {
        base64ct::Base64::encode(bytes, &mut [0; 128]).unwrap().to_owned()
    }

    fn names(keys: &TicketKeys) -> Vec<[u8; 16]> {
        keys.keys().iter().map(|key| key.name).collect()
    }

    #[test]
    fn keys_are_read_in_every_form_that_servers_have_in_common() {
        for length in [48, 80] {
            let (one, two) = (secret(1, length), secret(2, length));
            let (first, second) = (base64(&one), base64(&two));
            let whole = keys(&[&one[..], &two[..]].concat()).unwrap();
            assert_eq!(whole.keys().len(), 2);
            let table = [
                ("lines", format!("{first}\n{second}\n")),
                ("no newline at the end", format!("{first}\n{second}")),
                ("CRLF", format!("{first}\r\n{second}\r\n")),
                ("a byte order mark", format!("\u{feff}{first}\n{second}\n")),
                ("blank lines and comments", format!("# sécret\n\n {first} \n\t\n#\n{second}\n\n")),
                ("no padding", format!("{first}\n{second}\n").replace('=', "")),
            ];
            for (form, text) in table {
                let read = keys(text.as_bytes()).unwrap_or_else(|cause| panic!("{form}: {cause}"));
                assert_eq!(names(&read), names(&whole), "{length} {form}");
                assert_eq!(read.encrypting().name, whole.keys()[0].name);
            }
        }
        let both = format!("{}\n{}", base64(&secret(1, 48)), base64(&secret(2, 80)));
        assert_eq!(keys(both.as_bytes()).unwrap().keys().len(), 2);
    }

    #[test]
    fn a_long_key_may_go_on_in_a_second_line_as_openssl_breaks_it() {
        let (long, short) = (secret(1, 80), secret(2, 48));
        let (whole, other) = (base64(&long), base64(&short));
        let (head, tail) = whole.split_at(64);
        let text = format!("{other}\n{head}\n{tail}\n");
        let expected = keys(format!("{other}\n{whole}\n").as_bytes()).unwrap();
        assert_eq!(names(&keys(text.as_bytes()).unwrap()), names(&expected));
        let cause = keys(format!("{tail}\n{other}\n").as_bytes()).unwrap_err().to_string();
        assert!(cause.contains("that of line 1 has 32"), "{cause}");
    }

    #[test]
    fn bad_input_what_holds_no_keys_is_refused_with_words() {
        let (short, long) = (secret(1, 48), secret(2, 80));
        let text = |text: &str| text.as_bytes().to_vec();
        let table = [
            ("cut off", long[..79].to_vec(), "79 bytes are no number of them"),
            (
                "a second key is cut off",
                [&short[..], &long[..7]].concat(),
                "55 bytes are no number",
            ),
            ("could be both", vec![0x80; 240], "240 bytes are so many keys of 48 bytes or so many"),
            ("zero", vec![0; 80], "all bytes of key 1 are zero"),
            ("zero as text", text(&base64(&[0; 48])), "all bytes of key 1 are zero"),
            ("no base64", text("-----BEGIN PRIVATE KEY-----\n"), "line 1 is no key in base64"),
            (
                "bad padding",
                text(&format!("\n{}=A\n", base64(&short))),
                "line 2 is no key in base64",
            ),
            ("short line", text(&base64(&short[..47])), "that of line 1 has 47"),
            ("hexadecimal", text(&"0f".repeat(48)), "that of line 1 has 72"),
            ("nothing but comments", text("# none yet\n\n"), "only comments and empty lines"),
            ("white space", text("\n"), "only comments and empty lines"),
        ];
        for (what, bytes, words) in table {
            let cause = keys(&bytes).unwrap_err();
            assert!(matches!(cause, Cause::TicketKeysMalformed(_)), "{what}: {cause}");
            assert!(cause.to_string().contains(words), "{what}: {cause}");
        }
        assert_eq!(keys(b"").unwrap_err(), Cause::Empty);
    }

    #[test]
    fn g17_there_are_so_many_keys_at_most() {
        let secrets: Vec<_> = (0..=64).map(|seed| secret(seed, 48)).collect();
        let lines: Vec<_> = secrets.iter().map(|secret| base64(secret)).collect();
        assert_eq!(keys(&secrets[..64].concat()).unwrap().keys().len(), MAX_KEYS);
        assert_eq!(keys(lines[..64].join("\n").as_bytes()).unwrap().keys().len(), MAX_KEYS);
        for bytes in
            [secrets[..].concat()[48..].repeat(2)[..48 * 66].to_vec(), lines.join("\n").into()]
        {
            let cause = keys(&bytes).unwrap_err().to_string();
            assert!(cause.contains("more than 64"), "{cause}");
        }
    }

    #[test]
    fn bad_input_a_key_that_is_repeated_is_refused() {
        let (one, two) = (secret(1, 48), secret(2, 48));
        let repeated = Err(Cause::TicketKeyRepeated { first: 2, second: 3 });
        let bytes = [&one[..], &two[..], &two[..]].concat();
        assert_eq!(keys(&bytes).map(|_| ()), repeated);
        let lines = [&one, &two, &two].map(|key| base64(key)).join("\n");
        assert_eq!(keys(lines.as_bytes()).map(|_| ()), repeated);
    }

    #[test]
    fn bad_input_keys_that_everybody_may_read_are_refused() {
        let bytes = secret(1, 48);
        let open = TicketFile { is_readable_by_others: true, ..file(&bytes) };
        let error = TicketKeys::new(&open, NOW, None).unwrap_err();
        assert_eq!(error.cause, Cause::TicketKeysReadable);
        assert_eq!(error.path.as_deref(), Some(Path::new("keys")));
    }

    #[test]
    fn a_key_is_as_old_as_its_file_was_when_it_came() {
        let (one, two) = (secret(1, 48), secret(2, 48));
        let at = |bytes: &[u8], modified, now, before: Option<&TicketKeys>| {
            TicketKeys::new(&TicketFile { modified, ..file(bytes) }, now, before).unwrap()
        };
        let since = |keys: &TicketKeys| keys.keys().iter().map(|key| key.since).collect::<Vec<_>>();
        let first = at(&one, NOW - 100, NOW, None);
        assert_eq!(since(&first), [NOW - 100]);
        let both = at(&[&two[..], &one[..]].concat(), NOW + 50, NOW + 60, Some(&first));
        assert_eq!(since(&both), [NOW + 50, NOW - 100]);
        let touched = at(&one, NOW + 70, NOW + 80, Some(&both));
        assert_eq!(since(&touched), [NOW - 100], "writing it again makes it no younger");
        for unknown in [i64::MIN, 0, 1, 315_532_800, EARLIEST - 1, NOW + 500] {
            assert_eq!(since(&at(&one, unknown, NOW, None)), [NOW], "an mtime of {unknown}");
        }
        assert_eq!(since(&at(&one, EARLIEST, NOW, None)), [EARLIEST]);
    }

    #[test]
    fn a_key_with_a_date_is_as_old_as_that() {
        let lines = [secret(1, 48), secret(2, 48), secret(3, 80)].map(|key| base64(&key));
        let [one, two, three] = &lines;
        let since = |text: &str| -> Result<Vec<i64>, String> {
            let keys = keys(text.as_bytes()).map_err(|cause| cause.to_string())?;
            Ok(keys.keys().iter().map(|key| key.since).collect::<Vec<_>>())
        };
        let date = "# certreload-created: 2026-11-30T06:00:00Z";
        let dated = 1_796_018_400;
        let (head, tail) = three.split_at(64);
        let without = NOW - 100;
        let table = [
            (format!("{date}\n{one}\n{two}\n"), vec![dated, without]),
            (
                format!("{one}\n#certreload-created:2026-11-30T06:00:00Z \n\n# of today\n{two}"),
                vec![without, dated],
            ),
            (format!("{date}\n{head}\n{tail}\n"), vec![dated]),
            (format!("# certreload-created: 2100-01-01T00:00:00Z\n{one}"), vec![NOW]),
            (format!("# certreload-created: 1999-01-01T00:00:00Z\n{one}"), vec![915_148_800]),
            (format!("# created 2026-11-30T06:00:00Z\n{one}\n{date}"), vec![without]),
        ];
        for (text, expected) in table {
            assert_eq!(since(&text), Ok(expected), "{text}");
        }
        for bad in ["", "today", "2026-11-30", "2026-11-30T06:00:00+01:00", "2026-02-30T06:00:00Z"]
        {
            let cause = since(&format!("\n# certreload-created: {bad}\n{one}")).unwrap_err();
            assert!(cause.contains("line 2 has no date such as # certreload-created: "), "{cause}");
        }

        let now = TicketKeys::new(&file(one.as_bytes()), NOW, None).unwrap();
        let text = format!("{date}\n{one}");
        let then = TicketKeys::new(&file(text.as_bytes()), NOW, Some(&now)).unwrap();
        assert_eq!(then.encrypting().since, dated, "a date that is added later counts");
    }

    #[test]
    fn g18_no_message_and_no_debug_output_quotes_the_file() {
        let line = base64(&secret(1, 80));
        for text in [line.clone() + "!", line[..60].to_owned(), format!("{line}\n{line}\n")] {
            let told = keys(text.as_bytes()).unwrap_err().to_string();
            assert!(
                !line
                    .as_bytes()
                    .windows(6)
                    .any(|piece| told.as_bytes().windows(6).any(|w| w == piece)),
                "{told}"
            );
        }
        let keys = keys(line.as_bytes()).unwrap();
        assert_eq!(format!("{keys:?} {:?}", keys.encrypting()), "TicketKeys(1) TicketKey");
    }
}
