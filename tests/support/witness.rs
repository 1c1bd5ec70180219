//! A client that connects all the time, checks the chain as clients do, and remembers what it saw.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, RootCertStore};

use super::certificates::{Authority, Pair, sha256};
use super::host::Host;

/// What a client was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Fingerprint of the leaf.
    pub leaf: String,
    /// Length of the chain.
    pub length: usize,
}

impl Shown {
    pub fn of(chain: &[CertificateDer<'_>]) -> Self {
        Self { leaf: sha256(&chain[0]), length: chain.len() }
    }
}

impl From<&Pair> for Shown {
    fn from(pair: &Pair) -> Self {
        Self { leaf: pair.sha256.clone(), length: pair.length() }
    }
}

/// A client's configs, TLS 1.3 and 1.2, that trust the root of `authority` and never resume a session:
/// each handshake is to show what serves now, and fails where the chain does not lead to the root. The
/// name is not checked: tests do that by fingerprint.
pub fn trusting(authority: &Authority) -> [Arc<ClientConfig>; 2] {
    trusting_all(&[authority.root()])
}

/// The same, for clients that take a chain without its intermediate, too.
pub fn lenient(authority: &Authority) -> [Arc<ClientConfig>; 2] {
    trusting_all(&[authority.root(), authority.intermediate()])
}

fn trusting_all(anchors: &[CertificateDer<'static>]) -> [Arc<ClientConfig>; 2] {
    [&rustls::version::TLS13, &rustls::version::TLS12].map(|version| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(anchors.iter().cloned());
        let inner =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName(inner.unwrap())))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Arc::new(config)
    })
}

/// Completes a handshake in memory; tells what the client was shown, or why there was none.
pub fn shake(
    client: &Arc<ClientConfig>,
    server: Arc<rustls::ServerConfig>,
    name: &str,
) -> Result<Shown, String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let words = |error: rustls::Error| error.to_string();
    let mut client = rustls::ClientConnection::new(client.clone(), name).map_err(words)?;
    let mut server = rustls::ServerConnection::new(server).map_err(words)?;
    let mut wire = Vec::new();
    while client.wants_write() || server.wants_write() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets().map_err(words)?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets().map_err(words)?;
        }
    }
    if client.is_handshaking() || server.is_handshaking() {
        return Err("the handshake stands still".to_owned());
    }
    client.peer_certificates().map(Shown::of).ok_or_else(|| "no certificate".to_owned())
}

/// What may be served, in the order in which it was put on disk.
#[derive(Default)]
pub struct Ledger {
    pairs: Mutex<Vec<Shown>>,
    /// The last one that has been seen served: nothing before it may come back.
    live: AtomicUsize,
    over: AtomicBool,
    handshakes: AtomicUsize,
}

impl Ledger {
    /// Notes a pair that is about to be written.
    pub fn begin(&self, pair: &Pair) {
        self.pairs.lock().unwrap().push(pair.into());
    }

    /// Notes that the last pair is served.
    pub fn is_live(&self) {
        self.live.store(self.pairs.lock().unwrap().len() - 1, Ordering::SeqCst);
    }

    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }

    /// Connects until the end, and panics at the first handshake that fails, shows what was never
    /// whole on disk, or goes back to what was replaced. `whole` chains only, or also their begin.
    pub fn witness(&self, host: &Host, clients: &[Arc<ClientConfig>], name: &str, whole: bool) {
        let mut last = 0;
        for client in clients.iter().cycle() {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            last = last.max(self.live.load(Ordering::SeqCst));
            let shown = shake(client, host.config(), name)
                .unwrap_or_else(|error| panic!("a handshake failed: {error}"));
            let pairs = self.pairs.lock().unwrap().clone();
            // The same leaf may come again with another chain: the latest that fits counts.
            let fits = |pair: &Shown| {
                pair.leaf == shown.leaf
                    && (pair.length == shown.length || (!whole && shown.length < pair.length))
            };
            let position = pairs.iter().rposition(fits);
            let position = position.unwrap_or_else(|| {
                panic!("never whole on disk: {shown:?}, of {pairs:?}");
            });
            assert!(position >= last, "went back from {last} to {position}");
            last = position;
            self.handshakes.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Ends a ledger whatever happens, so that its witness does not go on for ever.
pub struct EndOf<'a>(pub &'a Ledger);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Checks a chain as clients do, but for the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        beside: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(leaf, beside, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
