//! Handshakes with certreload against handshakes with fixed configs of rustls, in one run: full and resumed,
//! TLS 1.3 and 1.2, with client authentication and without.
//!
//! One peer makes tickets as certreload does: rustls's own, stateless. The other is a config as rustls makes it
//! where nothing is said: it keeps the last 256 sessions in memory and needs no cryptography for them, but neither
//! another process nor the same one after a restart knows them.
//!
//! What is compared is the processor time of the server's end alone, the taking of the config included: neither the
//! client nor what else the machine does is in it. The servers take turns, one handshake each, and are compared by
//! the medians of theirs.

#![allow(unsafe_code, reason = "the C API, and a clock of the system")]
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use certreload::ffi::handle::{certreload_close, certreload_handle, certreload_open};
use certreload::ffi::new_connection::certreload_acquire_server_config;
use certreload::ffi::options::trust::{certreload_client_auth, certreload_options_set_client_auth};
use certreload::ffi::options::{
    certreload_options, certreload_options_add_identity, certreload_options_free,
    certreload_options_new,
};
use certreload::ffi::result::certreload_result;
use certreload::ffi::sessions::certreload_options_set_ticket_keys;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, ConnectionCommon, HandshakeKind, RootCertStore,
    ServerConfig, ServerConnection, SupportedProtocolVersion, WantsVerifier,
};

/// Of each server, for each row.
const HANDSHAKES: usize = 1500;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    make_files(directory);
    println!(
        "handshakes a second of one processor, and certreload's against each peer's\n{:30} {:3} {:8} {:>10} {:>9} {:>6} {:>9} {:>6}",
        "", "TLS", "", "certreload", "tickets", "ratio", "in memory", "ratio"
    );
    for asks_clients in [false, true] {
        for shares_keys in [false, true] {
            let handle = open(directory, asks_clients, shares_keys);
            let mut tickets = fixed(directory, asks_clients);
            tickets.ticketer = aws_lc_rs::Ticketer::new().unwrap();
            let (tickets, in_memory) =
                (Arc::new(tickets), Arc::new(fixed(directory, asks_clients)));
            let (ours, with_tickets, with_memory) =
                (|| handle.config(), || tickets.clone(), || in_memory.clone());
            let servers: [&dyn Fn() -> Arc<ServerConfig>; 3] = [&ours, &with_tickets, &with_memory];
            let what = match (asks_clients, shares_keys) {
                (false, false) => "no client authentication",
                (true, false) => "client authentication",
                (_, true) => "... and a file of ticket keys",
            };
            for version in [&TLS13, &TLS12] {
                for is_resumed in [false, true] {
                    let client = client(directory, version, is_resumed);
                    compare(what, version, servers, &client, is_resumed);
                }
            }
        }
    }
}

/// Measures and prints one row.
fn compare(
    what: &str,
    version: &SupportedProtocolVersion,
    servers: [&dyn Fn() -> Arc<ServerConfig>; 3],
    client: &dyn Fn() -> Arc<ClientConfig>,
    is_resumed: bool,
) {
    // The first handshake of each is a full one in any case.
    let clients = servers.map(|server| {
        let client = client();
        handshake(server, &client);
        client
    });
    let mut taken = [(); 3].map(|()| Vec::with_capacity(HANDSHAKES));
    for turn in 0..HANDSHAKES {
        for which in (0..3).map(|place| (turn + place) % 3) {
            let (time, kind) = handshake(servers[which], &clients[which]);
            assert_eq!(kind == HandshakeKind::Resumed, is_resumed);
            taken[which].push(time);
        }
    }
    let [ours, tickets, in_memory] = taken.map(|mut taken| {
        taken.sort_by(f64::total_cmp);
        1e9 / taken[HANDSHAKES / 2]
    });
    let tls = if version == &TLS13 { "1.3" } else { "1.2" };
    let kind = if is_resumed { "resumed" } else { "full" };
    println!(
        "{what:30} {tls:3} {kind:8} {ours:10.0} {tickets:9.0} {:6.3} {in_memory:9.0} {:6.3}",
        ours / tickets,
        ours / in_memory
    );
}

