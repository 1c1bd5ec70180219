//! What to load and how to watch it: plain data.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::{Cause, Error};

/// Everything that opening a handle needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The files of each identity; the first is the default identity.
    pub(crate) identities: Vec<IdentityFiles>,
    /// DNS names in lower case, `*.` included: some identity must have each of them.
    pub(crate) required_names: Vec<String>,
    /// Opens encrypted keys.
    pub(crate) key_password: Option<KeyPassword>,
    /// ALPN protocols, preferred first; if empty, the template decides.
    pub(crate) alpn: Vec<Vec<u8>>,
    /// A server configuration of the host: all its settings except the identity are used.
    pub(crate) template: Option<Arc<rustls::ServerConfig>>,
    /// The same for the client role.
    pub(crate) client_template: Option<Arc<rustls::ClientConfig>>,
    pub(crate) trust: TrustOptions,
    /// `None` means AUTO, and lets a template keep its own sessions.
    pub(crate) resumption: Option<Resumption>,
    pub(crate) ticket_keys: Option<PathBuf>,
    /// How long a key of the ticket key file may encrypt.
    pub(crate) ticket_key_lifetime: Duration,
    /// Separates sessions: a service with another context does not resume sessions of this one. Empty for none.
    pub(crate) session_context: Vec<u8>,
    pub(crate) watch: WatchMode,
    pub(crate) poll_interval: Duration,
    pub(crate) debounce_quiet: Duration,
    pub(crate) incomplete_timeout: Duration,
    /// How long before notAfter a certificate counts as expiring: zero for never, `None` for the default.
    pub(crate) expiry_warning: Option<Duration>,
    /// The name that the host gave the handle.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) runtime: RuntimeMode,
}

/// Which threads do the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum RuntimeMode {
    /// Background threads, one set for the process.
    #[default]
    Thread,
    /// The host's own threads.
    Host,
}

/// Which roots and lists peers are checked against.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustOptions {
    pub(crate) client_auth: ClientAuth,
    /// The authorities of client certificates: a file or a directory, as all paths here.
    pub(crate) client_roots: Option<PathBuf>,
    /// The authorities of server certificates: the client role.
    pub(crate) server_roots: Option<PathBuf>,
    pub(crate) crls: Vec<PathBuf>,
    pub(crate) crl_rules: CrlRules,
}

/// Whether a server asks clients for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum ClientAuth {
    #[default]
    None,
    Optional,
    Required,
}

/// How revocation lists are applied. The default is strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct CrlRules {
    /// Only the peer's own certificate is looked up, and not those of the authorities above it.
    pub(crate) leaf_only: bool,
    /// A certificate whose issuer has no list is accepted.
    pub(crate) allow_unknown: bool,
    /// A list whose nextUpdate has passed stays in use.
    pub(crate) allow_expired: bool,
}

/// Which sessions clients can resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Resumption {
    /// All sessions that began under the same trust store, with names that are still served.
    #[default]
    Auto,
    /// Sessions of the same generation.
    AlwaysReset,
    /// None.
    Off,
}

/// The purpose of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Role {
    /// A server shows it. A client shows it too, if there is no identity for the client role and its key usage allows
    /// that.
    #[default]
    Server,
    /// Only a client shows it.
    Client,
}

/// The source of one identity's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityFiles {
    pub(crate) role: Role,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ocsp: Option<PathBuf>,
    /// [`Options::fixed`] copies the password of the options here.
    pub(crate) password: Option<KeyPassword>,
    /// If the host passes the bytes there are no files, and the paths are only names.
    pub(crate) memory: Option<Arc<IdentityBytes>>,
}

/// An identity in memory.
#[derive(PartialEq, Eq)]
pub(crate) struct IdentityBytes {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Zeroizing<Vec<u8>>,
    pub(crate) ocsp: Option<Vec<u8>>,
}

impl fmt::Debug for IdentityBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityBytes")
    }
}

/// Where the password of encrypted keys comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyPassword {
    /// The first line of a file.
    File(PathBuf),
    Callback(PasswordCallback),
}

/// A function of the host that knows the password of the key at a path.
#[derive(Clone)]
pub(crate) struct PasswordCallback(Arc<Ask>);

type Ask = dyn Fn(&Path) -> Option<Zeroizing<Vec<u8>>> + Send + Sync;

impl PasswordCallback {
    pub(crate) fn new(
        ask: impl Fn(&Path) -> Option<Zeroizing<Vec<u8>>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(ask))
    }

    pub(crate) fn ask(&self, key_path: &Path) -> Option<Zeroizing<Vec<u8>>> {
        (self.0)(key_path)
    }
}

impl fmt::Debug for PasswordCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordCallback")
    }
}

impl PartialEq for PasswordCallback {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for PasswordCallback {}

/// How changes are found.
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
        }
    }
}

impl Options {
    /// The options as a handle keeps them: there is something to load, and every path is absolute, so that a later
    /// `chdir` of the host changes nothing.
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
            .map(|files| files.fixed(key_password.as_ref()))
            .collect::<Result<_, Error>>()?;
        let ticket_keys = self.ticket_keys.as_deref().map(absolute).transpose()?;
        let trust = self.trust.fixed()?;
        Ok(Self { identities, key_password, trust, ticket_keys, ..self.clone() })
    }
}

impl Options {
    /// Refuses settings that would have no effect: they are mistakes, perhaps about which peers are admitted.
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
        } else {
            return Ok(());
        };
        Err(Error::invalid(mistake))
    }

    /// Checks here and not in the setters, so that the order of their calls does not matter.
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

impl TrustOptions {
    /// Whether there is anything to check peers against.
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

impl IdentityFiles {
    /// An identity in memory, at `index` of its handle, with names of its parts for messages.
    pub(crate) fn in_memory(index: usize, bytes: Option<Arc<IdentityBytes>>) -> Self {
        let part = |part: &str| PathBuf::from(format!("memory:{index}/{part}"));
        let ocsp = bytes.as_ref().is_some_and(|bytes| bytes.ocsp.is_some()).then(|| part("ocsp"));
        Self {
            role: Role::Server,
            chain: part("chain"),
            key: part("key"),
            ocsp,
            password: None,
            memory: bytes,
        }
    }

    fn fixed(&self, password: Option<&KeyPassword>) -> Result<Self, Error> {
        if self.memory.is_some() {
            return Ok(Self { password: password.cloned(), ..self.clone() });
        }
        Ok(Self {
            role: self.role,
            password: password.cloned(),
            chain: absolute(&self.chain)?,
            key: absolute(&self.key)?,
            ocsp: self.ocsp.as_deref().map(absolute).transpose()?,
            memory: None,
        })
    }

    /// Every file of the identity: chain, key, staple, and the password of the key.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.chain), Some(&self.key), self.ocsp.as_ref(), self.password_file()]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }

    pub(crate) fn password_file(&self) -> Option<&PathBuf> {
        match &self.password {
            Some(KeyPassword::File(path)) => Some(path),
            _ => None,
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| Error::at(path, error))
}
