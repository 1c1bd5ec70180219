//! Holds what the TLS configurations of all generations share: every setting except identities and the trust store.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::StoresServerSessions;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};

use super::cert_resolver::CertResolver;
use super::client_config::ClientRole;
use super::enabled_versions;
use super::generations_alive::GenerationsAlive;
use super::refusal::FirstFiles;
use super::session_scope::{GenerationScope, HandleScope, SessionScope};
use super::sessions::{SessionPolicy, Sessions};
use super::unit_content::UnitContents;
use crate::clock::WallClock;
use crate::error::{Cause, Error};
use crate::options::{ClientAuth, Options, Resumption, TlsStack};
use crate::pki::{Trust, sha256, tls_error_in_words};

/// The settings and the sessions that all generations of a handle share.
///
/// The sessions are shared so that a client can resume its session after a renewal (G14).
#[derive(Debug)]
pub(crate) struct BaseConfig {
    server: Arc<ServerConfig>,
    /// The protocol versions that `server` allows. They are only needed, and otherwise left empty, if `server` is
    /// rebuilt for each trust store, with its client verifier.
    versions: Vec<&'static SupportedProtocolVersion>,
    client: Option<ClientRole>,
    /// The sessions of the server role; `None` if those of the template (a `ServerConfig` of the host) are used.
    server_sessions: Option<Arc<Sessions>>,
    /// `None` if the handle has no configurations of rustls.
    sessions: Option<Arc<Sessions>>,
    /// What the sessions of other TLS stacks are bound to.
    scope: HandleScope,
    resumption: Resumption,
    ticket_key_lifetime: Duration,
    session_context: [u8; 32],
    generations: GenerationsAlive,
    files: FirstFiles,
}

/// The rustls configurations of one generation, and the certificate resolver that the server configuration uses.
pub(super) struct Configs {
    pub(super) resolver: Arc<CertResolver>,
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Option<Arc<ClientConfig>>,
    pub(super) scope: GenerationScope,
}

impl BaseConfig {
    pub(crate) fn new(options: &Options, generations: GenerationsAlive) -> Result<Self, Error> {
        let provider = provider(options);
        let mut server = match &options.template {
            Some(template) => ServerConfig::clone(template),
            None => default_config(&provider)?,
        };
        if !options.alpn.is_empty() {
            server.alpn_protocols.clone_from(&options.alpn);
        }
        let verifies_clients = options.trust.client_auth != ClientAuth::None;
        let manages_sessions = manages_sessions(options, &server)?;
        let resumption = options.resumption.unwrap_or_default();
        let has_rustls = options.tls == TlsStack::Rustls;
        let sessions = has_rustls.then(|| Sessions::new(resumption)).transpose()?;
        let client = has_rustls.then(|| ClientRole::new(options, &provider)).transpose()?;
        Ok(Self {
            versions: if verifies_clients {
                enabled_versions::enabled_versions(&server)
            } else {
                Vec::new()
            },
            client: client.flatten(),
            server_sessions: sessions.clone().filter(|_| manages_sessions),
            server: server.into(),
            sessions,
            scope: HandleScope::default(),
            resumption,
            ticket_key_lifetime: options.ticket_key_lifetime,
            session_context: context_digest(&options.session_context),
            generations,
            files: FirstFiles::of(options),
        })
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        self.server.crypto_provider()
    }

    /// Returns the lifetime of ticket keys in seconds; `None` if it has no limit. A key that is older causes a warning,
    /// and at twice the age it encrypts no more.
    pub(crate) fn ticket_key_lifetime(&self) -> Option<i64> {
        let seconds = i64::try_from(self.ticket_key_lifetime.as_secs()).unwrap_or(i64::MAX);
        Some(seconds).filter(|seconds| *seconds > 0)
    }

    /// Ends all sessions, of every generation.
    pub(crate) fn invalidate_sessions(&self) -> Result<(), Error> {
        self.scope.invalidate()?;
        self.sessions.as_ref().map_or(Ok(()), |sessions| sessions.invalidate())
    }

    /// Returns what the sessions of the generation with this part of the scope are bound to; `None` if no session may
    /// be resumed.
    pub(super) fn session_scope(&self, part: &GenerationScope) -> Option<SessionScope> {
        self.scope.of(part)
    }

    /// Returns whether there are configurations of rustls, which handshakes can prove.
    pub(super) fn has_rustls(&self) -> bool {
        self.sessions.is_some()
    }

