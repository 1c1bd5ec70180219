//! The C form of an event: its struct, the numbers in it, and their names.

use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::cast::to_c_text;
use super::result::certreload_result;
use crate::events::{Event, EventKind, MAX_WAITING, Trigger};
use crate::pki::{WarningKind, Warnings};

/// The kind of an event.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_event_kind {
    /// A new generation is current: the first one at open, and one for each change after it. With
    /// CERTRELOAD_START_AVAILABLE the first comes even if nothing was loaded: check the health, and `identities`, in
    /// certreload_status.
    Reloaded = 1,
    /// The files, or pushed bytes, cannot be used; the last good version keeps serving (G3). Each distinct failure is
    /// reported once, that is, one of other bytes or for another reason. A file that fails as before causes no event,
    /// not even after a request. What is STALE by failures stops to be so with one event, RELOADED or RECOVERED.
    ReloadFailed = 2,
    /// The kernel's notifications are not available, so changes are found only at the next poll (G19).
    WatchDegraded = 3,
    /// The kernel's notifications are available again.
    WatchRestored = 4,
    /// A certificate, revocation list or OCSP response in use has entered its warning window, and no renewal has been
    /// loaded (certreload_options_set_expiry_warning_seconds()). An intermediate of a chain counts if it expires before
    /// the leaf and the chain offers no other path (G20). Or the ticket key that encrypts has reached its
    /// lifetime (certreload_options_set_ticket_key_lifetime_seconds()). The event comes once for each certificate,
    /// list, response and key, also if the window had begun before open. It comes again only after the clock was set
    /// back, and in a child after certreload_after_fork().
    Expiring = 5,
    /// A certificate has expired: it is still served, because there is no newer one, and clients refuse it. That is the
    /// leaf, or an intermediate if the chain offers no other path; then the bit CHAIN_EXPIRED is set. A cross-certificate
    /// at the end of the chain counts, too: the library cannot know which clients have its key as a root. Or a revocation
    /// list has expired: peers are refused because of it, unless CERTRELOAD_CRL_ALLOW_EXPIRED is set. Or an
    /// OCSP response has expired and is no longer stapled. Or the ticket key that encrypts is older than twice its
    /// lifetime, and no tickets are issued. The event comes once for each, as EXPIRING does. If the clock is set from
    /// before a warning window to after the expiry, this event comes without EXPIRING.
    Expired = 6,
    /// An identity, the trust store or the ticket keys that failed (RELOAD_FAILED) can be used again, and hold the
    /// content that is served already: the files were put back as they were, or their file system answers again. Or the
    /// host pushed that content. No new generation is published. If there is new content, RELOADED reports that instead.
    /// The path is that of the latest failure.
    Recovered = 7,
    /// A warning has begun, and no new generation brings it: CERTRELOAD_WARNING_FILE_DELETED or
    /// CERTRELOAD_WARNING_POLLED_PATH. The path is that of the file. What is served does not change, nor does the
    /// health. The event comes once for each file while the warning lasts, and again in a child after
    /// certreload_after_fork(). The status shows when the warning has ended. If the warning began before open, or comes
    /// with new content, RELOADED has its bit instead.
    Warning = 8,
}

/// What made the library check its files, or its dates, and so led to an event.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_trigger {
    /// The handle was opened.
    Open = 1,
    /// The kernel reported a change, or the state of its notifications changed.
    Watch = 2,
    /// A poll found the change (certreload_options_set_poll_interval_ms()).
    Poll = 3,
    /// certreload_reload() or certreload_reload_wait() was called.
    Request = 4,
    /// A date was reached: of a certificate, a revocation list, an OCSP response or a ticket key.
    Clock = 5,
    /// certreload_push_identity() was called.
    Push = 6,
}

/// The most events of a handle that wait, while its callback does not return or certreload_next_event() is not called.
///
/// If another event comes, the oldest event that has a newer one of the same kind is merged into the newer one. The
/// count of the newer event grows by that of the older. Events about the same file are merged first, so that the latest
/// event of each file is kept longest.
pub const CERTRELOAD_MAX_WAITING_EVENTS: usize = 256;

