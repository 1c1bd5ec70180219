//! The ticket keys of a handle: its own, and which keys of ticket key files it has used and must not use any more.

use arc_swap::ArcSwap;

use super::generated_keys::KeyRing;
use crate::error::Cause;
use crate::pki::TicketKeys;

/// How many names of keys from ticket key files are remembered, so that [`HandleKeys::revoke_all`] can revoke the keys.
/// With a new key each day, these are the keys of 11 years.
const MAX_LOADED_KEYS: usize = 4096;

/// The ticket keys of one handle, which all of its generations share.
#[derive(Debug)]
pub(super) struct HandleKeys {
    /// The keys of a handle without a ticket key file.
    pub(super) ring: KeyRing,
    /// The names of all keys that ticket key files have held so far, those that were loaded last at the end. They are
    /// the keys to revoke when sessions are invalidated.
    loaded: ArcSwap<Vec<[u8; 16]>>,
    /// The names of keys that must not be used any more, whichever file they are in. Sorted for a binary search.
    revoked: ArcSwap<Vec<[u8; 16]>>,
}

impl HandleKeys {
    pub(super) fn new(now: i64) -> Result<Self, Cause> {
        let ring = KeyRing::new(now)?;
        Ok(Self { ring, loaded: ArcSwap::default(), revoked: ArcSwap::default() })
    }

    /// Makes all keys unusable that have encrypted tickets so far.
    ///
    /// The keys that a ticket key file has held are revoked for the lifetime of the handle. Newer tickets of such a key
    /// are refused, too: an attacker who has the key can make tickets with any date. An old file may be restored, so
    /// the keys are recognised by name in any file. On failure, nothing is changed.
    pub(super) fn revoke_all(&self, now: i64) -> Result<(), Cause> {
        self.ring.reset(now)?;
        self.revoked.rcu(|_| {
            let mut loaded = Vec::clone(&self.loaded.load());
            loaded.sort_unstable();
            loaded
        });
        Ok(())
    }

    pub(super) fn is_revoked(&self, key: &[u8; 16]) -> bool {
        self.revoked.load().binary_search(key).is_ok()
    }

    /// Remembers the names of `keys`, so that [`Self::revoke_all`] can revoke these keys later. Names that are known
    /// already move to the end, as loaded last. Beyond [`MAX_LOADED_KEYS`] the names that were loaded longest ago are
    /// forgotten, to bound the memory (G17): those keys are not revoked then.
    pub(super) fn record_loaded(&self, keys: &TicketKeys) {
        self.loaded.rcu(|loaded| {
            let others = loaded.iter().filter(|name| keys.with_name(&name[..]).is_none());
            let mut loaded: Vec<_> = others.copied().collect();
            loaded.extend(keys.keys().iter().map(|key| key.name));
            loaded.drain(..loaded.len().saturating_sub(MAX_LOADED_KEYS));
            loaded
        });
    }
}
