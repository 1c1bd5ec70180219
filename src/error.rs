//! What can go wrong: a cause, at a stage, with a path.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

/// Where on the way from a trigger to a published generation something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The call itself: its parameters, or the state of the handle.
    Call,
    /// Getting the bytes.
    Read,
    /// Making sense of the bytes.
    Parse,
    /// Deciding whether what they mean can serve.
    Validate,
    /// The TLS handshake in memory.
    SelfCheck,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Read => "read",
            Self::Parse => "parse",
            Self::Validate => "validate",
            Self::SelfCheck => "self-check",
        })
    }
}

/// Why something failed. Each cause maps to one result code, in `ffi::result`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Cause {
    #[error("no answer within {milliseconds} ms{so_far}")]
    TimedOut { milliseconds: u64, so_far: String },
    #[error("{0} is NULL")]
    NullParameter(Cow<'static, str>),
    #[error("{0}")]
    InvalidParameter(Cow<'static, str>),
    #[error("the options name nothing to load: no identity, and no roots")]
    NothingToLoad,
    #[error("the handle has no {0}")]
    NotConfigured(&'static str),
    #[error("the handle is being closed")]
    Closed,
    #[error("{what}: {reason}")]
    System { what: &'static str, reason: String },
    #[error("rustls refuses: {0}")]
    Tls(String),
    #[error("a defect inside certreload: {0}")]
    Panic(String),
    #[error(
        "the handle was opened before a fork: in this process it serves, and does not reload until certreload_after_fork() is called"
    )]
    Forked,
    #[error("the buffer is too small: {needed} bytes are needed")]
    BufferTooSmall { needed: usize },
    #[error("the call would wait for itself: {0}")]
    WouldDeadlock(&'static str),
    #[error("no event is waiting")]
    NoEvent,
    #[error("this Rust program has set a logger of its own, which gets the lines")]
    LoggerInUse,

    #[error("no such file")]
    NotFound,
    #[error("permission denied")]
    Permission,
    #[error("is a {0}, not a regular file")]
    NotRegular(&'static str),
    #[error("is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("is empty")]
    Empty,
    #[error("kept changing while it was read")]
    Unstable,
    #[error("its writer still has it open")]
    StillOpen,
    #[error("{0}")]
    Io(String),
    #[error("holds more than {limit} files")]
    TooManyFiles { limit: usize },

    #[error("malformed PEM: {0}")]
    PemMalformed(&'static str),
    #[error("truncated PEM: {0} is missing")]
    PemTruncated(String),
    #[error("holds no certificate{0}")]
    NoCertificate(&'static str),
    #[error("holds more than {limit} certificates")]
    TooManyCertificates { limit: usize },
    #[error("certificate {index} cannot be parsed: {reason}")]
    CertificateMalformed { index: usize, reason: String },
    #[error(
        "certificate {index} is damaged: its signature was not made with the key of certificate {issuer}, which it names for its issuer's"
    )]
    CertificateDamaged { index: usize, issuer: usize },
    #[error("holds no private key{0}")]
    NoPrivateKey(&'static str),
    #[error("holds more than one private key")]
    SeveralPrivateKeys,
    #[error("the private key is encrypted, {0}")]
    KeyEncrypted(&'static str),
    #[error("the private key cannot be opened with the password that is given")]
    KeyPasswordWrong,
    #[error("the private key cannot be used: {0}")]
    KeyUnsupported(String),
    #[error("holds no certificate revocation list{0}")]
    NoCrl(&'static str),
    #[error("holds more than {limit} certificate revocation lists")]
    TooManyCrls { limit: usize },
    #[error("certificate revocation list {index} cannot be used: {reason}")]
    CrlMalformed { index: usize, reason: String },
    #[error("holds no ticket keys: {0}")]
    TicketKeysMalformed(String),

    #[error("the private key does not match any certificate in {}", chain.display())]
    KeyMismatch { chain: PathBuf },
    #[error("the certificate expired at {at}")]
    Expired { at: String },
    #[error("the certificate is not valid before {at}")]
    NotYetValid { at: String, from: i64 },
    #[error("the certificate is not for TLS {role}: its extended key usage lacks {usage}")]
    KeyUsageUnfit { role: &'static str, usage: &'static str },
    #[error("no identity has the name {name}, which is required")]
    NameMissing { name: String },
    #[error("no TLS handshake with the new identity: {0}")]
    SelfCheck(String),
    #[error(
        "certificate revocation list {index} was not signed with the key of {issuer}, which it names as its issuer"
    )]
    CrlSignature { index: usize, issuer: String },
    #[error(
        "certificate revocation list {index} is signed with the key of {issuer}, whose certificate does not allow it: its key usage lacks cRLSign"
    )]
    CrlSigner { index: usize, issuer: String },
    #[error("certificate revocation list {index}, of {issuer}, expired at {at}")]
    CrlExpired { index: usize, issuer: String, at: Box<str> },
    #[error(
        "certificate revocation list {index}, of {issuer}, is older than one that has served: {order}"
    )]
    CrlRollback { index: usize, issuer: String, order: Box<str> },
    #[error(
        "there is no certificate revocation list of {issuer} any more, and certificates of that issuer may still be trusted"
    )]
    CrlLost { issuer: String },
    #[error("ticket key {second} is the same as ticket key {first}")]
    TicketKeyRepeated { first: usize, second: usize },
    #[error(
        "every user may read these ticket keys, and with them the sessions; \"chmod o-r\" mends it"
    )]
    TicketKeysReadable,
}

