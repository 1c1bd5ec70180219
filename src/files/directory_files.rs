//! Decides which files of a configured directory are read, by their names, and lists them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use crate::error::Cause;
use crate::readers::{closing, touching};

/// The most files of one directory that are read. The roots of a Linux distribution are about 150 files, each with one
/// or two links that count, too.
pub(crate) const MAX_FILES_IN_DIRECTORY: usize = 1_000;

/// The most entries of one directory that are listed, whatever their names, because each poll lists all of them.
const MAX_ENTRIES: usize = 10 * MAX_FILES_IN_DIRECTORY;

/// The kind of files that are read from a directory, recognised by their names.
///
/// Other files are often kept beside certificates: a README, a key, the leftovers of editors, package managers and
/// downloads (`ca.pem~`, `ca.crt.dpkg-new`, `ca.pem.tmp`), and hidden entries such as the `..data` of Kubernetes. The
/// filters therefore accept only these names, in upper or lower case:
///
/// - the extensions of RFC 2585 (`.cer`, `.crl`) and the common one for certificates (`.crt`);
/// - the extensions that name only the encoding (`.pem`, `.der`), for certificates and revocation lists alike;
/// - the names by which OpenSSL finds files (`c_rehash`): eight hexadecimal digits and `.0`, for revocation lists
///   `.r0`.
///
/// OpenSSL finds a file in a directory only by its hash name. Here the other names suffice. A file in the directory is
/// meant to be used, and a revocation list whose hash link was forgotten would be ignored without notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FileFilter {
    Certificates,
    Crls,
}

impl FileFilter {
    /// Returns whether files of this name are read.
    pub(crate) fn accepts(self, name: &OsStr) -> bool {
        if name.as_encoded_bytes().starts_with(b".") {
            return false;
        }
        let extensions = match self {
            Self::Certificates => ["pem", "der", "crt", "cer"].as_slice(),
            Self::Crls => ["pem", "der", "crl"].as_slice(),
        };
        let extension = Path::new(name).extension().unwrap_or_default();
        extensions.iter().any(|known| extension.eq_ignore_ascii_case(known))
            || self.accepts_hash_name(name)
    }

    /// Returns whether OpenSSL finds a file by this name, such as `0123abcd.0`.
    fn accepts_hash_name(self, name: &OsStr) -> bool {
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

/// Returns the names in `directory` that `filter` accepts, sorted.
///
/// Names by which OpenSSL finds files (`0123abcd.0`) are last. Most of them are links to another entry of the
/// directory. Of several names for one file the first is used, and messages should show the other entry's name.
pub(super) fn list(directory: &Path, filter: FileFilter) -> Result<Vec<OsString>, Cause> {
    let mut entries = touching(directory, || fs::read_dir(directory))?;
    let names = names_in(&mut entries, directory, filter);
    // On a network file system, close(2) may wait for the server.
    closing(directory, || drop(entries));
    let mut names = names?;
    names.sort_by_cached_key(|name| (filter.accepts_hash_name(name), name.clone()));
    Ok(names)
}

fn names_in(
    entries: &mut fs::ReadDir,
    directory: &Path,
    filter: FileFilter,
) -> Result<Vec<OsString>, Cause> {
    let mut names = Vec::new();
    let mut count = 0;
    while let Some(entry) = touching(directory, || entries.next().transpose())? {
        count += 1;
        if count > MAX_ENTRIES {
            return Err(Cause::TooManyFiles { limit: MAX_ENTRIES });
        }
        let name = entry.file_name();
        if filter.accepts(&name) {
            if names.len() >= MAX_FILES_IN_DIRECTORY {
                return Err(Cause::TooManyFiles { limit: MAX_FILES_IN_DIRECTORY });
            }
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted<'a>(filter: FileFilter, names: &[&'a str]) -> Vec<&'a str> {
        names.iter().copied().filter(|name| filter.accepts(name.as_ref())).collect()
    }

    #[test]
    fn filter_accepts_names_of_certificates_or_lists_only() {
        let certificates = ["ca.pem", "ca.crt", "CA.CER", "x.Der", "0123abcd.0", "0123ABCD.12"];
        let lists = ["ca.pem", "ca.CRL", "x.der", "0123abcd.r0", "0123abcd.r10"];
        assert_eq!(accepted(FileFilter::Certificates, &certificates), certificates);
        assert_eq!(accepted(FileFilter::Crls, &lists), lists);
        assert_eq!(accepted(FileFilter::Certificates, &lists), ["ca.pem", "x.der"]);
        assert_eq!(accepted(FileFilter::Crls, &certificates), ["ca.pem", "x.Der"]);
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
        assert_eq!(accepted(FileFilter::Certificates, &others), [""; 0]);
        assert_eq!(accepted(FileFilter::Crls, &others), [""; 0]);
    }

    #[test]
    fn list_sorts_names_and_puts_hash_names_last() {
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
    fn g17_directory_with_too_many_entries_is_refused() {
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
