//! Stores sessions in memory: those of TLS 1.2 clients that resume by session id, and those of the client role.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::server::StoresServerSessions;
use zeroize::Zeroizing;

use super::binding::{Binding, SessionStamp};
use super::session_map::SessionMap;
use crate::clock;
use crate::sys::ProcessNumber;

/// How many server sessions are stored: as many as rustls stores by default.
///
/// rustls also stores sessions of TLS 1.2 clients that accept tickets. So with a larger store, every TLS 1.2 handshake
/// would touch more memory.
const MAX_SERVER_SESSIONS: usize = 256;
/// How many client sessions are stored: those with 256 servers, for each of which rustls stores up to eight.
const MAX_CLIENT_SESSIONS: usize = 8 * 256;

/// A session cache that can be cleared for all generations at once, and that works in a forked child.
///
/// To clear it, the cache inside is replaced by a new one. A forked child also creates a new one. Another thread of the
/// parent may have held the old cache's lock during the fork, and the child would wait for it for ever (G11). The
/// memory is allocated at the first use.
#[derive(Debug)]
struct Cache<T: fmt::Debug> {
    current: ArcSwap<CacheState<T>>,
    /// How often the sessions of the handle have been cleared; shared by all caches of the handle. A cache that was
    /// created with a smaller count is out of date.
    clear_count: Arc<AtomicU64>,
    create: fn() -> T,
}

#[derive(Debug)]
struct CacheState<T> {
    /// `None` until the first use, and again from each clearing until the next use.
    sessions: Option<T>,
    /// The process that created `sessions`.
    process: ProcessNumber,
    /// The value of [`Cache::clear_count`] when `sessions` was created.
    clear_count: u64,
}

impl<T> Drop for CacheState<T> {
    fn drop(&mut self) {
        if !self.process.is_now() {
            // In a forked child, the parent's cache may be half-changed or locked for ever. Dropping it is not safe, so
            // it is leaked.
            mem::forget(self.sessions.take());
        }
    }
}

impl<T: fmt::Debug> Cache<T> {
    fn new(clear_count: Arc<AtomicU64>, create: fn() -> T) -> Self {
        let unused = CacheState { sessions: None, process: ProcessNumber::now(), clear_count: 0 };
        Self { current: ArcSwap::from_pointee(unused), clear_count, create }
    }

    /// Calls `access` with the cache of this process, which holds no session from before the last clearing.
    fn with<R>(&self, access: impl FnOnce(&T) -> R) -> Option<R> {
        let current = self.current.load();
        let clear_count = self.clear_count.load(Ordering::SeqCst);
        let is_valid = current.clear_count == clear_count && current.process.is_now();
        if current.sessions.is_some() && is_valid {
            return current.sessions.as_ref().map(access);
        }
        let sessions = Some((self.create)());
        let next = CacheState { sessions, process: ProcessNumber::now(), clear_count };
        // If another thread was faster, this exchange fails, and the cache of that thread is used, which is as new.
        self.current.compare_and_swap(&current, Arc::new(next));
        self.current.load().sessions.as_ref().map(access)
    }

    /// Releases the memory of the sessions. They are inaccessible already, because their clear count is out of date.
    fn release(&self) {
        let clear_count = self.clear_count.load(Ordering::SeqCst);
        self.current.store(Arc::new(CacheState {
            sessions: None,
            process: ProcessNumber::now(),
            clear_count,
        }));
    }
}

/// The session caches of a handle.
#[derive(Debug)]
pub(super) struct SessionStore {
    server: Arc<Cache<SessionMap>>,
    client: Arc<Cache<ClientSessionMemoryCache>>,
    clear_count: Arc<AtomicU64>,
}

impl SessionStore {
    pub(super) fn new() -> Self {
        let clear_count = Arc::default();
        let create = || SessionMap::new(MAX_SERVER_SESSIONS);
        let server = Arc::new(Cache::new(Arc::clone(&clear_count), create));
        Self { server, client: Self::new_client_cache(&clear_count), clear_count }
    }

    /// Returns the storage of a server configuration, which resumes the sessions that `binding` accepts.
    pub(super) fn for_server(&self, binding: Arc<Binding>) -> Arc<dyn StoresServerSessions> {
        Arc::new(ServerStorage { cache: self.server.clone(), binding })
    }

