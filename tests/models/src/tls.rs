//! What is published: numbers, and configs that know theirs.

use std::sync::Arc;

use loom::cell::UnsafeCell;

use crate::once_slots::OnceSlots;

pub(crate) struct ServerConfig(pub(crate) u64);

pub(crate) struct ClientConfig;

/// The objects of two adapters for the one unit of a generation.
pub(crate) type Prepared = OnceSlots<PreparedObject, 2>;

/// An object that an adapter wrote before it gave it away, and that is only read since.
pub(crate) struct PreparedObject(UnsafeCell<u64>);

// SAFETY: loom fails if a read is not ordered after the write.
unsafe impl Sync for PreparedObject {}

impl PreparedObject {
    pub(crate) fn new(value: u64) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub(crate) fn value(&self) -> u64 {
        // SAFETY: as above.
        self.0.with(|value| unsafe { *value })
    }
}

pub(crate) struct Generation(Arc<ServerConfig>, Prepared);

impl Generation {
    pub(crate) fn new(number: u64) -> Arc<Self> {
        Arc::new(Self(Arc::new(ServerConfig(number)), Prepared::default()))
    }

    pub(crate) fn prepared(&self) -> &Prepared {
        &self.1
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.0
    }

    pub(crate) fn client_config(&self) -> Option<&Arc<ClientConfig>> {
        None
    }

    pub(crate) fn server_config(&self) -> &Arc<ServerConfig> {
        &self.0
    }
}
