//! What can be done to the files of one identity, whatever state they are in.
//!
//! The host is told `ROOT/upper/lower/chain.pem` and `key.pem`. Everything on the way is a directory
//! or a link by turns.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::certificates::{Authority, Pair, in_the_future, in_the_past};
use crate::support::certificates::{Writer, replace, write_private};
use crate::support::file_writers::{self, exchange, relink};
use crate::support::writers::Kind;

const CHAIN: &str = "chain.pem";
const KEY: &str = "key.pem";

/// How a directory on the way is replaced.
#[derive(Clone, Copy, Debug)]
pub enum Move {
    Swap,
    Exchange,
    DeleteAndMake,
    Link,
}

/// How a whole pair is written.
#[derive(Clone, Copy, Debug)]
pub enum Good {
    /// File by file.
    Files(Writer),
    /// Both files become links to files elsewhere, as certbot's are.
    Links,
    /// Both files become links through `..data`, as kubelet's are.
    Volume,
    /// The directory of the files.
    Lower(Move),
    /// The directory above that.
    Upper(Move),
}

impl Good {
    pub fn all() -> Vec<Self> {
        let moves = [Move::Swap, Move::Exchange, Move::DeleteAndMake, Move::Link];
        let files = Writer::ALL.into_iter().filter(|writer| writer.kind() == Kind::Files);
        let mut all: Vec<_> = files.map(Self::Files).collect();
        all.extend(moves.map(Self::Lower));
        all.extend(moves.map(Self::Upper));
        // As often as all the others of their kind: they are what the field has most of.
        all.extend([Self::Links, Self::Volume, Self::Volume, Self::Links]);
        all
    }
}

/// What leaves no pair that could be served.
#[derive(Clone, Copy, Debug)]
pub enum Bad {
    GarbageInPlace,
    GarbageRenamed,
    Empty,
    HalfAChain,
    HalfAKey,
    ForeignKey,
    ForeignChain,
    Der,
    TwoKeys,
    Expired,
    NotYetValid,
    TooLarge,
    ChainGone,
    KeyGone,
    LowerGone,
    UpperGone,
    Directory,
    Fifo,
    DanglingLink,
    Loop,
}

impl Bad {
    pub const ALL: [Self; 20] = [
        Self::GarbageInPlace,
        Self::GarbageRenamed,
        Self::Empty,
        Self::HalfAChain,
        Self::HalfAKey,
        Self::ForeignKey,
        Self::ForeignChain,
        Self::Der,
        Self::TwoKeys,
        Self::Expired,
        Self::NotYetValid,
        Self::TooLarge,
        Self::ChainGone,
        Self::KeyGone,
        Self::LowerGone,
        Self::UpperGone,
        Self::Directory,
        Self::Fifo,
        Self::DanglingLink,
        Self::Loop,
    ];
}

/// The files of one identity.
pub struct Ground {
    root: tempfile::TempDir,
    number: u32,
}

impl Ground {
    pub fn new(first: &Pair) -> Self {
        let ground = Self { root: tempfile::tempdir().unwrap(), number: 0 };
        fs::create_dir(ground.root.path().join("store")).unwrap();
        fill(&ground.lower(), first);
        ground
    }

    pub fn chain(&self) -> PathBuf {
        self.lower().join(CHAIN)
    }

    pub fn key(&self) -> PathBuf {
        self.lower().join(KEY)
    }

    fn upper(&self) -> PathBuf {
        self.root.path().join("upper")
    }

    fn lower(&self) -> PathBuf {
        self.upper().join("lower")
    }

    fn aside(&self, what: &str) -> PathBuf {
        self.root.path().join("store").join(format!("{what}{}", self.number))
    }

    /// Writes `pair` in that way, or, where the way needs what is not there, file by file.
    pub fn write(&mut self, way: Good, pair: &Pair) {
        self.number += 1;
        self.tidy();
        if !self.lower().is_dir() {
            remove(&self.lower());
            remove_unless_directory(&self.upper());
            fs::create_dir_all(self.lower()).unwrap();
        }
        match way {
            Good::Files(writer) => self.write_files(writer, pair),
            Good::Links => {
                let aside = self.aside("live");
                fill(&aside, pair);
                for name in [CHAIN, KEY] {
                    remove_if_directory(&self.lower().join(name));
                    relink(&aside.join(name), &self.lower().join(name));
                }
            }
            Good::Volume => self.write_volume(pair),
            Good::Lower(how) => self.replace_directory(how, &self.lower(), "", pair),
            Good::Upper(how) => self.replace_directory(how, &self.upper(), "lower", pair),
        }
    }

    fn write_files(&self, writer: Writer, pair: &Pair) {
        let mut files = [(self.chain(), &pair.chain), (self.key(), &pair.key)];
        if writer.key_first() {
            files.reverse();
        }
        for (path, text) in files {
            if path.is_file() {
                file_writers::write(writer, &path, text, self.number);
            } else {
                remove_if_directory(&path);
                replace(&path, text);
            }
        }
    }

