//! Lists the files of some sources, without opening any of them: follows links, lists directories, reads metadata.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::blind_spot::{BlindReason, BlindSpot, is_deleted_below_mount};
use super::destination::Destination;
use super::directory_files::{FileFilter, list};
use super::file::{FileBytes, FileStamp};
use super::path_resolver::{Lookup, LookupKind, PathResolver};
use super::read_failure;
use super::source_path::SourcePath;
use crate::error::{Cause, Error};

/// The files of some sources, with their stamps, and the lookups that led to them.
///
/// Two snapshots of the same sources are equal if links, directories and stamps show no change between them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MetadataSnapshot {
    sources: Vec<ScannedSource>,
}

/// The files of one source.
#[derive(Debug, PartialEq, Eq)]
struct ScannedSource {
    source: SourcePath,
    lookups: Vec<Lookup>,
    files: Vec<ScannedFile>,
    /// The stamp of a source that is a directory, from before it was listed. It shows two changes that the names in it
    /// do not show. Another directory with the same names may have taken its place. And an entry may have been renamed
    /// while the directory was listed, so that the list lacks it.
    directory: Option<FileStamp>,
    /// Whether only the kernel finds the directory.
    is_opaque_directory: bool,
    /// The reason why a source that is a directory cannot be listed.
    error: Option<Error>,
}

/// A source that is a file, or one entry of a source that is a directory. An entry may be something other than a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScannedFile {
    /// Index of the source.
    pub(super) source: usize,
    pub(super) path: PathBuf,
    pub(super) is_in_directory: bool,
    /// The path to which `path` leads when all symbolic links are followed, as far as that can be known.
    pub(super) target: PathBuf,
    /// Why renewals of the file may go unseen, if so.
    blind: Option<BlindReason>,
    /// The stamp, if this is a regular file.
    pub(super) stamp: Option<FileStamp>,
    /// The lookups on the way to the file, if this is an entry of a directory. Else empty, because the source has them.
    lookups: Vec<Lookup>,
    /// Whether the file is to be read. False for an entry that is not a file, or a further name of a listed file.
    is_read: bool,
}

impl MetadataSnapshot {
    pub(super) fn of(sources: &[SourcePath], resolver: &mut PathResolver) -> Self {
        let scan = |(index, source)| ScannedSource::of(index, source, resolver);
        Self { sources: sources.iter().enumerate().map(scan).collect() }
    }

    /// Returns the error of the first source that cannot be listed.
    pub(super) fn error(&self) -> Option<&Error> {
        self.sources.iter().find_map(|source| source.error.as_ref())
    }

    /// Returns the files to read, in the order of sources and names.
    pub(super) fn files(&self) -> impl Iterator<Item = &ScannedFile> {
        self.sources.iter().flat_map(|source| &source.files).filter(|file| file.is_read)
    }

    /// Returns the lookups of each source, and of each entry, whether its file is to be read or not. A change of any of
    /// them can change which files are to be read.
    pub(super) fn lookups_by_name(&self) -> impl Iterator<Item = &Vec<Lookup>> {
        self.sources.iter().flat_map(|source| {
            std::iter::once(&source.lookups).chain(source.files.iter().map(|file| &file.lookups))
        })
    }

    /// Returns all lookups, each once.
    pub(super) fn lookups(&self) -> Vec<Lookup> {
        let mut seen = HashSet::new();
        self.lookups_by_name().flatten().filter(|lookup| seen.insert(*lookup)).cloned().collect()
    }

    /// Returns the source at `index`.
    pub(super) fn source(&self, index: usize) -> &SourcePath {
        &self.sources[index].source
    }

    /// Returns the paths whose renewals may go unseen.
    pub(super) fn blind_spots(&self) -> Vec<BlindSpot> {
        let spot = |path: &Path, reason| BlindSpot { path: path.to_owned(), reason };
        let mut spots = Vec::new();
        for source in &self.sources {
            if source.is_opaque_directory {
                spots.push(spot(&source.source.path, BlindReason::Opaque));
            }
            for file in source.files.iter().filter(|file| file.is_read && file.stamp.is_some()) {
                match file.blind {
                    // The directory is reported in place of its files.
                    Some(BlindReason::Opaque) if source.is_opaque_directory => {}
                    Some(reason) => spots.push(spot(&file.path, reason)),
                    None => {}
                }
            }
        }
        spots
    }

    /// Returns whether only the kernel finds some of the files: equal lookups then mean nothing.
    pub(super) fn is_opaque(&self) -> bool {
        let mut files = self.sources.iter().flat_map(|source| &source.files);
        self.sources.iter().any(|source| source.is_opaque_directory)
            || files.any(ScannedFile::is_opaque)
    }

