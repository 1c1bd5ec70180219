//! Adapters: functions of the host, or of a library beside this one, that prepare units for another TLS stack.

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use super::cast;
use super::handle::certreload_handle;
use super::identity_getters::certreload_identity;
use super::panic_boundary::boundary;
use super::result::certreload_result;
use super::trust_store::certreload_trust_store;
use crate::error::Error;
use crate::pki::{Identity, MAX_ADAPTERS, PreparedObject, Trust};
use crate::reload::{Adapter, NotPrepared, Prepared};

/// What an adapter answers about a unit.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_prepare {
    /// The unit can be served, and is prepared.
    Ok = 0,
    /// The key does not match the certificate, as far as this TLS stack knows. The files may be half written, so they
    /// are read again until the incomplete-file timeout.
    Incomplete = 1,
    /// The TLS stack cannot serve the unit. It is not published; what is served stays.
    Refused = 2,
}

/// A `certreload_prepare` as C returns it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type prepare_number = u32;

/// The most adapters of one handle.
pub const CERTRELOAD_MAX_ADAPTERS: u32 = 8;
/// The size of the buffer in which an adapter says why it has not prepared a unit, in bytes.
pub const CERTRELOAD_MAX_ADAPTER_REASON: usize = 512;

const _: () = assert!(CERTRELOAD_MAX_ADAPTERS as usize == MAX_ADAPTERS);

/// An adapter: it makes the objects of another TLS stack from identities and trust stores, before these are published.
///
/// A prepared object belongs to one version of a unit. It is made once, all generations with that version share it, and
/// it is dropped with the last of them. So a handshake parses nothing, and a renewal of one identity prepares one.
///
/// The prepare functions of a handle are called one at a time, in certreload_add_adapter() and on the thread that
/// reloads. They may read the candidate, which is not published yet, and must not keep it. They may call functions that
/// do not wait for the handle; others return WOULD_DEADLOCK. They must not throw or longjmp out.
///
/// Begin with a struct of zeros. It may grow at the end, so certreload_add_adapter() takes its size.
#[repr(C)]
pub struct certreload_adapter {
    /// The name of the TLS stack, for messages, such as "OpenSSL 3.0.17"; must not be NULL; copied.
    pub name: *const c_char,
    /// Prepares an identity; must not be NULL. key_der is the private key in PKCS#8, or as its file has it if that is
    /// another format; it is wiped after the last use of the identity, and must not be kept. The object goes to
    /// *prepared_out, and may be NULL. Unless the result is OK, `why` gets the reason as a C string; why_size is
    /// CERTRELOAD_MAX_ADAPTER_REASON.
    pub prepare_identity: Option<
        unsafe extern "C" fn(
            userdata: *mut c_void,
            candidate: *const certreload_identity,
            key_der: *const u8,
            key_der_size: usize,
            prepared_out: *mut *mut c_void,
            why: *mut c_char,
            why_size: usize,
        ) -> prepare_number,
    >,
    /// Prepares a trust store in the same way. NULL if the adapter needs none.
    pub prepare_trust: Option<
        unsafe extern "C" fn(
            userdata: *mut c_void,
            candidate: *const certreload_trust_store,
            prepared_out: *mut *mut c_void,
            why: *mut c_char,
            why_size: usize,
        ) -> prepare_number,
    >,
    /// Frees an object of prepare_identity. NULL if there is nothing to free. It is called once for each object that is
    /// not NULL, on the thread that releases the last use, also after the handle was closed.
    pub drop_identity: Option<unsafe extern "C" fn(prepared: *mut c_void)>,
    /// Frees an object of prepare_trust in the same way.
    pub drop_trust: Option<unsafe extern "C" fn(prepared: *mut c_void)>,
    /// Passed to the prepare functions; used until certreload_close() returns.
    pub userdata: *mut c_void,
}