impl Cause {
    /// Whether a writer at work can look like this, so that waiting may mend it (G4).
    pub(crate) fn may_be_half_written(&self) -> bool {
        matches!(
            self,
            Self::NotFound
                | Self::Permission
                | Self::Empty
                | Self::Unstable
                | Self::StillOpen
                | Self::Io(_)
                | Self::PemMalformed(_)
                | Self::PemTruncated(_)
                | Self::NoCertificate(_)
                | Self::CertificateMalformed { .. }
                | Self::CertificateDamaged { .. }
                | Self::NoPrivateKey(_)
                | Self::SeveralPrivateKeys
                | Self::KeyUnsupported(_)
                | Self::KeyPasswordWrong
                | Self::NoCrl(_)
                | Self::CrlMalformed { .. }
                | Self::CrlSignature { .. }
                | Self::CrlLost { .. }
                | Self::TicketKeysMalformed(_)
                | Self::TicketKeyRepeated { .. }
                | Self::TicketKeysReadable
                | Self::KeyMismatch { .. }
                | Self::NameMissing { .. }
        )
    }

    /// Whether the fault lies in the one file that is named, whatever the others of its unit hold.
    pub(crate) fn is_of_one_file(&self) -> bool {
        // A key and its password are two things, and either may be the wrong one.
        matches!(self.stage(), Stage::Read | Stage::Parse) && *self != Self::KeyPasswordWrong
    }

    /// Whether nothing but other bytes can mend it: not time, not another identity, not somebody who
    /// is asked.
    pub(crate) fn is_about_bytes_alone(&self) -> bool {
        matches!(
            self,
            Self::PemMalformed(_)
                | Self::PemTruncated(_)
                | Self::NoCertificate(_)
                | Self::TooManyCertificates { .. }
                | Self::CertificateMalformed { .. }
                | Self::CertificateDamaged { .. }
                | Self::NoPrivateKey(_)
                | Self::SeveralPrivateKeys
                | Self::KeyUnsupported(_)
                | Self::KeyMismatch { .. }
                | Self::KeyUsageUnfit { .. }
        )
    }

