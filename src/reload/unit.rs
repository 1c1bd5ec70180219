//! A unit of a handle: its files, the content that is served, and whether the files can be used.
//!
//! A unit is accepted or refused as a whole, so its parts are never of two moments. It remembers the served content and
//! the last failure. They show whether a read found new content or the served one (G5), and a new failure or a reported
//! one. New content is not stored here before it passes the self-check, so a failed self-check has nothing to undo.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::configured_files::ConfiguredFiles;
use super::file_warnings::FileWarnings;
use super::findings::{Failure, Finding, Note, ReportedFailure};
use super::fresh::{Fresh, NewContent};
use super::load::{KnownContent, LoadContext, Loaded, PermanentFailure, load, load_memory};
use super::pass::PassTime;
use super::sighting::{Found, Sightings};
use super::unit_read::{PasswordQuestion, ReadFiles, ReadKind, UnitRead};
use super::unit_retry::RetryState;
use crate::clock::Now;
use crate::error::{Cause, Error};
use crate::events::Trigger;
use crate::files::{Digest, Fingerprint, Lookup};
use crate::options::{IdentityBytes, IdentityFiles, Options, StartMode};
use crate::sys::{catch_panic, wiping_stack, without_fork};
use crate::tls::UnitContent;

/// How long a poll trusts an unchanged fingerprint. After that it reads the bytes again, because two kinds of change
/// leave the fingerprint as it was (G1). These are stores through a shared memory mapping, and changes after which the
/// timestamps were set back below the file system.
const FINGERPRINT_LIFETIME: Duration = Duration::from_secs(60);

/// One identity, the trust store, or the ticket keys: what is accepted or refused as a whole (G2).
pub(super) struct Unit {
    pub(super) files: ConfiguredFiles,
    /// Whether the host pushes the content, so that there are no files.
    is_memory: bool,
    pub(super) serving: UnitContent,
    /// The digest of the content that `serving` was made from.
    digest: Digest,
    pub(super) retry: RetryState,
    /// Every name that was looked up on the way to the files when they were last read.
    pub(super) lookups: Vec<Lookup>,
    /// The fingerprint of the files when they last held the content that is served.
    fingerprint: Option<Arc<Fingerprint>>,
    /// Warnings about the files themselves, as the latest read found them.
    pub(super) file_warnings: FileWarnings,
    permanent: Option<PermanentFailure>,
    /// When the files were last read.
    read_at: Instant,
    /// The number of the newest waiter that registered before the files were last read: this read answers it and those
    /// before it. 0 if the read was discarded.
    read_for: u64,
    pub(super) sightings: Sightings,
    /// The last failure of pushed bytes, while the unit still has files.
    refused: Option<Failure>,
    /// The read that has begun and not ended.
    pub(super) reading: Option<Reading>,
    /// How many reads have begun.
    reads: u64,
    /// Whether the same bytes must be judged again.
    pub(super) is_outdated: bool,
}

/// A read that has begun and not ended.
pub(super) struct Reading {
    number: u64,
    pub(super) trigger: Trigger,
    /// Whether the files must be read again when the read ends, because something made that due in between.
    pub(super) wants_again: bool,
    /// Whether it was reported that the file system does not answer.
    pub(super) is_reported: bool,
}

impl Unit {
    /// Creates the unit of a handle that is being opened: nothing has been loaded yet.
    pub(super) fn absent(files: ConfiguredFiles, is_memory: bool) -> Self {
        let absent = files.absent();
        Self { is_memory, ..Self::new(files, absent, Digest::of_nothing(), Instant::now()) }
    }

    /// Takes the first content, before its self-check.
    pub(super) fn begin_with(&mut self, (part, digest, fingerprint): NewContent) {
        (self.serving, self.digest, self.fingerprint) = (part, digest, fingerprint);
    }

    /// Records that there is no first content, because of `failure`, which the host gets.
    pub(super) fn begin_without(&mut self, failure: Failure) {
        self.begin_with((self.files.absent(), Digest::of_nothing(), None));
        self.retry.refuse(failure);
    }

