//! Options for hosts whose TLS stack is not rustls.

use super::options_object::certreload_options;
use super::options_object::setter;
use crate::error::Error;
use crate::ffi::cast;
use crate::ffi::result::certreload_result;
use crate::options::TlsStack;

/// Which TLS stack uses a handle, besides those of adapters.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_tls {
    /// rustls, through rustls-ffi. The default.
    Rustls = 0,
    /// None in this library: adapters, or the host itself.
    None = 1,
}

/// A `certreload_tls` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type tls_number = u32;

/// Sets whether the handle makes configurations of rustls.
///
/// With CERTRELOAD_TLS_NONE there are none: the adapters alone serve what the handle loads, and decide which keys can
/// be used. An identity is loaded although rustls does not know its kind of key (Brainpool, RSA-PSS, Ed448, RSA of 1024
/// bits). If its key file contains the public key, that must be the certificate's. The handshakes of the self-check
/// are left out, because the adapters have their own (G16).
///
/// Functions that need a configuration of rustls return NOT_CONFIGURED or NULL, such as
/// certreload_server_connection_new(). Templates and ALPN protocols are settings of rustls: certreload_open() then
/// returns INVALID_PARAMETER. Adapters also work with CERTRELOAD_TLS_RUSTLS, if rustls can use the keys.
///
/// @param options  must not be NULL; changed
/// @param tls      CERTRELOAD_TLS_RUSTLS (the default) or _NONE
/// @return         OK; NULL_PARAMETER; INVALID_PARAMETER
/// Ownership:      nothing changes hands
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_tls(
    options: *mut certreload_options,
    tls: tls_number,
) -> certreload_result {
    setter(
        "certreload_options_set_tls",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.tls = match tls {
                0 => TlsStack::Rustls,
                1 => TlsStack::None,
                _ => return Err(Error::invalid(format!("{tls} is no certreload_tls"))),
            };
            Ok(())
        },
    )
}

/// Lets the host read the private keys, for a TLS stack that has no adapter: see certreload_identity_key_der().
///
/// Adapters get the keys without this option.
///
/// @param options      must not be NULL; changed
/// @param export_keys  true to allow it; false, the default, to refuse it
/// @return             OK; NULL_PARAMETER
/// Ownership:          nothing changes hands
/// Threads:            exclusive access to options
/// Signals:            not async-signal-safe
/// Blocks:             never
/// Since:              0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_set_export_keys(
    options: *mut certreload_options,
    export_keys: bool,
) -> certreload_result {
    setter(
        "certreload_options_set_export_keys",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            options.options.exports_keys = export_keys;
            Ok(())
        },
    )
}
