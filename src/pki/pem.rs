//! A PEM reader (RFC 7468) that wipes what it decodes.
//!
//! Any section may be a private key. Each is decoded into one buffer that is wiped when it is dropped and that never
//! grows: growing would leave an unwiped copy of the key in freed memory (G18). Sections are decoded only on demand.
//!
//! Files in practice have text around the sections, headers, and all kinds of line ends, which are accepted. So are white
//! space and byte order marks before a BEGIN line, because files are joined with cat(1). A BEGIN behind other text begins
//! no section, and is reported (`skipped_lines`). A section that is cut off is an error and never merges with the next one: such a file is probably being written (G4).

use std::borrow::Cow;

use base64ct::{Base64Unpadded, Encoding};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::wrong_format::Wanted;
use super::{der, wrong_format};
use crate::error::Cause;

/// The maximum number of certificates in a chain. More are not useful: rustls rejects chains of more than 64 KiB.
pub(crate) const MAX_CERTIFICATES: usize = 64;

pub(super) const BEGIN: &[u8] = b"-----BEGIN ";
pub(super) const END: &[u8] = b"-----END ";
const HYPHENS: &[u8] = b"-----";
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// One section of a PEM file: the label of its BEGIN line, and the lines from there to its END line.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    /// The line number of its BEGIN line, counted from 1.
    line: usize,
    pub(super) label: &'a [u8],
    /// The headers of RFC 1421 section 4.6, which OpenSSL writes for keys in its legacy encryption.
    headers: &'a [u8],
    base64: &'a [u8],
}

impl Section<'_> {
    /// Returns whether the section is encrypted as in RFC 1421 (`Proc-Type: 4,ENCRYPTED`), in contrast to PKCS#8.
    pub(super) fn has_legacy_encryption(&self) -> bool {
        Lines::of(self.headers)
            .map(|line| line.text.trim_ascii_start())
            .any(|header| header.starts_with(b"Proc-Type:") && header.ends_with(b"ENCRYPTED"))
    }

    /// Decodes the base64 into a buffer that is wiped when it is dropped.
    ///
    /// The buffer has its final capacity from the beginning, and is decoded in place, so no other copy of the bytes
    /// exists.
    pub(super) fn decode(&self) -> Result<Zeroizing<Vec<u8>>, Cause> {
        if let Some((line, reason)) = self.not_base64() {
            return Err(malformed(line, reason));
        }
        let not_base64 = || malformed(self.line, INCOMPLETE_BASE64);
        let mut buffer = Zeroizing::new(Vec::with_capacity(self.base64.len()));
        buffer.extend(self.base64.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let unpadded = buffer.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
        // With padding, groups of four characters.
        let padding = buffer.len() - unpadded;
        let is_whole = if padding == 0 { ends_a_byte(&buffer) } else { buffer.len() % 4 == 0 };
        if padding > 2 || !is_whole {
            return Err(not_base64());
        }
        buffer.truncate(unpadded);
        if buffer.is_empty() {
            return Err(malformed(self.line, "there is no text between BEGIN and END"));
        }
        let length = Base64Unpadded::decode_in_place(&mut buffer).map_err(|_| not_base64())?.len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Returns the first line between BEGIN and END that is not base64, and what is in it instead.
    ///
    /// The character is not quoted: the text may be that of a key (G18).
    fn not_base64(&self) -> Option<(usize, &'static str)> {
        let is_foreign = |byte: &u8| {
            !byte.is_ascii_alphanumeric() && !byte.is_ascii_whitespace() && !b"+/=".contains(byte)
        };
        let at = self.base64.iter().position(is_foreign)?;
        let (before, found) = self.base64.split_at(at);
        let is_after_cr = self.headers.ends_with(b"\r");
        let line = self.line + 1 + line_ends(self.headers, false) + line_ends(before, is_after_cr);
        let is_spelled_out = found.starts_with(b"\\n") || found.starts_with(b"\\r");
        Some((
            line,
            if is_spelled_out { SPELLED_OUT } else { "there is a character that is not base64" },
        ))
    }
}

/// Returns the number of line ends in `bytes`. An LF at the start is part of one before it if `is_after_cr`.
fn line_ends(bytes: &[u8], is_after_cr: bool) -> usize {
    let before = std::iter::once(if is_after_cr { b'\r' } else { 0 }).chain(bytes.iter().copied());
    let is_end =
        |(before, byte): &(u8, &u8)| **byte == b'\r' || **byte == b'\n' && *before != b'\r';
    before.zip(bytes).filter(is_end).count()
}

fn malformed(line: usize, reason: impl Into<Cow<'static, str>>) -> Cause {
    Cause::PemMalformed { line, reason: reason.into() }
}

/// Returns whether the last digit has no bits behind the last byte. Encoders set none, so otherwise a digit is missing.
fn ends_a_byte(unpadded: &[u8]) -> bool {
    let last: &[u8] = match unpadded.len() % 4 {
        2 => b"AQgw",
        3 => b"AEIMQUYcgkosw048",
        _ => return true,
    };
    unpadded.last().is_some_and(|digit| last.contains(digit))
}

const INCOMPLETE_BASE64: &str =
    "the text between BEGIN and END is not whole base64: characters are missing, or too many";

const SPELLED_OUT: &str = "line breaks are spelled out as \\n; replace them by real ones";

/// Returns the sections of `bytes` in order, up to the first that is malformed: what follows it cannot be trusted.
pub(super) fn sections(bytes: &[u8]) -> impl Iterator<Item = Result<Section<'_>, Cause>> {
    let mut lines = Lines::of(bytes);
    std::iter::from_fn(move || {
        let begin = lines.find(|line| after_begin(line.text).is_some())?;
        let section = section(&begin, &mut lines);
        if section.is_err() {
            lines = Lines::of(&[]);
        }
        Some(section)
    })
}

