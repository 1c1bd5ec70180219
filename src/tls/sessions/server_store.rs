//! Sessions by their ids, the latest so many of them. Each is wiped when it leaves.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use zeroize::Zeroizing;

use crate::sys::{Mutex, MutexGuard};

type Session = Zeroizing<Vec<u8>>;

/// In place of the memory cache of rustls, which frees sessions of TLS 1.2 with their secrets in them (G18).
pub(super) struct ServerStore {
    limit: usize,
    held: Mutex<Stored>,
}

#[derive(Default)]
struct Stored {
    sessions: HashMap<Vec<u8>, Session>,
    /// The oldest first.
    ids: VecDeque<Vec<u8>>,
}

impl fmt::Debug for ServerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerStore")
    }
}

impl ServerStore {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, held: Mutex::default() }
    }

    pub(super) fn put(&self, id: Vec<u8>, session: Session) {
        let mut held = self.held();
        if held.sessions.insert(id.clone(), session).is_none() {
            held.ids.push_back(id);
        }
        if held.ids.len() > self.limit
            && let Some(oldest) = held.ids.pop_front()
        {
            held.sessions.remove(&oldest);
        }
    }

    /// A copy.
    pub(super) fn get(&self, id: &[u8]) -> Option<Session> {
        self.held().sessions.get(id).cloned()
    }

    pub(super) fn take(&self, id: &[u8]) -> Option<Session> {
        let mut held = self.held();
        let session = held.sessions.remove(id)?;
        held.ids.retain(|other| other != id);
        Some(session)
    }

    fn held(&self) -> MutexGuard<'_, Stored> {
        self.held.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &[u8]) -> Session {
        Zeroizing::new(name.to_vec())
    }

    #[test]
    fn the_latest_sessions_are_kept_and_each_is_found_by_its_id() {
        let store = ServerStore::new(2);
        for id in [b"a", b"b", b"b", b"c"] {
            store.put(id.to_vec(), session(id));
        }
        assert_eq!(store.get(b"a"), None, "the oldest has left");
        assert_eq!(store.get(b"b"), Some(session(b"b")));
        assert_eq!(store.take(b"b"), Some(session(b"b")));
        assert_eq!(store.take(b"b"), None, "only once");
        store.put(b"d".to_vec(), session(b"d"));
        assert_eq!(store.get(b"c"), Some(session(b"c")), "what was taken counts no more");
        store.put(b"c".to_vec(), session(b"new"));
        assert_eq!(store.get(b"c"), Some(session(b"new")));
    }
}
