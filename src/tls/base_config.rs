//! What the configs of all generations have in common: everything but identities and trust.

use std::sync::Arc;
use std::time::Duration;

use ::aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::StoresServerSessions;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};

use super::cert_resolver::CertResolver;
use super::client_config::ClientRole;
use super::generation_count::GenerationCount;
use super::parts::Parts;
use super::protocol_versions;
use super::sessions::{Sessions, View};
use crate::clock::WallClock;
use crate::error::Error;
use crate::options::{ClientAuth, Options};
use crate::pki::Trust;

/// The settings that every generation of a handle shares, and the sessions: a client that comes back after
/// a renewal resumes (G14).
#[derive(Debug)]
pub(crate) struct BaseConfig {
    server: ServerConfig,
    /// What `server` speaks, where it is to be built anew with each trust.
    versions: Vec<&'static SupportedProtocolVersion>,
    client: Option<ClientRole>,
    /// `None` where the template has its own.
    server_sessions: Option<Arc<Sessions>>,
    sessions: Arc<Sessions>,
    ticket_key_lifetime: Duration,
    session_context: [u8; 32],
    alive: GenerationCount,
}

/// The configs of one generation.
pub(super) struct Configs {
    pub(super) resolver: Arc<CertResolver>,
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Option<Arc<ClientConfig>>,
}

impl BaseConfig {
    pub(crate) fn new(options: &Options, alive: GenerationCount) -> Result<Self, Error> {
        let provider = provider(options);
        let mut server = match &options.template {
            Some(template) => ServerConfig::clone(template),
            None => default_config(&provider)?,
        };
        if !options.alpn.is_empty() {
            server.alpn_protocols.clone_from(&options.alpn);
        }
        let takes_trust = options.trust.client_auth != ClientAuth::None;
        let sessions = Sessions::new(options.resumption.unwrap_or_default())?;
        Ok(Self {
            versions: if takes_trust { protocol_versions::spoken_by(&server) } else { Vec::new() },
            client: ClientRole::new(options, &provider)?,
            server_sessions: owns_sessions(options, &server)?.then(|| sessions.clone()),
            server,
            sessions,
            ticket_key_lifetime: options.ticket_key_lifetime,
            session_context: context_of(&options.session_context),
            alive,
        })
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        self.server.crypto_provider()
    }

    /// In seconds; `None` where ticket keys may encrypt for ever.
    pub(crate) fn ticket_key_lifetime(&self) -> Option<i64> {
        let seconds = i64::try_from(self.ticket_key_lifetime.as_secs()).unwrap_or(i64::MAX);
        Some(seconds).filter(|seconds| *seconds > 0)
    }

    /// Ends every session, in whichever generation it was begun.
    pub(crate) fn invalidate_sessions(&self) -> Result<(), Error> {
        self.sessions.invalidate()
    }

    /// Builds the configs that would serve `parts`.
    pub(super) fn configs(&self, parts: &Parts) -> Result<Configs, Error> {
        let alive = Arc::new(self.alive.token());
        let resolver = Arc::new(CertResolver::new(parts.identities.clone(), alive.clone()));
        let trust = parts.trust.as_deref();
        let mut server = match trust.and_then(|trust| trust.client_verifier()) {
            Some(verifier) => self.server_with(verifier)?,
            None => self.server.clone(),
        };
        server.cert_resolver = resolver.clone();
        if let Some(sessions) = &self.server_sessions {
            let sessions = sessions.server(View {
                trust: trust.map_or([0; 32], |trust| *trust.fingerprint()),
                context: self.session_context,
                names: resolver.clone(),
                keys: parts.ticket_keys.clone(),
                key_lifetime: self.ticket_key_lifetime,
                until: trust.and_then(Trust::sessions_hold_until),
            })?;
            server.ticketer = sessions.ticketer;
            server.session_storage = sessions.storage;
            if sessions.tls13_tickets == 0 {
                server.send_tls13_tickets = 0;
            }
        }
        let client = self
            .client
            .as_ref()
            .and_then(|role| role.config(trust?, parts.client_identity(), &self.sessions, alive));
        Ok(Configs { resolver, server: Arc::new(server), client: client.map(Arc::new) })
    }

