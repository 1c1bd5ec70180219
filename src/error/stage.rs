//! The stages of a reload, as messages name them.

use std::fmt;

/// The stage of a reload at which a failure occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The call itself: its parameters, or the state of the handle. No file is involved.
    Call,
    /// Reading the files.
    Read,
    /// Parsing what was read.
    Parse,
    /// Checking whether parsed content may be served: that key and certificate match, dates, names, signatures.
    Validate,
    /// Completing a TLS handshake in memory with the new content, before it is published (G16).
    SelfCheck,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Read => "read",
            Self::Parse => "parse",
            Self::Validate => "validate",
            Self::SelfCheck => "self-check",
        })
    }
}
