//! Sessions that are kept in memory: those of TLS 1.2 clients that come back with an id, and those of our own client role.

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

use super::binding::{Binding, BindingStamp};
use super::server_store::ServerStore;
use crate::clock;
use crate::sys::ForkGeneration;

/// How many sessions of clients are kept, of the latest: as many as rustls keeps by itself. It keeps those of
/// clients that take tickets, too, so more of them are more memory that each handshake of TLS 1.2 touches.
const SERVER_SESSIONS: usize = 256;
/// Of 256 servers: rustls keeps up to eight for each.
const CLIENT_SESSIONS: usize = 8 * 256;

/// A cache that is given up, and begun anew, when sessions are to be forgotten. It takes memory from its first use on.
///
/// A forked child begins one of its own: the caches of rustls are behind locks, and another thread may have
/// been at work behind one when the process was forked.
#[derive(Debug)]
struct Cache<T: fmt::Debug> {
    current: ArcSwap<Kept<T>>,
    forgotten: Arc<AtomicU64>,
    begin: fn() -> T,
}

#[derive(Debug)]
struct Kept<T> {
    /// None before the first use.
    sessions: Option<T>,
    era: ForkGeneration,
    /// How often sessions had been forgotten before.
    forgotten: u64,
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        if !self.era.is_now() {
            // Left where it is: it may be half-changed, and its lock may never be let go.
            mem::forget(self.sessions.take());
        }
    }
}

impl<T: fmt::Debug> Cache<T> {
    fn new(forgotten: Arc<AtomicU64>, begin: fn() -> T) -> Self {
        let nothing = Kept { sessions: None, era: ForkGeneration::now(), forgotten: 0 };
        Self { current: ArcSwap::from_pointee(nothing), forgotten, begin }
    }

    /// Looks into a cache of this process, in which nothing is that was kept when sessions were forgotten.
    fn with<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        let current = self.current.load();
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        if current.sessions.is_some() && current.forgotten == forgotten && current.era.is_now() {
            return current.sessions.as_ref().map(look);
        }
        let sessions = Some((self.begin)());
        let next = Kept { sessions, era: ForkGeneration::now(), forgotten };
        // Another thread may have been faster; its cache is as new.
        self.current.compare_and_swap(&current, Arc::new(next));
        self.current.load().sessions.as_ref().map(look)
    }

    /// Gives the memory back. Others see by the count that it is over.
    fn empty(&self) {
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        self.current.store(Arc::new(Kept {
            sessions: None,
            era: ForkGeneration::now(),
            forgotten,
        }));
    }
}

/// The caches of a handle.
#[derive(Debug)]
pub(super) struct SessionStore {
    server: Arc<Cache<ServerStore>>,
    client: Arc<Cache<ClientSessionMemoryCache>>,
    forgotten: Arc<AtomicU64>,
}

impl SessionStore {
    pub(super) fn new() -> Self {
        let forgotten = Arc::default();
        let begin = || ServerStore::new(SERVER_SESSIONS);
        let server = Arc::new(Cache::new(Arc::clone(&forgotten), begin));
        Self { server, client: Self::client_of(&forgotten), forgotten }
    }

    /// What a server config keeps sessions in, each with what `scope` says of it.
    pub(super) fn server(&self, scope: Arc<Binding>) -> Arc<dyn StoresServerSessions> {
        Arc::new(ServerCache { cache: self.server.clone(), scope })
    }

    /// What a client config keeps sessions in, none of which goes on from `until` on.
    pub(super) fn client(&self, until: Option<i64>) -> Arc<dyn ClientSessionStore> {
        Arc::new(ClientCache { cache: self.client.clone(), until })
    }

    /// Another, which is forgotten with the rest.
    pub(super) fn client_apart(&self, until: Option<i64>) -> Arc<dyn ClientSessionStore> {
        Arc::new(ClientCache { cache: Self::client_of(&self.forgotten), until })
    }

    /// Whatever is kept now is not found any more.
    pub(super) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.server.empty();
        self.client.empty();
    }

    fn client_of(forgotten: &Arc<AtomicU64>) -> Arc<Cache<ClientSessionMemoryCache>> {
        let begin = || ClientSessionMemoryCache::new(CLIENT_SESSIONS);
        Arc::new(Cache::new(forgotten.clone(), begin))
    }
}

/// Sessions behind what they are bound to and before their stamp.
#[derive(Debug)]
struct ServerCache {
    cache: Arc<Cache<ServerStore>>,
    scope: Arc<Binding>,
}

impl ServerCache {
    fn admitted(&self, mut value: Zeroizing<Vec<u8>>) -> Option<Vec<u8>> {
        let stamp = value.len().checked_sub(BindingStamp::LENGTH)?;
        let session = value[..stamp].strip_suffix(self.scope.bound_to())?.len();
        // Moved within the buffer: nothing of a session is left behind.
        value.drain(session..stamp);
        self.scope.admitted(value, clock::unix_now())
    }
}

impl StoresServerSessions for ServerCache {
    fn put(&self, id: Vec<u8>, value: Vec<u8>) -> bool {
        let session = Zeroizing::new(value);
        let Some(stamp) = self.scope.stamp(&session, clock::unix_now()) else { return false };
        // A new buffer: one that grows is freed as it is.
        let parts = [&session[..], self.scope.bound_to(), &stamp.to_bytes()];
        let value = Zeroizing::new(parts.concat());
        self.cache.with(|cache| cache.put(id, value)).is_some()
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.admitted(self.cache.with(|cache| cache.get(id))??)
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.admitted(self.cache.with(|cache| cache.take(id))??)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// Sessions until a point in time: a server that is resumed is not checked again.
#[derive(Debug)]
struct ClientCache {
    cache: Arc<Cache<ClientSessionMemoryCache>>,
    until: Option<i64>,
}

impl ClientCache {
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| clock::unix_now() >= until)
    }
}

impl ClientSessionStore for ClientCache {
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
        if self.is_over() {
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
        if self.is_over() {
            return None;
        }
        self.cache.with(|cache| cache.take_tls13_ticket(server_name))?
    }
}
