//! What happened, told to C: one struct, valid while the callback runs.

use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::cast::to_c_text;
use super::result::certreload_result;
use crate::events::{Event, EventKind, MAX_WAITING, Trigger};
use crate::pki::{WarningKind, Warnings};

/// What an event is about.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_event_kind {
    /// A new generation is current: the first one at open, and one for each change after it.
    Reloaded = 1,
    /// Something changed and cannot be used; what served goes on serving. Told once per distinct failure: a file that
    /// is still as bad as it was told is no event again, not even after a request.
    ReloadFailed = 2,
    /// The kernel's notifications cannot be had; changes are found by polling alone.
    WatchDegraded = 3,
    /// The kernel's notifications are back.
    WatchRestored = 4,
    /// A certificate that serves, a revocation list or an OCSP response has come into its warning window
    /// (certreload_options_set_expiry_warning_seconds()) and no renewal is there; or the ticket key that encrypts has reached its
    /// lifetime (certreload_options_set_ticket_key_lifetime_seconds()). Told once for each of them, at open too, and again only
    /// after the clock was set back, and in a child after certreload_after_fork().
    Expiring = 5,
    /// A certificate that serves has expired. It goes on serving, for there is nothing better; clients refuse it. Or a
    /// revocation list has: peers are refused for it, unless CERTRELOAD_CRL_ALLOW_EXPIRED; or an OCSP response, which is
    /// left out; or a ticket key, which encrypts no more. Told once, as EXPIRING; a clock that jumps over the whole window
    /// tells this alone.
    Expired = 6,
}

/// Why a reload was tried.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_trigger {
    /// The handle was opened.
    Open = 1,
    /// The kernel told of a change.
    Watch = 2,
    /// The poll came round.
    Poll = 3,
    /// certreload_reload() or certreload_reload_wait() was called.
    Request = 4,
    /// A date was reached: of a certificate, a revocation list, an OCSP response or a ticket key.
    Clock = 5,
    /// certreload_push_identity() was called.
    Push = 6,
}

/// How many events of a handle wait at the most, for a callback that does not return or a host that does not ask. Beyond
/// that the oldest of which there is a newer one of the same kind, about the same file where there is one, goes into that
/// one, which counts it.
pub const CERTRELOAD_MAX_WAITING_EVENTS: usize = 256;

const _: () = assert!(CERTRELOAD_MAX_WAITING_EVENTS == MAX_WAITING);

/// Warning: every user of the system may read the private key file, or the file with its password (mode o+r).
pub const CERTRELOAD_WARNING_KEY_READABLE: u32 = 1;
/// Warning: the new certificate lacks a name that the one before it had.
pub const CERTRELOAD_WARNING_NAMES_LOST: u32 = 2;
/// Warning: the new certificate expires earlier than the one before it.
pub const CERTRELOAD_WARNING_EXPIRES_EARLIER: u32 = 4;
/// Warning: the OCSP response cannot be used and is left out, and the certificate served without it; or there is none, and
/// the certificate is one that must be stapled (TLS feature, RFC 7633). The message says why.
pub const CERTRELOAD_WARNING_OCSP_UNUSABLE: u32 = 8;
/// Warning: the certificates in the chain file are not in order, or one is there twice; they are served in order, each
/// once.
pub const CERTRELOAD_WARNING_CHAIN_REORDERED: u32 = 16;
/// Warning: the chain file lacks the certificate of the leaf's issuer, so many clients will refuse the leaf.
pub const CERTRELOAD_WARNING_CHAIN_INCOMPLETE: u32 = 32;
/// Warning: a certificate in the chain file certifies no other there; it is served, after those that do.
pub const CERTRELOAD_WARNING_CHAIN_UNRELATED: u32 = 64;
/// Warning: a certificate of the chain that is not the leaf has expired, is not valid yet, or expires before the leaf
/// does. Health and earliest_not_after go by the leaf alone, for clients may know another way to a root.
pub const CERTRELOAD_WARNING_CHAIN_EXPIRED: u32 = 128;
/// Warning: the certificate's key usage leaves out digital signatures, which TLS makes (RFC 8446 section 4.4.2.2); or the
/// client role has nothing to prove itself with, for the first identity is for servers alone.
pub const CERTRELOAD_WARNING_KEY_USAGE: u32 = 256;
/// Warning: two identities have the same name and the same kind of key, so the second never serves that name.
pub const CERTRELOAD_WARNING_DUPLICATE_NAME: u32 = 512;
/// Warning: a certificate among the roots cannot be used and is passed over; all roots that served are still there.
pub const CERTRELOAD_WARNING_ROOT_UNUSABLE: u32 = 1024;
/// Warning: a certificate revocation list has expired, and CERTRELOAD_CRL_ALLOW_EXPIRED tolerates it.
pub const CERTRELOAD_WARNING_CRL_EXPIRED: u32 = 2048;
/// Warning: the issuer of a certificate revocation list is none of the roots, and its certificate is not known, so the
/// signature cannot be checked until a peer shows that certificate.
pub const CERTRELOAD_WARNING_CRL_UNRELATED: u32 = 4096;
/// Warning: a certificate revocation list has expired and is gone, and its issuer is no root.
pub const CERTRELOAD_WARNING_CRL_LOST: u32 = 8192;
/// Warning: the ticket key that encrypts has been in use for longer than its lifetime, and should have been replaced.
pub const CERTRELOAD_WARNING_TICKET_KEY_OLD: u32 = 16384;
/// Warning: a root has no revocation list, and the rule is that everybody without one is refused: nobody whose certificate
/// leads to it gets in.
pub const CERTRELOAD_WARNING_CRL_MISSING: u32 = 32768;

