//! Result codes: one number for each outcome that a program would act on differently.

use crate::error::{Cause, Error};

/// The outcome of a call. Numbers are stable and never reused.
///
/// 0 and 1 are good outcomes; 2 to 99 mean a wrong call, no answer yet, or a failure of the system or the library;
/// 100 to 199 are about reading a file; 200 to 299 about its content; 300 to 399 about whether the content may be
/// served.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_result {
    /// Done.
    Ok = 0,
    /// Done, and nothing had changed: what is served already equals the files.
    Unchanged = 1,

    /// The timeout passed before there was an answer. The work continues, and its outcome is an event. As the failure of
    /// a unit, or of an open: the file system of a file does not answer.
    TimedOut = 2,
    /// A pointer that must not be NULL was NULL.
    NullParameter = 3,
    /// A parameter is out of its documented range.
    InvalidParameter = 4,
    /// The options name nothing to load: add an identity or roots first.
    NothingToLoad = 5,
    /// The handle is being closed.
    Closed = 6,
    /// The call would wait for itself: it was made from inside a callback that it would have to wait for.
    WouldDeadlock = 7,
    /// The system refused a thread, a descriptor or random numbers.
    System = 8,
    /// rustls refused to create a connection or a configuration.
    Tls = 9,
    /// A defect inside the library was caught. The current generation keeps serving; please report the defect.
    Panic = 10,
    /// The handle was opened before a fork(). In this process it serves, and does not reload until
    /// certreload_after_fork() is called.
    Forked = 11,
    /// The buffer is too small for the text; the call returns the size that is needed.
    BufferTooSmall = 12,
    /// The process is a Rust program that has a logger. That logger gets the lines, and the log callback was not set.
    LoggerInUse = 13,
    /// No event is waiting.
    NoEvent = 14,
    /// The handle was not opened for this: it has no identity to serve, or no roots to check servers with.
    NotConfigured = 15,

    /// The file, or a directory on the way to it, does not exist.
    FileNotFound = 100,
    /// The file, or a directory on the way to it, may not be read by this process.
    FilePermission = 101,
    /// Not a regular file: a directory, FIFO, socket or device.
    FileNotRegular = 102,
    /// The file is larger than CERTRELOAD_MAX_FILE_SIZE, or the trust store larger than CERTRELOAD_MAX_TRUST_SIZE.
    FileTooLarge = 103,
    /// The file is empty.
    FileEmpty = 104,
    /// The file kept changing while it was read.
    FileUnstable = 105,
    /// Reading failed for another reason; the message has the system's text.
    FileIo = 106,
    /// A directory has more files that count than CERTRELOAD_MAX_DIRECTORY_FILES, or ten times as many of any name.
    TooManyFiles = 107,

    /// The text between BEGIN and END is not valid PEM (RFC 7468).
    PemMalformed = 200,
    /// A PEM section begins and does not end.
    PemTruncated = 201,
    /// There is no certificate in the chain file, or among the roots: without any root, every peer would be refused.
    NoCertificate = 202,
    /// More certificates than CERTRELOAD_MAX_CERTIFICATES in the chain file, or CERTRELOAD_MAX_ROOTS among the roots. Or the
    /// certificates of a chain, or the names of the roots, are larger than a TLS message of rustls, 64 KiB.
    TooManyCertificates = 203,
    /// A certificate cannot be parsed (RFC 5280), or is damaged: its signature does not match.
    CertificateMalformed = 204,
    /// No private key in the key file.
    NoPrivateKey = 205,
    /// Several private keys in the key file, and none is that of the certificate.
    SeveralPrivateKeys = 206,
    /// The private key is encrypted, and there is no password: none is set, or the password callback returned none.
    KeyEncrypted = 207,
    /// The private key is malformed, or the crypto provider refuses its kind or size. Or its encryption is not
    /// supported: the traditional PEM encryption, PBES1, or a derivation that needs too much memory or work.
    KeyUnsupported = 208,
    /// The private key is encrypted with another password than the one that was given.
    KeyPasswordWrong = 209,
    /// No certificate revocation list in the file.
    NoCrl = 210,
    /// More certificate revocation lists than CERTRELOAD_MAX_CRLS.
    TooManyCrls = 211,
    /// A certificate revocation list cannot be parsed (RFC 5280 section 5), or needs a feature that is not supported.
    CrlMalformed = 212,
    /// The ticket key file holds no keys of 48 or 80 bytes, or is cut off.
    TicketKeysMalformed = 213,

    /// The private key belongs to no certificate of the chain file.
    KeyMismatch = 300,
    /// The certificate's notAfter has passed.
    CertificateExpired = 301,
    /// The certificate's notBefore has not come.
    CertificateNotYetValid = 302,
    /// No TLS handshake could be completed with the new identity.
    SelfCheckFailed = 303,
    /// The extended key usage of the certificate does not allow TLS servers: it has neither serverAuth nor any (RFC
    /// 5280 section 4.2.1.12). For a client identity: it has neither clientAuth nor any.
    KeyUsageUnfit = 304,
    /// No identity would have a name that certreload_options_require_name() requires.
    NameMissing = 305,
    /// A certificate revocation list was not signed with the key of the issuer that it names, or that issuer's
    /// certificate does not allow signing lists.
    CrlSignature = 306,
    /// The nextUpdate of a new certificate revocation list has passed, and CERTRELOAD_CRL_ALLOW_EXPIRED is not set.
    CrlExpired = 307,
    /// A certificate revocation list is older than one that has been in use since open.
    CrlRollback = 308,
    /// A certificate revocation list that is in use is gone, although its issuer is still trusted, or may be.
    CrlLost = 309,
    /// Two keys of the ticket key file are the same.
    TicketKeyRepeated = 310,
    /// Every user of the system may read the ticket key file.
    TicketKeysReadable = 311,
    /// An adapter cannot use the identity or the trust store: its TLS stack does not support it, or its settings forbid it.
    AdapterRefused = 312,
}

