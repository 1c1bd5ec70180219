//! What is published: numbers, and configs that know theirs.

use std::sync::Arc;

pub(crate) struct ServerConfig(pub(crate) u64);

pub(crate) struct ClientConfig;

pub(crate) struct Generation(Arc<ServerConfig>);

impl Generation {
    pub(crate) fn new(number: u64) -> Arc<Self> {
        Arc::new(Self(Arc::new(ServerConfig(number))))
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
