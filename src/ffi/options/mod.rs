//! Options: what a handle loads, how it finds changes, and what it reports to the host.

pub mod identity_memory;
pub mod key_password;
pub mod options_object;
pub mod required_name;
pub mod setter_failures;
pub mod start;
pub mod tls;
pub mod trust;
pub mod watch;

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use rustls_ffi::server::rustls_server_config;

pub use options_object::certreload_options;
pub(crate) use options_object::{OptionsObject, setter};
pub(crate) use trust::{
    CERTRELOAD_CRL_ALLOW_EXPIRED, CERTRELOAD_CRL_ALLOW_UNKNOWN, CERTRELOAD_CRL_LEAF_ONLY,
    certreload_client_auth,
};

use super::cast;
use super::event_callback::{certreload_event_callback, sink_from_c};
use super::panic_boundary::boundary;
use super::result::certreload_result;
use super::userdata::{Userdata, certreload_userdata_free};
use crate::error::Error;
use crate::files::MAX_FILE_SIZE;
use crate::options::{IdentityFiles, Role};
use crate::pki::MAX_CERTIFICATES;

/// The largest certificate or key file that is read, in bytes.
pub const CERTRELOAD_MAX_FILE_SIZE: usize = 1048576;
/// The longest chain that is accepted, in certificates.
pub const CERTRELOAD_MAX_CERTIFICATES: usize = 64;

const _: () = assert!(CERTRELOAD_MAX_FILE_SIZE == MAX_FILE_SIZE);
const _: () = assert!(CERTRELOAD_MAX_CERTIFICATES == MAX_CERTIFICATES);

/// Creates options with no identity and the default of everything else.
///
/// Options fail closed (G22). A certreload_options_* function that fails changes no setting, and the options remember
/// its result and message. certreload_open() and certreload_check() then return the first such failure each time, and
/// do nothing else. A later call that succeeds does not change that; only certreload_options_clear_error() does. So
/// the results of these functions may be ignored. Without this rule an ignored failure could open a weaker server,
/// for example one without client authentication because a path is NULL.
///
/// If options is NULL, a function cannot remember its failure. certreload_open() refuses NULL as well.
///
/// Options may be opened any number of times.
///
/// @return     the options, or NULL if there is no memory
/// Ownership:  the caller's, until certreload_options_free()
/// Threads:    any thread; each options object by one thread at a time
/// Signals:    not async-signal-safe
/// Blocks:     never
/// Since:      0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_options_new() -> *mut certreload_options {
    boundary(|| Ok(cast::box_into_raw(OptionsObject::default())))
}

/// Frees options. Handles that were opened with them are not affected.
///
/// @param options  may be NULL, then nothing happens; consumed
/// Ownership:      the pointer is dangling afterwards
/// Threads:        any thread; exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_free(options: *mut certreload_options) {
    boundary(|| {
        // SAFETY: the caller gives up a pointer of certreload_options_new(), or NULL.
        drop(unsafe { cast::box_from_raw(options) });
        Ok(())
    });
}

/// Adds an identity: a certificate chain, its private key and, if there is one, an OCSP response.
///
/// The first identity is the default: it serves clients that send no server name (SNI, RFC 6066), and names that no
/// identity has. Chain and key are PEM (RFC 7468). They may be the same file; text and other sections are skipped.
/// The chain begins with the leaf, and each issuer follows. If only the order is wrong, it is corrected, with a
/// warning. If a renewal with the same key and names was appended to the file, the first certificate that is valid is the
/// leaf, with a warning; the choice is made again when a date of one of them passes. The key is PKCS#8, PKCS#1 or SEC1; of several in its file that of the certificate is used, with a warning.
/// An encrypted key (PKCS#8 with PBES2, as OpenSSL writes it) needs certreload_options_set_key_password_file() or
/// certreload_options_set_key_password_callback(). This function reads no file.
///
/// The OCSP response is DER (RFC 6960). Clients that ask for it get it from its thisUpdate until its nextUpdate. It
/// must be about the leaf, not expired, "good", and signed by the issuer or its delegated responder. Otherwise it is
/// left out, with a warning (CERTRELOAD_WARNING_OCSP_UNUSABLE). After a change the previous response is not stapled any
/// more, even if the new one is left out or its file is missing. Signature and issuer are checked with the certificates
/// in the chain and in the response.
///
/// @param options     must not be NULL; changed
/// @param chain_path  must not be NULL or ""; any bytes, UTF-8 or not; copied. A relative path refers to the working
///                    directory at the time of open
/// @param key_path    likewise
/// @param ocsp_path   likewise, but may be NULL for none
/// @return            OK; NULL_PARAMETER; INVALID_PARAMETER if a path is empty, or if CERTRELOAD_MAX_IDENTITIES are
///                    in the options already
/// Ownership:         strings are copied
/// Threads:           exclusive access to options
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_add_identity(
    options: *mut certreload_options,
    chain_path: *const c_char,
    key_path: *const c_char,
    ocsp_path: *const c_char,
) -> certreload_result {
    setter(
        "certreload_options_add_identity",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            // SAFETY: the caller passes C strings, or NULL.
            let (chain, key) = unsafe {
                (cast::path(chain_path, "chain_path")?, cast::path(key_path, "key_path")?)
            };
            let ocsp = if ocsp_path.is_null() {
                None
            } else {
                // SAFETY: as above, and not NULL.
                Some(unsafe { cast::path(ocsp_path, "ocsp_path")? })
            };
            let identities = options.room_for_identity()?;
            identities.push(IdentityFiles {
                index: 0,
                role: Role::Server,
                chain,
                key,
                ocsp,
                password: None,
                memory: None,
            });
            Ok(())
        },
    )
}