    /// Returns the path of the first source that differs in a `later` snapshot of the same sources.
    pub(super) fn first_change(&self, later: &Self) -> Option<&Path> {
        let mut pairs = self.sources.iter().zip(&later.sources);
        let changed = pairs.find(|(before, after)| before != after);
        changed.map(|(before, _)| before.source.path.as_path())
    }
}

impl ScannedSource {
    fn of(index: usize, source: &SourcePath, resolver: &mut PathResolver) -> Self {
        let Destination { lookups, target, metadata, is_opaque } =
            Destination::of(&source.path, resolver);
        let mut scanned = Self {
            source: source.clone(),
            lookups,
            files: Vec::new(),
            directory: None,
            is_opaque_directory: false,
            error: None,
        };
        match (source.filter, metadata) {
            (Some(filter), Ok(metadata)) if metadata.is_dir() => {
                scanned.directory = Some(FileStamp::of(&metadata));
                scanned.is_opaque_directory = is_opaque;
                if !is_opaque {
                    scanned.end_in_listing(&target, filter);
                }
                match list(&target, filter) {
                    Ok(names) => {
                        let mut seen = HashSet::new();
                        let entry = |name: OsString| {
                            let entry = Destination::of(&target.join(&name), resolver);
                            let mut file =
                                ScannedFile::of_entry(index, source.path.join(name), entry);
                            // If OpenSSL's hash links are in the directory, each file has at least two names there.
                            file.is_read = file.is_read && seen.insert(file.place());
                            file
                        };
                        scanned.files = names.into_iter().map(entry).collect();
                    }
                    Err(cause) => {
                        scanned.error = Some(read_failure::explained(&source.path, &target, cause));
                    }
                }
            }
            (_, metadata) => {
                let found = Destination { lookups: Vec::new(), target, metadata, is_opaque };
                scanned.files.push(ScannedFile::new(index, source.path.clone(), found));
            }
        }
        scanned
    }

    /// Records that the entries of the directory `target` are read, so that changes of any entry are watched.
    fn end_in_listing(&mut self, target: &Path, filter: FileFilter) {
        let kind = LookupKind::Listing(filter);
        match self.lookups.last_mut().filter(|last| last.path() == target) {
            Some(last) => last.kind = kind,
            // To resolve the path `/`, or one that ends in `..`, no name of the directory itself is looked up.
            None => self.lookups.push(Lookup {
                directory: target.parent().unwrap_or(target).to_owned(),
                name: target.file_name().unwrap_or_default().to_owned(),
                kind,
            }),
        }
    }
}

impl ScannedFile {
    /// Creates a source that is a file.
    fn new(source: usize, path: PathBuf, found: Destination) -> Self {
        let Destination { lookups, target, metadata, is_opaque } = found;
        let metadata = metadata.ok();
        let blind = match &metadata {
            _ if is_opaque => Some(BlindReason::Opaque),
            Some(metadata) if is_deleted_below_mount(&target, metadata) => {
                Some(BlindReason::DeletedBelowMount)
            }
            _ => None,
        };
        Self {
            source,
            path,
            is_in_directory: false,
            target,
            blind,
            stamp: metadata.as_ref().and_then(stamp_of_file),
            lookups,
            is_read: true,
        }
    }

    /// Inspects an entry of a directory.
    ///
    /// Only files are to be read. A link to a missing file is treated like a file that was removed, because hash links
    /// are often left behind. An entry that cannot be inspected counts as a file, so that reading it reports the error.
    fn of_entry(source: usize, path: PathBuf, entry: Destination) -> Self {
        let is_read = match &entry.metadata {
            Ok(metadata) => metadata.is_file(),
            Err(error) => !leads_nowhere(error),
        };
        Self { is_in_directory: true, is_read, ..Self::new(source, path, entry) }
    }

    /// Returns whether only the kernel finds the file, so that changes are found by reading it again.
    pub(super) fn is_opaque(&self) -> bool {
        self.blind == Some(BlindReason::Opaque)
    }

    /// Returns what distinguishes the file from others. The target of an opaque path may have links.
    fn place(&self) -> (PathBuf, Option<(u64, u64)>) {
        match &self.stamp {
            Some(stamp) if self.is_opaque() => (PathBuf::new(), Some(stamp.inode())),
            _ => (self.target.clone(), None),
        }
    }

    /// Returns whether `read`, the result of reading the file, does not fit what was found here. Then the file changed
    /// in between.
    pub(super) fn contradicts(&self, read: &Result<FileBytes, Error>) -> bool {
        match read {
            Ok(file) => Some(file.stamp) != self.stamp,
            Err(error) => match error.cause {
                Cause::Unstable => true,
                Cause::NotFound | Cause::NotRegular(_) => {
                    self.is_in_directory || self.stamp.is_some()
                }
                _ => false,
            },
        }
    }
}

fn stamp_of_file(metadata: &Metadata) -> Option<FileStamp> {
    metadata.is_file().then(|| FileStamp::of(metadata))
}

fn leads_nowhere(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(libc::ELOOP)
}
