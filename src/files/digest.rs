//! Computes digests of what was read. A unit with the same digest has not changed, whatever its time stamps (G5).

use std::collections::BTreeSet;

use aws_lc_rs::digest;

use super::file::FileBytes;
use crate::error::{Cause, Error};

/// The SHA-256 digest of one file or of all files of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of a unit for which nothing has been loaded. No content has it.
    pub(crate) fn of_nothing() -> Self {
        Self([0; 32])
    }

    /// Returns the digest of a file's content, or of the error if it cannot be read. So another error is a change, too.
    pub(super) fn of_file(file: &Result<FileBytes, Error>) -> Self {
        match file {
            Ok(file) => Self::of_content(&file.bytes),
            // A way that is built level by level remains one missing file, although the message names another level.
            Err(error) if error.cause == Cause::NotFound => {
                let error = error.without_explanation().to_string();
                Self::of([b"error".as_slice(), error.as_bytes()])
            }
            Err(error) => Self::of([b"error".as_slice(), error.to_string().as_bytes()]),
        }
    }

    /// Returns the digest of a unit. Each item of `files` is the index of a source, and the digest of one of its files.
    ///
    /// The order of the files of one source and the number of copies do not matter. The digests of files are combined
    /// and not their bytes, because "12" and "3" in two files must differ from "1" and "23".
    pub(super) fn of_unit(files: impl IntoIterator<Item = (usize, Self)>) -> Self {
        let files = files.into_iter().map(|(at, digest)| ((at as u64).to_be_bytes(), digest));
        let files: BTreeSet<_> = files.collect();
        Self::of(files.iter().flat_map(|(source, digest)| [source.as_slice(), &digest.0]))
    }

    /// Returns the digest of a unit whose sources are single files with these contents.
    pub(crate) fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::of_unit(parts.into_iter().map(Self::of_content).enumerate())
    }

    fn of_content(bytes: &[u8]) -> Self {
        Self::of([b"bytes".as_slice(), bytes])
    }

    fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        pieces.into_iter().for_each(|piece| context.update(piece));
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g5_bytes_that_move_to_the_next_file_are_different_content() {
        let digest = |parts: [&str; 2]| Digest::of_parts(parts.map(str::as_bytes));
        assert_eq!(digest(["12", "3"]), digest(["12", "3"]));
        assert_ne!(digest(["12", "3"]), digest(["1", "23"]));
        assert_ne!(digest(["1", "2"]), digest(["2", "1"]));
    }
}
