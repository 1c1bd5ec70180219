//! Keys for session tickets that several processes share: a file of them.
//!
//! The forms are those that servers have in common: keys of 48 or of 80 bytes, one after the other (nginx,
//! Apache), or each in base64 on a line of its own (haproxy). A line of base64 may have a comment before it that dates it.

use std::fmt;
use std::path::Path;

use aws_lc_rs::hkdf;
use base64ct::{Base64Unpadded, Encoding};
use zeroize::Zeroizing;

use super::certificate::parse_time;
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

/// Whatever else a secret is used for, nothing else derives keys from it under this label. Another form of
/// tickets is to have another, and with it other names of keys: hosts of two releases then pass over one
/// another's tickets.
const LABEL: &[u8] = b"certreload session tickets, form 2";

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
            KeyLine::Created(date) => {
                created = Some(date);
                continue;
            }
            KeyLine::Bytes(number, bytes) => (number, bytes),
        };
        if bytes.len() == SHORT
            && let Some(Ok(KeyLine::Bytes(_, rest))) = lines.next_if(is_rest)
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

enum KeyLine {
    /// Its number, and what it says in base64.
    Bytes(usize, Bytes),
    /// Seconds since 1970.
    Created(i64),
}

/// None for a comment that says nothing here.
fn read_line(number: usize, line: &str) -> Option<Result<KeyLine, Cause>> {
    let Some(comment) = line.strip_prefix('#') else { return Some(decode(number, line)) };
    let date = comment.trim_start().strip_prefix(CREATED)?.trim();
    let malformed =
        || malformed(format!("line {number} has no date such as # {CREATED} 2026-11-30T06:00:00Z"));
    Some(parse_time(date).map(KeyLine::Created).ok_or_else(malformed))
}

/// Whether a line that ends at 48 bytes, as "openssl rand -base64 80" breaks it, continues in this one.
fn is_rest(next: &Result<KeyLine, Cause>) -> bool {
    matches!(next, Ok(KeyLine::Bytes(_, rest)) if rest.len() == LONG - SHORT)
}

fn decode(number: usize, line: &str) -> Result<KeyLine, Cause> {
    let digits = line.trim_end_matches('=');
    let mut secret = Zeroizing::new(vec![0; digits.len() / 4 * 3 + 3]);
    let Ok(decoded) = Base64Unpadded::decode(digits, &mut secret) else {
        return Err(malformed(format!(
            "it is text, and line {number} is no key in base64, no comment, and not empty"
        )));
    };
    let length = decoded.len();
    secret.truncate(length);
    Ok(KeyLine::Bytes(number, secret))
}

fn too_many() -> Cause {
    malformed(format!("there are more than {MAX_KEYS}"))
}

fn malformed(words: String) -> Cause {
    Cause::TicketKeysMalformed(words)
}

/// A key as tickets use it. Nothing of it can be traced back to the secret.
pub(crate) struct TicketKey {
    /// Goes with each ticket in the clear (RFC 5077 section 4).
    pub(crate) name: [u8; 16],
    /// 32 bytes. Not in place: what is moved leaves a copy behind.
    pub(crate) secret: Zeroizing<Vec<u8>>,
    /// When it was seen first, or its file was written, whatever came before: seconds since 1970.
    pub(crate) since: i64,
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

impl TicketKey {
    /// Both name and key come from all of `secret`: servers that use the same file in ways of their own send
    /// other names, and share no key with this one.
    pub(crate) fn derived_from(secret: &[u8]) -> Result<Self, Cause> {
        let mut key = Self { name: [0; 16], secret: Zeroizing::new(vec![0; 32]), since: 0 };
        derive(secret, b"name", &mut key.name)?;
        derive(secret, b"key", &mut key.secret)?;
        Ok(key)
    }

    /// Fills `out` from all of `secret`, which cannot be computed from `out`.
    pub(crate) fn mix(secret: &[u8], out: &mut [u8]) -> Result<(), Cause> {
        derive(secret, b"mix", out)
    }
}

/// HKDF (RFC 5869) with SHA-256.
fn derive(secret: &[u8], purpose: &[u8], out: &mut [u8]) -> Result<(), Cause> {
    hkdf::Salt::new(hkdf::HKDF_SHA256, LABEL)
        .extract(secret)
        .expand(&[purpose], Length(out.len()))
        .and_then(|derived| derived.fill(out))
        .map_err(|error| Cause::System { what: "ticket keys", reason: error.to_string() })
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
#[path = "tests_ticket_keys.rs"]
mod tests;
