//! Parses the bytes in which rustls stores a server session, for the facts that limit its lifetime.
//!
//! rustls passes sessions to tickets and session storages as bytes in a private format, not meant for other code. The
//! parser accepts the whole format and nothing else: a session that it cannot parse is not resumed. If a release of
//! rustls changes the format, the tests fail.

/// The facts of a session that its lifetime depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RustlsSession<'a> {
    /// The name that the client asked for.
    pub(super) server_name: Option<&'a str>,
    /// The master secret of a TLS 1.2 session, which stays the same each time the session is resumed.
    pub(super) tls12_secret: Option<&'a [u8]>,
    /// The certificates that the client presented, its own first. Empty if it presented none.
    pub(super) client_chain: Vec<&'a [u8]>,
}

impl<'a> RustlsSession<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let server_name =
            if reader.flag()? { Some(str::from_utf8(reader.prefixed(1)?).ok()?) } else { None };
        let version = reader.number(2)?;
        if !matches!(version, 0x0303 | 0x0304) {
            return None;
        }
        let _cipher_suite = reader.take(2)?;
        let secret = reader.prefixed(1)?;
        let _extended_master_secret = reader.flag()?;
        let client_chain =
            if reader.flag()? { certificates(reader.prefixed(3)?)? } else { Vec::new() };
        if reader.flag()? {
            let _alpn = reader.prefixed(1)?;
        }
        let _application_data = reader.prefixed(2)?;
        let _created = reader.take(8)?;
        let _age_offset = reader.take(4)?;
        let tls12_secret = (version == 0x0303).then_some(secret);
        reader.0.is_empty().then_some(Self { server_name, tls12_secret, client_chain })
    }
}

/// Parses a chain of at least one certificate.
fn certificates(chain: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader(chain);
    let mut certificates = vec![reader.prefixed(3)?];
    while !reader.0.is_empty() {
        certificates.push(reader.prefixed(3)?);
    }
    Some(certificates)
}

/// The bytes that are not parsed yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads a big-endian number of `bytes` bytes.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// Reads a field that starts with its length, a number of `bytes` bytes.
    fn prefixed(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let length = self.number(bytes)?;
        self.take(length)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.number(1)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}