impl certreload_result {
    /// Returns the result code of a failure's cause. No other place maps causes to codes.
    pub(crate) fn of(cause: &Cause) -> Self {
        match cause {
            Cause::TimedOut { .. }
            | Cause::NotAnswering { .. }
            | Cause::PasswordAwaited { .. }
            | Cause::NoReader => Self::TimedOut,
            Cause::NullParameter(_) => Self::NullParameter,
            Cause::InvalidParameter(_) => Self::InvalidParameter,
            Cause::NothingToLoad => Self::NothingToLoad,
            Cause::NotConfigured(_) => Self::NotConfigured,
            Cause::Closed => Self::Closed,
            Cause::System { .. } => Self::System,
            Cause::Tls(_) => Self::Tls,
            Cause::Panic(_) => Self::Panic,
            Cause::Forked => Self::Forked,
            Cause::BufferTooSmall { .. } => Self::BufferTooSmall,
            Cause::WouldDeadlock(_) => Self::WouldDeadlock,
            Cause::NoEvent => Self::NoEvent,
            Cause::LoggerInUse => Self::LoggerInUse,
            Cause::NotFound => Self::FileNotFound,
            Cause::Permission => Self::FilePermission,
            Cause::NotRegular(_) | Cause::NotDirectory => Self::FileNotRegular,
            Cause::TooLarge { .. } => Self::FileTooLarge,
            Cause::Empty => Self::FileEmpty,
            Cause::Unstable | Cause::StillOpen | Cause::CutShort(_) => Self::FileUnstable,
            Cause::Io(_) => Self::FileIo,
            Cause::TooManyFiles { .. } => Self::TooManyFiles,
            Cause::PemMalformed { .. } => Self::PemMalformed,
            Cause::PemTruncated { .. } => Self::PemTruncated,
            Cause::NoCertificate(_) => Self::NoCertificate,
            Cause::TooManyCertificates { .. }
            | Cause::ChainTooLarge { .. }
            | Cause::TooManyAuthorityNames { .. } => Self::TooManyCertificates,
            Cause::CertificateMalformed { .. } | Cause::CertificateDamaged { .. } => {
                Self::CertificateMalformed
            }
            Cause::NoPrivateKey(_) => Self::NoPrivateKey,
            Cause::SeveralPrivateKeys { .. } => Self::SeveralPrivateKeys,
            Cause::KeyEncrypted(_) => Self::KeyEncrypted,
            Cause::KeyPasswordWrong | Cause::FilePasswordWrong { .. } => Self::KeyPasswordWrong,
            Cause::KeyUnsupported(_) => Self::KeyUnsupported,
            Cause::NoCrl(_) => Self::NoCrl,
            Cause::TooManyCrls { .. } => Self::TooManyCrls,
            Cause::CrlMalformed { .. } => Self::CrlMalformed,
            Cause::TicketKeysMalformed(_) => Self::TicketKeysMalformed,
            Cause::KeyMismatch { .. } | Cause::AdapterMismatch { .. } => Self::KeyMismatch,
            Cause::AdapterRefused { .. } => Self::AdapterRefused,
            Cause::Expired { .. } => Self::CertificateExpired,
            Cause::NotYetValid { .. } => Self::CertificateNotYetValid,
            Cause::KeyUsageUnfit { .. } => Self::KeyUsageUnfit,
            Cause::NameMissing { .. } => Self::NameMissing,
            Cause::SelfCheck(_) => Self::SelfCheckFailed,
            Cause::CrlSignature { .. } | Cause::CrlSigner { .. } => Self::CrlSignature,
            Cause::CrlExpired { .. } => Self::CrlExpired,
            Cause::CrlRollback { .. } => Self::CrlRollback,
            Cause::CrlLost { .. } => Self::CrlLost,
            Cause::TicketKeyRepeated { .. } => Self::TicketKeyRepeated,
            Cause::TicketKeysReadable => Self::TicketKeysReadable,
        }
    }
}

impl From<&Error> for certreload_result {
    fn from(error: &Error) -> Self {
        Self::of(&error.cause)
    }
}

/// A `certreload_result` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type result_number = u32;
