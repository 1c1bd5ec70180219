//! The option that says what an open does about files that cannot be used.

use super::options_object::certreload_options;
use super::options_object::setter;
use crate::error::Error;
use crate::ffi::cast;
use crate::ffi::result::certreload_result;
use crate::options::StartMode;

/// What certreload_open() does about files that cannot be used.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_start {
    /// It fails, and its result says why. The default.
    Strict = 0,
    /// It succeeds with what can be used. Each file that cannot be used is an event, and is loaded when it can.
    Available = 1,
}

/// A `certreload_start` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type start_mode = u32;

/// Sets what certreload_open() does about files that cannot be used: a server of many customers must start although the
/// certificate of one has expired, and a server that gets its first certificate over ACME starts without any.
///
/// With CERTRELOAD_START_AVAILABLE:
///
/// - **An identity** that cannot be loaded is left out. Clients that ask for its names get the first identity that has
///   been loaded. If none has, certreload_server_connection_new() still succeeds, and every handshake ends with the
///   alert access_denied. The host then gets "general error" from rustls_connection_process_new_packets(), and the log
///   has the reason once a minute. An identity for the client role that is left out is not presented, nor is another
///   one of the handle; a client template presents what it has.
/// - **A certificate that has expired**, or is not valid yet, is served as long as its identity has had no other one.
///   Health is EXPIRED. That is no failure: last_failure is "", and certreload_reload_wait() returns UNCHANGED. The
///   expired one is an EXPIRED event with the trigger CERTRELOAD_TRIGGER_CLOCK. For one that is not valid yet there is
///   only the bit CERTRELOAD_WARNING_NOT_YET_VALID, in RELOADED and in the status.
/// - **A trust store** that cannot be loaded never weakens the server: until it can, every handshake of the handle is
///   refused, in both roles. The server role ends it as without an identity. In the client role,
///   certreload_acquire_client_config() still returns a configuration, with which every server's certificate is refused:
///   "invalid peer certificate: UnknownIssuer". The fault is not the server's. certreload_generation_refuses() returns
///   true until then, and the log has the reason once a minute.
/// - **Ticket keys** that cannot be loaded are replaced by keys of this process, with the warning
///   CERTRELOAD_WARNING_TICKET_KEYS_MISSING.
/// - **A required name** that no identity has is the warning CERTRELOAD_WARNING_NAME_MISSING. The health does not depend
///   on it. As soon as an identity has the name, it is required as otherwise: no change may remove it again.
///
/// Each of these failures to load is a RELOAD_FAILED event with the trigger CERTRELOAD_TRIGGER_OPEN, after the first
/// RELOADED event; of more than CERTRELOAD_MAX_WAITING_EVENTS, the oldest are counted by the others, and all are in the
/// log. The files are read once. Those that are incomplete at that moment are loaded after their next change, poll or
/// request.
///
/// Health is MISSING while an identity or the trust store has not been loaded; certreload_get_identity_status() and
/// certreload_get_trust_status() have the reason. As soon as the files can be used they are, without a restart, and
/// RELOADED reports that. From then on the unit is never given up again (G3). Until then certreload_reload_wait() returns
/// the reason. certreload_push_identity() brings an identity that is missing, by the order in which it was added.
///
/// certreload_open() still fails if the options contradict each other, or if memory, threads or descriptors are not
/// available. certreload_check() returns the first file that cannot be used, whatever this option is.
///
/// @param options  must not be NULL; changed
/// @param start    CERTRELOAD_START_STRICT (the default) or _AVAILABLE
/// @return         OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:      nothing changes hands
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_start(
    options: *mut certreload_options,
    start: start_mode,
) -> certreload_result {
    setter(
        "certreload_options_set_start",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.start = match start {
                0 => StartMode::Strict,
                1 => StartMode::Available,
                _ => return Err(Error::invalid(format!("{start} is no certreload_start"))),
            };
            Ok(())
        },
    )
}
