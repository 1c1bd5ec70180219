//! The label by which a session records the identity that answered its client.

use crate::pki::sha256_of_all;

/// A label of an identity: the SHA-256 digest of one of its names, with the kind of name in front.
///
/// A session has one if its client asked for no name that is served, so that the default identity answered. The session
/// is resumed only while the default identity has this label. A digest has the same length for every name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct IdentityLabel([u8; 32]);

impl IdentityLabel {
    pub(super) const LENGTH: usize = 32;

    /// Returns the label for a DNS name or an IP address, in lower case.
    pub(crate) fn name(name: &[u8]) -> Self {
        Self::of(b"name\0", name)
    }

    /// Returns the label for a certificate without DNS names and IP addresses: from its subject, which a renewal keeps.
    pub(crate) fn subject(der: &[u8]) -> Self {
        Self::of(b"subject\0", der)
    }

    /// Returns the label for a certificate that has no subject either: from its public key.
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
        Self(sha256_of_all([kind, name]))
    }
}
