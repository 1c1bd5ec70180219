//! Reads the file of ticket keys that several servers share, so that each can resume the sessions of the others.
//!
//! The formats are those of common servers: keys of 48 or 80 bytes, concatenated (nginx, Apache), or one key in base64
//! per line (haproxy). In the text format, a comment line before a key may contain its date.

use std::fmt;
use std::path::Path;

use aws_lc_rs::hkdf;
use base64ct::{Base64Unpadded, Encoding};
use zeroize::Zeroizing;

use super::certificate::parse_time;
use super::der::{ENUMERATED, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, element, tagged};
use crate::error::{Cause, Error};

/// The maximum number of keys in a file. Three are usual: yesterday's, today's and tomorrow's.
const MAX_KEYS: usize = 64;
/// The earliest mtime that is believed to be the age of a key, in 2020. Container images and package stores set the
/// mtime of every file to 0, to 1 or to the year 1980.
const EARLIEST_MTIME: i64 = 1_577_836_800;
const SHORT: usize = 48;
const LONG: usize = 80;
/// The beginning of a comment that contains the date of the next key.
const DATE_PREFIX: &str = "certreload-created:";
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// The salt of the key derivation: with it, the derived keys differ from any that are made from the same secret for
/// another use.
///
/// If the format of tickets changes, this salt has to change with it. The names of the keys then differ too, so that
/// two releases in one fleet ignore each other's tickets instead of failing to decrypt them.
const SALT: &[u8] = b"certreload session tickets, form 2";

/// The keys of a file, at least one: the first encrypts new tickets, all decrypt.
pub(crate) struct TicketKeys {
    keys: Vec<TicketKey>,
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TicketKeys").field(&self.keys.len()).finish()
    }
}

/// A file of ticket keys as it was read.
#[derive(Clone, Copy)]
pub(crate) struct TicketFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) bytes: &'a [u8],
    pub(crate) is_readable_by_others: bool,
    /// The mtime in seconds since 1970, from which the age of the keys is estimated if the file contains no dates.
    pub(crate) modified: i64,
}

impl TicketKeys {
    /// Reads the keys of `file` at the time `now`. A key without a date that is among `before`, the keys in use, keeps
    /// its known age.
    pub(crate) fn new(
        file: &TicketFile<'_>,
        now: i64,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        Self::read(file, now, before).map_err(|cause| Error::at(file.path, cause))
    }

    fn read(file: &TicketFile<'_>, now: i64, before: Option<&Self>) -> Result<Self, Cause> {
        let is_plausible = (EARLIEST_MTIME..now).contains(&file.modified);
        let written = if is_plausible { file.modified } else { now };
        let mut keys: Vec<TicketKey> = Vec::new();
        for Secret { bytes, created } in secrets(file.bytes)? {
            let mut key = TicketKey::derived_from(&bytes)?;
            if let Some(first) = keys.iter().position(|other| other.name == key.name) {
                return Err(Cause::TicketKeyRepeated { first: first + 1, second: keys.len() + 1 });
            }
            let in_use = before.and_then(|before| before.with_name(&key.name));
            // The date is in the future if the clock of the machine that wrote it was ahead.
            let dated = created.map(|created| created.min(now));
            key.since = dated.unwrap_or_else(|| in_use.map_or(written, |key| key.since));
            keys.push(key);
        }
        if file.is_readable_by_others {
            return Err(Cause::TicketKeysReadable);
        }
        Ok(Self { keys })
    }

    /// Returns the keys in the order of the file.
    pub(crate) fn keys(&self) -> &[TicketKey] {
        &self.keys
    }

    /// Returns the key that new tickets are encrypted with.
    pub(crate) fn encrypting(&self) -> &TicketKey {
        &self.keys[0]
    }

