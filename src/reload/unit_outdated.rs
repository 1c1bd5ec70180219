//! When the same files must be parsed again: a date is reached, or more is known than when they were loaded.

use std::time::{Duration, Instant};

use super::unit::Unit;
use crate::clock::Now;
use crate::error::Cause;
use crate::files::Digest;
use crate::tls::UnitContent;

/// The longest wait until a certificate becomes valid. The wall clock may be set forward during a wait, so that the
/// certificate becomes valid earlier.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

impl Unit {
    /// Makes the next read parse the files again, although they may be unchanged: the identities that are known now have
    /// issuers which may have signed a revocation list.
    pub(super) fn judge_again(&mut self) {
        self.is_outdated = true;
        self.forget_fingerprint();
    }

    /// Returns whether `part` was made from the bytes that are served, and the result is the same.
    pub(super) fn is_still(&self, part: &UnitContent, digest: Digest) -> bool {
        self.is_outdated && digest == self.digest() && part.is_equivalent(&self.serving)
    }

    /// Returns the digest of the content that is served, as a read at `now` compares with it. Content that must be parsed
    /// again, because the choice among its certificates depends on the date, or because more is known now, equals none.
    pub(super) fn served_digest(&self, now: i64) -> Digest {
        let is_outdated = self.is_outdated || self.choose_again_at().is_some_and(|at| at <= now);
        if is_outdated { Digest::of_nothing() } else { self.digest() }
    }

    pub(super) fn choose_again_at(&self) -> Option<i64> {
        self.serving.as_identity()?.choose_again_at()
    }

    /// Returns when a date makes another read necessary: a certificate becomes valid that was refused as not yet valid,
    /// or another certificate of the file becomes the better one.
    pub(super) fn date_at(&self, now: Now) -> Option<Instant> {
        let valid_at = match self.retry.failed().map(|error| &error.cause) {
            Some(Cause::NotYetValid { from, .. }) => Some(*from),
            _ => None,
        };
        let choose_again_at = self.choose_again_at().filter(|_| self.retry.is_good());
        let at = valid_at.into_iter().chain(choose_again_at).min()?;
        let left = u64::try_from(at.saturating_sub(now.unix)).unwrap_or(0);
        Some(now.instant + Duration::from_secs(left).min(LONGEST_WAIT))
    }
}
