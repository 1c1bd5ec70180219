//! What changes together: one identity, the trust or the ticket keys, with how its files were found and
//! whether they are good.

use std::time::{Duration, Instant};

use super::load::{load, load_memory};
use super::loading::{FoundFiles, LoadContext, Loaded, PermanentFailure};
use super::outcome::{Finding, Note};
use super::retry::{Failure, PassTime, RetryState};
use super::unit_files::UnitFiles;
use crate::clock::Now;
use crate::error::{Cause, Error};
use crate::events::Trigger;
use crate::files::{Digest, Fingerprint, Lookup, PathResolver};
use crate::options::{IdentityBytes, IdentityFiles, Options};
use crate::pki::Warning;
use crate::sys::catch_panic;
use crate::sys::wiping_stack;
use crate::sys::without_fork;
use crate::tls::Part;

/// How long a poll takes a fingerprint for an answer. After that it reads the bytes again: a store
/// through a memory mapping, and a stamp that somebody forged with the disk's own tools, show nowhere
/// else.
const PROOF_LASTS: Duration = Duration::from_secs(60);

/// A date that is further away is looked for again after this.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Good or bad as a whole.
pub(super) struct Unit {
    pub(super) files: UnitFiles,
    /// The host hands it over: there are no files to look at.
    is_memory: bool,
    pub(super) serving: Part,
    /// Of the content that `serving` was made from.
    digest: Digest,
    pub(super) settle: RetryState,
    /// Every name that was looked up on the way to a file when they were last read.
    pub(super) lookups: Vec<Lookup>,
    /// Of the files when they last held what serves.
    fingerprint: Option<Fingerprint>,
    /// Secrets that every user may read.
    pub(super) exposed: Vec<Warning>,
    hopeless: Option<PermanentFailure>,
    /// When the files were last read, and the newest ticket that was drawn before that.
    read_at: Instant,
    read_for: u64,
    sighting: Option<Sighting>,
    /// Bytes that were handed over last and could not be used, where files go on.
    refused: Option<Failure>,
}

/// New content that was found out of turn, of which nobody knows that it is whole: what looks good may
/// be the front of a file that is being written. It is taken when it is the same after the quiet time.
struct Sighting {
    digest: Digest,
    trigger: Trigger,
    first: Instant,
    due_at: Instant,
}

impl Unit {
    /// Loads it for the first time.
    pub(super) fn open(files: UnitFiles, with: &LoadContext<'_>) -> Result<Self, Failure> {
        let read_at = Instant::now();
        let memory = files.as_identity().and_then(|files| Some((files, files.memory.as_ref()?)));
        let is_memory = memory.is_some();
        let (loaded, found) = match memory {
            Some((names, bytes)) => {
                let load = || load_memory(names, bytes, None, with);
                (kept_to_itself(load), FoundFiles::default())
            }
            None if files.hold_secrets() => kept_to_itself(|| load(&files, None, None, with)),
            None => load(&files, None, None, with),
        };
        match loaded? {
            Loaded::New(serving, digest) => {
                let mut unit = Self::new(files, serving, digest, read_at);
                unit.is_memory = is_memory;
                unit.lookups = found.lookups;
                unit.fingerprint = found.fingerprint;
                unit.exposed = found.exposed;
                Ok(unit)
            }
            // Nothing is known yet that it could be the same as.
            Loaded::Same => {
                let error = Error::at(files.path(), Cause::Panic("nothing was loaded".to_owned()));
                Err(Failure { error, digest: None })
            }
        }
    }

    /// Takes up what serves, made from what has this `digest`, without a look at the files.
    pub(super) fn resume(files: UnitFiles, serving: Part, digest: Digest) -> Self {
        Self::new(files, serving, digest, Instant::now())
    }

    fn new(mut files: UnitFiles, serving: Part, digest: Digest, read_at: Instant) -> Self {
        if let UnitFiles::Identity(files) = &mut files {
            // The bytes have been made use of, and the key among them is to be kept nowhere else.
            files.memory = None;
        }
        Self {
            files,
            is_memory: false,
            serving,
            digest,
            settle: RetryState::Good,
            lookups: Vec::new(),
            fingerprint: None,
            exposed: Vec::new(),
            hopeless: None,
            read_at,
            read_for: 0,
            sighting: None,
            refused: None,
        }
    }

