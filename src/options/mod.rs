//! The host's settings for one handle: which files to load, how to watch them, and how to use them.

mod absolute_path;
mod identity_files;
mod key_password;
mod role;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Cause, Error};
use absolute_path::absolute;
pub(crate) use identity_files::{IdentityBytes, IdentityFiles};
pub(crate) use key_password::{KeyPassword, PasswordCallback, WeakPasswordCallback};
pub(crate) use role::Role;

/// The least time that a mount has to answer. Network file systems need seconds after a failover.
const SHORTEST_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The settings from which a handle is opened.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The files of each identity; the first is the default identity.
    pub(crate) identities: Vec<IdentityFiles>,
    /// Names that the identities must have together. A reload that would lose one of them is refused. DNS names are in
    /// lower case, and may begin with `*.`.
    pub(crate) required_names: Vec<String>,
    /// Gives the password of encrypted keys, for all identities.
    pub(crate) key_password: Option<KeyPassword>,
    /// ALPN protocols of the server, preferred first. If empty, those of `template` are used, or none without a
    /// template.
    pub(crate) alpn: Vec<Vec<u8>>,
    /// A server configuration that the host has made. Each generation copies its settings, and replaces its identity.
    pub(crate) template: Option<Arc<rustls::ServerConfig>>,
    /// As `template`, for the connections in which the host is the client.
    pub(crate) client_template: Option<Arc<rustls::ClientConfig>>,
    pub(crate) trust: TrustOptions,
    /// `None` if the host has not chosen. Then [`Resumption::Auto`] applies, but a template without other session
    /// settings keeps its own session storage.
    pub(crate) resumption: Option<Resumption>,
    /// The file of session ticket keys. If `None`, the keys are drawn at random.
    pub(crate) ticket_keys: Option<PathBuf>,
    /// The age at which the host is warned that the key that encrypts tickets is to be replaced. At twice this age the
    /// key encrypts no more. Zero for no limit. Applies to the keys of `ticket_keys`.
    pub(crate) ticket_key_lifetime: Duration,
    /// Bytes that bind sessions to this service: a handle with another context resumes none of them, even with the same
    /// ticket keys. Empty for no context.
    pub(crate) session_context: Vec<u8>,
    pub(crate) watch: WatchMode,
    pub(crate) poll_interval: Duration,
    /// How long files must be unchanged after a change, before they are read.
    pub(crate) debounce_quiet: Duration,
    /// How long an update of the files may take. Files that keep changing for longer are read all the same. A failure
    /// that an incomplete update can cause is retried for this time before it is reported.
    pub(crate) incomplete_timeout: Duration,
    /// How long before notAfter a certificate counts as expiring: zero for never, `None` for the default.
    pub(crate) expiry_warning: Option<Duration>,
    /// The name that the host gave the handle, for log lines and metrics.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) runtime: RuntimeMode,
    /// Whether files are read on threads of the library although the host runs the passes.
    pub(crate) has_reader_thread: bool,
    pub(crate) start: StartMode,
    pub(crate) tls: TlsStack,
    /// Whether the host may read the private keys.
    pub(crate) exports_keys: bool,
}

/// Which TLS stack uses the handle, besides those of adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum TlsStack {
    #[default]
    Rustls,
    /// Adapters and the host alone. There is no configuration of rustls, and nothing is refused because rustls could
    /// not use it.
    None,
}

/// What an open does about units that cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum StartMode {
    /// It fails.
    #[default]
    Strict,
    /// It succeeds, and the units are absent until they can be loaded. A certificate is served whatever its dates, as
    /// long as its identity has served no other one.
    Available,
}

/// Which threads check the files and load them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum RuntimeMode {
    /// The library's background threads, which all handles of the process share.
    #[default]
    Thread,
    /// The host's threads, inside calls that the host makes for this purpose.
    Host,
}

/// The files of the trust store, and how peers are checked with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustOptions {
    pub(crate) client_auth: ClientAuth,
    /// The roots that client certificates are checked against. Like each path of the trust store, a file or a
    /// directory of files.
    pub(crate) client_roots: Option<PathBuf>,
    /// The roots that server certificates are checked against. If set, the handle also has the client role.
    pub(crate) server_roots: Option<PathBuf>,
    pub(crate) crls: Vec<PathBuf>,
    pub(crate) crl_rules: CrlRules,
    /// Whether a server does not send the subject names of `client_roots` to clients.
    pub(crate) hides_authority_names: bool,
}

/// Whether a server asks clients for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum ClientAuth {
    #[default]
    None,
    Optional,
    Required,
}

/// How certificate revocation lists (CRLs) are applied. The default is strict: all fields are false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct CrlRules {
    /// Only the peer's own certificate may be found revoked. Those of its issuers are not checked.
    pub(crate) leaf_only: bool,
    /// A certificate is accepted if no CRL of its issuer covers it.
    pub(crate) allow_unknown: bool,
    /// A CRL stays in use after its nextUpdate. Otherwise certificates of its issuer are refused from then on.
    pub(crate) allow_expired: bool,
}

