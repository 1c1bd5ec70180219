//! Decides which TLS sessions can be resumed. Sessions outlive generations, so that a renewal ends none of them (G14).
//!
//! A server resumes a session from a ticket that the client stores ([`tickets`]). If a TLS 1.2 client accepts no
//! tickets, the server stores the session by its id ([`store`]). A resumed handshake verifies no certificates. So each
//! session is bound to the trust store it was started under, and is stored with the facts that limit its lifetime
//! ([`binding`]).
//!
//! Tickets are encrypted with the keys of a file, which the servers of a fleet share. Without a file, the handle makes
//! random keys, which processes forked from one another share ([`generated_keys`]).

mod binding;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod generated_keys;
mod identity_label;
mod rustls_session;
mod session_map;
mod shared_seeds;
mod storage;
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
pub(crate) use identity_label::IdentityLabel;

use crate::clock;
use crate::error::{Cause, Error};
use crate::options::Resumption;
use crate::pki::TicketKeys;
use crate::sys::without_fork;
use binding::Binding;
use generated_keys::KeyRing;
use storage::SessionStore;
use tickets::{FileKeys, NoTickets, TicketProducer};

/// The lifetime of a session in seconds: 6 hours, where TLS 1.3 allows 7 days (RFC 8446 section 4.6.1).
///
/// A client that resumes gets another ticket. In TLS 1.2 the secret stays the same, so the new ticket expires with the
/// first one. In TLS 1.3 new keys are agreed on, so the new ticket has the full lifetime. Such a chain of resumptions
/// ends when the trust store changes, or when a certificate of the client or a CRL expires. For a client with a
/// certificate it also ends once a week.
const LIFETIME: i64 = 6 * 3600;

/// How many names of keys from ticket key files are remembered, so that [`Sessions::invalidate`] can revoke the keys.
/// With a new key each day, these are the keys of 11 years.
const MAX_LOADED_KEYS: usize = 4096;

/// The sessions of one handle, which all of its generations share.
#[derive(Debug)]
pub(crate) struct Sessions {
    resumption: Resumption,
    ring: KeyRing,
    store: SessionStore,
    /// The names of all keys that ticket key files have held so far, those that were loaded last at the end. They are
    /// the keys to revoke when sessions are invalidated.
    loaded_keys: ArcSwap<Vec<[u8; 16]>>,
    /// The names of keys that must not be used any more, whichever file they are in. Sorted for a binary search.
    revoked_keys: ArcSwap<Vec<[u8; 16]>>,
}

/// What sessions need to know about the server names of one generation.
pub(crate) trait ServedNames: fmt::Debug + Send + Sync {
    /// Returns whether an identity has `name`.
    fn is_served(&self, name: &str) -> bool;
    /// Returns the first label of the identity for a client that asks for `name`, or sends no name; `None` if there is
    /// no such identity.
    fn label_for(&self, name: Option<&str>) -> Option<IdentityLabel>;
    /// Returns whether `label` is one of the labels of the identity for such a client.
    fn has_label(&self, name: Option<&str>, label: &IdentityLabel) -> bool;
}

/// The facts about one generation that decide which sessions its server configuration resumes.
#[derive(Clone, Debug)]
pub(crate) struct SessionPolicy {
    /// Sessions that were started under another trust store are not resumed (G13). Zeros without a trust store.
    pub(crate) trust_fingerprint: [u8; 32],
    /// The digest of the session context that the host has set; zeros if it has set none. Sessions of a service with
    /// another context are not resumed.
    pub(crate) context: [u8; 32],
    /// Sessions for a name that is no longer served are not resumed (G14).
    ///
    /// If the client asked for no name that was served, the default identity answered, and its name was recorded. Then
    /// the session is resumed only while the default identity has that name.
    pub(crate) names: Arc<dyn ServedNames>,
    /// The keys of the ticket key file, if one is configured.
    pub(crate) ticket_keys: Option<Arc<TicketKeys>>,
    /// The lifetime of a key of that file: up to twice this age it may encrypt. Zero means no limit.
    pub(crate) ticket_key_lifetime: Duration,
    /// From when on no session is resumed, in seconds since 1970: then a CRL expires that clients are verified with,
    /// and a full handshake would refuse the client (G13).
    pub(crate) resume_until: Option<i64>,
}