    /// Whether there are no files to look at.
    pub(super) fn is_memory(&self) -> bool {
        self.is_memory
    }

    /// Of the content that serves.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Checks bytes that are handed over, the unit at `index`; `None` where they are what serves.
    pub(super) fn check(
        &self,
        index: usize,
        bytes: IdentityBytes,
        with: &LoadContext<'_>,
    ) -> Result<Option<(Part, Digest)>, Failure> {
        let Some(names) = self.names_in_memory(index, Some(bytes)) else { return Ok(None) };
        let Some(bytes) = &names.memory else { return Ok(None) };
        match kept_to_itself(|| load_memory(&names, bytes, Some(self.digest), with))? {
            Loaded::Same => Ok(None),
            Loaded::New(part, digest) => Ok(Some((part, digest))),
        }
    }

    /// What names the parts of the identity, the unit at `index`, where the host hands it over.
    fn names_in_memory(&self, index: usize, bytes: Option<IdentityBytes>) -> Option<IdentityFiles> {
        let files = self.files.as_identity()?;
        let (role, password) = (files.role, files.password.clone());
        Some(IdentityFiles {
            role,
            password,
            ..IdentityFiles::in_memory(index, bytes.map(Into::into))
        })
    }

    /// From now on the host hands it over, the unit at `index`: its files are not looked at again.
    pub(super) fn detach(&mut self, index: usize) {
        let Some(names) = self.names_in_memory(index, None) else { return };
        self.files = UnitFiles::Identity(names);
        self.is_memory = true;
        self.lookups = Vec::new();
        self.exposed = Vec::new();
        (self.fingerprint, self.hopeless, self.sighting) = (None, None, None);
        self.refused = None;
        self.settle.succeed();
    }

    /// Loads it again, for tickets up to `newest`; a panic on the way, which is a defect, is a failure
    /// of this unit alone. What is new comes with its fingerprint.
    pub(super) fn load(
        &mut self,
        with: &LoadContext<'_>,
        newest: u64,
    ) -> Result<Option<(Part, Digest, Option<Fingerprint>)>, Failure> {
        (self.read_at, self.read_for, self.fingerprint) = (Instant::now(), newest, None);
        let (serving, hopeless) = (Some((&self.serving, self.digest)), self.hopeless.as_ref());
        let load = || load(&self.files, serving, hopeless, with);
        let hold_secrets = self.files.hold_secrets();
        let attempt = catch_panic(|| if hold_secrets { kept_to_itself(load) } else { load() });
        let (loaded, found) = attempt.map_err(|panic| {
            let error = Error::at(self.files.path(), Cause::Panic(panic));
            Failure { error, digest: None }
        })?;
        (self.lookups, self.exposed) = (found.lookups, found.exposed);
        self.hopeless = match (&loaded, found.digest) {
            (Err(failure), Some(digest)) if self.is_hopeless(failure) => {
                Some((digest, failure.clone()))
            }
            _ => None,
        };
        match loaded? {
            Loaded::Same => {
                self.fingerprint = found.fingerprint;
                Ok(None)
            }
            Loaded::New(part, digest) => Ok(Some((part, digest, found.fingerprint))),
        }
    }

    /// Whether the same bytes would fail again: reading them is enough then.
    fn is_hopeless(&self, failure: &Failure) -> bool {
        let cause = &failure.error.cause;
        // A password out of a file is among the bytes.
        let files = self.files.as_identity();
        let from_file = files.is_some_and(|files| files.password_file().is_some());
        cause.is_about_bytes_alone() || from_file && *cause == Cause::KeyPasswordWrong
    }

    /// The newest ticket that was drawn before the files were last read.
    pub(super) fn read_for(&self) -> u64 {
        if self.is_memory { u64::MAX } else { self.read_for }
    }

    /// What was read is not taken: as if it had not been.
    pub(super) fn put_back(&mut self) {
        self.read_for = 0;
    }

    /// Whether a poll may leave the files unread until the one at `next_poll`: they were good, and
    /// look as they did.
    pub(super) fn looks_unchanged(&self, way: &mut PathResolver, next_poll: Instant) -> bool {
        self.settle.is_good()
            && next_poll < self.read_at + PROOF_LASTS
            && self.fingerprint.as_ref().is_some_and(|before| self.files.look_like(before, way))
    }