    fn stage(&self) -> Stage {
        match self {
            Self::TimedOut { .. }
            | Self::NullParameter(_)
            | Self::InvalidParameter(_)
            | Self::NothingToLoad
            | Self::NotConfigured(_)
            | Self::Closed
            | Self::System { .. }
            | Self::Tls(_)
            | Self::Panic(_)
            | Self::Forked
            | Self::BufferTooSmall { .. }
            | Self::WouldDeadlock(_)
            | Self::NoEvent
            | Self::LoggerInUse => Stage::Call,
            Self::NotFound
            | Self::Permission
            | Self::NotRegular(_)
            | Self::TooLarge { .. }
            | Self::Empty
            | Self::Unstable
            | Self::StillOpen
            | Self::Io(_)
            | Self::TooManyFiles { .. } => Stage::Read,
            Self::PemMalformed(_)
            | Self::PemTruncated(_)
            | Self::NoCertificate(_)
            | Self::TooManyCertificates { .. }
            | Self::CertificateMalformed { .. }
            | Self::CertificateDamaged { .. }
            | Self::NoPrivateKey(_)
            | Self::SeveralPrivateKeys
            | Self::KeyEncrypted(_)
            | Self::KeyPasswordWrong
            | Self::KeyUnsupported(_)
            | Self::NoCrl(_)
            | Self::TooManyCrls { .. }
            | Self::CrlMalformed { .. }
            | Self::TicketKeysMalformed(_) => Stage::Parse,
            Self::KeyMismatch { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::KeyUsageUnfit { .. }
            | Self::CrlSignature { .. }
            | Self::CrlSigner { .. }
            | Self::CrlExpired { .. }
            | Self::CrlRollback { .. }
            | Self::CrlLost { .. }
            | Self::TicketKeyRepeated { .. }
            | Self::TicketKeysReadable
            | Self::NameMissing { .. } => Stage::Validate,
            Self::SelfCheck(_) => Stage::SelfCheck,
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A component of the path that is no directory, or a link that leads nowhere, is as
            // good as missing: a deploy that is under way looks like this.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::Permission,
            _ => Self::Io(error.to_string()),
        }
    }
}

/// A failure in full: why, at which stage, and about which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) cause: Cause,
    pub(crate) path: Option<Arc<Path>>,
    context: Option<Arc<Context>>,
}

/// What else is known about a failure; behind a pointer, so that results stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Context {
    /// What may explain it.
    Circumstance(String),
    /// The C function that failed, if the failure is reported later than its call.
    Function(&'static str),
}

impl Error {
    /// A failure that is about no file.
    pub(crate) fn new(cause: Cause) -> Self {
        Self { cause, path: None, context: None }
    }

    /// A parameter that must not be NULL is.
    pub(crate) fn null(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::NullParameter(name.into()))
    }

    /// A parameter is not what it has to be.
    pub(crate) fn invalid(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::InvalidParameter(why.into()))
    }

    /// A failure that is about the file at `path`.
    pub(crate) fn at(path: &Path, cause: impl Into<Cause>) -> Self {
        Self { path: Some(path.into()), ..Self::new(cause.into()) }
    }

    /// The same, with what may explain it, if anything does.
    pub(crate) fn under(mut self, circumstance: Option<String>) -> Self {
        self.context = circumstance.map(|why| Arc::new(Context::Circumstance(why)));
        self
    }

    /// The same, as the failure of a C function.
    pub(crate) fn in_call(mut self, function: &'static str) -> Self {
        self.context = Some(Arc::new(Context::Function(function)));
        self
    }

    /// rustls refused something.
    pub(crate) fn tls(error: &dyn fmt::Display) -> Self {
        Self::new(Cause::Tls(error.to_string()))
    }

    /// The system refused something that has no path.
    pub(crate) fn system(what: &'static str, error: &dyn fmt::Display) -> Self {
        Self::new(Cause::System { what, reason: error.to_string() })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = self.context.as_deref();
        if let Some(Context::Function(function)) = context {
            write!(f, "{function}: ")?;
        }
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        match self.cause.stage() {
            Stage::Call => write!(f, "{}", self.cause)?,
            stage => write!(f, "{} ({stage})", self.cause)?,
        }
        match context {
            Some(Context::Circumstance(why)) => write!(f, "; {why}"),
            Some(Context::Function(_)) | None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
