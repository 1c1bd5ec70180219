//! Options about peers: what a server and a client trust, and which identity a client shows.

use std::ffi::c_char;

use rustls_ffi::client::rustls_client_config;

use super::options_object::certreload_options;
use super::options_object::setter;
use crate::error::{Cause, Error};
use crate::ffi::cast;
use crate::ffi::result::certreload_result;
use crate::files::{
    MAX_FILES_IN_DIRECTORY, MAX_TRUST_FILE_SIZE, MAX_TRUST_SIZE, platform_roots_path,
};
use crate::options::{ClientAuth, CrlRules, IdentityFiles, Role};
use crate::pki::{MAX_CRLS, MAX_ROOTS};

/// Whether a server asks clients for a certificate.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_client_auth {
    /// The server asks for no client certificate. The default.
    None = 0,
    /// The server asks, and also serves a client without a certificate. A client whose certificate fails verification
    /// is refused.
    Optional = 1,
    /// The server asks, and refuses a client without a certificate, or whose certificate fails verification.
    Required = 2,
}

/// A `certreload_client_auth` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type client_auth_number = u32;

/// Rule: only the peer's own certificate is looked up in the revocation lists, not the certificates of the authorities
/// above it.
pub const CERTRELOAD_CRL_LEAF_ONLY: u32 = 1;
/// Rule: a certificate that no revocation list of its issuer covers is accepted.
pub const CERTRELOAD_CRL_ALLOW_UNKNOWN: u32 = 2;
/// Rule: a revocation list whose nextUpdate has passed is still used, with a warning. Revocations since then are
/// unknown.
pub const CERTRELOAD_CRL_ALLOW_EXPIRED: u32 = 4;

/// The largest file of roots or revocation lists that is read, in bytes.
pub const CERTRELOAD_MAX_TRUST_FILE_SIZE: usize = 33554432;
/// The largest size of all files of a trust store together, in bytes.
pub const CERTRELOAD_MAX_TRUST_SIZE: usize = 67108864;
/// The most files of a directory that are read; certreload_options_add_crl() says which are, by their names. The
/// directory may have ten times as many files of any name.
pub const CERTRELOAD_MAX_DIRECTORY_FILES: usize = 1000;
/// The most roots for clients, and the most roots for servers.
pub const CERTRELOAD_MAX_ROOTS: usize = 10000;
/// The most revocation lists of a handle, in all files together.
pub const CERTRELOAD_MAX_CRLS: usize = 1000;

const _: () = assert!(CERTRELOAD_MAX_TRUST_FILE_SIZE == MAX_TRUST_FILE_SIZE);
const _: () = assert!(CERTRELOAD_MAX_TRUST_SIZE == MAX_TRUST_SIZE);
const _: () = assert!(CERTRELOAD_MAX_DIRECTORY_FILES == MAX_FILES_IN_DIRECTORY);
const _: () = assert!(CERTRELOAD_MAX_ROOTS == MAX_ROOTS);
const _: () = assert!(CERTRELOAD_MAX_CRLS == MAX_CRLS);

/// The most paths that certreload_options_add_crl() accepts.
pub const CERTRELOAD_MAX_CRL_PATHS: usize = 1000;

