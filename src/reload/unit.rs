//! What changes together: one identity, with how its files were found and whether they are good.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;

use super::event::Trigger;
use super::load::{Found, Loaded, load};
use super::settle::{Failure, Moment, Settle};
use super::standing::{Finding, Note};
use crate::error::{Cause, Error};
use crate::guard::guarded;
use crate::material::{Identity, Warning};
use crate::options::{IdentityFiles, Options};
use crate::source::{Digest, Way};

/// How long a poll takes a fingerprint for an answer. After that it reads the bytes again: a store
/// through a memory mapping, and a stamp that somebody forged with the disk's own tools, show nowhere
/// else.
const PROOF_LASTS: Duration = Duration::from_secs(60);

/// One identity, good or bad as a whole.
pub(super) struct Unit {
    pub(super) files: IdentityFiles,
    pub(super) serving: Arc<Identity>,
    /// Of the content that `serving` was made from.
    digest: Digest,
    pub(super) settle: Settle,
    pub(super) found: Found,
    /// When the files were last read.
    read_at: Instant,
    sighting: Option<Sighting>,
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
    pub(super) fn open(
        files: &IdentityFiles,
        provider: &CryptoProvider,
        expiry_warning: Option<Duration>,
        wall: i64,
    ) -> Result<Self, Failure> {
        let read_at = Instant::now();
        let (loaded, found) = load(files, None, provider, wall);
        match loaded? {
            Loaded::New(identity, digest) => Ok(Self {
                files: files.clone(),
                serving: Arc::new(identity.with_expiry_warning(expiry_warning)),
                digest,
                settle: Settle::Good,
                found,
                read_at,
                sighting: None,
            }),
            // Nothing is known yet that it could be the same as.
            Loaded::Same => {
                let error = Error::at(&files.chain, Cause::Panic("nothing was loaded".to_owned()));
                Err(Failure { error, digest: None })
            }
        }
    }

    /// Loads it again; a panic on the way, which is a defect, is a failure of this unit alone.
    pub(super) fn load(&mut self, provider: &CryptoProvider, wall: i64) -> Result<Loaded, Failure> {
        self.read_at = Instant::now();
        let attempt = guarded(|| load(&self.files, Some(self.digest), provider, wall));
        match attempt {
            Ok((loaded, found)) => {
                self.found = found;
                loaded
            }
            Err(panic) => {
                self.found.fingerprint = None;
                let error = Error::at(&self.files.chain, Cause::Panic(panic));
                Err(Failure { error, digest: None })
            }
        }
    }

    /// Whether a poll may leave the files unread: they were good, and look as they did.
    pub(super) fn looks_unchanged(&self, way: &mut Way, now: Instant) -> bool {
        let paths: Vec<&Path> = self.files.paths().collect();
        self.settle.is_good()
            && now < self.read_at + PROOF_LASTS
            && self.found.fingerprint.as_ref().is_some_and(|before| before.still_holds(&paths, way))
    }

    /// What began the wait for good content with this `digest`, or found it; `None` as long as nobody
    /// knows that it holds still: it was found out of turn, and not twice with the quiet time between.
    pub(super) fn settled(
        &mut self,
        digest: Digest,
        moment: Moment,
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
        // Of what was read, which is not what serves.
        self.found.fingerprint = None;
        None
    }

    /// There is nothing new to be seen any more, or it has been told of.
    pub(super) fn forget_sighting(&mut self) {
        self.sighting = None;
    }

    /// When the files are to be looked at again, watch or poll aside.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.sighting.as_ref().map(|sighting| sighting.due_at).or(self.settle.retry_at())
    }

    /// Takes what has been proved and is about to be published.
    pub(super) fn take(&mut self, fresh: Fresh) {
        self.serving = fresh.identity;
        self.digest = fresh.digest;
        self.settle.succeed();
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

/// An identity that has been loaded and not been proved yet.
pub(super) struct Fresh {
    pub(super) index: usize,
    pub(super) identity: Arc<Identity>,
    pub(super) digest: Digest,
    /// What taking it loses.
    pub(super) warnings: Vec<Warning>,
    /// What began the wait for it, or the look that found it.
    pub(super) trigger: Trigger,
}

impl Fresh {
    /// Whether `name` was covered by what serves, and is not by this.
    pub(super) fn takes_away(&self, serving: &Identity, name: &str) -> bool {
        serving.covers(name) && !self.identity.covers(name)
    }
}
