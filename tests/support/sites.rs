//! A directory with a pair in it, and somebody who renews it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::certificates::Pair;
use super::file_writers;
use super::shapes::{Part, Place, Shape};
use super::tree_writers;
use super::writers::{Kind, Writer};

/// Where a writer puts its pairs, and by which paths a host finds them.
pub struct Site {
    pub root: tempfile::TempDir,
    writer: Writer,
    places: Vec<Place>,
    chain: PathBuf,
    key: PathBuf,
    renewals: u32,
}

impl Site {
    pub fn new(writer: Writer, first: &Pair) -> Self {
        Self::shaped(writer, Shape::Plain, first)
    }

    pub fn plain(first: &Pair) -> Self {
        Self::new(Writer::Rename, first)
    }

    pub fn shaped(writer: Writer, shape: Shape, first: &Pair) -> Self {
        let root = shape.root();
        let places = shape.places(root.path());
        let told = |part: Part| {
            let place = places.iter().find(|place| place.parts.contains(&part))?;
            let real = tree_writers::path(writer, &place.directory, part.name());
            Some(shape.told(root.path(), place, &real))
        };
        let both = told(Part::Both);
        let chain = both.clone().or_else(|| told(Part::Chain)).unwrap();
        let key = both.or_else(|| told(Part::Key)).unwrap();
        let mut site = Self { root, writer, places, chain, key, renewals: 0 };
        site.begin(first);
        site
    }

    /// A site in a place that the caller made, and that the host is told as `told`; nothing is
    /// written yet.
    pub fn in_places(
        root: tempfile::TempDir,
        writer: Writer,
        places: Vec<Place>,
        told: &Path,
    ) -> Self {
        let path = |part: Part| tree_writers::path(writer, told, part.name());
        let (chain, key) = (path(Part::Chain), path(Part::Key));
        Self { root, writer, places, chain, key, renewals: 1 }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// The path of the chain, as the host is told.
    pub fn chain(&self) -> PathBuf {
        self.chain.clone()
    }

    /// The path of the key, as the host is told.
    pub fn key(&self) -> PathBuf {
        self.key.clone()
    }

    /// Puts `pair` in the place of what is there, in this site's way.
    pub fn renew(&mut self, pair: &Pair) {
        self.renew_as(self.writer, pair);
    }

    /// The same in the way of another writer, which must be one that writes files.
    pub fn renew_as(&mut self, writer: Writer, pair: &Pair) {
        self.renewals += 1;
        let number = self.renewals;
        match writer.kind() {
            Kind::Files => {
                for (path, text) in self.files(pair, writer.key_first()) {
                    file_writers::write(writer, &path, &text, number);
                }
            }
            Kind::Tree => {
                for place in &self.places {
                    tree_writers::write(writer, place, pair, number);
                }
            }
        }
    }

    /// Lays out what the writer needs, with `first` in it.
    pub fn begin(&mut self, first: &Pair) {
        self.renewals = 1;
        Self::begin_in(self.writer, &self.places, first);
    }

    pub fn begin_in(writer: Writer, places: &[Place], first: &Pair) {
        for place in places {
            if writer.kind() == Kind::Tree {
                tree_writers::begin(writer, place);
                tree_writers::write(writer, place, first, 1);
                continue;
            }
            for part in &place.parts {
                let text = file_writers::padded(writer, &part.of(first));
                write_private(&place.directory.join(part.name()), &text);
            }
        }
    }

    fn files(&self, pair: &Pair, key_first: bool) -> Vec<(PathBuf, String)> {
        let file = |place: &Place, part: Part| (place.directory.join(part.name()), part.of(pair));
        let mut files: Vec<_> = self
            .places
            .iter()
            .flat_map(|place| place.parts.iter().map(move |part| file(place, *part)))
            .collect();
        if key_first {
            files.reverse();
        }
        files
    }
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Writes a temporary file and renames it to `path`.
pub fn replace(path: &Path, text: &str) {
    let temporary = path.with_extension("new");
    write_private(&temporary, text);
    fs::rename(&temporary, path).unwrap();
}
