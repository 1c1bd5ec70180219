//! Where the bytes of a unit come from.

use std::path::{Path, PathBuf};

use crate::files::{FileFilter, Fingerprint, PathResolver, SourcePath, still_holds};
use crate::options::{IdentityFiles, Options, TrustOptions};

/// The files of one unit, by what they are to be made into.
#[derive(Debug)]
pub(super) enum UnitFiles {
    Identity(IdentityFiles),
    Trust(TrustFiles),
    TicketKeys(PathBuf),
}

/// Roots and revocation lists, and how to take them.
#[derive(Debug)]
pub(super) struct TrustFiles {
    pub(super) options: TrustOptions,
    /// In the order of [`Purpose`]; each a file or a directory.
    pub(super) places: Vec<SourcePath>,
    pub(super) purposes: Vec<Purpose>,
}

/// What a place of a trust is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    ClientRoots,
    ServerRoots,
    Crls,
}

impl UnitFiles {
    /// Those of every unit that the options ask for, in their order.
    pub(super) fn of_units(options: &Options) -> Vec<Self> {
        let mut units: Vec<_> = options.identities.iter().cloned().map(Self::Identity).collect();
        if options.trust.is_some() {
            units.push(Self::Trust(TrustFiles::new(&options.trust)));
        }
        units.extend(options.ticket_keys.clone().map(Self::TicketKeys));
        units
    }

    /// What the unit is called by.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Identity(files) => &files.chain,
            Self::Trust(files) => files.places.first().map_or(Path::new(""), |place| &place.path),
            Self::TicketKeys(path) => path,
        }
    }

    /// Whether no child that is forked may get a copy of what is read.
    pub(super) fn hold_secrets(&self) -> bool {
        !matches!(self, Self::Trust(_))
    }

    pub(super) fn as_identity(&self) -> Option<&IdentityFiles> {
        if let Self::Identity(files) = self { Some(files) } else { None }
    }

    /// Whether the files look as they did.
    pub(super) fn look_like(&self, before: &Fingerprint, way: &mut PathResolver) -> bool {
        match self {
            Self::Identity(files) => before.still_holds(&files.paths().collect::<Vec<_>>(), way),
            Self::Trust(files) => still_holds(before, &files.places, way),
            Self::TicketKeys(path) => before.still_holds(&[path], way),
        }
    }
}

impl TrustFiles {
    fn new(options: &TrustOptions) -> Self {
        let roots = [
            (&options.client_roots, Purpose::ClientRoots),
            (&options.server_roots, Purpose::ServerRoots),
        ];
        let roots = roots.into_iter().filter_map(|(path, purpose)| Some((path.as_ref()?, purpose)));
        let crls = options.crls.iter().map(|path| (path, Purpose::Crls));
        let place = |(path, purpose): (&PathBuf, Purpose)| {
            let takes =
                if purpose == Purpose::Crls { FileFilter::Crls } else { FileFilter::Certificates };
            (SourcePath { path: path.clone(), takes }, purpose)
        };
        let (places, purposes) = roots.chain(crls).map(place).unzip();
        Self { options: options.clone(), places, purposes }
    }
}