/// Adds an adapter to a handle.
///
/// The adapter prepares all that is served now, and from then on each new version of a unit before it is published. If
/// it refuses something now, it is not added, and nothing changes. Every generation that is acquired after this
/// function has returned has the objects of the adapter.
///
/// An adapter with the same functions and userdata is added once: the function then returns the same slot. Adapters
/// stay until the handle is closed. Forked processes inherit them with the objects that are prepared, so add adapters
/// before a server forks.
///
/// @param handle        must not be NULL; opened in this process, or restored by certreload_after_fork()
/// @param adapter       must not be NULL; copied
/// @param adapter_size  sizeof(certreload_adapter) of the header that the program was compiled with
/// @param slot_out      must not be NULL; written only on OK: the number for certreload_identity_prepared()
/// @return              OK; NULL_PARAMETER; INVALID_PARAMETER if the handle has CERTRELOAD_MAX_ADAPTERS, or
///                      adapter_size is wrong; KEY_MISMATCH or ADAPTER_REFUSED if a unit cannot be prepared; FORKED;
///                      CLOSED; WOULD_DEADLOCK. certreload_last_error() has path and reason
/// Ownership:           the functions must stay loaded until the last object is dropped; userdata is the caller's
/// Threads:             any thread, concurrently; also inside an event callback
/// Signals:             not async-signal-safe
/// Blocks:              while units are prepared, or the handle's files are being read
/// Since:               0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_add_adapter(
    handle: *mut certreload_handle,
    adapter: *const certreload_adapter,
    adapter_size: usize,
    slot_out: *mut u32,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes an open handle and a place to write, or NULL.
        let (handle, mut out) = unsafe {
            (cast::arc_clone(handle.cast_const(), "handle")?, cast::out(slot_out, "slot_out")?)
        };
        // SAFETY: the caller passes a struct of `adapter_size` bytes, or NULL.
        let adapter = unsafe { HostAdapter::from_c(adapter, adapter_size)? };
        let slot = handle.add_adapter(Arc::new(adapter))?;
        out.set(u32::try_from(slot).unwrap_or(u32::MAX));
        Ok(certreload_result::Ok)
    })
}

/// Returns the object that an adapter has prepared from an identity.
///
/// @param identity  must not be NULL
/// @param slot      the number of the adapter, from certreload_add_adapter() of this identity's handle
/// @return          the object; NULL if identity is NULL, the adapter has made none, or the slot does not exist
/// Ownership:       borrowed, until the generation is released
/// Threads:         any thread, concurrently
/// Signals:         not async-signal-safe
/// Blocks:          never: no lock, no system call
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_identity_prepared(
    identity: *const certreload_identity,
    slot: u32,
) -> *mut c_void {
    boundary(|| {
        // SAFETY: the caller passes an identity of a live generation, or NULL.
        let identity = unsafe { cast::borrow(identity, "identity")? };
        let object = identity.prepared().get(slot as usize);
        Ok(object.map_or(ptr::null_mut(), |object| object.as_raw()))
    })
}

/// Returns the object that an adapter has prepared from a trust store.
///
/// @param store  must not be NULL
/// @param slot   the number of the adapter, from certreload_add_adapter() of this trust store's handle
/// @return       the object; NULL if store is NULL, the adapter has made none, or the slot does not exist
/// Ownership:    borrowed, until the generation is released
/// Threads:      any thread, concurrently
/// Signals:      not async-signal-safe
/// Blocks:       never: no lock, no system call
/// Since:        0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_trust_store_prepared(
    store: *const certreload_trust_store,
    slot: u32,
) -> *mut c_void {
    boundary(|| {
        // SAFETY: the caller passes a trust store of a live generation, or NULL.
        let store = unsafe { cast::borrow(store, "store")? };
        let object = store.prepared().get(slot as usize);
        Ok(object.map_or(ptr::null_mut(), |object| object.as_raw()))
    })
}

/// A function that frees an object.
type DropObject = Option<unsafe extern "C" fn(*mut c_void)>;

/// An adapter of the host.
struct HostAdapter {
    name: String,
    functions: certreload_adapter,
}

// SAFETY: the docs say that the functions are called on several threads, one at a time, with the userdata; `name` of
// `functions` is never read.
unsafe impl Send for HostAdapter {}
// SAFETY: as above.
unsafe impl Sync for HostAdapter {}