const _: () = assert!(CERTRELOAD_MAX_WAITING_EVENTS == MAX_WAITING);

/// Warning: every user of the system may read the private key file, or the file with its password (mode o+r).
pub const CERTRELOAD_WARNING_KEY_READABLE: u32 = 1;
/// Warning: the new certificate lacks a name that the previous certificate of the same identity had.
pub const CERTRELOAD_WARNING_NAMES_LOST: u32 = 2;
/// Warning: the new certificate expires earlier than the previous certificate of the same identity.
pub const CERTRELOAD_WARNING_EXPIRES_EARLIER: u32 = 4;
/// Warning: the OCSP response cannot be used, and the certificate is served without it. Or there is no response, but
/// the certificate requires one (TLS feature "status_request", RFC 7633). The message has the reason.
pub const CERTRELOAD_WARNING_OCSP_UNUSABLE: u32 = 8;
/// Warning: the certificates in the chain file are not in order, or one is there twice. They are served in order,
/// each once.
pub const CERTRELOAD_WARNING_CHAIN_REORDERED: u32 = 16;
/// Warning: the chain file lacks the certificate of the leaf's issuer, so many clients will refuse the leaf. Or the new
/// chain lacks the certificate of an issuer, and the previous chain of the same identity had one there.
pub const CERTRELOAD_WARNING_CHAIN_INCOMPLETE: u32 = 32;
/// Warning: a certificate in the chain file, other than the leaf, issued no other certificate there. The path from the
/// leaf upwards is served first, then the others in the order of the file.
pub const CERTRELOAD_WARNING_CHAIN_UNRELATED: u32 = 64;
/// Warning: a certificate of the chain other than the leaf has expired, is not valid yet, or expires before the leaf.
/// The health depends on it only if the chain in the file offers no other path (CERTRELOAD_EVENT_KIND_EXPIRED).
/// earliest_not_after is about leaves alone.
pub const CERTRELOAD_WARNING_CHAIN_EXPIRED: u32 = 128;
/// Warning: the certificate's key usage does not allow digital signatures, but TLS needs them (RFC 8446 section
/// 4.4.2.2). Or connections to servers (certreload_options_set_server_roots()) are made without a client certificate.
/// The reason is that there is no client identity, and the first identity's extended key usage lacks clientAuth.
pub const CERTRELOAD_WARNING_KEY_USAGE: u32 = 256;
/// Warning: two identities have the same name and the same kind of key. The second serves that name only while the
/// certificate of the first is expired or not valid yet, and its own is valid.
pub const CERTRELOAD_WARNING_DUPLICATE_NAME: u32 = 512;
/// Warning: a certificate among the roots cannot be used and is skipped. All roots that were trusted are still there.
pub const CERTRELOAD_WARNING_ROOT_UNUSABLE: u32 = 1024;
/// Warning: a certificate revocation list has expired and is still in use: CERTRELOAD_CRL_ALLOW_EXPIRED is set, or the
/// list expired after it was loaded. Without that rule peers are refused because of it.
pub const CERTRELOAD_WARNING_CRL_EXPIRED: u32 = 2048;
/// Warning: the issuer of a certificate revocation list is not among the roots, and its certificate is unknown. So the
/// list's signature is not checked before a peer shows that certificate. certreload_options_add_crl() has the details.
/// Or, with CERTRELOAD_CRL_ALLOW_UNKNOWN, the list has its issuer's name in other bytes than the issuer's certificate: it
/// is not applied, and peers that it revokes are accepted.
pub const CERTRELOAD_WARNING_CRL_UNRELATED: u32 = 4096;
/// Warning: the list of an intermediate was removed after it had expired, so revocations by that intermediate are
/// unknown. Before its expiry, the removal is a failure (CERTRELOAD_RESULT_CRL_LOST).
pub const CERTRELOAD_WARNING_CRL_LOST: u32 = 8192;
/// Warning: the ticket key that encrypts is older than its lifetime, and should have been replaced
/// (certreload_options_set_ticket_key_lifetime_seconds()).
pub const CERTRELOAD_WARNING_TICKET_KEY_OLD: u32 = 16384;
/// Warning: a root has no revocation list, although other issuers have one. Every peer whose certificate leads to that
/// root is refused. Not reported with CERTRELOAD_CRL_ALLOW_UNKNOWN, which accepts such peers. Not reported either with
/// CERTRELOAD_CRL_LEAF_ONLY, because a root that issues only intermediates then needs no list. Or the list of a root or
/// of an intermediate has its issuer's name in other bytes than the issuer's certificate: it is not applied to peers.
/// With CERTRELOAD_CRL_ALLOW_UNKNOWN, that is CERTRELOAD_WARNING_CRL_UNRELATED.
pub const CERTRELOAD_WARNING_CRL_MISSING: u32 = 32768;
/// Warning: a part of a PEM file is not read. A line has other text before its "-----BEGIN ", and the message names the
/// line. If a root or a revocation list in use, or the leaf or the key, would be lost by that, the file is refused
/// instead, unless all lines of a root are comments ("#"). Or a key file holds further keys beside that of the certificate.
pub const CERTRELOAD_WARNING_PEM_SKIPPED: u32 = 65536;
/// Warning: the certificate is served, and some clients refuse it because of its form. It is one of X.509 version 1, or
/// has a critical extension that few clients know, or has no name in subjectAltName (RFC 9525 section 2), or an IP
/// address there in the place of a DNS name, or is marked as an authority (basicConstraints CA:TRUE). Or it, or an
/// intermediate of its chain, is signed with MD5 or SHA-1, or names its issuer in other bytes than the issuer's
/// certificate does.
pub const CERTRELOAD_WARNING_COMPATIBILITY: u32 = 131_072;
/// Warning: a certificate among the roots is no CA certificate (basicConstraints), and yet everything that its key signed
/// is trusted. Or it is one and may not issue certificates (keyUsage). Or 100 roots or more have the same subject: only
/// some of them are tried for each peer. Or every peer under a root, or under a known intermediate, is refused: the
/// provider verifies no signatures with the root's key, or the intermediate names the root in other bytes.
pub const CERTRELOAD_WARNING_ROOT_DOUBTFUL: u32 = 262_144;
/// Warning: a certificate that is served is not valid yet, by the clock of this machine. With CERTRELOAD_START_AVAILABLE it
/// may have been so at open; otherwise the clock was set back since.
pub const CERTRELOAD_WARNING_NOT_YET_VALID: u32 = 524_288;
/// Warning: no identity has a name that certreload_options_require_name() names. Only with CERTRELOAD_START_AVAILABLE:
/// otherwise the handle does not open.
pub const CERTRELOAD_WARNING_NAME_MISSING: u32 = 1_048_576;
/// Warning: the file of certreload_options_set_ticket_keys() has never been loaded, so tickets are encrypted with keys of
/// this process. Only with CERTRELOAD_START_AVAILABLE: otherwise the handle does not open.
pub const CERTRELOAD_WARNING_TICKET_KEYS_MISSING: u32 = 8_388_608;
/// Warning: a path leads through a link of /proc to a file that has no path here, so the kernel notifies of no changes.
/// Examples are a memfd or a deleted file by "/dev/fd/5", and a file of another mount namespace by "/proc/PID/root".
/// Such a file is read at each poll and request. Behind a descriptor, a file that replaces it is not seen.
pub const CERTRELOAD_WARNING_POLLED_PATH: u32 = 2_097_152;
/// Warning: a file that is mounted by itself (Docker "-v file:file", Kubernetes subPath) was replaced or deleted where
/// it is mounted from. The mount still shows the old file, and shows no renewal. Mount the directory in place of it.
pub const CERTRELOAD_WARNING_FILE_DELETED: u32 = 4_194_304;

