//! The causes of failures, and their texts.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::position::Position;
use super::stage::Stage;
use super::system::system_error_in_words;

/// Text that makes no difference between two failures, such as the time at which a failure was found. A failure is
/// reported again only if it is another one (G3).
#[derive(Clone, Debug, Eq)]
pub(crate) struct Incidental(pub(crate) String);

impl PartialEq for Incidental {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The cause of a failure. Each maps to one result code, in `ffi::result`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Cause {
    #[error("no answer within {milliseconds} ms{so_far}")]
    TimedOut { milliseconds: u64, so_far: String },
    #[error("the file system has not answered for {seconds} s")]
    NotAnswering { seconds: u64 },
    #[error("the key-password callback has not returned for {seconds} s")]
    PasswordAwaited { seconds: u64 },
    #[error("not read, because too many other file systems do not answer")]
    NoReader,
    #[error("{0} is NULL")]
    NullParameter(Cow<'static, str>),
    #[error("{0}")]
    InvalidParameter(Cow<'static, str>),
    #[error("the options name nothing to load: neither an identity nor roots")]
    NothingToLoad,
    #[error("the handle has no {0}")]
    NotConfigured(&'static str),
    #[error("the handle is being closed")]
    Closed,
    #[error("{what}: {reason}")]
    System { what: &'static str, reason: String },
    #[error("the TLS library rejects this: {0}")]
    Tls(String),
    #[error("a defect inside certreload: {0}")]
    Panic(String),
    #[error(
        "the handle was opened before a fork: this process keeps serving it, but reloads it only after certreload_after_fork() was called"
    )]
    Forked,
    #[error("the buffer is too small: {needed} bytes are needed")]
    BufferTooSmall { needed: usize },
    #[error("the call would wait for itself: {0}")]
    WouldDeadlock(&'static str),
    #[error("no event is waiting")]
    NoEvent,
    #[error("the Rust code of this process has already set a logger, which receives the lines")]
    LoggerInUse,

    #[error("no such file")]
    NotFound,
    #[error("permission denied")]
    Permission,
    #[error("is a {0}, not a regular file")]
    NotRegular(&'static str),
    #[error("is not a directory, and the path ends in a slash; remove the slash")]
    NotDirectory,
    #[error("is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("is empty")]
    Empty,
    #[error("kept changing while it was read")]
    Unstable,
    #[error("a process still has it open for writing")]
    StillOpen,
    #[error("{0}")]
    Io(String),
    #[error("holds more than {limit} files")]
    TooManyFiles { limit: usize },

    #[error("malformed PEM in line {line}: {reason}")]
    PemMalformed { line: usize, reason: Cow<'static, str> },
    #[error("truncated PEM: {end} is missing for the section that begins in line {line}")]
    PemTruncated { line: usize, end: String },
    #[error("holds no certificate{0}")]
    NoCertificate(Cow<'static, str>),
    #[error("holds more than {limit} certificates")]
    TooManyCertificates { limit: usize },
    #[error(
        "its certificates have {bytes} bytes together, and a TLS message of rustls holds {limit}; remove certificates that clients do not need, or names"
    )]
    ChainTooLarge { bytes: usize, limit: usize },
    #[error(
        "its {roots} roots have subject names of {bytes} bytes, and a server can send {limit} bytes of them to clients; remove roots, or send no names (certreload_options_set_authority_names)"
    )]
    TooManyAuthorityNames { roots: usize, bytes: usize, limit: usize },
    #[error("{position} cannot be parsed: {reason}")]
    CertificateMalformed { position: Position, reason: String },
    #[error(
        "{position} is damaged: its signature was not made with the key of certificate {issuer}, which it names as its issuer"
    )]
    CertificateDamaged { position: Position, issuer: usize },
    #[error("holds no private key{0}")]
    NoPrivateKey(Cow<'static, str>),
    #[error(
        "holds {count} private keys, and none is that of the certificate{why}; keep only that of the certificate"
    )]
    SeveralPrivateKeys { count: usize, why: String },
    #[error("the private key is encrypted, {0}")]
    KeyEncrypted(&'static str),
    #[error("the private key cannot be decrypted with the given password")]
    KeyPasswordWrong,
    #[error("the private key cannot be decrypted with the password in {}{doubt}", file.display())]
    FilePasswordWrong { file: PathBuf, doubt: &'static str },
    #[error("the private key cannot be used: {0}")]
    KeyUnsupported(String),
    #[error("holds no certificate revocation list{0}")]
    NoCrl(Cow<'static, str>),
    #[error("holds more than {limit} certificate revocation lists")]
    TooManyCrls { limit: usize },
    #[error("certificate revocation list {index} cannot be used: {reason}")]
    CrlMalformed { index: usize, reason: String },
    #[error("holds no ticket keys: {0}")]
    TicketKeysMalformed(String),

    #[error("the private key does not match any certificate in {}{why}", chain.display())]
    KeyMismatch { chain: PathBuf, why: Cow<'static, str> },
    #[error("may be cut short, because {0}")]
    CutShort(&'static str),
    #[error("the certificate expired at {at}")]
    Expired { at: String },
    #[error("the certificate is not valid before {at}, and the clock of this machine reads {}", clock.0)]
    NotYetValid { at: String, from: i64, clock: Incidental },
    #[error("the certificate is not for TLS {role}: its extended key usage lacks {usage}")]
    KeyUsageUnfit { role: &'static str, usage: &'static str },
    /// `present` is incidental: it changes with other identities, and is no other failure.
    #[error("no identity has the required {names}{}", present.0)]
    NameMissing { names: String, present: Incidental },
    #[error("the TLS handshake with the new identity failed: {0}")]
    SelfCheck(String),
    #[error("{adapter} finds that the private key does not match the certificate: {why}")]
    AdapterMismatch { adapter: String, why: String },
    #[error("{adapter} cannot use it: {why}")]
    AdapterRefused { adapter: String, why: String },
    #[error(
        "certificate revocation list {index} was not signed with the key of {issuer}, which it names as its issuer"
    )]
    CrlSignature { index: usize, issuer: String },
    #[error(
        "certificate revocation list {index} is signed with the key of {issuer}, whose certificate does not allow it: its key usage lacks cRLSign"
    )]
    CrlSigner { index: usize, issuer: String },
    #[error(
        "certificate revocation list {index}, of {issuer}, expired at {at}; it must be replaced by a newer one"
    )]
    CrlExpired { index: usize, issuer: String, at: Box<str> },
    #[error(
        "certificate revocation list {index}, of {issuer}, is older than one that was in use: {order}"
    )]
    CrlRollback { index: usize, issuer: String, order: Box<str> },
    #[error(
        "there is no certificate revocation list of {issuer} any more, and certificates of that issuer may still be trusted; add its current list"
    )]
    CrlLost { issuer: String },
    #[error("ticket key {second} is the same as ticket key {first}; remove one of them")]
    TicketKeyRepeated { first: usize, second: usize },
    #[error(
        "every user may read these ticket keys, and decrypt sessions with them; run \"chmod o-r\" on the file"
    )]
    TicketKeysReadable,
}