    /// Creates the unit from the content that is served, without reading files.
    pub(super) fn resume(files: ConfiguredFiles, serving: UnitContent, digest: Digest) -> Self {
        Self::new(files, serving, digest, Instant::now())
    }

    fn new(
        mut files: ConfiguredFiles,
        serving: UnitContent,
        digest: Digest,
        read_at: Instant,
    ) -> Self {
        if let ConfiguredFiles::Identity(files) = &mut files {
            // The pushed bytes hold the key, and the identity has been made from them (G18).
            files.memory = None;
        }
        Self {
            files,
            is_memory: false,
            serving,
            digest,
            retry: RetryState::Good,
            lookups: Vec::new(),
            fingerprint: None,
            file_warnings: FileWarnings::default(),
            permanent: None,
            read_at,
            read_for: 0,
            sightings: Sightings::default(),
            refused: None,
            reading: None,
            reads: 0,
            is_outdated: false,
        }
    }

    /// Returns whether the host pushes the content, so that there are no files.
    pub(super) fn is_memory(&self) -> bool {
        self.is_memory
    }

    /// Returns the digest of the content that is served.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Loads pushed bytes for the unit at `index`. Returns `None` if they are the content that is served.
    pub(super) fn load_pushed(
        &self,
        index: usize,
        bytes: IdentityBytes,
        with: &LoadContext<'_>,
    ) -> Result<Option<(UnitContent, Digest)>, Failure> {
        let Some(names) = self.names_in_memory(index, Some(bytes)) else { return Ok(None) };
        let Some(bytes) = &names.memory else { return Ok(None) };
        let with = &self.context(with);
        match guard_secrets(|| {
            load_memory(&names, bytes, Some(self.served_digest(with.now)), with)
        })? {
            // Pushed content never waits.
            Loaded::Same | Loaded::Waiting(_) => Ok(None),
            Loaded::New(part, digest) => Ok(Some((part, digest))),
        }
    }

