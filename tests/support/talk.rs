//! Handshakes of the client role.

use std::sync::Arc;

use certreload::ffi::new_connection::certreload_acquire_client_config;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};

use super::host::{Host, last_error};

/// A call of the host's client role to `server`, in memory.
pub fn talk(host: &Host, server: &Arc<ServerConfig>) -> HandshakeKind {
    // SAFETY: an open handle; the reference that it gives is taken over.
    let config = unsafe {
        let config = certreload_acquire_client_config(host.handle);
        assert!(!config.is_null(), "{}", last_error());
        Arc::from_raw(config.cast::<ClientConfig>())
    };
    let mut client = ClientConnection::new(config, "a.test".try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets().unwrap();
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    client.handshake_kind().unwrap()
}
