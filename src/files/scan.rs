//! What lies at some places, links and directories followed, before any of it is opened.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::directory::{SourcePath, list};
use super::file::FileStamp;
use super::resolve::{Lookup, LookupKind, PathResolver};
use crate::error::{Cause, Error};

/// Two of them are equal where nothing was moved in between, as far as the directories can tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    sites: Vec<Site>,
}

/// One place.
#[derive(Debug, PartialEq, Eq)]
struct Site {
    trail: Vec<Lookup>,
    spots: Vec<ScannedFile>,
    /// Of a directory, as it was before it was listed. Another in its place may have the same names; and
    /// one that is changed meanwhile may hide a file from who lists it, if only a renamed one.
    directory: Option<FileStamp>,
    /// Why a directory cannot be listed.
    trouble: Option<Error>,
}

/// One name: that of a place, or an entry of a place that is a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScannedFile {
    pub(super) place: usize,
    pub(super) path: PathBuf,
    pub(super) is_in_directory: bool,
    /// Where it leads: a path free of links.
    pub(super) target: PathBuf,
    /// Of an entry, besides that of the place.
    trail: Vec<Lookup>,
    is_read: bool,
}

impl Scan {
    pub(super) fn of(places: &[SourcePath], way: &mut PathResolver) -> Self {
        let site = |(index, place)| Site::of(index, place, way);
        Self { sites: places.iter().enumerate().map(site).collect() }
    }

    /// Why a place cannot be listed.
    pub(super) fn trouble(&self) -> Option<&Error> {
        self.sites.iter().find_map(|site| site.trouble.as_ref())
    }

    /// What is to be read, in the order of places and names.
    pub(super) fn spots(&self) -> impl Iterator<Item = &ScannedFile> {
        self.sites.iter().flat_map(|site| &site.spots).filter(|spot| spot.is_read)
    }

    /// The way to each name, whether it is read or not.
    pub(super) fn trails(&self) -> impl Iterator<Item = &Vec<Lookup>> {
        self.sites.iter().flat_map(Site::trails)
    }

    /// The same in one, and nothing twice.
    pub(super) fn lookups(&self) -> Vec<Lookup> {
        let mut seen = HashSet::new();
        self.trails().flatten().filter(|lookup| seen.insert(*lookup)).cloned().collect()
    }

    /// The first place where the `other` found something else.
    pub(super) fn differs_at(&self, other: &Self) -> Option<usize> {
        (0..self.sites.len()).find(|&place| other.sites.get(place) != self.sites.get(place))
    }
}

impl Site {
    fn of(index: usize, place: &SourcePath, way: &mut PathResolver) -> Self {
        let (mut trail, target) = way.follow(&place.path);
        let metadata = fs::metadata(&target).ok().filter(fs::Metadata::is_dir);
        let Some(metadata) = metadata else {
            let spot = ScannedFile {
                place: index,
                path: place.path.clone(),
                is_in_directory: false,
                target,
                trail: Vec::new(),
                is_read: true,
            };
            return Self { trail, spots: vec![spot], directory: None, trouble: None };
        };
        let directory = Some(FileStamp::of(&metadata));
        let kind = LookupKind::Listing(place.takes);
        match trail.last_mut() {
            Some(last) => last.kind = kind,
            None => trail.push(Lookup { directory: target.clone(), name: "".into(), kind }),
        }
        match list(&target, place.takes) {
            Ok(names) => {
                let mut seen = HashSet::new();
                let mut spot = |name| {
                    let mut spot = ScannedFile::of_entry(
                        index,
                        place.path.join(&name),
                        &target.join(&name),
                        way,
                    );
                    // A directory that was hashed holds each file by two names at least.
                    spot.is_read = spot.is_read && seen.insert(spot.target.clone());
                    spot
                };
                let spots = names.into_iter().map(&mut spot).collect();
                Self { trail, spots, directory, trouble: None }
            }
            Err(cause) => {
                let trouble = Some(Error::at(&place.path, cause));
                Self { trail, spots: Vec::new(), directory, trouble }
            }
        }
    }

    fn trails(&self) -> impl Iterator<Item = &Vec<Lookup>> {
        std::iter::once(&self.trail).chain(self.spots.iter().map(|spot| &spot.trail))
    }
}

impl ScannedFile {
    fn of_entry(place: usize, path: PathBuf, entry: &Path, way: &mut PathResolver) -> Self {
        let (trail, target) = way.follow(entry);
        let is_read = counts(&target);
        Self { place, path, is_in_directory: true, target, trail, is_read }
    }

    /// Whether reading it came to `cause` because it went, or became something else, meanwhile.
    pub(super) fn has_gone(&self, cause: &Cause) -> bool {
        self.is_in_directory && matches!(cause, Cause::NotFound | Cause::NotRegular(_))
    }
}

/// Whether what is at `target` is a file. Of a directory's entries only those count: a link that leads
/// nowhere is as a file that was removed.
fn counts(target: &Path) -> bool {
    match fs::metadata(target) {
        Ok(metadata) => metadata.is_file(),
        Err(error) => {
            let leads_nowhere =
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
                    || error.raw_os_error() == Some(libc::ELOOP);
            !leads_nowhere
        }
    }
}
