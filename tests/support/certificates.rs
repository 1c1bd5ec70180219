//! Throw-away certificates, and the ways in which writers put them on disk.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

/// One certificate and its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    pub chain: String,
    pub key: String,
    /// SHA-256 of the leaf, in lower-case hexadecimal.
    pub sha256: String,
}

impl Pair {
    pub fn new(names: &[&str]) -> Self {
        Self::with(names, |_| {})
    }

    pub fn with(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
        Self {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            sha256: hexadecimal(digest.as_ref()),
        }
    }

    pub fn expired() -> Self {
        Self::with(&["expired.test"], |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    pub fn not_yet_valid() -> Self {
        Self::with(&["future.test"], |params| {
            params.not_before = date_time_ymd(2150, 1, 1);
            params.not_after = date_time_ymd(2151, 1, 1);
        })
    }
}

/// Lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A layout on disk: where the server is told to look, and how a renewal is written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Temporary files, renamed over; the key last.
    Rename,
    /// The same, the key first.
    RenameKeyFirst,
    /// Truncated and written in pieces, as `cat >` does; the chain first.
    InPlace,
    /// Removed, then created.
    Recreate,
    /// `live/` links to numbered files in `archive/`, replaced one after another.
    Certbot,
    /// One `..data` link to a new directory, renamed into place; the old directory removed.
    Kubernetes,
    /// The directory itself is renamed away, and a new one renamed to its place.
    SwapDirectory,
}

impl Writer {
    pub const ALL: [Self; 7] = [
        Self::Rename,
        Self::RenameKeyFirst,
        Self::InPlace,
        Self::Recreate,
        Self::Certbot,
        Self::Kubernetes,
        Self::SwapDirectory,
    ];
}

/// A directory with a pair in it, and somebody who renews it.
pub struct Site {
    pub root: tempfile::TempDir,
    writer: Writer,
    renewals: u32,
}

impl Site {
    pub fn new(writer: Writer, first: &Pair) -> Self {
        let mut site = Self { root: tempfile::tempdir().unwrap(), writer, renewals: 0 };
        match writer {
            Writer::Certbot => {
                fs::create_dir_all(site.path("archive/a")).unwrap();
                fs::create_dir_all(site.path("live/a")).unwrap();
            }
            Writer::Kubernetes => {
                fs::create_dir(site.path("live")).unwrap();
                symlink("..data/chain.pem", site.chain()).unwrap();
                symlink("..data/key.pem", site.key()).unwrap();
            }
            Writer::SwapDirectory => {}
            _ => fs::create_dir(site.path("live")).unwrap(),
        }
        site.renew(first);
        site
    }

    pub fn plain(first: &Pair) -> Self {
        Self::new(Writer::Rename, first)
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn live(&self) -> PathBuf {
        self.path(if self.writer == Writer::Certbot { "live/a" } else { "live" })
    }

    pub fn chain(&self) -> PathBuf {
        self.live().join("chain.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.live().join("key.pem")
    }

    /// Puts `pair` in the place of what is there, in this site's way.
    pub fn renew(&mut self, pair: &Pair) {
        self.renewals += 1;
        let number = self.renewals;
        let (chain, key) = (self.chain(), self.key());
        match self.writer {
            Writer::Rename => {
                replace(&chain, &pair.chain);
                replace(&key, &pair.key);
            }
            Writer::RenameKeyFirst => {
                replace(&key, &pair.key);
                replace(&chain, &pair.chain);
            }
            Writer::InPlace => {
                write_in_pieces(&chain, &pair.chain);
                write_in_pieces(&key, &pair.key);
            }
            Writer::Recreate => {
                for (path, text) in [(&chain, &pair.chain), (&key, &pair.key)] {
                    let _ = fs::remove_file(path);
                    write_private(path, text);
                }
            }
            Writer::Certbot => {
                for (name, text) in [("chain", &pair.chain), ("key", &pair.key)] {
                    let target = format!("archive/a/{name}{number}.pem");
                    write_private(&self.path(&target), text);
                    relink(&format!("../../{target}"), &self.live().join(format!("{name}.pem")));
                }
            }
            Writer::Kubernetes => {
                let fresh = format!("..{number}");
                fs::create_dir(self.live().join(&fresh)).unwrap();
                write_private(&self.live().join(&fresh).join("chain.pem"), &pair.chain);
                write_private(&self.live().join(&fresh).join("key.pem"), &pair.key);
                relink(&fresh, &self.live().join("..data"));
                let _ = fs::remove_dir_all(self.live().join(format!("..{}", number - 1)));
            }
            Writer::SwapDirectory => {
                let fresh = self.path("fresh");
                fs::create_dir(&fresh).unwrap();
                write_private(&fresh.join("chain.pem"), &pair.chain);
                write_private(&fresh.join("key.pem"), &pair.key);
                let _ = fs::rename(self.live(), self.path(&format!("old{number}")));
                fs::rename(&fresh, self.live()).unwrap();
            }
        }
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

fn write_in_pieces(path: &Path, text: &str) {
    write_private(path, "");
    let mut file = File::options().write(true).open(path).unwrap();
    for piece in text.as_bytes().chunks(100) {
        file.write_all(piece).unwrap();
    }
}

fn relink(target: &str, link: &Path) {
    let temporary = link.with_file_name("new-link");
    symlink(target, &temporary).unwrap();
    fs::rename(&temporary, link).unwrap();
}