/// One, and the server's processor time for it in nanoseconds.
fn handshake(
    config: &dyn Fn() -> Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
) -> (f64, HandshakeKind) {
    let name = "localhost".try_into().unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let begun = processor_time();
    let mut server = ServerConnection::new(config()).unwrap();
    let mut taken = processor_time() - begun;
    while client.is_handshaking()
        || server.is_handshaking()
        || server.wants_write()
        || client.wants_write()
    {
        turn(&mut client, &mut to_client, &mut to_server);
        let begun = processor_time();
        turn(&mut server, &mut to_server, &mut to_client);
        taken += processor_time() - begun;
    }
    turn(&mut client, &mut to_client, &mut to_server);
    let begun = processor_time();
    drop(server);
    taken += processor_time() - begun;
    (taken, client.handshake_kind().unwrap())
}

/// Hears what was said to it, and says what it has to say.
fn turn<T>(connection: &mut ConnectionCommon<T>, heard: &mut Vec<u8>, said: &mut Vec<u8>) {
    let mut rest = &heard[..];
    while !rest.is_empty() {
        connection.read_tls(&mut rest).unwrap();
        connection.process_new_packets().unwrap();
    }
    heard.clear();
    while connection.wants_write() {
        connection.write_tls(said).unwrap();
    }
}

/// Of this thread, in nanoseconds.
fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the one timespec that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn fixed(directory: &Path, asks_clients: bool) -> ServerConfig {
    let builder: ConfigBuilder<ServerConfig, WantsVerifier> =
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
    let builder = if asks_clients {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots(directory), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let (chain, key) = pair(directory, "server");
    builder.with_single_cert(chain, key).unwrap()
}

/// Makes clients' configs: such as remember sessions, or such as do not.
fn client(
    directory: &Path,
    version: &'static SupportedProtocolVersion,
    resumes: bool,
) -> impl Fn() -> Arc<ClientConfig> {
    let (chain, key) = pair(directory, "client");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots(directory))
        .with_client_auth_cert(chain, key)
        .unwrap();
    move || {
        let mut config = config.clone();
        config.resumption =
            if resumes { Resumption::in_memory_sessions(64) } else { Resumption::disabled() };
        Arc::new(config)
    }
}

fn pair(directory: &Path, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::from_pem_file(directory.join(format!("{name}.pem"))).unwrap();
    (vec![chain], PrivateKeyDer::from_pem_file(directory.join(format!("{name}.key"))).unwrap())
}

fn roots(directory: &Path) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(directory.join("ca.pem")).unwrap()).unwrap();
    Arc::new(roots)
}

fn make_files(directory: &Path) {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
    for (name, usage) in [
        ("server", ExtendedKeyUsagePurpose::ServerAuth),
        ("client", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let mut leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
        leaf.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        fs::write(directory.join(format!("{name}.pem")), leaf.pem()).unwrap();
        write_secret(&directory.join(format!("{name}.key")), key.serialize_pem().as_bytes());
    }
    let mut keys = [0; 48];
    ::aws_lc_rs::rand::fill(&mut keys).unwrap();
    write_secret(&directory.join("tickets.key"), &keys);
}

fn write_secret(path: &Path, secret: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(secret).unwrap();
}

/// A handle, closed when it is dropped.
struct Handle(*mut certreload_handle);

impl Handle {
    fn config(&self) -> Arc<ServerConfig> {
        // SAFETY: the handle is open; what it gives is the Arc of a server config, counted for us.
        unsafe { Arc::from_raw(certreload_acquire_server_config(self.0).cast::<ServerConfig>()) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it is open, and this is the last that is done with it.
        unsafe { certreload_close(self.0) };
    }
}

fn open(directory: &Path, asks_clients: bool, shares_keys: bool) -> Handle {
    let path = |name: &str| CString::new(directory.join(name).to_str().unwrap()).unwrap();
    let (chain, key) = (path("server.pem"), path("server.key"));
    let (roots, tickets) = (path("ca.pem"), path("tickets.key"));
    let ok = |result: certreload_result| assert_eq!(result, certreload_result::Ok);
    let required = certreload_client_auth::Required as u32;
    // SAFETY: a builder that is freed once, strings that outlive the calls, and a place for the handle.
    unsafe {
        let options: *mut certreload_options = certreload_options_new();
        ok(certreload_options_add_identity(options, chain.as_ptr(), key.as_ptr(), ptr::null()));
        if asks_clients {
            ok(certreload_options_set_client_auth(options, required, roots.as_ptr()));
        }
        if shares_keys {
            ok(certreload_options_set_ticket_keys(options, tickets.as_ptr()));
        }
        let mut handle = ptr::null_mut();
        ok(certreload_open(options, &raw mut handle));
        certreload_options_free(options);
        Handle(handle)
    }
}