/// Returns what follows BEGIN in a line that begins a section. A line that ends there begins a malformed one.
pub(super) fn after_begin(line: &[u8]) -> Option<&[u8]> {
    let line = without_margin(line);
    line.strip_prefix(BEGIN)
        .or_else(|| line.strip_prefix(BEGIN.trim_ascii_end()).filter(|rest| rest.is_empty()))
}

/// Returns `line` without the white space and the byte order marks that it begins with.
fn without_margin(mut line: &[u8]) -> &[u8] {
    loop {
        line = line.trim_ascii_start();
        match line.strip_prefix(UTF8_MARK) {
            Some(rest) => line = rest,
            None => return line,
        }
    }
}

pub(super) fn position_of(line: &[u8], text: &[u8]) -> Option<usize> {
    line.windows(text.len()).position(|window| window == text)
}

/// Returns whether `bytes` has at least one section, and none is malformed.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    let mut sections = sections(bytes).peekable();
    sections.peek().is_some() && sections.all(|section| section.is_ok())
}

/// Reads the section after the line `begin` up to its END line.
pub(super) fn section<'a>(begin: &Line<'a>, lines: &mut Lines<'a>) -> Result<Section<'a>, Cause> {
    let label = label_of(begin.text).map_err(|reason| malformed(begin.number, reason))?;
    // The LF of the BEGIN line, if that ends in CRLF.
    let end = usize::from(lines.is_after_cr && lines.rest.starts_with(b"\n"));
    let (within, offset) = (&lines.rest[end..], lines.position + end);
    // Base64 has no colon, so a line with one is a header. An indented line continues a header.
    let (mut headers, mut base64) = (0, 0);
    for line in lines {
        if let Some(end) = without_margin(line.text).strip_prefix(END) {
            if position_of(end, BEGIN).is_some() {
                return Err(malformed(line.number, "END and BEGIN are on one line"));
            }
            // Text behind the END is ignored, as rustls does (G23).
            return match position_of(end, HYPHENS).map(|at| &end[..at]) {
                Some(end) if end == label => Ok(Section {
                    line: begin.number,
                    label,
                    headers: &within[..headers],
                    base64: &within[headers..base64],
                }),
                Some(end) => Err(malformed(line.number, other_end(end, begin.number, label))),
                None => Err(malformed(line.number, "the END line does not end in five hyphens")),
            };
        }
        if after_begin(line.text).is_some() {
            break;
        }
        let continues = headers > 0 && line.text.starts_with(b" ");
        if headers == base64 && (line.text.contains(&b':') || continues) {
            headers = line.end - offset;
        }
        base64 = line.end - offset;
    }
    Err(Cause::PemTruncated { line: begin.number, end: end_line(label) })
}

