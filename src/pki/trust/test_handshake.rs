//! Handshakes in memory between a verifier under test and a peer.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, Error as TlsError, RootCertStore};
use rustls::{ServerConfig, ServerConnection};

use super::Trust;
use crate::pki::test_ca::{Authority, Peer, now};

/// A clock that always shows this time, in seconds since 1970.
#[derive(Debug)]
struct At(i64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = self.0.cast_unsigned();
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

/// Connects a client at `now`, with the certificate of `peer` if there is one. Fails if the server refuses the client.
pub(super) fn client_at(trust: &Trust, peer: Option<&Peer>, now: i64) -> Result<(), TlsError> {
    let itself = Authority::new("server");
    let server = itself.peer(1, &[]);
    let config = ServerConfig::builder_with_details(default_provider().into(), Arc::new(At(now)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(trust.client_verifier().unwrap().clone())
        .with_single_cert(server.chain.clone(), key_of(&server))
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(itself.root()).unwrap();
    let client = ClientConfig::builder_with_details(default_provider().into(), Arc::new(At(now)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let client = match peer {
        Some(peer) => client.with_client_auth_cert(peer.chain.clone(), key_of(peer)).unwrap(),
        None => client.with_no_client_auth(),
    };
    handshake(client, config)
}

/// Connects a client with the certificate of `peer` at the default time. Fails if the server refuses the client.
pub(super) fn client(trust: &Trust, peer: &Peer) -> Result<(), TlsError> {
    client_at(trust, Some(peer), now())
}

/// Connects a client to a server with the certificate of `peer`. Fails if the client refuses the server.
pub(super) fn server(trust: &Trust, peer: &Peer) -> Result<(), TlsError> {
    let verifier = trust.server_verifier().unwrap().clone();
    let client = ClientConfig::builder_with_details(default_provider().into(), Arc::new(At(now())))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let config = ServerConfig::builder_with_details(default_provider().into(), Arc::new(At(now())))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(peer.chain.clone(), key_of(peer))
        .unwrap();
    handshake(client, config)
}

fn key_of(peer: &Peer) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(peer.key.clone_key())
}

fn handshake(client: ClientConfig, server: ServerConfig) -> Result<(), TlsError> {
    let name = ServerName::try_from("a.test").unwrap();
    let mut client = ClientConnection::new(client.into(), name).unwrap();
    let mut server = ServerConnection::new(server.into()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut &bytes[..]).unwrap();
        server.process_new_packets()?;
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut &bytes[..]).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}
