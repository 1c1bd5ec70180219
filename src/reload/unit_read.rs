//! Reads the files of one unit, apart from the unit itself: a read may block while the unit is needed.
//!
//! A read begins with what the unit knows, runs on any thread, and ends with what it found. Parsing is left to the
//! thread that has the unit. Two reasons: the thread of a read may be lost for as long as a mount does not answer, and
//! it ends at any time, while the cryptography library needs threads that end outside of forks (G11).

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::configured_files::ConfiguredFiles;
use super::pass::PassTime;
use crate::files::{
    Digest, Fingerprint, Lookup, PathResolver, Snapshot, SourcePath, digest_of, take_snapshot,
};
use crate::options::{KeyPassword, WeakPasswordCallback};
use crate::pki::{Password, needs_password};
use crate::readers::{calling_host, is_interrupted};
use crate::sys::{Mutex, wiping_stack};
use crate::watch::Subscribed;

/// The read of one unit, before it runs.
pub(crate) struct UnitRead {
    /// The unit.
    pub(super) index: usize,
    /// Identifies the read among those of the unit.
    pub(super) number: u64,
    /// The newest waiter when the read began.
    pub(super) newest_waiter: u64,
    pub(super) time: PassTime,
    pub(super) sources: Vec<SourcePath>,
    pub(super) kind: ReadKind,
    pub(super) password: Option<PasswordQuestion>,
    /// What attempts that were interrupted may have missed.
    pub(super) missed: Cell<Missed>,
}

/// What may have happened before the watches of a read were set.
#[derive(Clone, Copy, Default)]
pub(super) struct Missed {
    /// Writes to the files may have begun.
    writes: bool,
    /// The files may have changed since they were last read.
    changes: bool,
}

pub(super) enum ReadKind {
    /// The files are read.
    Files,
    /// The files are read unless they look unchanged. `lookups` are subscribed to in that case, if an earlier attempt
    /// failed.
    UnlessUnchanged {
        fingerprint: Arc<Fingerprint>,
        /// Shared by the reads of one pass, so that each link on the way is read once.
        resolver: Arc<Mutex<PathResolver>>,
        lookups: Option<Vec<Lookup>>,
    },
    /// The files are not read: only the directories on the way are subscribed to.
    Subscription(Vec<Lookup>),
}

/// When the host is asked for the password of a key.
pub(super) struct PasswordQuestion {
    pub(super) callback: WeakPasswordCallback,
    pub(super) key: PathBuf,
    /// The content that needs no password, because it is not parsed again.
    pub(super) known: [Option<Digest>; 3],
}

/// What a read needs from its caller.
pub(crate) struct ReadCalls<'a> {
    /// Subscribes the unit to changes of the given lookups. Returns `None` if the handle watches nothing.
    pub(crate) subscribe: &'a dyn Fn(usize, &[Lookup]) -> Option<Subscribed>,
    /// Runs while a callback of the host is called, so that `close` waits for that.
    pub(crate) holding: &'a dyn Fn(&mut dyn FnMut()),
}

/// The result of a read.
pub(crate) struct FinishedRead {
    pub(crate) index: usize,
    pub(super) number: u64,
    pub(super) newest_waiter: u64,
    pub(crate) time: PassTime,
    /// Whether the kernel reports every write to the files since the unit was last read.
    pub(super) reports_writes: bool,
    pub(super) result: ReadResult,
    /// The result of subscribing to changes; `None` if that was not tried.
    pub(crate) subscribed: Option<Subscribed>,
}

pub(super) enum ReadResult {
    Files(Box<ReadFiles>),
    /// The files look as they did when they were read last.
    Unchanged,
    /// The read was for the subscription alone.
    Nothing,
    /// The read panicked, which is a defect.
    Panicked,
}

impl ReadResult {
    /// Returns whether the files were read, or should have been.
    pub(super) fn is_read(&self) -> bool {
        matches!(self, Self::Files(_) | Self::Panicked)
    }
}

/// The files of a unit as they were read.
pub(super) struct ReadFiles {
    pub(super) snapshot: Snapshot,
    /// The password that the host gave, if it was asked.
    pub(super) password: Option<Password>,
    /// When the read began.
    pub(super) at: Instant,
}