    fn write_volume(&self, pair: &Pair) {
        let lower = self.lower();
        let fresh = format!("..{}", self.number);
        fill(&lower.join(&fresh), pair);
        let before = fs::read_link(lower.join("..data"));
        relink(fresh.as_ref(), &lower.join("..data"));
        for name in [CHAIN, KEY] {
            let target = Path::new("..data").join(name);
            if fs::read_link(lower.join(name)).ok().as_ref() != Some(&target) {
                remove_if_directory(&lower.join(name));
                relink(&target, &lower.join(name));
            }
        }
        if let Ok(before) = before {
            remove(&lower.join(before));
        }
    }

    fn replace_directory(&self, how: Move, directory: &Path, below: &str, pair: &Pair) {
        let (fresh, old) = (self.aside("fresh"), self.aside("old"));
        match how {
            Move::DeleteAndMake => {
                remove(directory);
                // A writer's pace, and not a wait for anything.
                thread::sleep(Duration::from_millis(3));
                fill(&directory.join(below), pair);
            }
            Move::Swap => {
                fill(&fresh.join(below), pair);
                fs::rename(directory, &old).unwrap();
                fs::rename(&fresh, directory).unwrap();
            }
            Move::Exchange => {
                fill(&fresh.join(below), pair);
                exchange(&fresh, directory);
            }
            Move::Link => {
                fill(&fresh.join(below), pair);
                if !directory.is_symlink() {
                    fs::rename(directory, &old).unwrap();
                }
                relink(&fresh, directory);
            }
        }
    }

    /// Removes what nothing can lead to any more: what was put aside long ago.
    fn tidy(&self) {
        if !self.number.is_multiple_of(50) {
            return;
        }
        let store = self.root.path().join("store");
        let used = [self.upper(), self.lower(), self.chain(), self.key()]
            .map(|path| fs::canonicalize(path).unwrap_or_default());
        for entry in fs::read_dir(&store).unwrap().flatten() {
            let path = fs::canonicalize(entry.path()).unwrap_or_else(|_| entry.path());
            if !used.iter().any(|used| used.starts_with(&path)) {
                remove(&entry.path());
            }
        }
    }

    /// Leaves a state that cannot be served.
    pub fn spoil(&mut self, how: Bad, current: &Pair, authority: &Authority, name: &str) {
        self.number += 1;
        let fresh = || authority.issue(&[name]);
        if self.lower().is_dir() {
            self.spoil_files(how, current, fresh, authority, name);
        }
    }

    fn spoil_files(
        &self,
        how: Bad,
        current: &Pair,
        fresh: impl Fn() -> Pair,
        authority: &Authority,
        name: &str,
    ) {
        let (chain, key) = (self.chain(), self.key());
        let put = |path: &Path, text: &str| {
            remove_if_directory(path);
            replace(path, text);
        };
        let in_place = |path: &Path, text: &str| {
            if path.is_file() { write_private(path, text) } else { put(path, text) }
        };
        let put_pair = |pair: &Pair| {
            put(&chain, &pair.chain);
            put(&key, &pair.key);
        };
        match how {
            Bad::GarbageInPlace => in_place(&chain, "garbage"),
            Bad::GarbageRenamed => put(&key, "-----BEGIN garbage"),
            Bad::Empty => in_place(&key, ""),
            Bad::HalfAChain => in_place(&chain, &fresh().chain[..200]),
            Bad::HalfAKey => put(&key, &current.key[..60]),
            Bad::ForeignKey => in_place(&key, &fresh().key),
            Bad::ForeignChain => put(&chain, &fresh().chain),
            Bad::Der => put(&chain, "0\u{3}\u{2}"),
            Bad::TwoKeys => put(&key, &current.key.repeat(2)),
            Bad::Expired => put_pair(&authority.issue_with(&[name], in_the_past)),
            Bad::NotYetValid => put_pair(&authority.issue_with(&[name], in_the_future)),
            Bad::TooLarge => put(&chain, &"x".repeat(1 << 21)),
            Bad::ChainGone => remove(&chain),
            Bad::KeyGone => remove(&key),
            Bad::LowerGone => remove(&self.lower()),
            Bad::UpperGone => remove(&self.upper()),
            Bad::Directory => {
                remove(&chain);
                fs::create_dir(&chain).unwrap();
            }
            Bad::Fifo => {
                remove(&key);
                assert!(Command::new("mkfifo").arg(&key).status().unwrap().success());
            }
            Bad::DanglingLink => {
                remove(&chain);
                symlink("nowhere", &chain).unwrap();
            }
            Bad::Loop => {
                remove(&chain);
                symlink(CHAIN, &chain).unwrap();
            }
        }
    }
}

/// Makes `directory`, with `pair` in it.
fn fill(directory: &Path, pair: &Pair) {
    fs::create_dir_all(directory).unwrap();
    write_private(&directory.join(CHAIN), &pair.chain);
    write_private(&directory.join(KEY), &pair.key);
}

/// Removes whatever is there.
fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

fn remove_if_directory(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        fs::remove_dir_all(path).unwrap();
    }
}

fn remove_unless_directory(path: &Path) {
    if !path.is_dir() {
        remove(path);
    }
}