impl Cause {
    /// Creates the failure that `what` happened in the cryptography library, which gives no reasons.
    pub(crate) fn without_reason(what: &'static str) -> Self {
        Self::System { what, reason: "the cryptography library gives no reason".to_owned() }
    }

    /// Returns whether an update that is not complete yet can cause this failure: a file is half written, missing, not
    /// readable yet, or does not match another one. Such a failure is retried before it is reported (G4).
    pub(crate) fn may_be_half_written(&self) -> bool {
        matches!(
            self,
            Self::NotFound
                | Self::Permission
                | Self::Empty
                | Self::Unstable
                | Self::StillOpen
                | Self::Io(_)
                | Self::PemMalformed { .. }
                | Self::PemTruncated { .. }
                | Self::NoCertificate(_)
                | Self::CertificateMalformed { .. }
                | Self::CertificateDamaged { .. }
                | Self::NoPrivateKey(_)
                | Self::SeveralPrivateKeys { .. }
                | Self::KeyUnsupported(_)
                | Self::KeyPasswordWrong
                | Self::FilePasswordWrong { .. }
                | Self::NoCrl(_)
                | Self::CrlMalformed { .. }
                | Self::CrlSignature { .. }
                | Self::CrlLost { .. }
                | Self::TicketKeysMalformed(_)
                | Self::TicketKeyRepeated { .. }
                | Self::TicketKeysReadable
                | Self::KeyMismatch { .. }
                | Self::AdapterMismatch { .. }
                | Self::CutShort(_)
                | Self::NameMissing { .. }
        )
    }

