//! Which of several certificates of a file a message is about.

use std::fmt;

/// The position of a certificate in its file. A file with one certificate has no other, so a message need not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Counted from 1.
    number: usize,
    count: usize,
}

impl Position {
    /// The position of a certificate that is alone.
    pub(crate) const ALONE: Self = Self { number: 1, count: 1 };

    /// Returns the position `at`, counted from 0, among `count` certificates.
    pub(crate) fn new(at: usize, count: usize) -> Self {
        Self { number: at + 1, count }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { number: 1, count: 1 } => f.write_str("the certificate"),
            Self { number, count } => write!(f, "certificate {number} of {count}"),
        }
    }
}
