//! Everybody who writes certificates, by what they do to the file system.

/// How a renewal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Temporary files, renamed over; the key last.
    Rename,
    /// The same, the key first.
    RenameKeyFirst,
    /// Hidden temporary files with a random ending, as rsync makes them, renamed over.
    Rsync,
    /// Truncated and written in pieces; the chain first.
    InPlace,
    /// The same, the key first.
    InPlaceKeyFirst,
    /// `cat new > file` in a shell, as acme.sh does.
    Cat,
    /// Each file written in place at once, the chain first, as lego does.
    Lego,
    /// Truncated, the first certificate of a chain written, and the rest a while later.
    Slow,
    /// Overwritten from the start without truncating, and cut at the end, as scp does.
    Overwrite,
    /// Made sparse at its full length, and filled from the back.
    Sparse,
    /// Through a shared mapping.
    Mapped,
    /// In place, with the same length, and the old modification time put back, as `cp -p` may.
    SameSizeAndTime,
    /// Renamed over, with the same length and the old modification time.
    RenameSameSizeAndTime,
    /// Removed, then created, as tar does.
    Recreate,
    /// Moved away, created, the old one removed, as editors do.
    Editor,
    /// Exchanged with the new file in one step.
    ExchangeFiles,
    /// Removed, and a hard link to a file elsewhere put in its place.
    HardLink,
    /// A regular file and a link to one, by turns.
    FileOrLink,
    /// `live/` links to numbered files in `archive/`, four of them replaced one after another.
    Certbot,
    /// One `..data` link to a new directory, renamed into place; the old directory removed.
    Kubernetes,
    /// A link to a link to a file; each renewal replaces another of the three.
    ChainOfLinks,
    /// A directory link, two levels above the files, removed and made anew: not atomic.
    CurrentLink,
    /// The directory is renamed away, and a new one renamed to its place.
    SwapDirectory,
    /// The directory is exchanged with a new one in one step.
    ExchangeDirectories,
    /// The directory is deleted, and made anew a while later.
    DeleteDirectory,
    /// A directory two levels above the files is renamed away, and another put in its place.
    AncestorSwapped,
    /// A directory two levels above the files is exchanged with another in one step.
    AncestorExchanged,
    /// A directory two levels above the files is deleted, and made anew level by level.
    AncestorVanishes,
}

/// What a writer works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Files, one after another.
    Files,
    /// Directories and links: it lays out its place by itself.
    Tree,
}

impl Writer {
    pub const ALL: [Self; 28] = [
        Self::Rename,
        Self::RenameKeyFirst,
        Self::Rsync,
        Self::InPlace,
        Self::InPlaceKeyFirst,
        Self::Cat,
        Self::Lego,
        Self::Slow,
        Self::Overwrite,
        Self::Sparse,
        Self::Mapped,
        Self::SameSizeAndTime,
        Self::RenameSameSizeAndTime,
        Self::Recreate,
        Self::Editor,
        Self::ExchangeFiles,
        Self::HardLink,
        Self::FileOrLink,
        Self::Certbot,
        Self::Kubernetes,
        Self::ChainOfLinks,
        Self::CurrentLink,
        Self::SwapDirectory,
        Self::ExchangeDirectories,
        Self::DeleteDirectory,
        Self::AncestorSwapped,
        Self::AncestorExchanged,
        Self::AncestorVanishes,
    ];

    pub fn kind(self) -> Kind {
        match self {
            Self::Certbot
            | Self::Kubernetes
            | Self::ChainOfLinks
            | Self::CurrentLink
            | Self::SwapDirectory
            | Self::ExchangeDirectories
            | Self::DeleteDirectory
            | Self::AncestorSwapped
            | Self::AncestorExchanged
            | Self::AncestorVanishes => Kind::Tree,
            _ => Kind::Files,
        }
    }

    pub fn key_first(self) -> bool {
        matches!(self, Self::RenameKeyFirst | Self::InPlaceKeyFirst)
    }

    /// Whether the file that is being read can be one that is half-written: then a chain may end
    /// early at a certificate's end, and only the kernel's notifications or a second look tell that it
    /// is not all.
    pub fn shows_halves(self) -> bool {
        matches!(
            self,
            Self::InPlace
                | Self::InPlaceKeyFirst
                | Self::Cat
                | Self::Lego
                | Self::Slow
                | Self::Overwrite
                | Self::Sparse
                | Self::Mapped
                | Self::SameSizeAndTime
                | Self::Recreate
                | Self::Editor
                | Self::DeleteDirectory
                | Self::AncestorVanishes
        )
    }
}
