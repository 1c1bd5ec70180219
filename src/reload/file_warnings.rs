//! Warnings about the files of a unit, as opposed to their content: they begin and end without a new generation.

use std::path::PathBuf;
use std::time::Duration;

use super::configured_files::ConfiguredFiles;
use crate::files::{BlindReason, BlindSpot, FileBytes, SnapshotFile};
use crate::options::{Options, WatchMode};
use crate::pki::{Warning, WarningKind, Warnings};

/// A warning about one file, or about one directory of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileWarning {
    pub(crate) path: PathBuf,
    pub(crate) warning: Warning,
}

/// The warnings about the files of a unit.
#[derive(Default)]
pub(super) struct FileWarnings {
    /// Those that the latest read found.
    current: Vec<FileWarning>,
    /// Those of them that an event has reported.
    reported: Vec<FileWarning>,
}

impl FileWarnings {
    /// Replaces the warnings by those that a read found. If it found out nothing, they stay.
    pub(super) fn set(&mut self, found: Option<Vec<FileWarning>>) {
        if let Some(found) = found {
            self.current = found;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Warning> + Clone {
        self.current.iter().map(|about| &about.warning)
    }

    pub(super) fn kinds(&self) -> Warnings {
        self.iter().collect()
    }

    /// Records that a RELOADED event reports all of them.
    pub(super) fn report_all(&mut self) {
        self.reported.clone_from(&self.current);
    }

    /// Returns the warnings that need a separate event, once each. That a secret can be read needs none, because it
    /// changes nothing about renewals: the status shows it.
    pub(super) fn take_unreported(&mut self) -> Vec<FileWarning> {
        let needs_event = |about: &&FileWarning| about.warning.kind != WarningKind::KeyReadable;
        let unreported = self.current.iter().filter(|about| !self.reported.contains(about));
        let unreported = unreported.filter(needs_event).cloned().collect();
        self.report_all();
        unreported
    }
}

/// Returns the warnings about the files of a unit that were `read`, with these `blind_spots`.
pub(super) fn file_warnings(
    files: &ConfiguredFiles,
    read: &[SnapshotFile],
    blind_spots: Vec<BlindSpot>,
    options: &Options,
) -> Vec<FileWarning> {
    let mut warnings = exposed_secrets(files, read);
    let blind = |BlindSpot { path, reason }: BlindSpot| {
        let (kind, what) = match reason {
            BlindReason::Opaque => (WarningKind::PolledPath, opaque(options)),
            BlindReason::DeletedBelowMount => (WarningKind::FileDeleted, DELETED.to_owned()),
        };
        let warning = Warning::new(kind, format!("{}: {what}", path.display()));
        FileWarning { path, warning }
    };
    warnings.extend(blind_spots.into_iter().map(blind));
    // A chain and its key may share one file.
    warnings.dedup();
    warnings
}

const DELETED: &str = "was replaced or deleted where it is mounted from, and this mount still shows the old file; \
                       the old file is served, and renewals are not seen; mount its directory in place of the file";

fn opaque(options: &Options) -> String {
    let how = match options.watch {
        WatchMode::Auto | WatchMode::Poll => {
            format!("by polling alone, every {}", in_words(options.poll_interval))
        }
        WatchMode::Off => "by reload requests alone".to_owned(),
    };
    format!("leads through /proc to a file that has no path here, so changes are found {how}")
}

fn in_words(interval: Duration) -> String {
    match interval.as_millis() {
        milliseconds if milliseconds % 1000 == 0 => format!("{} s", milliseconds / 1000),
        milliseconds => format!("{milliseconds} ms"),
    }
}

/// Returns a warning for each secret that every user may read.
fn exposed_secrets(files: &ConfiguredFiles, read: &[SnapshotFile]) -> Vec<FileWarning> {
    let is_exposed = |file: &&SnapshotFile| {
        files.is_secret(&file.path)
            && file.read.as_ref().is_ok_and(FileBytes::is_readable_by_others)
    };
    let warning = |file: &SnapshotFile| {
        let text = format!("every user may read {}", file.path.display());
        let warning = Warning::new(WarningKind::KeyReadable, text);
        FileWarning { path: file.path.clone(), warning }
    };
    read.iter().filter(is_exposed).map(warning).collect()
}