/// One event. All pointers are borrowed: they are valid until the callback returns, or as long as
/// certreload_next_event() says.
///
/// The library sets `size`. The struct may grow at the end: a field exists if it ends within `size`.
#[repr(C)]
pub struct certreload_event {
    /// Size of this struct in bytes, in the release of the library that runs.
    pub size: usize,
    /// The kind of event.
    pub kind: certreload_event_kind,
    /// What led to the event.
    pub trigger: certreload_trigger,
    /// Why the reload failed, if kind is RELOAD_FAILED; OK for every other kind, EXPIRING and EXPIRED included.
    pub result: certreload_result,
    /// CERTRELOAD_WARNING_* bits; the message explains each bit that is set.
    pub warnings: u32,
    /// The number of the generation that is current now.
    pub generation: u64,
    /// The earliest notAfter of all identities of the handle, in seconds since 1970-01-01 UTC; INT64_MAX if it has
    /// none.
    pub earliest_not_after: i64,
    /// The file or directory that the event is about, as the host wrote it (made absolute); "" if there is none. The
    /// bytes may include control characters, so print message instead.
    pub path: *const c_char,
    /// The event in one line of UTF-8, with "?" in place of control characters. Never NULL; contains no secret. If many
    /// identities are new, it describes the first four and counts the others; the log has a line for each.
    pub message: *const c_char,
    /// How many events this one represents: 1, or more if older events of its kind were merged into it while they
    /// waited.
    pub count: u64,
}

