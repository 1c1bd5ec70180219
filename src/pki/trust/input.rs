//! The bytes that trust is made of, and where each file was found.

use std::path::Path;

/// One file that was read.
#[derive(Clone, Copy)]
pub(crate) struct TrustFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) bytes: &'a [u8],
    /// It was found in a directory, where files of other kinds may lie beside it.
    pub(crate) is_in_directory: bool,
}

/// The bytes that trust is made of. `None` where nothing was asked for.
pub(crate) struct TrustInput<'a> {
    pub(crate) client_roots: Option<Vec<TrustFile<'a>>>,
    pub(crate) server_roots: Option<Vec<TrustFile<'a>>>,
    pub(crate) crls: Vec<TrustFile<'a>>,
    /// Certificates (DER) that are known otherwise: lists of authorities that are no roots are checked with them. They
    /// are trusted for nothing else.
    pub(crate) issuers: Vec<&'a [u8]>,
}
