//! The files of one unit, read as one: never halves of two different moments (G2).

use std::collections::BTreeSet;
use std::path::Path;

use aws_lc_rs::digest;

use super::file;
use super::file::{FileBytes, MAX_FILE_SIZE};
use super::resolve::PathResolver;
use crate::error::{Cause, Error};

/// How often a unit that moves while it is read is read again before that is told as a failure.
pub(super) const ATTEMPTS: usize = 5;

/// A digest of bytes: equal digests are equal content (G5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Digest([u8; 32]);

/// Reads every file of a unit at one moment; the results are in the order of `paths`.
///
/// A file that cannot be read is a result of its own. An error for the whole is a unit that never
/// held still.
pub(crate) fn read_consistently(paths: &[&Path]) -> Result<Vec<Result<FileBytes, Error>>, Error> {
    let mut moved = None;
    for _ in 0..ATTEMPTS {
        // Each link is followed once, so that files which are reached through one link, as those of
        // a Kubernetes volume are, come from one directory.
        let mut way = PathResolver::default();
        let places: Vec<_> = paths.iter().map(|path| way.resolve(path)).collect();
        let files: Vec<_> = places
            .iter()
            .zip(paths)
            .map(|(place, path)| {
                file::read(place, MAX_FILE_SIZE).map_err(|cause| Error::at(path, cause))
            })
            .collect();
        // When the last file has been read the first one may have been replaced already; and while one is
        // looked for, those before it, by a directory that is swapped to and fro. So there and back.
        let mut there_and_back = (0..paths.len()).chain((0..paths.len()).rev());
        moved = there_and_back.find(|&i| has_moved(paths[i], &places[i], &files[i]));
        if moved.is_none() {
            return Ok(files);
        }
    }
    Err(Error::at(paths[moved.unwrap_or(0)], Cause::Unstable))
}

fn has_moved(path: &Path, place: &Path, file: &Result<FileBytes, Error>) -> bool {
    match file {
        Ok(file) => !file.is_still_at(path),
        // The directory that a link led to may have been removed after the link was swapped.
        Err(error) => {
            error.cause == Cause::Unstable || PathResolver::default().resolve(path) != place
        }
    }
}

/// The digest of a unit's files, each with its length, so that no two units share one by a shift of
/// bytes from file to file. A file that cannot be read counts as its failure.
pub(crate) fn digest_of(files: &[Result<FileBytes, Error>]) -> Digest {
    let mut context = DigestBuilder::new();
    for file in files {
        match file {
            Ok(file) => context.add(0, &file.bytes),
            Err(error) => context.add(1, error.to_string().as_bytes()),
        }
    }
    context.finish()
}

/// What [`digest_of`] would say if these were what files hold.
pub(crate) fn digest_of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut context = DigestBuilder::new();
    parts.into_iter().for_each(|bytes| context.add(0, bytes));
    context.finish()
}

/// What [`digest_of`] would say of several sets of files together, each with its number: a set that is
/// there twice counts once, and in which order they are found is no difference.
pub(super) fn digest_of_sets(sets: &BTreeSet<(usize, Digest)>) -> Digest {
    let mut context = DigestBuilder::new();
    for (number, digest) in sets {
        context.add(0, &(*number as u64).to_be_bytes());
        context.add(0, &digest.0);
    }
    context.finish()
}

struct DigestBuilder(digest::Context);

impl DigestBuilder {
    fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    fn add(&mut self, tag: u8, bytes: &[u8]) {
        self.0.update(&[tag]);
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn finish(self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Digest(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn g2_a_pair_is_never_read_from_two_moments() {
        let dir = tempfile::tempdir().unwrap();
        let (left, right) = (dir.path().join("left"), dir.path().join("right"));
        let links = [dir.path().join("0"), dir.path().join("1")];
        for (number, link) in links.iter().enumerate() {
            fs::create_dir(link).unwrap();
            fs::write(link.join("left"), format!("{number}")).unwrap();
            fs::write(link.join("right"), format!("{number}")).unwrap();
        }
        // Both files go through one link, which is swapped all the time, as Kubernetes does.
        let current = dir.path().join("current");
        std::os::unix::fs::symlink("0", &current).unwrap();
        std::os::unix::fs::symlink("current/left", &left).unwrap();
        std::os::unix::fs::symlink("current/right", &right).unwrap();
        let stop = AtomicBool::new(false);
        let mut read = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                let next = dir.path().join("next");
                for number in (0..2).cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    std::os::unix::fs::symlink(number.to_string(), &next).unwrap();
                    fs::rename(&next, &current).unwrap();
                }
            });
            let torn = (0..5_000).any(|_| {
                // A unit that never held still is an answer too.
                let Ok(files) = read_consistently(&[&left, &right]) else { return false };
                let bytes = |i: usize| files[i].as_ref().ok().map(|file| file.bytes.to_vec());
                read += 1;
                bytes(0) != bytes(1)
            });
            stop.store(true, Ordering::Relaxed);
            assert!(!torn, "a pair of two moments");
        });
        assert!(read > 0, "the pair was never read at all");
    }

    #[test]
    fn g2_a_pair_whose_directory_is_swapped_is_never_read_from_two_moments() {
        let dir = tempfile::tempdir().unwrap();
        let places = ["current", "next"].map(|name| dir.path().join(name));
        for (number, place) in places.iter().enumerate() {
            fs::create_dir(place).unwrap();
            fs::write(place.join("left"), format!("{number}")).unwrap();
            fs::write(place.join("right"), format!("{number}")).unwrap();
        }
        let [current, next] = &places;
        let (left, right) = (current.join("left"), current.join("right"));
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let spare = dir.path().join("spare");
                while !stop.load(Ordering::Relaxed) {
                    fs::rename(current, &spare).unwrap();
                    fs::rename(next, current).unwrap();
                    fs::rename(&spare, next).unwrap();
                }
            });
            let torn = (0..5_000).any(|_| {
                let Ok(files) = read_consistently(&[&left, &right]) else { return false };
                let [Ok(left), Ok(right)] = &files[..] else { return false };
                left.bytes != right.bytes
            });
            stop.store(true, Ordering::Relaxed);
            assert!(!torn, "a pair of two moments");
        });
    }

    #[test]
    fn bytes_that_move_from_file_to_file_are_other_content() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let digest = |first: &str, second: &str| {
            fs::write(&a, first).unwrap();
            fs::write(&b, second).unwrap();
            digest_of(&read_consistently(&[&a, &b]).ok().unwrap())
        };
        assert_ne!(digest("12", "3"), digest("1", "23"));
        assert_eq!(digest("12", "3"), digest("12", "3"));
    }
}
