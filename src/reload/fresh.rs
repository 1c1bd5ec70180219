//! New content of a unit, between loading and publishing.

use std::sync::Arc;

use super::findings::Failure;
use crate::error::Error;
use crate::events::Trigger;
use crate::files::{Digest, Fingerprint};
use crate::pki::Warning;
use crate::tls::UnitContent;

/// New content, the digest of the bytes that it was made from, and the fingerprint of its files.
pub(super) type NewContent = (UnitContent, Digest, Option<Arc<Fingerprint>>);

/// Content that was loaded and has not passed the self-check yet.
pub(super) struct Fresh {
    pub(super) index: usize,
    pub(super) part: UnitContent,
    pub(super) digest: Digest,
    pub(super) fingerprint: Option<Arc<Fingerprint>>,
    /// Warnings that the new certificate lacks names that its predecessor had, or expires earlier (G15).
    pub(super) warnings: Vec<Warning>,
    /// The trigger that the RELOADED event names.
    pub(super) trigger: Trigger,
    /// Whether the host pushed the content.
    pub(super) is_memory: bool,
}

impl Fresh {
    /// Returns content that was loaded for the unit at `index`, which serves `serving`.
    pub(super) fn new(
        index: usize,
        serving: &UnitContent,
        (part, digest, fingerprint): NewContent,
        trigger: Trigger,
    ) -> Self {
        let warnings = part.warnings_after(serving);
        Self { index, part, digest, fingerprint, warnings, trigger, is_memory: false }
    }

    /// Returns whether `name` is covered by `serving` and not by this content.
    pub(super) fn loses(&self, serving: &UnitContent, name: &str) -> bool {
        let covers =
            |part: &UnitContent| part.as_identity().is_some_and(|it| it.matches_name(name));
        covers(serving) && !covers(&self.part)
    }

    /// Returns the record that this content is refused because of `error`: the unit's index and the failure.
    pub(super) fn failure(&self, error: Error) -> (usize, Failure) {
        (self.index, Failure { error, digest: Some(self.digest) })
    }
}
