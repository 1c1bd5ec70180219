//! A directory of files: which of its names count, and never more than so many of them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Cause;

/// The most files of one directory that are read. A distribution's roots are some 150, each of them
/// with a link or two besides.
pub(crate) const MAX_FILES_IN_DIRECTORY: usize = 1_000;

/// The most entries of one directory that are looked at, whatever their names: each poll lists it.
const MAX_ENTRIES: usize = 10 * MAX_FILES_IN_DIRECTORY;

/// What is named: a file, or a directory of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourcePath {
    pub(crate) path: PathBuf,
    /// Which files count, where it leads to a directory.
    pub(crate) takes: FileFilter,
}

/// Which files of a directory count, by their names.
///
/// A name has to say what its file is, for what else people keep beside their certificates must do no
/// harm: a README, a key, what an editor, a package manager or a download leaves behind (`ca.pem~`,
/// `ca.crt.dpkg-new`, `ca.pem.tmp`), and all that is hidden, the `..data` of Kubernetes first. So these
/// count: the endings of RFC 2585 (`.cer`, `.crl`), that which everybody uses for certificates
/// (`.crt`), those that name only the encoding and leave the rest to the content (`.pem`, `.der`), and
/// the names that OpenSSL finds files by (`c_rehash`): eight hexadecimal digits and `.0`, or `.r0` for
/// revocation lists. Case is no difference.
///
/// Unlike in OpenSSL a file counts without a link that has its hash: whoever puts it there means it, and
/// a link that was forgotten would be a revocation that nobody misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FileFilter {
    Certificates,
    Crls,
}

impl FileFilter {
    /// Whether a file of this name counts.
    pub(crate) fn takes(self, name: &OsStr) -> bool {
        if name.as_encoded_bytes().starts_with(b".") {
            return false;
        }
        let endings = match self {
            Self::Certificates => ["pem", "der", "crt", "cer"].as_slice(),
            Self::Crls => ["pem", "der", "crl"].as_slice(),
        };
        let ending = Path::new(name).extension();
        endings.iter().any(|known| ending.is_some_and(|ending| ending.eq_ignore_ascii_case(known)))
            || self.takes_hash(name)
    }

    /// Whether this is a name that OpenSSL finds a file by.
    fn takes_hash(self, name: &OsStr) -> bool {
        let name = name.as_encoded_bytes();
        let Some((hash, rest)) = name.split_at_checked(8) else { return false };
        let prefix = match self {
            Self::Certificates => b".".as_slice(),
            Self::Crls => b".r",
        };
        let Some(number) = rest.strip_prefix(prefix) else { return false };
        hash.iter().all(u8::is_ascii_hexdigit)
            && !number.is_empty()
            && number.iter().all(u8::is_ascii_digit)
    }
}

/// The names that count in `directory`, in their order; but those that OpenSSL finds files by come last,
/// for most of them are links to another name there, by which people know the file.
pub(super) fn list(directory: &Path, takes: FileFilter) -> Result<Vec<OsString>, Cause> {
    let mut names = Vec::new();
    for (count, entry) in fs::read_dir(directory)?.enumerate() {
        if count >= MAX_ENTRIES {
            return Err(Cause::TooManyFiles { limit: MAX_ENTRIES });
        }
        let name = entry?.file_name();
        if takes.takes(&name) {
            if names.len() >= MAX_FILES_IN_DIRECTORY {
                return Err(Cause::TooManyFiles { limit: MAX_FILES_IN_DIRECTORY });
            }
            names.push(name);
        }
    }
    names.sort_by_cached_key(|name| (takes.takes_hash(name), name.clone()));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken<'a>(takes: FileFilter, names: &[&'a str]) -> Vec<&'a str> {
        names.iter().copied().filter(|name| takes.takes(name.as_ref())).collect()
    }

    #[test]
    fn names_that_say_what_they_are_count_and_no_others() {
        let certificates = ["ca.pem", "ca.crt", "CA.CER", "x.Der", "0123abcd.0", "0123ABCD.12"];
        let lists = ["ca.pem", "ca.CRL", "x.der", "0123abcd.r0", "0123abcd.r10"];
        assert_eq!(taken(FileFilter::Certificates, &certificates), certificates);
        assert_eq!(taken(FileFilter::Crls, &lists), lists);
        assert_eq!(taken(FileFilter::Certificates, &lists), ["ca.pem", "x.der"]);
        assert_eq!(taken(FileFilter::Crls, &certificates), ["ca.pem", "x.Der"]);
        let others = [
            "README",
            "pem",
            "ca.pem~",
            "ca.pem.tmp",
            "ca.crt.dpkg-new",
            "#ca.pem#",
            ".ca.pem",
            ".pem",
            "..data",
            "ca.key",
            "123abcd.0",
            "0123abcg.0",
            "0123abcd.",
            "0123abcd.r",
            "0123abcd.x0",
            "",
        ];
        assert_eq!(taken(FileFilter::Certificates, &others), [""; 0]);
        assert_eq!(taken(FileFilter::Crls, &others), [""; 0]);
    }

    #[test]
    fn names_come_in_their_order_and_hashes_last() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.pem", "0123abcd.0", "a.crt", "README", ".hidden.pem", "z.crl"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        assert_eq!(
            list(dir.path(), FileFilter::Certificates).unwrap(),
            ["a.crt", "b.pem", "0123abcd.0"]
        );
        assert_eq!(list(dir.path(), FileFilter::Crls).unwrap(), ["b.pem", "z.crl"]);
    }

    #[test]
    fn g17_a_directory_of_very_many_entries_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let add = |name: String| fs::write(dir.path().join(name), "").unwrap();
        (0..MAX_FILES_IN_DIRECTORY).for_each(|number| add(format!("{number}.pem")));
        assert_eq!(list(dir.path(), FileFilter::Crls).unwrap().len(), MAX_FILES_IN_DIRECTORY);
        add("one more.pem".to_owned());
        let too_many = |limit| Err(Cause::TooManyFiles { limit });
        assert_eq!(list(dir.path(), FileFilter::Crls), too_many(MAX_FILES_IN_DIRECTORY));
        let dir = tempfile::tempdir().unwrap();
        let add = |name: String| fs::write(dir.path().join(name), "").unwrap();
        (0..MAX_ENTRIES).for_each(|number| add(format!("{number}.txt")));
        assert_eq!(list(dir.path(), FileFilter::Crls), Ok(Vec::new()));
        add("one more.txt".to_owned());
        assert_eq!(list(dir.path(), FileFilter::Crls), too_many(MAX_ENTRIES));
    }
}