    /// The same settings with another client verifier, which a config takes only when it is built.
    fn server_with(&self, verifier: &Arc<dyn ClientCertVerifier>) -> Result<ServerConfig, Error> {
        let from = &self.server;
        let built = ServerConfig::builder_with_provider(self.provider().clone())
            .with_protocol_versions(&self.versions)
            .map_err(|error| Error::tls(&error))?
            .with_client_cert_verifier(verifier.clone())
            .with_cert_resolver(from.cert_resolver.clone());
        let mut config = built;
        config.ignore_client_order = from.ignore_client_order;
        config.max_fragment_size = from.max_fragment_size;
        config.session_storage = from.session_storage.clone();
        config.ticketer = from.ticketer.clone();
        config.alpn_protocols.clone_from(&from.alpn_protocols);
        config.key_log = from.key_log.clone();
        config.enable_secret_extraction = from.enable_secret_extraction;
        config.max_early_data_size = from.max_early_data_size;
        config.send_half_rtt_data = from.send_half_rtt_data;
        config.send_tls13_tickets = from.send_tls13_tickets;
        config.max_tls13_tickets = from.max_tls13_tickets;
        config.require_ems = from.require_ems;
        config.time_provider = from.time_provider.clone();
        config.cert_compressors.clone_from(&from.cert_compressors);
        config.cert_compression_cache = from.cert_compression_cache.clone();
        config.cert_decompressors.clone_from(&from.cert_decompressors);
        Ok(config)
    }
}

/// Of one length whatever the host passes. Zero for none.
fn context_of(bytes: &[u8]) -> [u8; 32] {
    let mut context = [0; 32];
    if !bytes.is_empty() {
        context.copy_from_slice(digest(&SHA256, bytes).as_ref());
    }
    context
}

/// That of a template, else the one that the host has made its process's default, if it has; none is installed
/// here.
fn provider(options: &Options) -> Arc<CryptoProvider> {
    let of_template = options.template.as_ref().map(|template| template.crypto_provider());
    let of_template =
        of_template.or(options.client_template.as_ref().map(|template| template.crypto_provider()));
    of_template
        .cloned()
        .or_else(|| CryptoProvider::get_default().cloned())
        .unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

fn default_config(provider: &Arc<CryptoProvider>) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::tls(&error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(protocol_versions::Nobody));
    config.time_provider = Arc::new(WallClock);
    Ok(config)
}

/// Whether sessions are ours. A template's are its owner's, until he says otherwise, or clients are checked
/// against trust that reloads: a store that knows nothing of it would let in whom it refuses (G13).
fn owns_sessions(options: &Options, server: &ServerConfig) -> Result<bool, Error> {
    let Some(_) = &options.template else { return Ok(true) };
    let has_context = !options.session_context.is_empty();
    if options.resumption.is_some() || options.ticket_keys.is_some() || has_context {
        return Ok(true);
    }
    if options.trust.client_auth == ClientAuth::None {
        return Ok(false);
    }
    if is_store_of_rustls(&*server.session_storage) {
        return Ok(true);
    }
    Err(Error::invalid(
        "the template stores sessions by itself, and would resume those of clients that the trust refuses by then: \
         call certreload_options_set_resumption(), and certreload keeps the sessions; or leave client \
         authentication to the template",
    ))
}

/// Whether nobody has given the config a session storage of his own.
fn is_store_of_rustls(storage: &dyn StoresServerSessions) -> bool {
    let name = format!("{storage:?}");
    name.starts_with("ServerSessionMemoryCache") || name.starts_with("NoServerSessionStorage")
}

/// Tickets are bound to the trust of the handle, and know nothing of a template's own client verifier: with keys
/// that others have, too, they would let in whom it refuses (G13).
pub(crate) fn check_template(options: &Options, asks_clients: bool) -> Result<(), Error> {
    let checks_by_itself = asks_clients && options.trust.client_auth == ClientAuth::None;
    if checks_by_itself && options.ticket_keys.is_some() {
        return Err(Error::invalid(
            "the template checks clients by itself, and tickets of processes that share keys would be a way around \
             that: call certreload_options_set_client_auth() in place of its verifier, or share no ticket keys",
        ));
    }
    Ok(())
}
