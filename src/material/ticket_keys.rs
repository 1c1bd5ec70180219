//! Keys for session tickets that several processes share: a file of them.
//!
//! The forms are those that servers have in common: keys of 48 or of 80 bytes, one after the other (nginx,
//! Apache), or each in base64 on a line of its own (haproxy).

use std::fmt;
use std::path::Path;

use base64ct::{Base64Unpadded, Encoding};
use zeroize::Zeroizing;

use super::ticket_key::TicketKey;
use crate::error::{Cause, Error};

/// More than a fleet lists: a key of the day before, that of today and that of tomorrow are three.
const MAX_KEYS: usize = 64;
const SHORT: usize = 48;
const LONG: usize = 80;
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
        let written = file.modified.min(now);
        let mut keys: Vec<TicketKey> = Vec::new();
        for secret in secrets(file.bytes)? {
            let mut key = TicketKey::derived_from(&secret)?;
            if let Some(first) = keys.iter().position(|other| other.name == key.name) {
                return Err(Cause::TicketKeyRepeated { first: first + 1, second: keys.len() + 1 });
            }
            let served = before.and_then(|before| before.with_name(&key.name));
            key.since = served.map_or(written, |served| served.since);
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

    fn with_name(&self, name: &[u8]) -> Option<&TicketKey> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The bytes of one key, as the file has them.
type Secret = Zeroizing<Vec<u8>>;

fn secrets(bytes: &[u8]) -> Result<Vec<Secret>, Cause> {
    let secrets = match text(bytes) {
        _ if bytes.is_empty() => return Err(Cause::Empty),
        Some(text) => secrets_of_lines(text)?,
        None => secrets_of_bytes(bytes)?,
    };
    match secrets.iter().position(|secret| secret.iter().all(|byte| *byte == 0)) {
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
    Ok(bytes.chunks(size).map(|key| Zeroizing::new(key.to_vec())).collect())
}

fn secrets_of_lines(text: &str) -> Result<Vec<Secret>, Cause> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut lines = lines.map(|(index, line)| decode(index + 1, line)).peekable();
    let mut secrets = Vec::new();
    while let Some(line) = lines.next() {
        let (number, mut secret) = line?;
        if secret.len() == SHORT
            && let Some(Ok((_, rest))) = lines.next_if(is_rest)
        {
            secret = Zeroizing::new([&secret[..], &rest[..]].concat());
        }
        if !matches!(secret.len(), SHORT | LONG) {
            let length = secret.len();
            return Err(malformed(format!(
                "keys have 48 bytes each or 80, and that of line {number} has {length}"
            )));
        }
        if secrets.len() == MAX_KEYS {
            return Err(too_many());
        }
        secrets.push(secret);
    }
    if secrets.is_empty() {
        return Err(malformed("there are only comments and empty lines".to_owned()));
    }
    Ok(secrets)
}

type Line = Result<(usize, Secret), Cause>;

/// Whether a line that ends at 48 bytes, as "openssl rand -base64 80" breaks it, goes on in this one.
fn is_rest(next: &Line) -> bool {
    matches!(next, Ok((_, rest)) if rest.len() == LONG - SHORT)
}

/// What the line says in base64, and again its number.
fn decode(number: usize, line: &str) -> Line {
    let digits = line.trim_end_matches('=');
    let mut secret = Zeroizing::new(vec![0; digits.len() / 4 * 3 + 3]);
    let Ok(decoded) = Base64Unpadded::decode(digits, &mut secret) else {
        return Err(malformed(format!(
            "it is text, and line {number} is no key in base64, no comment, and not empty"
        )));
    };
    let length = decoded.len();
    secret.truncate(length);
    Ok((number, secret))
}

fn too_many() -> Cause {
    malformed(format!("there are more than {MAX_KEYS}"))
}

fn malformed(words: String) -> Cause {
    Cause::TicketKeysMalformed(words)
}
