//! A PEM reader (RFC 7468) that wipes what it decodes.
//!
//! Any section may be a private key. Each is decoded into one buffer that is wiped when it is dropped and that never
//! grows: growing would leave an unwiped copy of the key in freed memory (G18). Sections are decoded only on demand.
//!
//! Files in practice have text around the sections, headers, and all kinds of line ends, which are accepted. A section
//! that is cut off is an error and never merges with the next one: such a file is probably being written (G4).

use base64ct::{Base64Unpadded, Encoding};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::{der, wrong_format};
use crate::error::Cause;

/// The maximum number of certificates in a chain. More are not useful: rustls rejects chains of more than 64 KiB.
pub(crate) const MAX_CERTIFICATES: usize = 64;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
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
            .any(|line| line.text.starts_with(b"Proc-Type:") && line.text.ends_with(b"ENCRYPTED"))
    }

    /// Decodes the base64 into a buffer that is wiped when it is dropped.
    ///
    /// The buffer has its final capacity from the beginning, and is decoded in place, so no other copy of the bytes
    /// exists.
    pub(super) fn decode(&self) -> Result<Zeroizing<Vec<u8>>, Cause> {
        let malformed = |reason| Cause::PemMalformed { line: self.line, reason };
        let not_base64 = || malformed("the text between BEGIN and END is not base64");
        let mut buffer = Zeroizing::new(Vec::with_capacity(self.base64.len()));
        buffer.extend(self.base64.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let unpadded = buffer.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
        buffer.truncate(unpadded);
        if buffer.is_empty() {
            return Err(malformed("there is no text between BEGIN and END"));
        }
        let length = Base64Unpadded::decode_in_place(&mut buffer).map_err(|_| not_base64())?.len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// Returns the sections of `bytes` in order, up to the first that is malformed: what follows it cannot be trusted.
pub(super) fn sections(bytes: &[u8]) -> impl Iterator<Item = Result<Section<'_>, Cause>> {
    let mut lines = Lines::of(bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes));
    std::iter::from_fn(move || {
        let begin = lines.find(|line| line.text.starts_with(BEGIN))?;
        let section = section(&begin, &mut lines);
        if section.is_err() {
            lines = Lines::of(&[]);
        }
        Some(section)
    })
}

/// Returns whether `bytes` has at least one section, and none is malformed.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    let mut sections = sections(bytes).peekable();
    sections.peek().is_some() && sections.all(|section| section.is_ok())
}

/// Reads the section after the line `begin` up to its END line.
fn section<'a>(begin: &Line<'a>, lines: &mut Lines<'a>) -> Result<Section<'a>, Cause> {
    let malformed = |line, reason| Cause::PemMalformed { line, reason };
    let label = begin.text.strip_prefix(BEGIN).and_then(|line| line.strip_suffix(HYPHENS));
    let Some(label) = label else {
        return Err(malformed(begin.number, "a BEGIN line does not end in five hyphens"));
    };
    let (within, offset) = (lines.rest, lines.position);
    // Base64 has no colon, so a line with one is a header. An indented line continues a header.
    let (mut headers, mut base64) = (0, 0);
    for line in lines {
        if let Some(end) = line.text.strip_prefix(END) {
            return match end.strip_suffix(HYPHENS) {
                Some(end) if end == label => Ok(Section {
                    line: begin.number,
                    label,
                    headers: &within[..headers],
                    base64: &within[headers..base64],
                }),
                _ => Err(malformed(line.number, "an END line does not match its BEGIN line")),
            };
        }
        if line.text.starts_with(BEGIN) {
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
struct Lines<'a> {
    rest: &'a [u8],
    position: usize,
    /// The number of the line that was read last, from 1.
    number: usize,
    /// Whether that line ended in CR: an LF directly after it is part of the same line end.
    is_after_cr: bool,
}

struct Line<'a> {
    text: &'a [u8],
    number: usize,
    /// The offset of the next line in the bytes of [`Lines`].
    end: usize,
}

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Self {
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
        return Err(Cause::NoCertificate(wrong_format::without_certificate(bytes)));
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

/// Returns the missing END line for a message.
///
/// In a damaged file the label may be a piece of a key, which must not appear in a message (G18). It is quoted only if
/// it consists of a few short words.
fn end_line(label: &[u8]) -> String {
    let is_word = |word: &[u8]| {
        word.len() <= 12 && word.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9'))
    };
    match str::from_utf8(label) {
        Ok(text) if text.len() <= 40 && label.split(|byte| *byte == b' ').all(is_word) => {
            format!("\"END {text}\"")
        }
        _ => "the END line".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(
            cause(&whole[..whole.len() - 3]),
            cause(&pem("X", BODY).replace("END X", "END Y"))
        );
        let two = format!("{}\n{whole}", &whole[..20]);
        assert_eq!(cause(&two), truncated(1));
        for body in ["MA?CAQU=", "MAMC=AQU", "MAMCA", "MAMCAQU=: a", "€", ""] {
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
            assert!(matches!(cause, Cause::PemMalformed { line: 7, .. }), "{end:?}: {cause}");
            let cut = &text[..text.len() - end.len() - 1];
            let cause = sections(cut.as_bytes()).last().unwrap().err().unwrap();
            assert!(matches!(cause, Cause::PemMalformed { line: 9, .. }), "{end:?}: {cause}");
        }
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
}