/// Asks clients for certificates, and checks them against roots that reload.
///
/// The roots are one file (PEM, or DER of one certificate) or a directory of such files. certreload_options_add_crl()
/// says which files of a directory are read. Every certificate in them is a trust anchor. A handle has one trust store:
/// the roots of clients, the roots of servers, the revocation lists and the mode. The trust store is accepted or
/// rejected as a whole. After a root was removed and the new generation is current, clients under that root are
/// refused, also if they resume a session (G13). Existing connections stay. If the removed roots were the last of their
/// file, the file may be half-written, so the generation comes after the incomplete-file timeout
/// (certreload_options_set_incomplete_timeout_ms()).
///
/// rustls_connection_get_peer_certificate() returns the client's certificate, as usual. The trust store replaces the
/// client verifier of a template (certreload_options_set_server_template()). certreload_options_set_resumption()
/// describes what happens to the template's sessions.
///
/// @param options     must not be NULL; changed
/// @param mode        CERTRELOAD_CLIENT_AUTH_NONE (the default), _OPTIONAL or _REQUIRED
/// @param roots_path  a file or a directory; ignored with NONE; else must not be NULL or ""; copied. A relative path
///                    refers to the working directory at the time of open
/// @return            OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:         strings are copied
/// Threads:           exclusive access to options
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_client_auth(
    options: *mut certreload_options,
    mode: client_auth_number,
    roots_path: *const c_char,
) -> certreload_result {
    setter(
        "certreload_options_set_client_auth",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            let mode = match mode {
                0 => ClientAuth::None,
                1 => ClientAuth::Optional,
                2 => ClientAuth::Required,
                _ => return Err(Error::invalid(format!("{mode} is no certreload_client_auth"))),
            };
            let trust = &mut options.options.trust;
            trust.client_roots = match mode {
                ClientAuth::None => None,
                // SAFETY: a C string, or NULL.
                _ => Some(unsafe { cast::path(roots_path, "roots_path")? }),
            };
            trust.client_auth = mode;
            Ok(())
        },
    )
}

/// Sets whether the server sends the subject names of its client roots to clients (certificate_authorities, RFC 8446
/// section 4.2.4).
///
/// Clients with several certificates choose by these names. Without them, such a client may show a certificate of an
/// authority that is not trusted, and is refused. The names of all roots must fit in 64 KiB, which is enough for some
/// hundreds of roots: more are a failure (TOO_MANY_CERTIFICATES), unless no names are sent.
///
/// @param options  must not be NULL; changed
/// @param enabled  true to send the names; that is the default
/// @return         OK; NULL_PARAMETER
/// Ownership:      nothing changes hands
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_authority_names(
    options: *mut certreload_options,
    enabled: bool,
) -> certreload_result {
    setter(
        "certreload_options_set_authority_names",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.trust.hides_authority_names = !enabled;
            Ok(())
        },
    )
}

/// Adds the client role, for connections to servers: the servers are checked against roots that reload.
///
/// certreload_client_connection_new() then creates such connections. The client shows the identity of
/// certreload_options_add_client_identity(), else the first identity of all, if its extended key usage allows that.
/// One handle can be used for a server and a client. A handle with roots of servers needs no identity.
///
/// @param options     must not be NULL; changed
/// @param roots_path  a file or a directory, as for certreload_options_set_client_auth(); must not be NULL or "";
///                    copied
/// @return            OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:         strings are copied
/// Threads:           exclusive access to options
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_server_roots(
    options: *mut certreload_options,
    roots_path: *const c_char,
) -> certreload_result {
    setter(
        "certreload_options_set_server_roots",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            // SAFETY: the caller passes a C string, or NULL.
            options.options.trust.server_roots =
                Some(unsafe { cast::path(roots_path, "roots_path")? });
            Ok(())
        },
    )
}