/// The session settings of a server configuration.
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
            store: SessionStore::new(),
            loaded_keys: ArcSwap::default(),
            revoked_keys: ArcSwap::default(),
        }))
    }

    /// Returns the session settings for the server configuration of one generation.
    pub(crate) fn for_server(
        self: &Arc<Self>,
        policy: SessionPolicy,
    ) -> Result<ServerSessions, Error> {
        if self.resumption == Resumption::Off {
            return Ok(ServerSessions {
                ticketer: Arc::new(NoTickets),
                storage: Arc::new(NoServerSessionStorage {}),
                tls13_tickets: 0,
            });
        }
        if let Some(keys) = &policy.ticket_keys {
            self.record_loaded(keys);
        }
        let file_keys = FileKeys::new(&policy).map_err(Error::new)?;
        let is_exclusive = self.resumption == Resumption::AlwaysReset;
        let binding = without_fork(|| Binding::new(policy, is_exclusive)).map_err(Error::new)?;
        let binding = Arc::new(binding);
        Ok(ServerSessions {
            storage: self.store.for_server(binding.clone()),
            ticketer: Arc::new(TicketProducer { sessions: self.clone(), binding, file_keys }),
            tls13_tickets: 2,
        })
    }

    /// Returns the session settings for the client configuration of one generation.
    ///
    /// No session is resumed from `resume_until` on, in seconds since 1970: then a CRL expires.
    ///
    /// rustls resumes a client session only with the verifier and the client certificate resolver that it was started
    /// with, and compares their addresses. So a generation with the same trust store and client identity uses the
    /// objects of the generation before, and its sessions continue (G14). If either is new, no session is resumed. That
    /// is required: the server was verified with the old trust store, and has authenticated the old identity (G13).
    pub(crate) fn for_client(
        self: &Arc<Self>,
        resume_until: Option<i64>,
    ) -> rustls::client::Resumption {
        let storage = match self.resumption {
            Resumption::Auto => self.store.for_client(resume_until),
            Resumption::AlwaysReset => self.store.for_client_exclusive(resume_until),
            Resumption::Off => return rustls::client::Resumption::disabled(),
        };
        rustls::client::Resumption::store(storage)
    }

    /// Ends all sessions that exist, of every generation.
    ///
    /// All keys that a ticket key file has held so far are revoked for the lifetime of the handle. Newer tickets of
    /// such a key are refused, too: an attacker who has the key can make tickets with any date. An old file may be
    /// restored, so the keys are recognised by name in any file. On failure, nothing is changed.
    pub(crate) fn invalidate(&self) -> Result<(), Error> {
        self.ring.reset(clock::unix_now()).map_err(Error::new)?;
        self.revoked_keys.rcu(|_| {
            let mut loaded = Vec::clone(&self.loaded_keys.load());
            loaded.sort_unstable();
            loaded
        });
        self.store.clear();
        Ok(())
    }

    fn is_revoked(&self, key: &[u8; 16]) -> bool {
        self.revoked_keys.load().binary_search(key).is_ok()
    }

    /// Records the names of `keys` as those that were loaded last. If there are too many, the oldest are forgotten
    /// (G17).
    fn record_loaded(&self, keys: &TicketKeys) {
        self.loaded_keys.rcu(|loaded| {
            let others = loaded.iter().filter(|name| keys.with_name(&name[..]).is_none());
            let mut loaded: Vec<_> = others.copied().collect();
            loaded.extend(keys.keys().iter().map(|key| key.name));
            loaded.drain(..loaded.len().saturating_sub(MAX_LOADED_KEYS));
            loaded
        });
    }
}

/// Fills a buffer of the caller with randomness. If a secret were returned by value, copies would remain on the stack
/// (G18).
fn fill_random(bytes: &mut [u8]) -> Result<(), Cause> {
    rand::fill(bytes)
        .map_err(|error| Cause::System { what: "random numbers", reason: error.to_string() })
}