    /// What began the wait for good content with this `digest`, or found it; `None` as long as nobody
    /// knows that it holds still: it was found out of turn, and not twice with the quiet time between.
    pub(super) fn settled(
        &mut self,
        digest: Digest,
        moment: PassTime,
        options: &Options,
    ) -> Option<Trigger> {
        let trigger = self.settle.trigger().unwrap_or(moment.trigger);
        if moment.is_quiet || trigger != Trigger::Poll && self.settle.trigger().is_some() {
            self.sighting = None;
            return Some(trigger);
        }
        let due_at = moment.now + options.settle_quiet;
        let sighting =
            self.sighting.get_or_insert(Sighting { digest, trigger, first: moment.now, due_at });
        if sighting.digest != digest {
            (sighting.digest, sighting.due_at) = (digest, due_at);
        }
        let trigger = sighting.trigger;
        if moment.now >= sighting.due_at.min(sighting.first + options.settle_timeout) {
            self.sighting = None;
            return Some(trigger);
        }
        self.put_back();
        None
    }

    /// There is nothing new to be seen any more, or it has been told of.
    pub(super) fn forget_sighting(&mut self) {
        self.sighting = None;
    }

    /// When the files are to be looked at again, watch or poll aside.
    pub(super) fn retry_at(&self, now: Now) -> Option<Instant> {
        if self.is_memory {
            return None;
        }
        let sighted = self.sighting.as_ref().map(|sighting| sighting.due_at);
        sighted.or(self.settle.retry_at()).or_else(|| self.valid_at(now))
    }

    /// When a certificate that came too early becomes valid; the clock may be set meanwhile.
    fn valid_at(&self, now: Now) -> Option<Instant> {
        match self.settle.failed().map(|error| &error.cause) {
            Some(Cause::NotYetValid { from, .. }) => {
                let left = u64::try_from(from.saturating_sub(now.unix)).unwrap_or(0);
                Some(now.instant + Duration::from_secs(left).min(LONGEST_WAIT))
            }
            _ => None,
        }
    }

    /// Takes what has been proved and is about to be published.
    pub(super) fn take(&mut self, fresh: Fresh) {
        self.serving = fresh.part;
        self.digest = fresh.digest;
        self.fingerprint = fresh.fingerprint;
        self.settle.succeed();
        if fresh.is_memory {
            self.detach(fresh.index);
        }
    }

    /// Takes in that what was handed over could not be used; tells whether the host has not been told of
    /// it. Files, where there are any, stand as they stood.
    pub(super) fn refuse_pushed(&mut self, failure: &Failure) -> bool {
        if self.is_memory {
            return self.settle.refuse(failure.clone());
        }
        self.refused.replace(failure.clone()).as_ref() != Some(failure)
    }

    /// What there is to say of it, the one at `index`, after a failure; `told` is what the host is
    /// told of that.
    pub(super) fn note(&self, index: usize, told: Option<&(Failure, Trigger)>) -> Note {
        let finding = match told {
            Some((failure, _)) => Finding::Failed(failure.error.clone()),
            None if self.settle.pending().is_some() => Finding::Pending,
            None => Finding::StillFailed,
        };
        Note { index, finding }
    }
}

/// Runs what reads keys: no child gets a copy of the bytes before they are wiped, and none stay on the
/// stack.
fn kept_to_itself<T>(load: impl FnOnce() -> T) -> T {
    without_fork(|| wiping_stack(load))
}

/// What has been loaded and not been proved yet.
pub(super) struct Fresh {
    pub(super) index: usize,
    pub(super) part: Part,
    pub(super) digest: Digest,
    pub(super) fingerprint: Option<Fingerprint>,
    /// What taking it loses.
    pub(super) warnings: Vec<Warning>,
    /// What began the wait for it, or the look that found it.
    pub(super) trigger: Trigger,
    /// The host handed it over.
    pub(super) is_memory: bool,
}

impl Fresh {
    /// Whether `name` was covered by what serves, and is not by this.
    pub(super) fn takes_away(&self, serving: &Part, name: &str) -> bool {
        let covers = |part: &Part| part.as_identity().is_some_and(|it| it.covers(name));
        covers(serving) && !covers(&self.part)
    }
}