    /// Returns the key with this name.
    pub(crate) fn with_name(&self, name: &[u8]) -> Option<&TicketKey> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The decoded bytes of one key in the file, with its date. No ticket is encrypted with these bytes themselves:
/// [`TicketKey::derived_from`] derives the name and the key of tickets from them.
struct Secret {
    bytes: Bytes,
    /// The date that the file contains for this key, in seconds since 1970.
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

/// Returns the file as text if it is in the text format: UTF-8 without control characters. Binary keys are random, and
/// 48 random bytes are practically never such a text.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes)).ok()?;
    let is_of_text = |char: char| !char.is_control() || matches!(char, '\t' | '\r' | '\n');
    text.chars().all(is_of_text).then_some(text)
}

fn secrets_of_bytes(bytes: &[u8]) -> Result<Vec<Secret>, Cause> {
    let length = bytes.len();
    if is_der(bytes) {
        let what = "it is a file in DER, such as a certificate, and not random bytes";
        return Err(malformed(what.to_owned()));
    }
    if is_utf16(bytes) {
        return Err(malformed("it is text in UTF-16; write it in ASCII or UTF-8".to_owned()));
    }
    if contains_pem(bytes) {
        return Err(malformed("it is a PEM file, and not random bytes".to_owned()));
    }
    let size = match (length.is_multiple_of(SHORT), length.is_multiple_of(LONG)) {
        (true, false) => SHORT,
        (false, true) => LONG,
        (true, true) => {
            return Err(malformed(format!(
                "{length} bytes can be {} keys of 48 bytes or {} of 80; write one key in base64 per line instead",
                length / SHORT,
                length / LONG
            )));
        }
        (false, false) => {
            return Err(malformed(format!(
                "a key has 48 or 80 bytes, and {length} bytes are not a multiple of either"
            )));
        }
    };
    if length / size > MAX_KEYS {
        return Err(too_many());
    }
    let secret = |key: &[u8]| Secret { bytes: Zeroizing::new(key.to_vec()), created: None };
    Ok(bytes.chunks(size).map(secret).collect())
}

/// Returns whether `bytes` are one `SEQUENCE` of whole elements, and perhaps white space. The first element must be of a
/// type that is usual there: in certificates, keys, OCSP responses (ENUMERATED), PKCS#7 (an object identifier). Random
/// bytes are practically never that.
fn is_der(bytes: &[u8]) -> bool {
    let Some(mut rest) = whole_sequence(bytes) else { return false };
    let usual = [SEQUENCE, INTEGER, ENUMERATED, OBJECT_IDENTIFIER];
    let is_usual = rest.first().is_some_and(|tag| usual.contains(tag));
    while let Some((_, after)) = element(rest) {
        rest = after;
    }
    is_usual && rest.is_empty()
}

/// Returns the content of the `SEQUENCE` that `bytes` begin with, if only white space follows it.
fn whole_sequence(bytes: &[u8]) -> Option<&[u8]> {
    let (content, rest) = tagged(bytes, SEQUENCE)?;
    rest.iter().all(u8::is_ascii_whitespace).then_some(content)
}

/// Returns whether `bytes` look like text in UTF-16: every second byte is zero, and the others are ASCII text. Random
/// bytes are practically never that.
fn is_utf16(bytes: &[u8]) -> bool {
    let mark = bytes.strip_prefix(b"\xff\xfe").or(bytes.strip_prefix(b"\xfe\xff"));
    let (units, _) = mark.unwrap_or(bytes).as_chunks::<2>();
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let is_of = |high: usize| {
        units.iter().all(|unit| unit[high] == 0 && is_text(&unit[1 - high])) && !units.is_empty()
    };
    is_of(0) || is_of(1)
}

/// Returns whether there is a PEM section in `bytes`, which are no text as a whole.
fn contains_pem(bytes: &[u8]) -> bool {
    let begin = b"-----BEGIN ";
    bytes.windows(begin.len()).any(|window| window == begin)
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
            Line::Key(number, bytes) => (number, bytes),
        };
        if bytes.len() == SHORT
            && let Some(Ok(Line::Key(_, rest))) = lines.next_if(is_continuation)
        {
            bytes = Zeroizing::new([&bytes[..], &rest[..]].concat());
        }
        if !matches!(bytes.len(), SHORT | LONG) {
            let length = bytes.len();
            return Err(malformed(format!(
                "a key has 48 or 80 bytes, and the key in line {number} has {length}"
            )));
        }
        if secrets.len() == MAX_KEYS {
            return Err(too_many());
        }
        // A date belongs to the next key only.
        secrets.push(Secret { bytes, created: created.take() });
    }
    if secrets.is_empty() {
        return Err(malformed("it has only comments and empty lines".to_owned()));
    }
    Ok(secrets)
}

