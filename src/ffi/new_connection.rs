//! Functions that a server calls for each accepted connection, and a client for each connection that it makes.

use std::ffi::c_char;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_ffi::client::rustls_client_config;
use rustls_ffi::connection::rustls_connection;
use rustls_ffi::rustls_result;
use rustls_ffi::server::rustls_server_config;

use super::cast;
use super::handle::certreload_handle;
use super::panic_boundary::boundary;
use super::result::certreload_result;
use crate::error::{Cause, Error};
use crate::runtime::Handle;

/// Creates a server connection with the configuration that is current at this moment.
///
/// Call it in place of rustls_server_connection_new(). The connection keeps this configuration for its lifetime:
/// later reloads do not change it (G8).
///
/// If nothing has been loaded yet (CERTRELOAD_START_AVAILABLE), the connection is made, and its handshake fails. The
/// client gets the alert access_denied, rustls returns "general error", and the log has the reason once a minute.
///
/// @param handle          must not be NULL
/// @param connection_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
/// @return                OK; NULL_PARAMETER; NOT_CONFIGURED if the handle has no identity to serve; TLS if rustls
///                        refuses
/// Ownership:             the caller's, until rustls_connection_free(); may outlive the handle
/// Threads:               any thread, concurrently
/// Signals:               not async-signal-safe
/// Blocks:                never: no lock, no system call
/// Since:                 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_server_connection_new(
    handle: *const certreload_handle,
    connection_out: *mut *mut rustls_connection,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle and a place to write, or NULL.
        let (handle, mut out) = unsafe {
            (cast::borrow(handle, "handle")?, cast::out(connection_out, "connection_out")?)
        };
        if !handle.serves() {
            return Err(Error::new(Cause::NotConfigured("identity to serve")));
        }
        let current = handle.server_config();
        let config = cast::arc_as_raw::<rustls_server_config>(&current);
        match rustls_server_config::rustls_server_connection_new(config, out.as_mut_ptr()) {
            rustls_result::Ok => Ok(certreload_result::Ok),
            refused => Err(refusal(refused)),
        }
    })
}

/// Acquires the server configuration that is current at this moment.
///
/// Hosts need it for rustls_accepted_into_connection() of rustls-ffi's Acceptor, and to pass a configuration to other
/// code. Acquire one for each connection, because an acquired configuration does not reload.
///
/// @param handle  must not be NULL
/// @return        the configuration; NULL if handle is NULL or has no identity to serve
/// Ownership:     reference-counted: release it with rustls_server_config_free(); may outlive the handle
/// Threads:       any thread, concurrently
/// Signals:       not async-signal-safe
/// Blocks:        never: no lock, no system call
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_acquire_server_config(
    handle: *const certreload_handle,
) -> *const rustls_server_config {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::borrow(handle, "handle")? };
        if !handle.serves() {
            return Err(Error::new(Cause::NotConfigured("identity to serve")));
        }
        Ok(cast::arc_into_raw(handle.server_config()))
    })
}

/// Creates a connection to a server, with the roots and the identity that are current at this moment.
///
/// Call it in place of rustls_client_connection_new(). The connection keeps this configuration for its lifetime. The
/// next connection uses what has been published by then.
///
/// If the roots have not been loaded yet (CERTRELOAD_START_AVAILABLE), the connection is made, and its handshake fails
/// with "invalid peer certificate: UnknownIssuer", whatever the server presents. certreload_generation_refuses() returns
/// whether that is so, and the log has the reason once a minute.
///
/// @param handle          must not be NULL
/// @param server_name     must not be NULL; a DNS name (A-labels) or an IP address, which the server's certificate
///                        must contain; copied
/// @param connection_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
/// @return                OK; NULL_PARAMETER; INVALID_PARAMETER if server_name is neither; NOT_CONFIGURED if the
///                        handle has no roots to check servers with; TLS if rustls refuses
/// Ownership:             the caller's, until rustls_connection_free(); may outlive the handle
/// Threads:               any thread, concurrently
/// Signals:               not async-signal-safe
/// Blocks:                never: no system call
/// Since:                 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_client_connection_new(
    handle: *const certreload_handle,
    server_name: *const c_char,
    connection_out: *mut *mut rustls_connection,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle, a C string and a place to write, or NULL.
        let (handle, name, mut out) = unsafe {
            (
                cast::borrow(handle, "handle")?,
                cast::bytes(server_name, "server_name")?,
                cast::out(connection_out, "connection_out")?,
            )
        };
        if !str::from_utf8(name).is_ok_and(|name| ServerName::try_from(name).is_ok()) {
            let name: String = String::from_utf8_lossy(name).chars().take(300).collect();
            return Err(Error::invalid(format!("\"{name}\" is no DNS name, and no IP address")));
        }
        let current = client_config(handle)?;
        let config = cast::arc_as_raw::<rustls_client_config>(&current);
        let out = out.as_mut_ptr();
        match rustls_client_config::rustls_client_connection_new(config, server_name, out) {
            rustls_result::Ok => Ok(certreload_result::Ok),
            refused => Err(refusal(refused)),
        }
    })
}

/// Acquires the client configuration that is current at this moment.
///
/// Acquire one for each connection, because an acquired configuration does not reload.
///
/// @param handle  must not be NULL
/// @return        the configuration; NULL if handle is NULL or has no roots to check servers with
/// Ownership:     reference-counted: release it with rustls_client_config_free(); may outlive the handle
/// Threads:       any thread, concurrently
/// Signals:       not async-signal-safe
/// Blocks:        never: no system call
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_acquire_client_config(
    handle: *const certreload_handle,
) -> *const rustls_client_config {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::borrow(handle, "handle")? };
        Ok(cast::arc_into_raw(client_config(handle)?))
    })
}

fn refusal(result: rustls_result) -> Error {
    let number = result as u32;
    Error::new(Cause::Tls(format!(
        "no connection can be made with the configuration (rustls_result {number})"
    )))
}

fn client_config(handle: &Handle) -> Result<Arc<ClientConfig>, Error> {
    let none = || Error::new(Cause::NotConfigured("roots to check servers with"));
    handle.client_config().ok_or_else(none)
}
