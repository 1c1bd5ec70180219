//! What rustls writes down of a session: the things in it that decide how long it is good.
//!
//! rustls hands the session over as bytes, and means them for itself. This reads the whole of its layout, and
//! nothing that strays from it: a session that cannot be read here is not resumed, and a release of rustls
//! with another layout shows in the tests.

/// The parts of a session that a decision is made on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RustlsSession<'a> {
    /// The name that the client asked for.
    pub(super) server_name: Option<&'a str>,
    /// The secret of a session of TLS 1.2: the same one each time it is resumed.
    pub(super) tls12_secret: Option<&'a [u8]>,
    /// The certificates that the client showed, its own first; none where it showed none.
    pub(super) client_chain: Vec<&'a [u8]>,
}

impl<'a> RustlsSession<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
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

/// One at least.
fn certificates(chain: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader(chain);
    let mut certificates = vec![reader.prefixed(3)?];
    while !reader.0.is_empty() {
        certificates.push(reader.prefixed(3)?);
    }
    Some(certificates)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// What has its length before it, in so many bytes.
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
