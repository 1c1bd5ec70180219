//! What is accepted, but should not go unnoticed.

use std::ops::BitOrAssign;

/// Each field is one thing that the host is warned of; they are bits in the C event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "a set of flags, each with a name")]
pub(crate) struct Warnings {
    pub(crate) key_readable: bool,
    pub(crate) names_lost: bool,
    pub(crate) expires_earlier: bool,
    pub(crate) ocsp_unusable: bool,
}

impl BitOrAssign for Warnings {
    fn bitor_assign(&mut self, other: Self) {
        self.key_readable |= other.key_readable;
        self.names_lost |= other.names_lost;
        self.expires_earlier |= other.expires_earlier;
        self.ocsp_unusable |= other.ocsp_unusable;
    }
}
