//! Decides which TLS sessions can be resumed. Sessions outlive generations, so that a renewal ends none of them (G14).
//!
//! A server resumes a session from a ticket that the client stores ([`tickets`]). If a TLS 1.2 client accepts no
//! tickets, the server stores the session by its id ([`session_store`]). A resumed handshake verifies no certificates. So each
//! session is bound to the trust store it was started under, and is stored with the facts that limit its lifetime
//! ([`binding`]).
//!
//! Tickets are encrypted with the keys of a file, which the servers of a fleet share. Without a file, the handle makes
//! random keys, which processes forked from one another share ([`generated_keys`]).

mod binding;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod generated_keys;
mod handle_keys;
mod identity_label;
mod random;
mod resumption_rules;
mod rustls_session_format;
mod seeds_across_fork;
mod session_map;
mod session_store;
#[cfg(test)]
mod tests;
mod ticket_cipher;
mod tickets;
mod tls12_origin;

use std::sync::Arc;

use rustls::server::{NoServerSessionStorage, ProducesTickets, StoresServerSessions};

#[cfg(fuzzing)]
pub(crate) use fuzzing::ticket;
pub(crate) use identity_label::IdentityLabel;
pub(crate) use resumption_rules::{ServedNames, SessionPolicy};

use crate::clock;
use crate::error::Error;
use crate::options::Resumption;
use crate::sys::without_fork;
use binding::Binding;
use handle_keys::HandleKeys;
use session_store::SessionStore;
use tickets::{FileKeys, NoTickets, TicketProducer};

/// The sessions of one handle, which all of its generations share.
#[derive(Debug)]
pub(crate) struct Sessions {
    resumption: Resumption,
    keys: Arc<HandleKeys>,
    store: SessionStore,
}

/// The session settings of a server configuration.
pub(crate) struct ServerSessions {
    pub(crate) ticketer: Arc<dyn ProducesTickets>,
    pub(crate) storage: Arc<dyn StoresServerSessions>,
    pub(crate) tls13_tickets: usize,
}

impl Sessions {
    pub(crate) fn new(resumption: Resumption) -> Result<Arc<Self>, Error> {
        let keys = HandleKeys::new(clock::unix_now()).map_err(Error::new)?;
        Ok(Arc::new(Self { resumption, keys: Arc::new(keys), store: SessionStore::new() }))
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
            self.keys.record_loaded(keys);
        }
        let file_keys = FileKeys::new(&policy).map_err(Error::new)?;
        let is_exclusive = self.resumption == Resumption::AlwaysReset;
        let binding = without_fork(|| Binding::new(policy, is_exclusive)).map_err(Error::new)?;
        let binding = Arc::new(binding);
        Ok(ServerSessions {
            storage: self.store.for_server(binding.clone()),
            ticketer: Arc::new(TicketProducer { keys: self.keys.clone(), binding, file_keys }),
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

    /// Ends all sessions of this process, of every generation. Other processes of the family keep theirs. Fails if no new
    /// key can be made, and then nothing is changed.
    pub(crate) fn invalidate(&self) -> Result<(), Error> {
        self.keys.revoke_all(clock::unix_now()).map_err(Error::new)?;
        self.store.clear();
        Ok(())
    }
}
