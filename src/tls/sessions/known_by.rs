//! What the identity that answers a client is known by, where the client asks for no name that is served.

use aws_lc_rs::digest::{Context, SHA256};

/// What an identity is known by: the SHA-256 of one of its names, with the kind of name before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct KnownBy([u8; 32]);

impl KnownBy {
    pub(super) const LENGTH: usize = 32;

    /// A DNS name or an address, in lower case.
    pub(crate) fn name(name: &[u8]) -> Self {
        Self::of(b"name\0", name)
    }

    /// For a certificate without such names: its subject, which a renewal keeps.
    pub(crate) fn subject(der: &[u8]) -> Self {
        Self::of(b"subject\0", der)
    }

    /// For one that has no subject either.
    pub(crate) fn public_key(der: &[u8]) -> Self {
        Self::of(b"key\0", der)
    }

    pub(super) fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    fn of(kind: &[u8], name: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(kind);
        context.update(name);
        let mut hash = [0; Self::LENGTH];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }
}