    /// Returns the storage of a client configuration. All configurations that get it from here share one cache. From
    /// `resume_until` on (seconds since 1970), when a CRL expires, it resumes no session.
    pub(super) fn for_client(&self, resume_until: Option<i64>) -> Arc<dyn ClientSessionStore> {
        Arc::new(ClientStorage { cache: self.client.clone(), resume_until })
    }

    /// Returns a storage as [`SessionStore::for_client`] does, but with a cache that no other configuration uses. So
    /// its sessions end with the generation.
    pub(super) fn for_client_exclusive(
        &self,
        resume_until: Option<i64>,
    ) -> Arc<dyn ClientSessionStore> {
        Arc::new(ClientStorage { cache: Self::new_client_cache(&self.clear_count), resume_until })
    }

    /// Removes all sessions from all storages of the handle.
    pub(super) fn clear(&self) {
        self.clear_count.fetch_add(1, Ordering::SeqCst);
        self.server.release();
        self.client.release();
    }

    fn new_client_cache(clear_count: &Arc<AtomicU64>) -> Arc<Cache<ClientSessionMemoryCache>> {
        let create = || ClientSessionMemoryCache::new(MAX_CLIENT_SESSIONS);
        Arc::new(Cache::new(clear_count.clone(), create))
    }
}

/// The session storage of one server configuration.
///
/// An entry is a session followed by the bytes of its binding and its stamp.
#[derive(Debug)]
struct ServerStorage {
    cache: Arc<Cache<SessionMap>>,
    binding: Arc<Binding>,
}

impl ServerStorage {
    /// Returns the session in `entry` (session, binding, stamp), if it may be resumed.
    fn unpack(&self, mut entry: Zeroizing<Vec<u8>>) -> Option<Vec<u8>> {
        let stamp = entry.len().checked_sub(SessionStamp::LENGTH)?;
        let session = entry[..stamp].strip_suffix(self.binding.bytes())?.len();
        // Removes the binding's bytes from between the session and its stamp, because `unstamp` expects the two together.
        // This is done within the buffer: a new buffer would leave a copy of the session behind (G18).
        entry.drain(session..stamp);
        self.binding.unstamp(entry, clock::unix_now())
    }
}

impl StoresServerSessions for ServerStorage {
    fn put(&self, id: Vec<u8>, value: Vec<u8>) -> bool {
        let session = Zeroizing::new(value);
        let Some(stamp) = self.binding.stamp(&session, clock::unix_now()) else { return false };
        // A new buffer of the final length: a vector that grows frees its old buffer without wiping it (G18).
        let parts = [&session[..], self.binding.bytes(), &stamp.to_bytes()];
        let entry = Zeroizing::new(parts.concat());
        self.cache.with(|cache| cache.put(id, entry)).is_some()
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.unpack(self.cache.with(|cache| cache.get(id))??)
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.unpack(self.cache.with(|cache| cache.take(id))??)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// The session storage of one client configuration.
///
/// A resumed handshake does not verify the server. So no session is resumed after a CRL has expired, when a full
/// handshake would refuse the server (G13).
#[derive(Debug)]
struct ClientStorage {
    cache: Arc<Cache<ClientSessionMemoryCache>>,
    /// From when on no session is resumed, in seconds since 1970; `None` for no limit.
    resume_until: Option<i64>,
}

impl ClientStorage {
    fn has_expired(&self) -> bool {
        self.resume_until.is_some_and(|until| clock::unix_now() >= until)
    }
}

impl ClientSessionStore for ClientStorage {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.cache.with(|cache| cache.set_kx_hint(server_name, group));
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.cache.with(|cache| cache.kx_hint(server_name))?
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.cache.with(|cache| cache.set_tls12_session(server_name, value));
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        if self.has_expired() {
            return None;
        }
        self.cache.with(|cache| cache.tls12_session(server_name))?
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.cache.with(|cache| cache.remove_tls12_session(server_name));
    }

    fn insert_tls13_ticket(
        &self,
        server_name: ServerName<'static>,
        value: Tls13ClientSessionValue,
    ) {
        self.cache.with(|cache| cache.insert_tls13_ticket(server_name, value));
    }

    fn take_tls13_ticket(
        &self,
        server_name: &ServerName<'static>,
    ) -> Option<Tls13ClientSessionValue> {
        if self.has_expired() {
            return None;
        }
        self.cache.with(|cache| cache.take_tls13_ticket(server_name))?
    }
}
