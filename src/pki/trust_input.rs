//! The bytes of a trust store, as they were read from its files.

use std::path::Path;

/// One file of a trust store.
#[derive(Clone, Copy)]
pub(crate) struct TrustFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) bytes: &'a [u8],
    /// Whether the file was found in a configured directory. Files of other kinds may be beside it there.
    pub(crate) is_in_directory: bool,
}

/// The files of a trust store. The roots of a role are `None` if none are configured.
pub(crate) struct TrustInput<'a> {
    pub(crate) client_roots: Option<Vec<TrustFile<'a>>>,
    pub(crate) server_roots: Option<Vec<TrustFile<'a>>>,
    pub(crate) crls: Vec<TrustFile<'a>>,
    /// CA certificates (DER) from elsewhere, such as the chains of the identities. They are not trusted: they only
    /// provide the keys that the signatures of intermediates' CRLs are verified with.
    pub(crate) issuers: Vec<&'a [u8]>,
}
