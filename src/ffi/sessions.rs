//! Which sessions are resumed: the options, and the end of them all.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use super::boundary::boundary;
use super::cast;
use super::handle::certreload_handle;
use super::options::certreload_options;
use super::options::setter;
use super::result::certreload_result;
use crate::error::Error;
use crate::options::Resumption;

/// Which sessions clients can resume.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_resumption {
    /// Those that were begun under the same trust and mode, with a name that is still served, and came back in the last six
    /// hours: a renewed certificate, key, chain or staple, or an added name, ends no session. The default.
    Auto = 0,
    /// Those of the same generation: every reload ends all sessions.
    AlwaysReset = 1,
    /// None: each handshake is a full one.
    Off = 2,
}

/// What C passes for a `certreload_resumption`: any number at all.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type resumption_number = u32;

/// Choose which sessions are resumed, in both roles.
///
/// Sessions are kept in tickets (RFC 5077, RFC 8446 section 4.6.1) that the client stores, encrypted with keys that are
/// drawn at random and replaced every six hours, or come from certreload_options_set_ticket_keys(); a TLS 1.2 client that
/// takes no tickets resumes by session id. A ticket is bound to the trust that it was issued under: after any change of
/// roots, revocation lists or mode it is of no use. It ends with the first certificate of the client's chain to end, and
/// with the revocation lists, too; so does what the client role keeps.
///
/// A ticket is also bound to a name. If an identity has the name that the client asks for, the ticket works as long as an
/// identity has that name. If the client sends no name, or one that no identity has, the default identity answers: then the
/// ticket works as long as the default identity has the first name that it had. A certificate without names is known by its
/// subject, and one without a subject by its public key.
///
/// A ticket lives six hours, and a client that returns with it is given another. In TLS 1.2 the new ticket ends when the
/// first does, six hours after the full handshake, because the secret of the session stays the same. In TLS 1.3 the new
/// ticket has six hours too, because each resumption agrees on fresh keys. Such a chain ends with one of the ends above or
/// certreload_invalidate_sessions(). If the client showed certificates, it also ends at the client's weekly boundary (RFC
/// 8446 section 4.6.1): (now + SHA-256(the client's chain) mod 7 d) / 7 d, in whole numbers, is another week then. In the
/// last minute before it no such session is resumed, so that no handshake lasts across it; let handshakes take less. A
/// client without certificates has proved nothing that it could be asked for again: such chains have no total limit. In the
/// client role the server sets the limit.
///
/// A process and those forked from it resume each other's sessions, although keys are drawn at random: each period's key
/// comes from a secret of the handle, which forked processes inherit, and from randomness that is drawn anew for each
/// period in memory that they share. A copy of one process's memory does not show the keys to come. posix_spawn(), system()
/// and popen() are no forks in this sense.
///
/// A template keeps its own session storage unless this, certreload_options_set_ticket_keys() or
/// certreload_options_set_session_context() is called. That storage is shared by all generations and knows nothing of them:
/// it resumes names that are no longer served. With certreload_options_set_client_auth() it would resume clients that the
/// trust refuses by now. Then the storage that rustls itself gives a config is replaced, and a storage of the host's own
/// (rustls_server_config_builder_set_persistence()) is refused at open, until one of the three is called.
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

/// Share ticket keys with other processes: a file of keys, which reloads.
///
/// Processes and hosts behind one address that have the same file, and the same trust, resume each other's sessions, and
/// those of a process that was restarted. The first key encrypts, all decrypt. To rotate, put a new key first and keep the
/// old one behind it for six hours. The file holds keys of 48 or of 80 bytes as nginx, Apache and haproxy read them: one
/// after the other as they are, or a line of base64 each ("openssl rand 80 > keys", "openssl rand -base64 48 > keys").
/// Tickets are not exchanged with those servers, and keys that are used here are derived from what the file holds.
///
/// Services that share the file resume only sessions of names that both serve; see certreload_options_set_resumption() for
/// clients that send no name. To keep services apart whose names overlap, give each a
/// certreload_options_set_session_context().
///
/// A file that is short, holds a key twice or may be read by every user is refused (TICKET_KEYS_MALFORMED,
/// TICKET_KEY_REPEATED, TICKET_KEYS_READABLE): at open, or later with the keys before it in use.
///
/// Forward secrecy: whoever gets a key of the file can decrypt recorded TLS 1.2 sessions whose tickets it encrypted, and
/// can impersonate the server to clients that resume, as long as the key is in the file. So keep the file out of backups,
/// in memory (tmpfs) at best, and rotate it daily; certreload_options_set_ticket_key_lifetime_seconds() sees to that. A session of
/// TLS 1.2 has one secret for its six hours, which any ticket of it gives away; of TLS 1.3 nothing that was recorded can be
/// read, but for early data.
///
/// @param options  must not be NULL; changed
/// @param path     must not be NULL or ""; copied. A relative path is taken from the working directory at the time of open
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

/// Set how long a key of the ticket key file may encrypt.
///
/// The time counts from when the key was made. A comment line before a key of a base64 file gives that date, in UTC:
/// "# certreload-created: 2026-11-30T06:00:00Z". A date that cannot be read is refused (TICKET_KEYS_MALFORMED). Without such
/// a line the file's mtime counts, or the time at which this handle first loaded the key, whichever is earlier; an mtime
/// before 2020 counts as none. So if a file is copied without its mtime and the process restarts, the key counts as new.
///
/// When the time is over, CERTRELOAD_EVENT_KIND_EXPIRING is reported with CERTRELOAD_WARNING_TICKET_KEY_OLD, and health is
/// EXPIRING. After twice the time the key encrypts no more, and EXPIRED is reported: no tickets are issued until another key
/// is first, so handshakes are full ones; nothing fails.
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

/// Keep sessions apart from those of other services, as SSL_CTX_set_session_id_context() of OpenSSL does.
///
/// A ticket is bound to the context. Handles with different contexts never resume each other's sessions, even if they share
/// a ticket key file and serve the same names; nor does a handle with a context and one without. A handle with the same
/// context in another process, or in this one after a restart, does as before.
///
/// @param options  must not be NULL; changed
/// @param context  must not be NULL; 1 to 255 bytes, any; copied. Without this call there is no context
/// @param size     how many bytes there are. 0 is refused: an empty context would keep nothing apart
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

/// End every session at once: for the day a key leaks.
///
/// No session that was begun until now is resumed, in either role, by whichever generation or config of this handle, those
/// that were acquired before included; connections that exist go on. Keys drawn at random are replaced. The keys of a
/// ticket key file cannot be: those that this handle has loaded until now, the latest 4096 of them, are not used again as
/// long as it is open, even if they come back in another file, and there are no tickets until the file holds others. So
/// first call this, and then rotate the file. A template's own session storage is its owner's to empty.
///
/// The call concerns this process, and those that it forks from then on: they leave the family of processes that resume each
/// other's sessions, and are a new one. Call it in each forked worker, in those that inherited the handle before as well,
/// and on each host that shares the keys. A process that is started later trusts whatever is in the file.
///
/// @param handle  must not be NULL
/// @return        OK; NULL_PARAMETER; SYSTEM where there is no randomness for new keys; CLOSED
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