/// Iterates over lines, which end in LF, CRLF or CR. Trailing white space is removed. Leading white space stays, because
/// it marks the continuation of a header.
#[derive(Clone)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    pub(super) position: usize,
    /// The number of the line that was read last, from 1.
    number: usize,
    /// Whether that line ended in CR: an LF directly after it is part of the same line end.
    is_after_cr: bool,
}

pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    pub(super) number: usize,
    /// The offset of the next line in the bytes of [`Lines`].
    pub(super) end: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, position: 0, number: 0, is_after_cr: false }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let length = self.rest.iter().position(ends).map_or(self.rest.len(), |end| end + 1);
        let (line, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.position += length;
        if !(self.is_after_cr && line == b"\n") {
            self.number += 1;
        }
        self.is_after_cr = line.ends_with(b"\r");
        Some(Line { text: line.trim_ascii_end(), number: self.number, end: self.position })
    }
}

/// Returns the certificates of a chain in `bytes`, in order. Keys and other sections are ignored.
pub(crate) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Cause> {
    certificates_up_to(bytes, MAX_CERTIFICATES)
}

/// Returns the certificates in `bytes`; more than `limit` are an error.
pub(super) fn certificates_up_to(
    bytes: &[u8],
    limit: usize,
) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let mut chain = Vec::new();
    for section in sections(bytes) {
        let section = section?;
        let mut der = match section.label {
            b"CERTIFICATE" | b"X509 CERTIFICATE" => section.decode()?,
            // A format of OpenSSL: a certificate, followed by the trust settings of its owner.
            b"TRUSTED CERTIFICATE" => without_trust_settings(section.decode()?),
            _ => continue,
        };
        if chain.len() == limit {
            return Err(Cause::TooManyCertificates { limit });
        }
        chain.push(CertificateDer::from(std::mem::take(&mut *der)));
    }
    if chain.is_empty() {
        return Err(Cause::NoCertificate(wrong_format::without_certificate(bytes, Wanted::Chain)));
    }
    Ok(chain)
}

/// Removes the trust settings of OpenSSL that follow the certificate.
fn without_trust_settings(mut der: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if let Some((certificate, _)) = der::element(&der) {
        let length = certificate.whole.len();
        der.truncate(length);
    }
    der
}

/// Returns the label of a BEGIN line, or what is in that line instead.
fn label_of(begin: &[u8]) -> Result<&[u8], &'static str> {
    let after = after_begin(begin).unwrap_or_default();
    let has = |text: &[u8]| position_of(after, text).is_some();
    match after.strip_suffix(HYPHENS) {
        _ if has(b"-----\\n") || has(b"-----\\r") => Err(SPELLED_OUT),
        _ if has(END) => Err("BEGIN and END are on one line"),
        Some(label) if position_of(label, HYPHENS).is_none() => Ok(label),
        _ if has(HYPHENS) => Err("other text follows BEGIN on one line"),
        _ => Err("the BEGIN line does not end in five hyphens"),
    }
}

/// Returns what is wrong with an END line whose label is `end` and not that of its BEGIN line.
fn other_end(end: &[u8], begin_line: usize, label: &[u8]) -> String {
    match (quotable(end), quotable(label)) {
        (Some(end), Some(label)) => {
            format!("\"END {end}\" ends the section \"BEGIN {label}\" of line {begin_line}")
        }
        _ => "the END line does not match its BEGIN line".to_owned(),
    }
}

/// Returns the missing END line for a message.
fn end_line(label: &[u8]) -> String {
    quotable(label).map_or_else(|| "the END line".to_owned(), |text| format!("\"END {text}\""))
}

/// Returns a label as text, if a message may quote it.
///
/// In a damaged file the label may be a piece of a key, which must not appear in a message (G18). It is quoted only if
/// it consists of a few short words.
fn quotable(label: &[u8]) -> Option<&str> {
    let is_word = |word: &[u8]| {
        word.len() <= 12 && word.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9'))
    };
    let is_quotable = label.len() <= 40 && label.split(|byte| *byte == b' ').all(is_word);
    str::from_utf8(label).ok().filter(|_| is_quotable)
}

#[cfg(test)]
#[path = "tests_pem.rs"]
mod tests;