/// Which sessions clients can resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Resumption {
    /// Sessions that began under the present trust store, if the server name of the session is still served.
    #[default]
    Auto,
    /// Sessions that began in the current generation: every reload ends the earlier ones.
    AlwaysReset,
    /// No session: each handshake is a full one.
    Off,
}

/// How the host wants changes of files to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchMode {
    Auto,
    Poll,
    Off,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            required_names: Vec::new(),
            key_password: None,
            alpn: Vec::new(),
            template: None,
            client_template: None,
            trust: TrustOptions::default(),
            resumption: None,
            ticket_keys: None,
            ticket_key_lifetime: Duration::from_secs(24 * 3600),
            session_context: Vec::new(),
            watch: WatchMode::Auto,
            poll_interval: Duration::from_secs(10),
            debounce_quiet: Duration::from_millis(50),
            incomplete_timeout: Duration::from_secs(5),
            expiry_warning: None,
            name: None,
            runtime: RuntimeMode::Thread,
            has_reader_thread: false,
            start: StartMode::default(),
            tls: TlsStack::default(),
            exports_keys: false,
        }
    }
}

impl Options {
    /// Checks the options, and returns them as a handle keeps them: with absolute paths, so that a later `chdir` of the
    /// host changes nothing.
    pub(crate) fn fixed(&self) -> Result<Self, Error> {
        self.check_roles()?;
        self.check_times()?;
        if self.identities.is_empty() && self.trust.server_roots.is_none() {
            return Err(Error::new(Cause::NothingToLoad));
        }
        let key_password = match &self.key_password {
            Some(KeyPassword::File(path)) => Some(KeyPassword::File(absolute(path)?)),
            other => other.clone(),
        };
        let identities = self
            .identities
            .iter()
            .enumerate()
            .map(|(index, files)| {
                let fixed = files.fixed(key_password.as_ref())?;
                Ok(IdentityFiles { index, ..fixed })
            })
            .collect::<Result<_, Error>>()?;
        let ticket_keys = self.ticket_keys.as_deref().map(absolute).transpose()?;
        let trust = self.trust.fixed()?;
        Ok(Self { identities, key_password, trust, ticket_keys, ..self.clone() })
    }
}

impl Options {
    /// Refuses settings that would have no effect. They are mistakes of the host, which may believe, for example, that
    /// clients are checked when they are not.
    fn check_roles(&self) -> Result<(), Error> {
        let has = |role: Role| self.identities.iter().any(|files| files.role == role);
        let is_client = self.trust.server_roots.is_some();
        let mistake = if !self.trust.crls.is_empty() && !self.trust.is_some() {
            "there are revocation lists, and no roots whose certificates they could revoke"
        } else if self.trust.client_auth != ClientAuth::None && !has(Role::Server) {
            "clients are to be asked for certificates, and there is no identity to serve"
        } else if has(Role::Client) && !is_client {
            "there is an identity for the client role, and no roots to check servers with"
        } else if self.client_template.is_some() && !is_client {
            "there is a template for the client role, and no roots to check servers with"
        } else if self.ticket_keys.is_some() && !has(Role::Server) {
            "there are ticket keys, and no identity to serve: clients keep their sessions themselves"
        } else if self.tls == TlsStack::None && self.has_rustls_settings() {
            "there are templates or ALPN protocols for rustls, and no configuration of rustls is to be made"
        } else {
            return Ok(());
        };
        Err(Error::invalid(mistake))
    }

    fn has_rustls_settings(&self) -> bool {
        self.template.is_some() || self.client_template.is_some() || !self.alpn.is_empty()
    }

    /// Refuses a debounce time that is longer than the timeout for incomplete files.
    ///
    /// The setters do not check this, because then the order of their calls would matter.
    fn check_times(&self) -> Result<(), Error> {
        let (quiet, timeout) = (self.debounce_quiet, self.incomplete_timeout);
        if quiet > timeout {
            return Err(Error::invalid(format!(
                "the quiet time of {} ms is longer than the incomplete-file timeout of {} ms",
                quiet.as_millis(),
                timeout.as_millis()
            )));
        }
        Ok(())
    }
}

impl Options {
    /// Returns whether files are read on threads of the library, so that a mount that does not answer blocks no pass.
    pub(crate) fn reads_on_readers(&self) -> bool {
        self.runtime == RuntimeMode::Thread || self.has_reader_thread
    }

    /// Returns how long a mount may not answer before that is reported, and before an open fails: the incomplete-file
    /// timeout, but at least [`SHORTEST_ANSWER_TIMEOUT`].
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.incomplete_timeout.max(SHORTEST_ANSWER_TIMEOUT)
    }
}

impl TrustOptions {
    /// Returns whether a trust store is configured: roots to check clients or servers with.
    pub(crate) fn is_some(&self) -> bool {
        self.client_roots.is_some() || self.server_roots.is_some()
    }

    fn fixed(&self) -> Result<Self, Error> {
        Ok(Self {
            client_roots: self.client_roots.as_deref().map(absolute).transpose()?,
            server_roots: self.server_roots.as_deref().map(absolute).transpose()?,
            crls: self.crls.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?,
            ..self.clone()
        })
    }
}
