//! Which sessions are resumed: tickets and caches that outlive generations, bound to what a session was begun under.

mod binding;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod key_ring;
mod known_by;
mod rustls_session;
mod server_store;
mod shared_draws;
mod store;
#[cfg(test)]
mod tests;
mod ticket_cipher;
mod tickets;
mod tls12_origin;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::rand;
use rustls::server::{NoServerSessionStorage, ProducesTickets, StoresServerSessions};

#[cfg(fuzzing)]
pub(crate) use fuzzing::ticket;
pub(crate) use known_by::KnownBy;

use crate::clock;
use crate::error::{Cause, Error};
use crate::options::Resumption;
use crate::pki::TicketKeys;
use crate::sys::without_fork;
use binding::Binding;
use key_ring::KeyRing;
use store::SessionStore;
use tickets::{NoTickets, SharedKeys, TicketProducer};

/// How long a client may take to come back, in seconds: 6 hours, where TLS 1.3 allows for a week. It is then given
/// another ticket: in TLS 1.2, where the secret stays the same, for what is left of that time, and in TLS 1.3, where keys are
/// agreed on anew, for as long again. Such a chain ends with the trust, the client's certificates, or the lists, and once a
/// week where the client has a certificate.
const LIFETIME: i64 = 6 * 3600;

/// How many keys of files are remembered, of the latest: of eleven years with a new one each day.
const KEYS_REMEMBERED: usize = 4096;

/// The sessions of a handle. One for all its generations, which see them through a [`View`] each.
#[derive(Debug)]
pub(crate) struct Sessions {
    resumption: Resumption,
    ring: KeyRing,
    caches: SessionStore,
    /// Names of keys of files, the one that was loaded last at the end: of those that came and went, too.
    loaded: ArcSwap<Vec<[u8; 16]>>,
    /// Names of keys that are not to be used again, whatever file they come in. Sorted.
    distrusted: ArcSwap<Vec<[u8; 16]>>,
}

/// Which identity answers a client, as far as sessions are concerned.
pub(crate) trait ServedNames: fmt::Debug + Send + Sync {
    /// Whether an identity has `name`.
    fn serves(&self, name: &str) -> bool;
    /// What the identity is known by that answers a client which asks for `name`, or for none: the first of its names.
    fn answering(&self, name: Option<&str>) -> Option<KnownBy>;
    /// Whether that identity is known by `known_by`, among others.
    fn is_answering(&self, name: Option<&str>, known_by: &KnownBy) -> bool;
}

/// What sessions have to do with one generation.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Sessions that were begun under another one are not resumed (G13).
    pub(crate) trust: [u8; 32],
    /// Nor those of a service with another session context. Zero for none.
    pub(crate) context: [u8; 32],
    /// Sessions of a name that was served and is not are not resumed (G14). If the client's name is not served, or it
    /// sent none, the session ends when the identity that answers has lost its name.
    pub(crate) names: Arc<dyn ServedNames>,
    /// The keys that are shared, where a file of them is asked for.
    pub(crate) keys: Option<Arc<TicketKeys>>,
    /// How long a key of that file may encrypt: zero for as long as it is there.
    pub(crate) key_lifetime: Duration,
    /// No session is resumed from then on: seconds since 1970.
    pub(crate) until: Option<i64>,
}

/// What a server config takes.
pub(crate) struct ServerSessions {
    pub(crate) ticketer: Arc<dyn ProducesTickets>,
    pub(crate) storage: Arc<dyn StoresServerSessions>,
    pub(crate) tls13_tickets: usize,
}

impl Sessions {
    pub(crate) fn new(resumption: Resumption) -> Result<Arc<Self>, Error> {
        let ring = KeyRing::new(clock::unix_now()).map_err(Error::new)?;
        Ok(Arc::new(Self {
            resumption,
            ring,
            caches: SessionStore::new(),
            loaded: ArcSwap::default(),
            distrusted: ArcSwap::default(),
        }))
    }

    /// For the server config of one generation.
    pub(crate) fn server(self: &Arc<Self>, view: View) -> Result<ServerSessions, Error> {
        if self.resumption == Resumption::Off {
            return Ok(ServerSessions {
                ticketer: Arc::new(NoTickets),
                storage: Arc::new(NoServerSessionStorage {}),
                tls13_tickets: 0,
            });
        }
        if let Some(keys) = &view.keys {
            self.remember(keys);
        }
        let shared = SharedKeys::of(&view).map_err(Error::new)?;
        let is_alone = self.resumption == Resumption::AlwaysReset;
        let scope = without_fork(|| Binding::new(view, is_alone)).map_err(Error::new)?;
        let scope = Arc::new(scope);
        Ok(ServerSessions {
            storage: self.caches.server(scope.clone()),
            ticketer: Arc::new(TicketProducer { sessions: self.clone(), scope, shared }),
            tls13_tickets: 2,
        })
    }

    /// For the client config of one generation.
    ///
    /// rustls itself resumes a session only with the very verifier and the very resolver of client certificates that
    /// it was begun with, and tells them by their address. So a generation that is to go on with the sessions of the
    /// one before takes both over, and one whose trust or whose client identity is another begins anew, as it should:
    /// what a server was checked against, and who the server takes the client for, were the old ones.
    ///
    /// From `until` on none is resumed: seconds since 1970.
    pub(crate) fn client(self: &Arc<Self>, until: Option<i64>) -> rustls::client::Resumption {
        match self.resumption {
            Resumption::Auto => rustls::client::Resumption::store(self.caches.client(until)),
            Resumption::AlwaysReset => {
                rustls::client::Resumption::store(self.caches.client_apart(until))
            }
            Resumption::Off => rustls::client::Resumption::disabled(),
        }
    }

    /// No session that was begun until now is resumed, whichever generation it was begun in.
    ///
    /// Of the keys of a file none that was ever loaded is used again, for as long as the handle lives: whoever has
    /// it makes tickets of any date, and a file of before may come back. On failure nothing has changed.
    pub(crate) fn invalidate(&self) -> Result<(), Error> {
        self.ring.redraw(clock::unix_now()).map_err(Error::new)?;
        self.distrusted.rcu(|_| {
            let mut loaded = Vec::clone(&self.loaded.load());
            loaded.sort_unstable();
            loaded
        });
        self.caches.forget();
        Ok(())
    }

    fn distrusts(&self, key: &[u8; 16]) -> bool {
        self.distrusted.load().binary_search(key).is_ok()
    }

    fn remember(&self, keys: &TicketKeys) {
        self.loaded.rcu(|loaded| {
            let others = loaded.iter().filter(|name| keys.with_name(&name[..]).is_none());
            let mut loaded: Vec<_> = others.copied().collect();
            loaded.extend(keys.keys().iter().map(|key| key.name));
            loaded.drain(..loaded.len().saturating_sub(KEYS_REMEMBERED));
            loaded
        });
    }
}

fn random(bytes: &mut [u8]) -> Result<(), Cause> {
    rand::fill(bytes)
        .map_err(|error| Cause::System { what: "random numbers", reason: error.to_string() })
}