impl HostAdapter {
    /// Copies the adapter that a caller passes.
    ///
    /// # Safety
    /// `adapter` is NULL or points to a live struct of `size` bytes, with functions that have the documented signatures.
    unsafe fn from_c(adapter: *const certreload_adapter, size: usize) -> Result<Self, Error> {
        if adapter.is_null() {
            return Err(Error::null("adapter"));
        }
        if size < size_of::<certreload_adapter>() {
            return Err(Error::invalid(format!(
                "adapter_size is {size}: pass sizeof(certreload_adapter)"
            )));
        }
        cast::at_most(size, cast::MAX_STRUCT_SIZE, "adapter_size")?;
        // SAFETY: not NULL, and at least as large as this version's struct.
        let functions = unsafe { adapter.read() };
        if functions.prepare_identity.is_none() {
            return Err(Error::null("adapter->prepare_identity"));
        }
        // SAFETY: a C string, or NULL.
        let name = unsafe { cast::bytes(functions.name, "adapter->name")? };
        let name = String::from_utf8_lossy(name).chars().take(100).collect();
        Ok(Self { name, functions })
    }

    /// Calls a prepare function with the buffers for its results, and returns its object or its reason.
    fn prepare(
        drop: DropObject,
        call: impl FnOnce(*mut *mut c_void, *mut c_char, usize) -> prepare_number,
    ) -> Prepared {
        let mut object = ptr::null_mut();
        let mut why = [0; CERTRELOAD_MAX_ADAPTER_REASON];
        let answer = call(&raw mut object, why.as_mut_ptr().cast(), why.len());
        let object = HostObject { pointer: object, drop };
        if answer == certreload_prepare::Ok as u32 {
            return Ok(Box::new(object));
        }
        // The adapter may have filled the buffer to its end.
        why[CERTRELOAD_MAX_ADAPTER_REASON - 1] = 0;
        let why = CStr::from_bytes_until_nul(&why).unwrap_or_default().to_string_lossy();
        let why = if why.is_empty() { "it gives no reason".to_owned() } else { why.into_owned() };
        if answer == certreload_prepare::Incomplete as u32 {
            return Err(NotPrepared::Incomplete(why));
        }
        Err(NotPrepared::Refused(why))
    }
}

impl Adapter for HostAdapter {
    fn name(&self) -> &str {
        &self.name
    }

    fn addresses(&self) -> [usize; 5] {
        let functions = &self.functions;
        [
            functions.prepare_identity.map_or(0, |function| function as usize),
            functions.prepare_trust.map_or(0, |function| function as usize),
            functions.drop_identity.map_or(0, |function| function as usize),
            functions.drop_trust.map_or(0, |function| function as usize),
            functions.userdata as usize,
        ]
    }

    fn prepare_identity(&self, candidate: &Arc<Identity>) -> Prepared {
        let functions = &self.functions;
        let Some(prepare) = functions.prepare_identity else {
            return Err(NotPrepared::Refused("it has no function for identities".to_owned()));
        };
        let (identity, key) = (cast::arc_as_raw(candidate), candidate.key_der());
        Self::prepare(functions.drop_identity, |object, why, size| {
            // SAFETY: a function with the documented signature; everything it gets lives until it returns.
            unsafe {
                prepare(functions.userdata, identity, key.as_ptr(), key.len(), object, why, size)
            }
        })
    }

    fn prepare_trust(&self, candidate: &Arc<Trust>) -> Prepared {
        let functions = &self.functions;
        let Some(prepare) = functions.prepare_trust else {
            return Ok(Box::new(HostObject { pointer: ptr::null_mut(), drop: None }));
        };
        let store = cast::arc_as_raw(candidate);
        Self::prepare(functions.drop_trust, |object, why, size| {
            // SAFETY: a function with the documented signature; everything it gets lives until it returns.
            unsafe { prepare(functions.userdata, store, object, why, size) }
        })
    }
}

impl fmt::Debug for HostAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostAdapter({})", self.name)
    }
}

/// An object of an adapter, which is returned to the adapter when it is dropped.
#[derive(Debug)]
struct HostObject {
    pointer: *mut c_void,
    drop: DropObject,
}

// SAFETY: the pointer is never dereferenced here, and the docs say that it is used and dropped on any thread.
unsafe impl Send for HostObject {}
// SAFETY: as above.
unsafe impl Sync for HostObject {}

impl PreparedObject for HostObject {
    fn as_raw(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for HostObject {
    fn drop(&mut self) {
        if let Some(drop) = self.drop
            && !self.pointer.is_null()
        {
            // SAFETY: a function with the documented signature; this is the only call for this object.
            unsafe { drop(self.pointer) };
        }
    }
}