    /// Returns `with` for this unit: while nothing has been loaded, certificates of any date are better than none.
    pub(super) fn context<'a>(&self, with: &LoadContext<'a>) -> LoadContext<'a> {
        let is_available = with.options.start == StartMode::Available;
        let accepts_any_date = is_available && self.serving.absent().is_some();
        LoadContext { accepts_any_date, ..*with }
    }

    /// Returns the names that messages use for the parts of a pushed identity.
    fn names_in_memory(&self, index: usize, bytes: Option<IdentityBytes>) -> Option<IdentityFiles> {
        let files = self.files.as_identity()?;
        let (role, password) = (files.role, files.password.clone());
        Some(IdentityFiles {
            role,
            password,
            ..IdentityFiles::in_memory(index, bytes.map(Into::into))
        })
    }

    /// Makes the unit at `index` one whose content the host pushes. Its files are not read again.
    pub(super) fn detach(&mut self, index: usize) {
        let Some(names) = self.names_in_memory(index, None) else { return };
        self.files = ConfiguredFiles::Identity(names);
        self.is_memory = true;
        self.lookups = Vec::new();
        self.file_warnings = FileWarnings::default();
        (self.fingerprint, self.permanent) = (None, None);
        (self.refused, self.reading) = (None, None);
        self.sightings.forget();
        self.retry.succeed();
    }

    /// Begins a read of the files, for waiters up to `newest_waiter`.
    pub(super) fn begin_read(&mut self, index: usize, time: PassTime, kind: ReadKind) -> UnitRead {
        self.reads += 1;
        let number = self.reads;
        let trigger = time.trigger;
        self.reading = Some(Reading { number, trigger, wants_again: false, is_reported: false });
        let permanent = self.permanent.as_ref().map(|(digest, _)| *digest);
        let served = Some(self.served_digest(time.now.unix));
        let known = [served, permanent, self.sightings.parsed()];
        let password = PasswordQuestion::of(&self.files, known);
        let sources = self.files.sources();
        let missed = Cell::default();
        UnitRead { index, number, newest_waiter: 0, time, sources, kind, password, missed }
    }

    /// Returns whether the read that has `number` is the one that the unit waits for.
    pub(super) fn is_reading(&self, number: u64) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.number == number)
    }

    /// Ends the read that has `number`. Returns `None` if the unit does not wait for it, because its content was pushed
    /// since.
    pub(super) fn end_read(&mut self, number: u64) -> Option<Reading> {
        self.reading.take_if(|reading| reading.number == number)
    }

    /// Loads what was read, for waiters up to `newest_waiter`. Returns new content, and `None` for the content that is
    /// served. A panic, which is a defect, becomes a failure of this unit alone.
    pub(super) fn load(
        &mut self,
        read: ReadFiles,
        newest_waiter: u64,
        with: &LoadContext<'_>,
    ) -> Result<Option<NewContent>, Failure> {
        (self.read_at, self.read_for, self.fingerprint) = (read.at, newest_waiter, None);
        let serving = Some((&self.serving, self.served_digest(with.now)));
        let waiting = self.sightings.parsed();
        let known = KnownContent { serving, waiting, permanent: self.permanent.as_ref() };
        let with = &self.context(with);
        let load = || load(&self.files, read, &known, with);
        let hold_secrets = self.files.hold_secrets();
        let attempt = catch_panic(|| if hold_secrets { guard_secrets(load) } else { load() });
        let (loaded, found) = attempt.map_err(|panic| self.panicked(panic))?;
        self.lookups = found.lookups;
        self.file_warnings.set(found.warnings);
        self.permanent = match (&loaded, found.digest) {
            (Err(failure), Some(digest)) if failure.error.cause.depends_on_bytes_alone() => {
                Some((digest, failure.clone()))
            }
            _ => None,
        };
        let fingerprint = found.fingerprint.map(Arc::new);
        let is_still = |part, digest| self.is_still(part, digest);
        let is_same = matches!(&loaded, Ok(Loaded::New(part, digest)) if is_still(part, *digest));
        self.is_outdated = false;
        match loaded? {
            Loaded::New(..) if is_same => {
                self.fingerprint = fingerprint;
                Ok(None)
            }
            Loaded::Same => {
                self.fingerprint = fingerprint;
                Ok(None)
            }
            Loaded::Waiting(digest) => match self.sightings.take_parsed() {
                Some(part) => {
                    let identity = part.as_identity().filter(|_| !with.accepts_any_date);
                    match identity.map(|identity| identity.check_dates(with.now)) {
                        Some(Err(cause)) => {
                            let error = Error::at(self.files.path(), cause);
                            Err(Failure { error, digest: Some(digest) })
                        }
                        _ => Ok(Some((part, digest, fingerprint))),
                    }
                }
                None => Err(self.panicked("the waiting content is lost".to_owned())),
            },
            Loaded::New(part, digest) => Ok(Some((part, digest, fingerprint))),
        }
    }

    /// Returns the failure that reading or loading panicked.
    pub(super) fn panicked(&self, panic: String) -> Failure {
        Failure { error: Error::at(self.files.path(), Cause::Panic(panic)), digest: None }
    }

    /// Returns the newest waiter that registered before the files were last read. A unit without files delays none.
    pub(super) fn read_for(&self) -> u64 {
        if self.is_memory { u64::MAX } else { self.read_for }
    }

    /// Makes the next poll read the files.
    pub(super) fn forget_fingerprint(&mut self) {
        self.fingerprint = None;
    }

    /// Discards the last read, so that no waiter is answered before the files are read again.
    pub(super) fn discard_read(&mut self) {
        self.read_for = 0;
    }

    /// Returns the fingerprint by which a poll may skip the unit until the poll at `next_poll`: its files were good, and
    /// the fingerprint is recent.
    pub(super) fn fingerprint_for_poll(&self, next_poll: Instant) -> Option<Arc<Fingerprint>> {
        let is_recent = next_poll < self.read_at + FINGERPRINT_LIFETIME;
        self.fingerprint.clone().filter(|_| is_recent && self.retry.is_good())
    }

    /// Records that the last read answers waiters up to `newest_waiter`, although it has not ended: the host knows that
    /// the file system does not answer.
    pub(super) fn answer_unread(&mut self, newest_waiter: u64) {
        self.read_for = newest_waiter;
    }

    /// Decides whether new content that a read at `time` found may be accepted now. `is_open` if a process has a file of
    /// the unit open for writing. Returns the trigger that the event names, or `None` if another pass has to find the
    /// same content later.
    ///
    /// A retry decides as a poll does: no notification started it, so it is not known whether the files are quiet.
    pub(super) fn accept_sighting(
        &mut self,
        (content, digest): (&UnitContent, Digest),
        (time, is_open): (PassTime, bool),
        options: &Options,
    ) -> Option<Trigger> {
        let cut_short = content.cut_short(&self.serving, self.files.path());
        let found = Found { digest, cut_short, is_open };
        let time = PassTime { trigger: self.retry.trigger().unwrap_or(time.trigger), ..time };
        let accepted = self.sightings.accept(found, time, options);
        if accepted.is_none() {
            self.discard_read();
        }
        accepted
    }

    /// Returns why the unit is incomplete, if it is. No caller waits for that while its file system does not answer.
    pub(super) fn pending(&self) -> Option<&Error> {
        if self.reading.as_ref().is_some_and(|reading| reading.is_reported) {
            return None;
        }
        self.sightings.pending().or(self.retry.pending())
    }

    /// Returns when to read the files again if no notification and no poll comes first.
    pub(super) fn retry_at(&self, now: Now) -> Option<Instant> {
        if self.is_memory || self.reading.is_some() {
            return None;
        }
        self.sightings.retry_at().or(self.retry.retry_at()).or_else(|| self.date_at(now))
    }

    /// Accepts content that passed the self-check and is about to be published.
    pub(super) fn accept(&mut self, fresh: Fresh) {
        self.serving = fresh.part;
        self.digest = fresh.digest;
        self.fingerprint = fresh.fingerprint;
        self.retry.succeed();
        if fresh.is_memory {
            self.detach(fresh.index);
        }
    }

    /// Records that pushed bytes were refused. Returns whether the failure is new, so that it must be reported to the
    /// host. While the unit still has files, their state does not change: the refusal is remembered beside it.
    /// Afterwards the refusal is the unit's own failure.
    pub(super) fn refuse_pushed(&mut self, failure: &Failure) -> bool {
        if self.is_memory {
            return self.retry.refuse(failure.clone());
        }
        self.refused.replace(failure.clone()).as_ref() != Some(failure)
    }

    /// Returns the report of `failure`, which is the unit's.
    pub(super) fn reported(&self, failure: Failure, trigger: Trigger) -> ReportedFailure {
        ReportedFailure { error: failure.error, trigger, absent: self.serving.absent() }
    }

    /// Returns what a pass found out about the unit at `index` that failed. `reported` is the failure that the host
    /// is notified of, if any.
    pub(super) fn note(&self, index: usize, reported: Option<&(Failure, Trigger)>) -> Note {
        let finding = match reported {
            Some((failure, _)) => Finding::Failed(failure.error.clone()),
            None if self.pending().is_some() => Finding::Pending,
            None => Finding::StillFailed,
        };
        Note { index, finding }
    }
}

/// Runs `load`, which reads secrets. Forks by other threads wait until it returns, so that no child gets a copy of
/// bytes that are not wiped yet. The stack is wiped afterwards (G18).
pub(super) fn guard_secrets<T>(load: impl FnOnce() -> T) -> T {
    without_fork(|| wiping_stack(load))
}