/// One event. All pointers are borrowed: they are valid until the callback returns, or as long as
/// certreload_next_event() says.
///
/// The struct may grow at the end; `size` tells how much of it the library knows.
#[repr(C)]
pub struct certreload_event {
    /// Size of this struct in bytes, as the library was built.
    pub size: usize,
    /// What happened.
    pub kind: certreload_event_kind,
    /// Why the library looked.
    pub trigger: certreload_trigger,
    /// Why the reload failed; OK for every kind but RELOAD_FAILED: for EXPIRING and EXPIRED, too.
    pub result: certreload_result,
    /// CERTRELOAD_WARNING_* bits; the message spells them out.
    pub warnings: u32,
    /// The generation that serves now.
    pub generation: u64,
    /// The earliest notAfter of all identities of the handle: seconds since 1970-01-01 UTC; INT64_MAX where it has none.
    pub earliest_not_after: i64,
    /// The file or directory that the event is about, as the host spelled it (made absolute); "" where it is about none.
    pub path: *const c_char,
    /// The event in one line, fit to print. Never NULL; holds no secret. Of many identities that are new it describes the
    /// first, and tells how many more there are; the log has a line for each.
    pub message: *const c_char,
    /// How many events this one stands for: 1; more where events had to wait for so long that older ones of its kind went
    /// into it.
    pub count: u64,
}

/// Name a kind of event in a word, for logs.
///
/// @param kind  any number; an unknown one gets "unknown"
/// @return     one lower-case word, such as "reload-failed"; never NULL
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
        _ => c"unknown",
    };
    word.as_ptr()
}

/// What C passes for a `certreload_event_kind`: any number at all.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type event_kind_number = u32;

/// Name a trigger in a word, for logs.
///
/// @param trigger  any number; an unknown one gets "unknown"
/// @return        one lower-case word, such as "watch"; never NULL
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

/// Name a warning in a word, for logs and metrics.
///
/// @param warning  one CERTRELOAD_WARNING_* bit; anything else gets "unknown"
/// @return         one lower-case word, such as "key-readable"; never NULL
/// Ownership:      static text; do not free
/// Threads:        any thread, concurrently
/// Signals:        async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_warning_str(warning: u32) -> *const c_char {
    let word = match warning {
        CERTRELOAD_WARNING_KEY_READABLE => c"key-readable",
        CERTRELOAD_WARNING_NAMES_LOST => c"names-lost",
        CERTRELOAD_WARNING_EXPIRES_EARLIER => c"expires-earlier",
        CERTRELOAD_WARNING_OCSP_UNUSABLE => c"ocsp-unusable",
        CERTRELOAD_WARNING_CHAIN_REORDERED => c"chain-reordered",
        CERTRELOAD_WARNING_CHAIN_INCOMPLETE => c"chain-incomplete",
        CERTRELOAD_WARNING_CHAIN_UNRELATED => c"chain-unrelated",
        CERTRELOAD_WARNING_CHAIN_EXPIRED => c"chain-expired",
        CERTRELOAD_WARNING_KEY_USAGE => c"key-usage",
        CERTRELOAD_WARNING_DUPLICATE_NAME => c"duplicate-name",
        CERTRELOAD_WARNING_ROOT_UNUSABLE => c"root-unusable",
        CERTRELOAD_WARNING_CRL_EXPIRED => c"crl-expired",
        CERTRELOAD_WARNING_CRL_UNRELATED => c"crl-unrelated",
        CERTRELOAD_WARNING_CRL_LOST => c"crl-lost",
        CERTRELOAD_WARNING_TICKET_KEY_OLD => c"ticket-key-old",
        CERTRELOAD_WARNING_CRL_MISSING => c"crl-missing",
        _ => c"unknown",
    };
    word.as_ptr()
}

/// What C passes for a `certreload_trigger`: any number at all.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type trigger_number = u32;

/// An event as C sees it, with what it points to.
pub(crate) struct ToldEvent {
    event: certreload_event,
    _path: CString,
    _message: CString,
}

impl ToldEvent {
    pub(crate) fn new(event: &Event) -> Self {
        let path = to_c_path(event.path.as_deref());
        let message = to_c_text(&event.message);
        let told = certreload_event {
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
        Self { event: told, _path: path, _message: message }
    }

    /// Valid as long as this, unless it is moved.
    pub(crate) fn as_ptr(&self) -> *const certreload_event {
        &raw const self.event
    }
}

fn to_c_path(path: Option<&Path>) -> CString {
    let bytes = path.map_or(&[][..], |path| path.as_os_str().as_bytes());
    // A path that came from C, or from the kernel, holds no NUL.
    CString::new(bytes).unwrap_or_default()
}

pub(crate) fn warning_bits(warnings: Warnings) -> u32 {
    let table = [
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
    ];
    table.iter().filter(|(kind, _)| warnings.contains(*kind)).fold(0, |bits, (_, bit)| bits | bit)
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
