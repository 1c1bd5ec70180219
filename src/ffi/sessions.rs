//! TLS sessions: options for which sessions are resumed, and a function that ends them all.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use super::cast;
use super::handle::certreload_handle;
use super::options::certreload_options;
use super::options::setter;
use super::panic_boundary::boundary;
use super::result::certreload_result;
use crate::error::Error;
use crate::options::Resumption;

/// Which sessions clients can resume.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_resumption {
    /// Sessions that began under the same trust store, and with a name that is still served. They end six hours after
    /// their last use, in TLS 1.2 six hours after the full handshake. A renewed certificate, key, chain or staple, or
    /// an added name, ends no session (G14). The default.
    Auto = 0,
    /// Sessions that began under the current generation: every reload ends all sessions.
    AlwaysReset = 1,
    /// None: each handshake is a full one.
    Off = 2,
}

/// A `certreload_resumption` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type resumption_number = u32;

/// Sets which sessions are resumed, by the server with its clients, and by the client role with its servers.
///
/// A server sends the state of a session to the client as an encrypted ticket (RFC 5077, RFC 8446 section 4.6.1). The
/// keys that encrypt tickets are drawn at random and replaced every six hours, or come from
/// certreload_options_set_ticket_keys(). For a TLS 1.2 client that does not support tickets, the server stores the
/// session in memory under a session id. The conditions for tickets below hold for such a session, too, but no other
/// process can resume it.
///
/// A ticket is bound to the trust store under which it was issued. After any change of roots, revocation lists or
/// client authentication mode, the ticket is not accepted (G13). A ticket also ends when the first certificate of the
/// client's chain expires. Unless CERTRELOAD_CRL_ALLOW_EXPIRED is set, it ends when the first revocation list expires,
/// too. The same holds for sessions of the client role.
///
/// A ticket is also bound to a name. If an identity has the name that the client asks for, the ticket is valid as
/// long as an identity has that name. If the client sends no name, or one that no identity has, the default identity
/// answers. Then the ticket is valid as long as the default identity has the first name that it had at the time. A
/// certificate without names is identified by its subject, and one without a subject by its public key.
///
/// A ticket is valid for six hours. A client that resumes a session gets a new ticket, so resumption can follow
/// resumption without a full handshake. In TLS 1.2 the new ticket ends when the first does, six hours after the full
/// handshake, because the secret of the session stays the same. In TLS 1.3 the new ticket is valid for six hours, too,
/// because each resumption agrees on fresh keys. Such a series ends when a ticket has ended or is not accepted, for the
/// reasons above, or with certreload_invalidate_sessions().
///
/// If the client showed certificates, they must be verified again at least once a week (RFC 8446 section 4.6.1). So in
/// TLS 1.3 a series of resumptions ends at a weekly time that depends on the client's chain. That is the time at which
/// (now + SHA-256(chain) mod 604800) / 604800, rounded down, changes; now is in seconds since 1970-01-01 UTC. In the
/// last minute before that time the client's sessions are not resumed, so that no handshake lasts across it. This works
/// if handshakes take less than a minute. Without certificates there is nothing to verify again, so the series has no
/// limit of this kind. In the client role the server sets the limit.
///
/// A process and the processes forked from it resume each other's sessions, although keys are drawn at random. The key
/// of each six hours is derived from two inputs: a secret of the handle, which forked processes inherit, and new
/// randomness in memory that these processes share. So a copy of one process's memory does not reveal future keys.
/// Processes that are started with posix_spawn(), system() or popen() do not share the keys.
///
/// A template (certreload_options_set_server_template()) keeps its own session storage unless this function,
/// certreload_options_set_ticket_keys() or certreload_options_set_session_context() is called. All generations share
/// that storage, and it resumes sessions of names that are no longer served. With certreload_options_set_client_auth()
/// it would also resume sessions of clients that the trust store refuses now. So in that case the handle replaces the
/// default storage of rustls. A storage of the host (rustls_server_config_builder_set_persistence()) is then refused at
/// open, unless one of the three functions is called, which replaces it.
///
/// @param options     must not be NULL; changed
/// @param resumption  CERTRELOAD_RESUMPTION_AUTO (the default), _ALWAYS_RESET or _OFF
/// @return            OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:         nothing changes hands
/// Threads:           exclusive access to options
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_resumption(
    options: *mut certreload_options,
    resumption: resumption_number,
) -> certreload_result {
    setter(
        "certreload_options_set_resumption",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.resumption = Some(match resumption {
                0 => Resumption::Auto,
                1 => Resumption::AlwaysReset,
                2 => Resumption::Off,
                _ => {
                    return Err(Error::invalid(format!(
                        "{resumption} is no certreload_resumption"
                    )));
                }
            });
            Ok(())
        },
    )
}

