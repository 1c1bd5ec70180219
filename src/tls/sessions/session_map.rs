//! Stores the latest sessions of a server by session id, and wipes each one when it is removed (G18).

use std::collections::{HashMap, VecDeque};
use std::fmt;

use zeroize::Zeroizing;

use crate::sys::{Mutex, MutexGuard};

type Session = Zeroizing<Vec<u8>>;

/// A bounded map from session ids to sessions.
///
/// It replaces rustls's `ServerSessionMemoryCache`, which frees TLS 1.2 sessions without wiping their secrets (G18).
pub(super) struct SessionMap {
    limit: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    sessions: HashMap<Vec<u8>, Session>,
    /// The ids of `sessions`, the oldest first.
    ids: VecDeque<Vec<u8>>,
}

impl fmt::Debug for SessionMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionMap")
    }
}

impl SessionMap {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, entries: Mutex::default() }
    }

    /// Stores the session. If the store is full, the oldest session is removed.
    pub(super) fn put(&self, id: Vec<u8>, session: Session) {
        let mut entries = self.entries();
        if entries.sessions.insert(id.clone(), session).is_none() {
            entries.ids.push_back(id);
        }
        if entries.ids.len() > self.limit
            && let Some(oldest) = entries.ids.pop_front()
        {
            entries.sessions.remove(&oldest);
        }
    }

    /// Returns a copy of the session, which stays in the store.
    pub(super) fn get(&self, id: &[u8]) -> Option<Session> {
        self.entries().sessions.get(id).cloned()
    }

    /// Removes the session and returns it.
    pub(super) fn take(&self, id: &[u8]) -> Option<Session> {
        let mut entries = self.entries();
        let session = entries.sessions.remove(id)?;
        entries.ids.retain(|other| other != id);
        Some(session)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &[u8]) -> Session {
        Zeroizing::new(name.to_vec())
    }

    #[test]
    fn full_store_keeps_the_latest_sessions() {
        let store = SessionMap::new(2);
        for id in [b"a", b"b", b"b", b"c"] {
            store.put(id.to_vec(), session(id));
        }
        assert_eq!(store.get(b"a"), None, "the oldest was removed");
        assert_eq!(store.get(b"b"), Some(session(b"b")));
        assert_eq!(store.take(b"b"), Some(session(b"b")));
        assert_eq!(store.take(b"b"), None, "only once");
        store.put(b"d".to_vec(), session(b"d"));
        assert_eq!(store.get(b"c"), Some(session(b"c")), "a session that was taken does not count");
        store.put(b"c".to_vec(), session(b"new"));
        assert_eq!(store.get(b"c"), Some(session(b"new")));
    }
}