/// A line of the text format that is a key or contains a date.
enum Line {
    /// The line number, and the bytes that the base64 in the line decodes to.
    Key(usize, Bytes),
    /// A date for the next key, in seconds since 1970.
    Created(i64),
}

/// Parses a line; `None` for a comment without a date.
fn read_line(number: usize, line: &str) -> Option<Result<Line, Cause>> {
    let Some(comment) = line.strip_prefix('#') else { return Some(decode(number, line)) };
    let date = comment.trim_start().strip_prefix(DATE_PREFIX)?.trim();
    let malformed = || {
        malformed(format!(
            "the date in line {number} is not in the form \"# {DATE_PREFIX} 2026-11-30T06:00:00Z\""
        ))
    };
    Some(parse_time(date).map(Line::Created).ok_or_else(malformed))
}

/// Returns whether `next` is the rest of an 80-byte key after a line of 48 bytes. "openssl rand -base64 80" breaks its
/// output there.
fn is_continuation(next: &Result<Line, Cause>) -> bool {
    matches!(next, Ok(Line::Key(_, rest)) if rest.len() == LONG - SHORT)
}

fn decode(number: usize, line: &str) -> Result<Line, Cause> {
    let digits = line.trim_end_matches('=');
    let mut secret = Zeroizing::new(vec![0; digits.len() / 4 * 3 + 3]);
    let Ok(decoded) = Base64Unpadded::decode(digits, &mut secret) else {
        return Err(malformed(format!("it is a text file, and line {number} is not base64")));
    };
    let length = decoded.len();
    secret.truncate(length);
    Ok(Line::Key(number, secret))
}

fn too_many() -> Cause {
    malformed(format!("it has more than {MAX_KEYS} keys"))
}

fn malformed(words: String) -> Cause {
    Cause::TicketKeysMalformed(words)
}

/// A key that encrypts tickets, and its name. Both are derived from a secret of the file, which cannot be computed from
/// them.
pub(crate) struct TicketKey {
    /// Sent in the clear with each ticket, to find its key (RFC 5077 section 4).
    pub(crate) name: [u8; 16],
    /// The key, 32 bytes. They are on the heap: moving an array would leave unwiped copies on the stack (G18).
    pub(crate) secret: Zeroizing<Vec<u8>>,
    /// Since when the key exists, in seconds since 1970: its date in the file. Without a date, this is the file's mtime
    /// when the key was first loaded, or that moment if the mtime is not plausible.
    pub(crate) since: i64,
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

impl TicketKey {
    /// Derives the name and the key from all bytes of `secret`.
    ///
    /// Other TLS servers (nginx, Apache, haproxy) use the bytes of such a file directly. Since both are derived here,
    /// neither names nor keys are ever equal to theirs.
    pub(crate) fn derived_from(secret: &[u8]) -> Result<Self, Cause> {
        let mut name = [0; 16];
        name.copy_from_slice(&derive(secret, b"name", 16)?);
        Ok(Self { name, secret: derive(secret, b"key", 32)?, since: 0 })
    }

    /// Returns `length` bytes derived from all of `secret`, from which `secret` cannot be computed.
    pub(crate) fn mix(secret: &[u8], length: usize) -> Result<Bytes, Cause> {
        derive(secret, b"mix", length)
    }
}

/// Derives bytes with HKDF (RFC 5869) and SHA-256. `purpose` is HKDF's `info`: each purpose leads to other bytes.
fn derive(secret: &[u8], purpose: &[u8], length: usize) -> Result<Bytes, Cause> {
    let mut derived = Zeroizing::new(vec![0; length]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
        .extract(secret)
        .expand(&[purpose], Length(length))
        .and_then(|key_material| key_material.fill(&mut derived))
        .map_err(|_| Cause::without_reason("ticket keys cannot be derived"))?;
    Ok(derived)
}

/// The number of bytes to derive, as the type that aws-lc-rs requires.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
#[path = "tests_ticket_keys.rs"]
mod tests;
