//! Identities whose bytes the host passes, instead of files.

use std::sync::Arc;

use super::object::{certreload_options, setter};
use crate::ffi::cast;
use crate::ffi::push::{certreload_identity_bytes, copy_bytes};
use crate::ffi::result::certreload_result;
use crate::options::IdentityFiles;

/// Serve an identity that is in memory: from a config centre, a vault, or another process.
///
/// It counts as an identity as those from files do, in the order in which they were added, and is renewed by
/// certreload_push_identity(). In messages its parts are called memory:INDEX/chain and memory:INDEX/key.
///
/// @param options  must not be NULL; changed
/// @param bytes    must not be NULL, nor its chain_pem and key_pem
/// @return         OK; NULL_PARAMETER; INVALID_PARAMETER where the size of the struct is none, or the options are full;
///                 FILE_TOO_LARGE. What is wrong with the bytes themselves certreload_open() tells
/// Ownership:      copied, and the copy of the key is wiped when the options are freed; wiping the caller's own is the
///                 caller's affair
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_add_identity_memory(
    options: *mut certreload_options,
    bytes: *const certreload_identity_bytes,
) -> certreload_result {
    setter(
        "certreload_options_add_identity_memory",
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow_mut(options, "options") },
        |options| {
            // SAFETY: the caller passes bytes that live during the call, or NULL.
            let bytes = unsafe { copy_bytes(bytes)? };
            let identities = options.room_for_identity()?;
            let index = identities.len();
            identities.push(IdentityFiles::in_memory(index, Some(Arc::new(bytes))));
            Ok(())
        },
    )
}