/// Sets the file of ticket keys that several processes share, and that reloads.
///
/// Processes and hosts behind one address that have the same file, and the same trust store, resume each other's
/// sessions. They also resume those of a process that was restarted. The first key encrypts; all keys decrypt. To
/// rotate, put a new key first and keep the old one behind it for six hours.
///
/// The file holds keys of 48 or of 80 bytes, in the formats of nginx, Apache and haproxy. They are bytes, one key after
/// the other ("openssl rand 80 > keys"), or one line of base64 per key ("openssl rand -base64 48 > keys"). Tickets are
/// not compatible with those servers, because the keys that encrypt are derived from the keys in the file.
///
/// Services that share the file resume only sessions of names that both serve; certreload_options_set_resumption()
/// describes clients that send no name. If names of separate services overlap, give each service its own
/// certreload_options_set_session_context().
///
/// A file is refused if it is cut off or malformed (TICKET_KEYS_MALFORMED), holds a key twice (TICKET_KEY_REPEATED), or
/// may be read by every user (TICKET_KEYS_READABLE). At open that is a failure; later the previous keys stay in use.
///
/// Forward secrecy: a key of the file decrypts recorded TLS 1.2 sessions whose tickets it encrypted. As long as the
/// key is in the file, an attacker who has the key can also impersonate the server to clients that resume. So keep the
/// file out of backups, preferably in memory (tmpfs), and rotate it daily;
/// certreload_options_set_ticket_key_lifetime_seconds() sets when a warning reports that this was forgotten. A TLS 1.2
/// session has one secret for its six hours, which any of its tickets reveals. Recorded TLS 1.3 sessions stay secret,
/// except for early data.
///
/// @param options  must not be NULL; changed
/// @param path     must not be NULL or ""; copied. A relative path refers to the working directory at the time of
///                 open
/// @return         OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:      strings are copied
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_ticket_keys(
    options: *mut certreload_options,
    path: *const c_char,
) -> certreload_result {
    setter(
        "certreload_options_set_ticket_keys",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            // SAFETY: the caller passes a C string, or NULL.
            options.options.ticket_keys = Some(unsafe { cast::path(path, "path")? });
            Ok(())
        },
    )
}

/// Sets after how long a key of the ticket key file should be replaced. It encrypts for at most twice that time.
///
/// The time counts from the creation of the key. In a base64 file a comment line before a key gives its date, in UTC:
/// "# certreload-created: 2026-11-30T06:00:00Z". A date that cannot be parsed is refused (TICKET_KEYS_MALFORMED).
/// Without such a line, the date is the mtime that the file had when this handle first loaded the key; a later mtime
/// does not make the key newer. If that mtime is in the future or before 2020, which container images set on every
/// file, the date is the time of that load. So if a file is copied without its mtime and the process restarts, the key
/// counts as new.
///
/// When the time is over, CERTRELOAD_EVENT_KIND_EXPIRING is reported with CERTRELOAD_WARNING_TICKET_KEY_OLD, and
/// health is EXPIRING. After twice the time the key encrypts no more, and EXPIRED is reported. No tickets are issued
/// until another key is first in the file. Connections succeed, but with full handshakes.
///
/// @param options  must not be NULL; changed
/// @param seconds  the default is 86400, a day; 0 for no limit
/// @return         OK; NULL_PARAMETER
/// Ownership:      nothing changes hands
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_ticket_key_lifetime_seconds(
    options: *mut certreload_options,
    seconds: u32,
) -> certreload_result {
    setter(
        "certreload_options_set_ticket_key_lifetime_seconds",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.ticket_key_lifetime = Duration::from_secs(seconds.into());
            Ok(())
        },
    )
}

/// Separates sessions from those of other services, as SSL_CTX_set_session_id_context() of OpenSSL does.
///
/// A ticket is bound to the context. Handles with different contexts never resume each other's sessions, even if they
/// share a ticket key file and serve the same names. The same holds for a handle with a context and one without.
/// Handles with the same context, in other processes or after a restart, resume each other's sessions as usual.
///
/// @param options  must not be NULL; changed
/// @param context  must not be NULL; 1 to 255 bytes of any value; copied. Without this call there is no context
/// @param size     the number of bytes. 0 is refused, because an empty context would separate nothing
/// @return         OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:      bytes are copied
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_session_context(
    options: *mut certreload_options,
    context: *const c_void,
    size: usize,
) -> certreload_result {
    setter(
        "certreload_options_set_session_context",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            let context = context.cast::<u8>();
            // SAFETY: the caller vouches for so many bytes.
            let bytes = unsafe { cast::slice(context, size, 255, ("context", "size"))? };
            if context.is_null() {
                return Err(Error::null("context"));
            }
            if bytes.is_empty() {
                return Err(Error::invalid("a session context has 1 to 255 bytes, and this has 0"));
            }
            options.options.session_context = bytes.to_vec();
            Ok(())
        },
    )
}

/// Ends every session at once, for example after a ticket key has leaked.
///
/// No session that began before this call is resumed, neither as a server nor as a client. That applies to every
/// generation and configuration of this handle, including those acquired before. Existing connections continue. Keys
/// drawn at random are replaced.
///
/// The library cannot replace the keys of a ticket key file. It refuses the keys that it has loaded so far (the latest
/// 4096) as long as the handle is open, also in another file. There are no tickets until the file holds other keys. So
/// first call this function, and then rotate the file.
///
/// If a template keeps a session storage of the host, the library cannot empty that storage, so the host must.
///
/// The call affects this process and the processes that it forks later. These continue to resume each other's sessions,
/// but no longer those of the parent and of other processes with the inherited handle. So call this function in each
/// forked process, and on each host that shares the keys. A process that starts later accepts whatever is in the file.
///
/// @param handle  must not be NULL
/// @return        OK; NULL_PARAMETER; SYSTEM if there is no randomness for new keys; CLOSED
/// Ownership:     nothing changes hands
/// Threads:       any thread, concurrently; also inside a callback
/// Signals:       not async-signal-safe
/// Blocks:        while another thread is in fork(), for a second at most
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_invalidate_sessions(
    handle: *mut certreload_handle,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::arc_clone(handle.cast_const(), "handle")? };
        handle.invalidate_sessions()?;
        Ok(certreload_result::Ok)
    })
}
