//! Which pairs have been whole on disk, in order: all that may ever be served.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use crate::support::certificates::Pair;

/// As many entries as no handshake outlasts.
const KEPT: usize = 2_000;

/// Of one identity. Positions count from the first entry there ever was.
pub struct History(Mutex<Entries>);

struct Entries {
    leaves: VecDeque<Box<str>>,
    /// The position of the first that is kept.
    first: usize,
}

impl Default for History {
    /// With all the room that it will need: it is not to be what grows.
    fn default() -> Self {
        let leaves = VecDeque::from(vec!["0".repeat(64).into_boxed_str(); KEPT]);
        Self(Mutex::new(Entries { leaves, first: 0 }))
    }
}

impl History {
    /// Notes a pair that is about to be whole on disk. It may have been there before.
    pub fn push(&self, pair: &Pair) {
        let mut entries = self.entries();
        entries.leaves.push_back(pair.sha256.as_str().into());
        entries.leaves.pop_front();
        entries.first += 1;
    }

    /// The first position at or after `from` where `leaf` was on disk.
    pub fn find(&self, leaf: &str, from: usize) -> Option<usize> {
        let entries = self.entries();
        let skipped = from.saturating_sub(entries.first);
        let found = entries.leaves.iter().skip(skipped).position(|entry| **entry == *leaf)?;
        Some(entries.first + skipped + found)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap()
    }
}