/// Returns the name of a kind of event, for logs.
///
/// @param kind  any number; an unknown one returns "unknown"
/// @return      one lower-case word, such as "reload-failed"; never NULL
/// Ownership:   static text; do not free
/// Threads:     any thread, concurrently
/// Signals:     async-signal-safe
/// Blocks:      never
/// Since:       0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_event_kind_str(kind: event_kind_number) -> *const c_char {
    let word = match kind {
        1 => c"reloaded",
        2 => c"reload-failed",
        3 => c"watch-degraded",
        4 => c"watch-restored",
        5 => c"expiring",
        6 => c"expired",
        7 => c"recovered",
        8 => c"warning",
        _ => c"unknown",
    };
    word.as_ptr()
}

/// A `certreload_event_kind` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type event_kind_number = u32;

/// Returns the name of a trigger, for logs.
///
/// @param trigger  any number; an unknown one returns "unknown"
/// @return         one lower-case word, such as "watch"; never NULL
/// Ownership:      static text; do not free
/// Threads:        any thread, concurrently
/// Signals:        async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_trigger_str(trigger: trigger_number) -> *const c_char {
    let word = match trigger {
        1 => c"open",
        2 => c"watch",
        3 => c"poll",
        4 => c"request",
        5 => c"clock",
        6 => c"push",
        _ => c"unknown",
    };
    word.as_ptr()
}

/// Returns the name of a warning, for logs and metrics.
///
/// @param warning  one CERTRELOAD_WARNING_* bit; any other number returns "unknown"
/// @return         one lower-case word, such as "key-readable"; never NULL
/// Ownership:      static text; do not free
/// Threads:        any thread, concurrently
/// Signals:        async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_warning_str(warning: u32) -> *const c_char {
    let kind = WARNING_BITS.iter().find(|(_, bit)| *bit == warning);
    kind.map_or(c"unknown", |(kind, _)| kind.word()).as_ptr()
}

/// A `certreload_trigger` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type trigger_number = u32;

/// An event in its C form, with the texts that its pointers refer to.
pub(crate) struct OwnedEvent {
    event: certreload_event,
    _path: CString,
    _message: CString,
}

impl OwnedEvent {
    pub(crate) fn new(event: &Event) -> Self {
        let path = to_c_path(event.path.as_deref());
        let message = to_c_text(&event.message);
        let c_event = certreload_event {
            size: size_of::<certreload_event>(),
            kind: event.kind.into(),
            trigger: event.trigger.into(),
            result: event.cause.as_ref().map_or(certreload_result::Ok, certreload_result::of),
            warnings: warning_bits(event.warnings),
            generation: event.generation,
            earliest_not_after: event.earliest_not_after,
            path: path.as_ptr(),
            message: message.as_ptr(),
            count: event.count,
        };
        Self { event: c_event, _path: path, _message: message }
    }

    /// Returns a pointer to the C struct, which is valid until this value is moved or dropped.
    pub(crate) fn as_ptr(&self) -> *const certreload_event {
        &raw const self.event
    }
}