/// Sets the application protocols that the server speaks (ALPN, RFC 7301), the preferred one first.
///
/// Without this call, or with count 0, those of certreload_options_set_server_template() are used; without a template
/// ALPN is not negotiated. A client that offers only other protocols is refused (no_application_protocol). A client
/// that offers none is served.
///
/// @param options    must not be NULL; changed
/// @param protocols  count strings of 1 to 255 bytes each, such as "h2" and "http/1.1"; NULL only with count 0;
///                   copied
/// @param count      0 to 64
/// @return           OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:        strings are copied
/// Threads:          exclusive access to options
/// Signals:          not async-signal-safe
/// Blocks:           never
/// Since:            0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_alpn(
    options: *mut certreload_options,
    protocols: *const *const c_char,
    count: usize,
) -> certreload_result {
    setter(
        "certreload_options_set_alpn",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            // SAFETY: the caller vouches for count pointers.
            let pointers = unsafe { cast::slice(protocols, count, 64, ("protocols", "count"))? };
            let mut alpn = Vec::with_capacity(pointers.len());
            for (index, pointer) in pointers.iter().enumerate() {
                // SAFETY: each is a C string or NULL.
                let name = unsafe { cast::bytes(*pointer, "protocols") }
                    .map_err(|_| Error::null(format!("protocols[{index}]")))?;
                if !(1..=255).contains(&name.len()) {
                    let length = name.len();
                    return Err(Error::invalid(format!(
                        "protocols[{index}] has {length} bytes, and a protocol has 1 to 255"
                    )));
                }
                alpn.push(name.to_vec());
            }
            options.options.alpn = alpn;
            Ok(())
        },
    )
}

/// Sets an existing server configuration as the template of every generation: only the identities are the handle's.
///
/// Cipher suites, versions, ALPN, key log, session storage, tickets and the client verifier stay as the template has
/// them, unless another option replaces them. All generations share its session storage.
///
/// @param options  must not be NULL; changed
/// @param config   must not be NULL; a configuration of rustls_server_config_builder_build(), whose own certificate
///                 is not used; reference-counted
/// @return         OK; NULL_PARAMETER
/// Ownership:      the library keeps a reference; the caller frees its own with rustls_server_config_free() as usual
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_server_template(
    options: *mut certreload_options,
    config: *const rustls_server_config,
) -> certreload_result {
    setter(
        "certreload_options_set_server_template",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            // SAFETY: the caller passes a live config, or NULL.
            let template = unsafe { cast::arc_clone(config, "config")? };
            options.options.template = Some(template);
            Ok(())
        },
    )
}

/// Names the handle for operators, such as "public" or "admin".
///
/// Every series of certreload_write_metrics() then has the label handle with this name, and log lines begin with it.
///
/// @param options  must not be NULL; changed
/// @param name     1 to 255 bytes of UTF-8, copied; NULL for no name, which is the default
/// @return         OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:      the string is copied
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_name(
    options: *mut certreload_options,
    name: *const c_char,
) -> certreload_result {
    setter(
        "certreload_options_set_name",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.name = if name.is_null() {
                None
            } else {
                // SAFETY: a C string, and not NULL.
                match str::from_utf8(unsafe { cast::bytes(name, "name")? }) {
                    Ok(name) if (1..=255).contains(&name.len()) => Some(name.into()),
                    Ok(name) => {
                        let length = name.len();
                        return Err(Error::invalid(format!(
                            "a name has 1 to 255 bytes, and this has {length}"
                        )));
                    }
                    Err(_) => return Err(Error::invalid("a name is UTF-8, and this is not")),
                }
            };
            Ok(())
        },
    )
}

/// Sets the function that gets the events of each handle that is opened with these options.
///
/// The function also gets the event of the first load, so no warning of the first load is lost.
///
/// @param options        must not be NULL; changed
/// @param callback       NULL for none
/// @param userdata       passed to each call; must stay valid until userdata_free is called. Without it: until the
///                       options are freed and every handle that was opened with them is closed or has another
///                       callback
/// @param userdata_free  may be NULL; see certreload_userdata_free
/// @return               OK; NULL_PARAMETER if options is NULL, the only failure: userdata is then still the caller's
/// Ownership:            on OK the library owns userdata if there is a userdata_free; on failure the caller keeps it
/// Threads:              exclusive access to options; certreload_event_callback says where the callback runs
/// Signals:              not async-signal-safe
/// Blocks:               never
/// Since:                0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_event_callback(
    options: *mut certreload_options,
    callback: certreload_event_callback,
    userdata: *mut c_void,
    userdata_free: certreload_userdata_free,
) -> certreload_result {
    setter(
        "certreload_options_set_event_callback",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            let userdata = Arc::new(Userdata::new(userdata, userdata_free));
            options.sink = sink_from_c(callback, &userdata);
            if callback.is_some() {
                userdata.keep();
            }
            Ok(())
        },
    )
}