/// Sets the roots that servers are checked against to those of the operating system. The handle reloads them, too.
///
/// They are the file that the environment variable SSL_CERT_FILE names at the time of this call, even if it does not
/// exist. If that variable is not set, they are the bundle of the distribution ("/etc/ssl/certs/ca-certificates.crt"
/// and similar paths). If there is no bundle, they are the directory that SSL_CERT_DIR names, else the distribution's
/// directory. On Linux rustls_platform_server_cert_verifier() of rustls-ffi uses the same roots. This function and
/// certreload_options_set_server_roots() replace each other's roots: the last call counts.
///
/// A process that has more rights than the user who started it (set-user-ID, set-group-ID, file capabilities) ignores
/// both variables, as OpenSSL does with secure_getenv(). That user must not choose the roots that the process trusts.
///
/// @param options  must not be NULL; changed
/// @return         OK; NULL_PARAMETER; FILE_NOT_FOUND if the system has no roots. A host that has other roots for
///                 that case calls certreload_options_clear_error()
/// Ownership:      nothing changes hands
/// Threads:        exclusive access to options; no thread changes the environment (setenv()) during the call
/// Signals:        not async-signal-safe
/// Blocks:         file lookups
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_platform_roots(
    options: *mut certreload_options,
) -> certreload_result {
    setter(
        "certreload_options_set_platform_roots",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            let roots = platform_roots_path()
                .ok_or_else(|| Error::at("/etc/ssl/certs".as_ref(), Cause::NotFound))?;
            options.options.trust.server_roots = Some(roots);
            Ok(())
        },
    )
}

/// Adds revocation lists (RFC 5280 section 5): a file of them, or a directory of such files.
///
/// A file is PEM with any number of lists, or DER with one. In a directory only files with certain names are read.
/// They end in ".pem", ".der" or ".crl" (of roots: ".pem", ".der", ".crt" or ".cer"), or have the form that OpenSSL's
/// rehash gives to links ("5ad8a5d6.r0", of roots "5ad8a5d6.0"). Hidden files and subdirectories are ignored.
///
/// A change of the lists is rejected, and the whole trust store stays as it was, in four cases. A list is not signed
/// with the key of its issuer, whose certificate is a root or otherwise known (CRL_SIGNATURE). A list is older than one
/// that has been in use since open (CRL_ROLLBACK). A new list has expired already, and CERTRELOAD_CRL_ALLOW_EXPIRED is
/// not set (CRL_EXPIRED). A list in use is gone while its root is trusted (CRL_LOST). If an issuer has several lists,
/// the newest is used.
///
/// The list of an intermediate is checked with the intermediate's certificate. The library finds that certificate in
/// the same CRL file (or directory), or in the chain of one of the handle's own identities. It does not become a root.
/// If it is in neither place, the list is accepted with a warning (CERTRELOAD_WARNING_CRL_UNRELATED). Its signature is
/// then checked when a peer shows that intermediate.
///
/// The list of an intermediate must not be removed before its nextUpdate has passed (CRL_LOST). Afterwards its removal
/// causes only a warning (CERTRELOAD_WARNING_CRL_LOST). This holds even after a root was removed, because the library
/// does not know under which root an intermediate is. So leave such a list in place until it has expired.
///
/// The lists apply to clients and servers alike, with one exception. An authority may be a root for clients only or for
/// servers only. Unless it is also known as an intermediate, its list then does not affect the other side.
///
/// certreload_options_set_crl_rules() sets which certificates are looked up, and whether one without a list is
/// accepted. Without any list nothing is looked up. If there are lists, a root without one causes a warning
/// (CERTRELOAD_WARNING_CRL_MISSING). Lists without roots are a mistake: open returns INVALID_PARAMETER.
///
/// @param options   must not be NULL; changed
/// @param crl_path  a file or a directory; must not be NULL or ""; copied
/// @return          OK; NULL_PARAMETER; INVALID_PARAMETER, also if CERTRELOAD_MAX_CRL_PATHS have been added
/// Ownership:       strings are copied
/// Threads:         exclusive access to options
/// Signals:         not async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_add_crl(
    options: *mut certreload_options,
    crl_path: *const c_char,
) -> certreload_result {
    setter(
        "certreload_options_add_crl",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            // SAFETY: the caller passes a C string, or NULL.
            let path = unsafe { cast::path(crl_path, "crl_path")? };
            let crls = &mut options.options.trust.crls;
            if crls.len() >= CERTRELOAD_MAX_CRL_PATHS {
                return Err(Error::invalid("CERTRELOAD_MAX_CRL_PATHS have been added already"));
            }
            crls.push(path);
            Ok(())
        },
    )
}