impl ReadCalls<'_> {
    /// Calls for a thread that `close` does not wait for: that of an open.
    pub(super) const OF_OPEN: Self =
        Self { subscribe: &|_, _| None, holding: &|call: &mut dyn FnMut()| call() };
}

impl UnitRead {
    /// Returns the index of the unit.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Returns the result of a read that panicked.
    pub(crate) fn panicked(&self) -> FinishedRead {
        self.finished(ReadResult::Panicked, None)
    }

    /// Reads the files, and subscribes to the directories that lead to them.
    pub(crate) fn run(&self, calls: &ReadCalls<'_>) -> FinishedRead {
        let result = match &self.kind {
            ReadKind::Files => ReadResult::Files(self.read(calls).into()),
            ReadKind::Subscription(_) => ReadResult::Nothing,
            ReadKind::UnlessUnchanged { fingerprint, resolver, .. } => {
                // Another reader may be stuck with the resolver.
                let is_unchanged = match resolver.try_lock() {
                    Some(mut resolver) => fingerprint.matches(&self.sources, &mut resolver),
                    None => fingerprint.matches(&self.sources, &mut PathResolver::default()),
                };
                if is_unchanged {
                    ReadResult::Unchanged
                } else {
                    ReadResult::Files(self.read(calls).into())
                }
            }
        };
        if is_interrupted() {
            // The lookups are incomplete: a directory that was not read looks missing. The read is repeated.
            if let ReadKind::UnlessUnchanged { resolver, .. } = &self.kind
                && let Some(mut resolver) = resolver.try_lock()
            {
                *resolver = PathResolver::default();
            }
            return self.finished(ReadResult::Nothing, None);
        }
        let lookups = match (&result, &self.kind) {
            (ReadResult::Files(read), _) => Some(&read.snapshot.lookups),
            (_, ReadKind::Subscription(lookups)) => Some(lookups),
            (_, ReadKind::UnlessUnchanged { lookups, .. }) => lookups.as_ref(),
            _ => None,
        };
        let subscribed = lookups.and_then(|lookups| (calls.subscribe)(self.index, lookups));
        self.finished(result, subscribed)
    }

    fn read(&self, calls: &ReadCalls<'_>) -> ReadFiles {
        let at = Instant::now();
        let snapshot = take_snapshot(&self.sources);
        let question = self.password.as_ref().filter(|_| !is_interrupted());
        let password = question.and_then(|question| question.ask(&snapshot, calls));
        ReadFiles { snapshot, password, at }
    }

    fn finished(&self, result: ReadResult, mut subscribed: Option<Subscribed>) -> FinishedRead {
        let &Self { index, number, newest_waiter, time, .. } = self;
        let mut missed = self.missed.get();
        if let Some(subscribed) = &mut subscribed {
            missed.writes |= subscribed.missed_writes;
            missed.changes |= subscribed.needs_scan;
            // A repeated read has seen the changes before it; a repeated subscription has not.
            if let ReadResult::Nothing = result {
                subscribed.needs_scan = missed.changes;
            }
        }
        self.missed.set(missed);
        let reports_writes = subscribed.is_some() && !missed.writes;
        FinishedRead { index, number, newest_waiter, time, reports_writes, result, subscribed }
    }
}

impl PasswordQuestion {
    /// Returns the question for a unit with these `files`, if the host gives the password. Content with one of the
    /// `known` digests needs none.
    pub(super) fn of(files: &ConfiguredFiles, known: [Option<Digest>; 3]) -> Option<Self> {
        let files = files.as_identity()?;
        let Some(KeyPassword::Callback(callback)) = &files.password else { return None };
        Some(Self { callback: callback.downgrade(), key: files.key.clone(), known })
    }

    /// Asks the host, if the key is encrypted and the files are new. The second file of an identity is its key.
    pub(super) fn ask(&self, snapshot: &Snapshot, calls: &ReadCalls<'_>) -> Option<Password> {
        let files = snapshot.files.as_deref().ok()?;
        let key = files.get(1)?.read.as_ref().ok()?;
        if !needs_password(&key.bytes) || self.known.contains(&Some(digest_of(files))) {
            return None;
        }
        let mut password = None;
        let mut ask = || {
            // The password passes through the stack of this thread.
            password = wiping_stack(|| calling_host(|| self.callback.ask(&self.key)).flatten());
        };
        (calls.holding)(&mut ask);
        password
    }
}
