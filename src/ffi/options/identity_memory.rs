//! Adds identities to options whose bytes the host passes, instead of files.

use std::sync::Arc;

use super::options_object::{certreload_options, setter};
use crate::ffi::cast;
use crate::ffi::identity_bytes::{certreload_identity_bytes, copy_bytes};
use crate::ffi::result::certreload_result;
use crate::options::IdentityFiles;

/// Adds an identity whose bytes are in memory, for example from a configuration service, a vault or another process.
///
/// It has an index as an identity from files has, in the order in which identities are added. The library has no file
/// to watch for it: certreload_push_identity() renews it. Messages name its parts memory:INDEX/chain, memory:INDEX/key
/// and memory:INDEX/ocsp.
///
/// @param options     must not be NULL; changed
/// @param bytes       must not be NULL, nor its chain_pem and key_pem
/// @param bytes_size  sizeof(certreload_identity_bytes) of the header that the program was compiled with
/// @return            OK; NULL_PARAMETER; INVALID_PARAMETER if bytes_size is wrong, or if the options have
///                    CERTRELOAD_MAX_IDENTITIES identities already; FILE_TOO_LARGE. certreload_open() parses the bytes,
///                    and returns what is wrong with them
/// Ownership:         copied, and the copy of the key is wiped when the options are freed; the caller wipes its own
/// Threads:           exclusive access to options
/// Signals:           not async-signal-safe
/// Blocks:            never
/// Since:             0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_add_identity_memory(
    options: *mut certreload_options,
    bytes: *const certreload_identity_bytes,
    bytes_size: usize,
) -> certreload_result {
    setter(
        "certreload_options_add_identity_memory",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            // SAFETY: the caller passes bytes that live during the call, or NULL.
            let bytes = unsafe { copy_bytes(bytes, bytes_size)? };
            let identities = options.room_for_identity()?;
            let index = identities.len();
            identities.push(IdentityFiles::in_memory(index, Some(Arc::new(bytes))));
            Ok(())
        },
    )
}
