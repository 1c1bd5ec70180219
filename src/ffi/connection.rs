//! The hot path: what a server calls for each accepted connection.

use rustls_ffi::connection::rustls_connection;
use rustls_ffi::rustls_result;
use rustls_ffi::server::rustls_server_config;

use super::boundary::boundary;
use super::cast;
use super::handle::certreload_handle;
use super::result::certreload_result;
use crate::error::{Cause, Error};

/// Make a server connection with the config that is current at this moment.
///
/// Stands where rustls_server_connection_new() stood. The connection keeps the config that it was born with, whatever
/// is reloaded later.
///
/// @param handle          must not be NULL
/// @param connection_out  must not be NULL; written only on CERTRELOAD_RESULT_OK
/// @return                OK; NULL_PARAMETER; TLS where rustls refuses
/// Ownership:             the caller's, until rustls_connection_free(); may outlive the handle
/// Threads:               any thread, concurrently
/// Signals:               not async-signal-safe
/// Blocks:                never: no lock, no system call
/// Since:                 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_server_connection_new(
    handle: *mut certreload_handle,
    connection_out: *mut *mut rustls_connection,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle and a place to write, or NULL.
        let (handle, mut out) = unsafe {
            (cast::borrow(handle, "handle")?, cast::out(connection_out, "connection_out")?)
        };
        let current = handle.server_config();
        let config = cast::arc_as_raw::<rustls_server_config>(&current);
        match rustls_server_config::rustls_server_connection_new(config, out.as_mut_ptr()) {
            rustls_result::Ok => Ok(certreload_result::Ok),
            refused => Err(Error::new(Cause::Tls(format!("rustls_result {}", refused as u32)))),
        }
    })
}

/// Take a reference to the config that is current at this moment.
///
/// For rustls-ffi's Acceptor (rustls_accepted_into_connection()), and for code that wants the config itself. Take one
/// for each connection: a config that is kept does not reload.
///
/// @param handle  must not be NULL
/// @return        the config; NULL where handle is NULL
/// Ownership:     counted: give it back with rustls_server_config_free(); may outlive the handle
/// Threads:       any thread, concurrently
/// Signals:       not async-signal-safe
/// Blocks:        never: no lock, no system call
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_acquire_server_config(
    handle: *mut certreload_handle,
) -> *const rustls_server_config {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::borrow(handle, "handle")? };
        Ok(cast::arc_into_raw(handle.server_config()))
    })
}