    /// Returns whether the failure is caused by the named file alone, independently of the other files of its unit.
    ///
    /// If so, the failure is the same one, and is not reported again, until that file changes (G3).
    pub(crate) fn concerns_one_file(&self) -> bool {
        // If the password is wrong, the fault may be in the key file or in the password file.
        matches!(self.stage(), Stage::Read | Stage::Parse)
            && !matches!(self, Self::KeyPasswordWrong | Self::FilePasswordWrong { .. })
    }

    /// Returns whether the same bytes will always fail: neither time, nor another identity, nor a callback of the host
    /// can change the result. If so, files with the same digest are not parsed again.
    pub(crate) fn depends_on_bytes_alone(&self) -> bool {
        matches!(
            self,
            Self::PemMalformed { .. }
                | Self::PemTruncated { .. }
                | Self::NoCertificate(_)
                | Self::TooManyCertificates { .. }
                | Self::ChainTooLarge { .. }
                | Self::CertificateMalformed { .. }
                | Self::CertificateDamaged { .. }
                | Self::NoPrivateKey(_)
                | Self::KeyUnsupported(_)
                // The digest includes the password file.
                | Self::FilePasswordWrong { .. }
                | Self::KeyMismatch { .. }
                | Self::KeyUsageUnfit { .. }
        )
    }

    pub(super) fn stage(&self) -> Stage {
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
            | Self::NotDirectory
            | Self::TooLarge { .. }
            | Self::Empty
            | Self::Unstable
            | Self::StillOpen
            | Self::Io(_)
            | Self::NotAnswering { .. }
            | Self::PasswordAwaited { .. }
            | Self::NoReader
            | Self::TooManyFiles { .. } => Stage::Read,
            Self::PemMalformed { .. }
            | Self::PemTruncated { .. }
            | Self::NoCertificate(_)
            | Self::ChainTooLarge { .. }
            | Self::TooManyCertificates { .. }
            | Self::TooManyAuthorityNames { .. }
            | Self::CertificateMalformed { .. }
            | Self::CertificateDamaged { .. }
            | Self::NoPrivateKey(_)
            | Self::KeyEncrypted(_)
            | Self::KeyPasswordWrong
            | Self::FilePasswordWrong { .. }
            | Self::KeyUnsupported(_)
            | Self::NoCrl(_)
            | Self::TooManyCrls { .. }
            | Self::CrlMalformed { .. }
            | Self::TicketKeysMalformed(_) => Stage::Parse,
            Self::KeyMismatch { .. }
            | Self::SeveralPrivateKeys { .. }
            | Self::CutShort(_)
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
            Self::SelfCheck(_) | Self::AdapterMismatch { .. } | Self::AdapterRefused { .. } => {
                Stage::SelfCheck
            }
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A path component that is not a directory counts as missing too: a deployment may create the
            // directory next.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::Permission,
            _ => Self::Io(system_error_in_words(&error)),
        }
    }
}