fn to_c_path(path: Option<&Path>) -> CString {
    let bytes = path.map_or(&[][..], |path| path.as_os_str().as_bytes());
    // A path that came from C, or from the kernel, holds no NUL.
    CString::new(bytes).unwrap_or_default()
}

/// The bit of each kind of warning.
const WARNING_BITS: [(WarningKind, u32); 24] = [
    (WarningKind::KeyReadable, CERTRELOAD_WARNING_KEY_READABLE),
    (WarningKind::NamesLost, CERTRELOAD_WARNING_NAMES_LOST),
    (WarningKind::ExpiresEarlier, CERTRELOAD_WARNING_EXPIRES_EARLIER),
    (WarningKind::OcspUnusable, CERTRELOAD_WARNING_OCSP_UNUSABLE),
    (WarningKind::ChainReordered, CERTRELOAD_WARNING_CHAIN_REORDERED),
    (WarningKind::ChainIncomplete, CERTRELOAD_WARNING_CHAIN_INCOMPLETE),
    (WarningKind::ChainUnrelated, CERTRELOAD_WARNING_CHAIN_UNRELATED),
    (WarningKind::ChainExpired, CERTRELOAD_WARNING_CHAIN_EXPIRED),
    (WarningKind::KeyUsage, CERTRELOAD_WARNING_KEY_USAGE),
    (WarningKind::DuplicateName, CERTRELOAD_WARNING_DUPLICATE_NAME),
    (WarningKind::RootUnusable, CERTRELOAD_WARNING_ROOT_UNUSABLE),
    (WarningKind::CrlExpired, CERTRELOAD_WARNING_CRL_EXPIRED),
    (WarningKind::CrlUnrelated, CERTRELOAD_WARNING_CRL_UNRELATED),
    (WarningKind::CrlLost, CERTRELOAD_WARNING_CRL_LOST),
    (WarningKind::TicketKeyOld, CERTRELOAD_WARNING_TICKET_KEY_OLD),
    (WarningKind::CrlMissing, CERTRELOAD_WARNING_CRL_MISSING),
    (WarningKind::PemSkipped, CERTRELOAD_WARNING_PEM_SKIPPED),
    (WarningKind::Compatibility, CERTRELOAD_WARNING_COMPATIBILITY),
    (WarningKind::RootDoubtful, CERTRELOAD_WARNING_ROOT_DOUBTFUL),
    (WarningKind::NotYetValid, CERTRELOAD_WARNING_NOT_YET_VALID),
    (WarningKind::NameMissing, CERTRELOAD_WARNING_NAME_MISSING),
    (WarningKind::TicketKeysMissing, CERTRELOAD_WARNING_TICKET_KEYS_MISSING),
    (WarningKind::PolledPath, CERTRELOAD_WARNING_POLLED_PATH),
    (WarningKind::FileDeleted, CERTRELOAD_WARNING_FILE_DELETED),
];

pub(crate) fn warning_bits(warnings: Warnings) -> u32 {
    WARNING_BITS
        .iter()
        .filter(|(kind, _)| warnings.contains(*kind))
        .fold(0, |bits, (_, bit)| bits | bit)
}

impl From<EventKind> for certreload_event_kind {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Reloaded => Self::Reloaded,
            EventKind::ReloadFailed => Self::ReloadFailed,
            EventKind::WatchDegraded => Self::WatchDegraded,
            EventKind::WatchRestored => Self::WatchRestored,
            EventKind::Expiring => Self::Expiring,
            EventKind::Expired => Self::Expired,
            EventKind::Recovered => Self::Recovered,
            EventKind::Warning => Self::Warning,
        }
    }
}

impl From<Trigger> for certreload_trigger {
    fn from(trigger: Trigger) -> Self {
        match trigger {
            Trigger::Open => Self::Open,
            Trigger::Watch => Self::Watch,
            Trigger::Poll => Self::Poll,
            Trigger::Request => Self::Request,
            Trigger::Clock => Self::Clock,
            Trigger::Push => Self::Push,
        }
    }
}
