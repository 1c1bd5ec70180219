//! Keys for session tickets that several processes share.

use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Cause, Error};

/// The keys of a file: the first encrypts, all decrypt.
#[derive(Debug)]
pub(crate) struct TicketKeys {
    keys: Vec<TicketKey>,
}

/// One key, as tickets use it.
pub(crate) struct TicketKey {
    /// Goes with each ticket in the clear (RFC 5077 section 4).
    pub(crate) name: [u8; 16],
    pub(crate) secret: Zeroizing<[u8; 32]>,
    /// When it was seen first, or its file was written, whatever came before: seconds since 1970.
    pub(crate) since: i64,
}

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketKey")
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
        _now: i64,
        _before: Option<&Self>,
    ) -> Result<Self, Error> {
        Err(Error::at(file.path, Cause::NotConfigured("ticket keys")))
    }

    pub(crate) fn keys(&self) -> &[TicketKey] {
        &self.keys
    }
}