    /// Builds the configurations of a generation with the content `parts`.
    pub(super) fn build(&self, parts: &UnitContents) -> Result<Configs, Error> {
        let token = Arc::new(self.generations.token());
        let refusal = self.files.refusal(parts).map(Arc::new);
        let resolver = CertResolver::new(parts, token.clone()).with_refusal(refusal.clone());
        let resolver = Arc::new(resolver);
        let trust = parts.trust.as_deref();
        let trust_fingerprint = trust.map_or([0; 32], |trust| *trust.fingerprint());
        let resume_until = trust.and_then(Trust::session_crls_expire_at);
        let (resumption, context) = (self.resumption, &self.session_context);
        let scope = GenerationScope::new(resumption, &trust_fingerprint, context, resume_until)?;
        let Some(sessions) = &self.sessions else {
            // No connection is made with this configuration, which has no certificate.
            return Ok(Configs { resolver, server: self.server.clone(), client: None, scope });
        };
        let mut server = match trust.and_then(|trust| trust.client_verifier()) {
            Some(verifier) => self.server_with_verifier(verifier)?,
            None => ServerConfig::clone(&self.server),
        };
        server.cert_resolver = resolver.clone();
        if let Some(sessions) = &self.server_sessions {
            let sessions = sessions.for_server(SessionPolicy {
                trust_fingerprint,
                context: self.session_context,
                names: resolver.clone(),
                ticket_keys: parts.ticket_keys.clone(),
                ticket_key_lifetime: self.ticket_key_lifetime,
                resume_until,
            })?;
            server.ticketer = sessions.ticketer;
            server.session_storage = sessions.storage;
            if sessions.tls13_tickets == 0 {
                server.send_tls13_tickets = 0;
            }
        }
        let client = self.client.as_ref().and_then(|role| match trust {
            Some(trust) => role.config(trust, parts.client_identity(), sessions, token),
            None => Some(role.refusing_config(refusal.clone(), parts.client_identity(), token)),
        });
        let client = client.map(Arc::new);
        Ok(Configs { resolver, server: Arc::new(server), client, scope })
    }

    /// Returns the settings of `server` with another client verifier.
    ///
    /// rustls accepts a verifier only when a configuration is built. So one is built, and all other settings are
    /// copied.
    fn server_with_verifier(
        &self,
        verifier: &Arc<dyn ClientCertVerifier>,
    ) -> Result<ServerConfig, Error> {
        let from = &self.server;
        let built = ServerConfig::builder_with_provider(self.provider().clone())
            .with_protocol_versions(&self.versions)
            .map_err(|error| Error::new(Cause::Tls(tls_error_in_words(&error))))?
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

/// Returns the digest of a session context, which has the same length whatever the host passes. Zeros mean no context.
fn context_digest(bytes: &[u8]) -> [u8; 32] {
    if bytes.is_empty() { [0; 32] } else { sha256(bytes) }
}

/// Returns the cryptography provider of a template, else the process's default if the host has installed one, else that
/// of aws-lc-rs.
///
/// Installs no default: that would change the state of the whole process (G10).
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
        .map_err(|error| Error::new(Cause::Tls(tls_error_in_words(&error))))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(enabled_versions::NoCertificate));
    config.time_provider = Arc::new(WallClock);
    Ok(config)
}

/// Returns whether certreload stores the sessions and makes the tickets, in place of the objects in the host's
/// template.
///
/// The sessions of a template are left to the host, unless the host sets a session option or a trust store for clients.
/// A session storage of the host does not know the trust store: it would resume sessions of clients that the trust
/// store refuses by then (G13).
fn manages_sessions(options: &Options, server: &ServerConfig) -> Result<bool, Error> {
    let Some(_) = &options.template else { return Ok(true) };
    let has_context = !options.session_context.is_empty();
    if options.resumption.is_some() || options.ticket_keys.is_some() || has_context {
        return Ok(true);
    }
    if options.trust.client_auth == ClientAuth::None {
        return Ok(false);
    }
    if is_default_storage(&*server.session_storage) {
        return Ok(true);
    }
    Err(Error::invalid(
        "the template has its own session storage, which would resume sessions of clients that the trust store no \
         longer accepts: call certreload_options_set_resumption(), so that certreload stores the sessions; or leave \
         client authentication to the template",
    ))
}

/// Returns whether `storage` is of a type of rustls, which means that the host has set no storage.
///
/// rustls offers no other way to recognise its types than their debug output.
fn is_default_storage(storage: &dyn StoresServerSessions) -> bool {
    let name = format!("{storage:?}");
    name.starts_with("ServerSessionMemoryCache") || name.starts_with("NoServerSessionStorage")
}

/// Rejects a ticket key file together with a template that has its own client verifier.
///
/// Tickets are bound to the handle's trust store, not to the template's verifier. Servers with the same keys accept one
/// another's tickets, so a client could resume its session at a server whose verifier would refuse it (G13).
pub(crate) fn check_template(options: &Options, asks_clients: bool) -> Result<(), Error> {
    let has_own_verifier = asks_clients && options.trust.client_auth == ClientAuth::None;
    if has_own_verifier && options.ticket_keys.is_some() {
        return Err(Error::invalid(
            "the template has its own client verifier, which tickets of other servers with the same keys would bypass: \
             call certreload_options_set_client_auth() in place of its verifier, or set no ticket keys",
        ));
    }
    Ok(())
}
