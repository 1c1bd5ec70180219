//! A real FUSE file system whose mounts do not answer when a test says so.

#![allow(dead_code, reason = "each test program uses a part")]

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::support::certificates::{Pair, write_private};

/// The program that serves the mounts, and the directories behind them.
pub(crate) struct Fuse {
    directory: tempfile::TempDir,
    server: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Fuse {
    /// Mounts `count` directories. `None` if this system has no FUSE, which is reported past the test harness.
    pub(crate) fn mount(count: usize) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuse/hanging_fs.py"));
        for index in 0..count {
            for place in [backing(directory.path(), index), mounted(directory.path(), index)] {
                std::fs::create_dir(&place).unwrap();
                command.arg(place);
            }
        }
        let mut server =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
        let (orders, answers) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
        let mut fuse = Self { directory, server, orders, answers: BufReader::new(answers) };
        if fuse.answer() == "ready" {
            return Some(fuse);
        }
        let status = fuse.server.wait().unwrap();
        assert_eq!(status.code(), Some(77), "77: there is no FUSE here, which was printed");
        None
    }

    /// The path of a file on the mount `index`.
    pub(crate) fn path(&self, index: usize, name: &str) -> PathBuf {
        self.mounted(index).join(name)
    }

    /// The mount `index`.
    pub(crate) fn mounted(&self, index: usize) -> PathBuf {
        mounted(self.directory.path(), index)
    }

    /// Writes a pair through the mount `index`.
    pub(crate) fn put(&self, index: usize, pair: &Pair) {
        put(&self.mounted(index), pair);
    }

    /// Writes a pair into the directory behind the mount `index`, as another client of a network file system does. The
    /// kernel reports nothing of that on the mount, and it works while the mount hangs.
    pub(crate) fn put_behind(&self, index: usize, pair: &Pair) {
        put(&backing(self.directory.path(), index), pair);
    }

    /// Requests of `kind`, or of several kinds with spaces between them, get no answer from now on.
    pub(crate) fn hang(&mut self, mount: impl Display, kind: &str) {
        self.order(&format!("hang {mount} {kind}"));
    }

    /// Every request gets its answer this much later.
    pub(crate) fn slow(&mut self, mount: impl Display, milliseconds: u32) {
        self.order(&format!("slow {mount} {milliseconds}"));
    }

    /// Answers all requests that wait.
    pub(crate) fn release(&mut self, mount: impl Display) {
        self.order(&format!("release {mount}"));
    }

    /// Waits until a request to the mount `index` waits for its answer.
    pub(crate) fn wait_until_hung(&mut self, index: usize) {
        self.order(&format!("wait {index} 1"));
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
        assert_eq!(self.answer(), "ok", "{order}");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        let _ = writeln!(self.orders, "quit");
        let _ = self.server.wait();
    }
}

fn put(directory: &Path, pair: &Pair) {
    write_private(&directory.join("key.new"), &pair.key);
    write_private(&directory.join("chain.new"), &pair.chain);
    for name in ["key", "chain"] {
        let new = directory.join(format!("{name}.new"));
        std::fs::rename(new, directory.join(format!("{name}.pem"))).unwrap();
    }
}

fn backing(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("backing-{index}"))
}

fn mounted(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("mount-{index}"))
}
