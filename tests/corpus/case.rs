//! The cases of the corpus: pairs of files, each with a name; and what a judge makes of one.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::support::certificates::write_private;

/// A chain file and a key file, as a server is configured with them.
pub struct Case {
    pub name: String,
    pub chain: PathBuf,
    pub key: PathBuf,
    pub password: Option<&'static str>,
}

/// Cases by their names, and the directory of their files.
pub struct Cases {
    directory: PathBuf,
    pub all: Vec<Case>,
}

impl Cases {
    pub fn new(directory: &Path) -> Self {
        let directory = directory.join("cases");
        fs::create_dir(&directory).unwrap();
        Self { directory, all: Vec::new() }
    }

    pub fn add(&mut self, name: &str, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> &mut Case {
        let number = self.all.len();
        let path = |what: &str| self.directory.join(format!("{number}.{what}"));
        let case =
            Case { name: name.to_owned(), chain: path("chain"), key: path("key"), password: None };
        assert!(self.all.iter().all(|other| other.name != name), "two cases: {name}");
        write_bytes(&case.chain, chain.as_ref());
        write_bytes(&case.key, key.as_ref());
        self.all.push(case);
        self.all.last_mut().unwrap()
    }

    /// A case whose chain and key are one file.
    pub fn add_one_file(&mut self, name: &str, text: impl AsRef<[u8]>) {
        let case = self.add(name, text, "");
        case.key = case.chain.clone();
    }
}

/// Writes a file that only its owner may read.
pub fn write_bytes(path: &Path, bytes: &[u8]) {
    write_private(path, "");
    fs::write(path, bytes).unwrap();
}

/// What a judge does with a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Loads it, and a client completes a handshake with it. For roots and CRLs: and the right peers are accepted.
    Served,
    /// Loads it, and no client completes a handshake. For CRLs: and revoked peers are accepted.
    Loaded,
    Refused,
}

impl Verdict {
    fn letter(self) -> char {
        match self {
            Self::Served => 'S',
            Self::Loaded => 'L',
            Self::Refused => 'R',
        }
    }
}

/// The verdict of one judge, and its grounds.
#[derive(Clone, Debug)]
pub struct Opinion {
    pub verdict: Verdict,
    /// For a handshake: the fingerprint of the leaf that the client was shown. Otherwise: what failed.
    pub says: String,
    /// The message of certreload: of its refusal, or with its warnings.
    pub message: String,
}

impl Opinion {
    pub fn of(verdict: Verdict, says: impl Into<String>) -> Self {
        Self { verdict, says: says.into(), message: String::new() }
    }
}

/// The opinions of OpenSSL, plain rustls-ffi and certreload, in this order.
#[derive(Clone, Debug)]
pub struct Opinions(pub [Opinion; 3]);

impl Opinions {
    /// The verdicts as the table has them: a letter for each judge.
    pub fn letters(&self) -> String {
        self.0.iter().map(|opinion| opinion.verdict.letter()).collect()
    }

    pub fn agree(&self) -> bool {
        self.0.iter().all(|opinion| opinion.verdict == self.0[0].verdict)
    }
}

impl fmt::Display for Opinions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judges = ["OpenSSL", "rustls-ffi", "certreload"];
        for (judge, opinion) in judges.iter().zip(&self.0) {
            writeln!(f, "    {judge}: {:?} {} {}", opinion.verdict, opinion.says, opinion.message)?;
        }
        Ok(())
    }
}

/// Opinions by the names of the cases.
pub type Findings = BTreeMap<String, Opinions>;
