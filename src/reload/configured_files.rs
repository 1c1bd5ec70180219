//! The files of a unit: where its bytes come from, by kind of unit.

use std::path::{Path, PathBuf};

use crate::files::{FileFilter, SourcePath};
use crate::options::{IdentityFiles, Options, TrustOptions};
use crate::tls::{AbsentUnit, UnitContent};

/// The files of one unit.
#[derive(Debug)]
pub(super) enum ConfiguredFiles {
    Identity(IdentityFiles),
    Trust(TrustFiles),
    TicketKeys(PathBuf),
}

/// The files of a trust store, and the options that apply when they are parsed.
#[derive(Debug)]
pub(super) struct TrustFiles {
    pub(super) options: TrustOptions,
    /// The sources in the order of [`Purpose`].
    pub(super) sources: Vec<(Purpose, SourcePath)>,
}

/// The purpose of a trust store's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    ClientRoots,
    ServerRoots,
    Crls,
}

impl ConfiguredFiles {
    /// Returns the files of every unit in `options`: identities, trust store, ticket keys.
    pub(super) fn of_units(options: &Options) -> Vec<Self> {
        let mut units: Vec<_> = options.identities.iter().cloned().map(Self::Identity).collect();
        if options.trust.is_some() {
            units.push(Self::Trust(TrustFiles::new(&options.trust)));
        }
        units.extend(options.ticket_keys.clone().map(Self::TicketKeys));
        units
    }

    /// Returns the path that names the unit in messages and events.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Identity(files) => &files.chain,
            Self::Trust(files) => {
                files.sources.first().map_or(Path::new(""), |(_, source)| &source.path)
            }
            Self::TicketKeys(path) => path,
        }
    }

    /// Returns the content of the unit while nothing has been loaded.
    pub(super) fn absent(&self) -> UnitContent {
        UnitContent::Absent(match self {
            Self::Identity(files) => AbsentUnit::Identity(files.role),
            Self::Trust(_) => AbsentUnit::Trust,
            Self::TicketKeys(_) => AbsentUnit::TicketKeys,
        })
    }

    /// Returns the sources to read. An identity has exactly one file per source, in the order of
    /// [`IdentityFiles::paths`].
    pub(super) fn sources(&self) -> Vec<SourcePath> {
        match self {
            Self::Identity(files) => files.paths().map(SourcePath::file).collect(),
            Self::Trust(files) => files.sources.iter().map(|(_, source)| source.clone()).collect(),
            Self::TicketKeys(path) => vec![SourcePath::file(path)],
        }
    }

    /// Returns whether any file is a secret, so that no forked child may get a copy of what is read (G18).
    pub(super) fn hold_secrets(&self) -> bool {
        !matches!(self, Self::Trust(_))
    }

    /// Returns whether the file at `path`, one of the unit's, is a secret: a key or the password of one.
    pub(super) fn is_secret(&self, path: &Path) -> bool {
        match self {
            Self::Identity(files) => {
                files.key == path || files.password_file().is_some_and(|password| password == path)
            }
            Self::Trust(_) => false,
            Self::TicketKeys(_) => true,
        }
    }

    pub(super) fn as_identity(&self) -> Option<&IdentityFiles> {
        if let Self::Identity(files) = self { Some(files) } else { None }
    }
}

impl TrustFiles {
    fn new(options: &TrustOptions) -> Self {
        let roots = [
            (Purpose::ClientRoots, &options.client_roots),
            (Purpose::ServerRoots, &options.server_roots),
        ];
        let roots = roots.into_iter().filter_map(|(purpose, path)| Some((purpose, path.as_ref()?)));
        let crls = options.crls.iter().map(|path| (Purpose::Crls, path));
        let source = |(purpose, path): (Purpose, &PathBuf)| {
            let filter = match purpose {
                Purpose::ClientRoots | Purpose::ServerRoots => FileFilter::Certificates,
                Purpose::Crls => FileFilter::Crls,
            };
            (purpose, SourcePath::file_or_directory(path, filter))
        };
        Self { options: options.clone(), sources: roots.chain(crls).map(source).collect() }
    }
}