/// Sets how revocation lists are applied.
///
/// The default, 0, is strict, as in OpenSSL, nginx and haproxy. Each certificate of the peer's chain is looked up. A
/// certificate whose issuer has no list is refused, and so is one whose issuer's list has expired.
///
/// @param options  must not be NULL; changed
/// @param rules    CERTRELOAD_CRL_LEAF_ONLY, _ALLOW_UNKNOWN and _ALLOW_EXPIRED, or'ed; 0 for none of them
/// @return         OK; NULL_PARAMETER; INVALID_PARAMETER if a rule does not exist
/// Ownership:      nothing changes hands
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_crl_rules(
    options: *mut certreload_options,
    rules: u32,
) -> certreload_result {
    const ALL: u32 =
        CERTRELOAD_CRL_LEAF_ONLY | CERTRELOAD_CRL_ALLOW_UNKNOWN | CERTRELOAD_CRL_ALLOW_EXPIRED;
    setter(
        "certreload_options_set_crl_rules",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            if rules & !ALL != 0 {
                return Err(Error::invalid(format!(
                    "{rules} is no combination of CERTRELOAD_CRL_* rules"
                )));
            }
            options.options.trust.crl_rules = CrlRules {
                leaf_only: rules & CERTRELOAD_CRL_LEAF_ONLY != 0,
                allow_unknown: rules & CERTRELOAD_CRL_ALLOW_UNKNOWN != 0,
                allow_expired: rules & CERTRELOAD_CRL_ALLOW_EXPIRED != 0,
            };
            Ok(())
        },
    )
}

/// Adds the identity that a client shows: a certificate chain and its private key.
///
/// The identity is not used for the server, and its extended key usage must allow clientAuth. Identities of both kinds
/// have their index in the order in which they are added. If there are several client identities, the client shows the
/// first. Without certreload_options_set_server_roots() a client identity is a mistake: open returns INVALID_PARAMETER.
///
/// @param options     must not be NULL; changed
/// @param chain_path  as for certreload_options_add_identity()
/// @param key_path    likewise
/// @return            OK; NULL_PARAMETER; INVALID_PARAMETER if a path is empty, or if CERTRELOAD_MAX_IDENTITIES are
///                    in the options already
/// Ownership:         strings are copied
/// Threads:           exclusive access to options
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_add_client_identity(
    options: *mut certreload_options,
    chain_path: *const c_char,
    key_path: *const c_char,
) -> certreload_result {
    setter(
        "certreload_options_add_client_identity",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            // SAFETY: the caller passes C strings, or NULL.
            let (chain, key) = unsafe {
                (cast::path(chain_path, "chain_path")?, cast::path(key_path, "key_path")?)
            };
            let files = IdentityFiles {
                index: 0,
                role: Role::Client,
                chain,
                key,
                ocsp: None,
                password: None,
                memory: None,
            };
            options.room_for_identity()?.push(files);
            Ok(())
        },
    )
}

/// Sets an existing client configuration as the template of every generation: only identity, server verifier and
/// sessions are the handle's.
///
/// Cipher suites, versions, ALPN, SNI and key log stay as the template has them. If there is no identity that the
/// client may show, the template's own client certificate is used, too.
///
/// @param options  must not be NULL; changed
/// @param config   must not be NULL; a configuration of rustls_client_config_builder_build(); reference-counted
/// @return         OK; NULL_PARAMETER
/// Ownership:      the library keeps a reference; the caller frees its own with rustls_client_config_free() as usual
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_client_template(
    options: *mut certreload_options,
    config: *const rustls_client_config,
) -> certreload_result {
    setter(
        "certreload_options_set_client_template",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            // SAFETY: the caller passes a live config, or NULL.
            let template = unsafe { cast::arc_clone(config, "config")? };
            options.options.client_template = Some(template);
            Ok(())
        },
    )
}
