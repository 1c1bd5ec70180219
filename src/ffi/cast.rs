//! Every cast between a C pointer and a Rust value: one function for each kind of ownership.

use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use rustls_ffi::client::rustls_client_config;
use rustls_ffi::server::rustls_server_config;

use crate::error::Error;

/// A C type whose pointer refers to a Rust value of type `Inner`.
pub(crate) trait Opaque {
    /// The type that the pointer refers to.
    type Inner;
}

/// The pointer is an `Arc<rustls::ServerConfig>`: "Under the hood, this object corresponds to an `Arc<ServerConfig>`"
/// (rustls-ffi `server.rs`). Another release may differ. So the dependency is pinned to one release, and the tests
/// below pass configurations to rustls-ffi and back.
impl Opaque for rustls_server_config {
    type Inner = rustls::ServerConfig;
}

/// The pointer is an `Arc<rustls::ClientConfig>`: rustls-ffi implements `Castable` with `OwnershipArc` (`client.rs`).
/// The comment there mentions a `Box`, but only the builder is in one.
impl Opaque for rustls_client_config {
    type Inner = rustls::ClientConfig;
}

/// Gives one reference of `arc` to C.
pub(crate) fn arc_into_raw<C: Opaque>(arc: Arc<C::Inner>) -> *const C {
    Arc::into_raw(arc).cast()
}

/// Takes a reference back from C; `None` for NULL.
///
/// # Safety
/// `pointer` is NULL, or came from `arc_into_raw` or from a function of rustls-ffi that returns an `Arc`. The caller
/// does not use it afterwards.
pub(crate) unsafe fn arc_from_raw<C: Opaque>(pointer: *const C) -> Option<Arc<C::Inner>> {
    // SAFETY: not NULL is checked; the rest is the caller's promise.
    (!pointer.is_null()).then(|| unsafe { Arc::from_raw(pointer.cast()) })
}

/// Adds a reference to a value that C holds. C keeps its own reference.
///
/// # Safety
/// `pointer` is NULL, or came from `arc_into_raw` or from a function of rustls-ffi that returns an `Arc`. C has not
/// released it.
pub(crate) unsafe fn arc_clone<C: Opaque>(
    pointer: *const C,
    name: &'static str,
) -> Result<Arc<C::Inner>, Error> {
    let inner = not_null(pointer, name)?.cast::<C::Inner>();
    // SAFETY: the caller promises that C has not released its reference, so the strong count is at least 1.
    unsafe {
        Arc::increment_strong_count(inner);
        Ok(Arc::from_raw(inner))
    }
}

/// Gives a new value to C.
pub(crate) fn box_into_raw<C: Opaque>(value: C::Inner) -> *mut C {
    Box::into_raw(Box::new(value)).cast()
}

/// Takes a value back from C; `None` for NULL.
///
/// # Safety
/// `pointer` is NULL, or came from `box_into_raw`. The caller does not use it afterwards.
pub(crate) unsafe fn box_from_raw<C: Opaque>(pointer: *mut C) -> Option<Box<C::Inner>> {
    // SAFETY: not NULL is checked; the rest is the caller's promise.
    (!pointer.is_null()).then(|| unsafe { Box::from_raw(pointer.cast()) })
}

/// Returns the pointer of `arc` for C to borrow: the reference count does not change.
pub(crate) fn arc_as_raw<C: Opaque>(arc: &Arc<C::Inner>) -> *const C {
    Arc::as_ptr(arc).cast()
}

/// Borrows a value that C holds.
///
/// # Safety
/// `pointer` is NULL, or points to a live `C::Inner` that no thread changes or frees during the call.
pub(crate) unsafe fn borrow<'a, C: Opaque>(
    pointer: *const C,
    name: &'static str,
) -> Result<&'a C::Inner, Error> {
    // SAFETY: not NULL is checked; the rest is the caller's promise.
    Ok(unsafe { &*not_null(pointer, name)?.cast::<C::Inner>() })
}

/// Borrows a value that C holds; `None` for NULL. An [`Error`] would allocate memory, which a signal handler must not.
///
/// # Safety
/// As [`borrow`].
pub(crate) unsafe fn borrow_in_signal_handler<'a, C: Opaque>(
    pointer: *const C,
) -> Option<&'a C::Inner> {
    // SAFETY: the caller's promise; `as_ref` checks for NULL.
    unsafe { pointer.cast::<C::Inner>().as_ref() }
}

/// Borrows a value that C holds, for changes.
///
/// # Safety
/// `pointer` is NULL, or points to a live `C::Inner` that no other thread uses during the call.
pub(crate) unsafe fn borrow_mut<'a, C: Opaque>(
    pointer: *mut C,
    name: &'static str,
) -> Result<&'a mut C::Inner, Error> {
    not_null(pointer, name)?;
    // SAFETY: not NULL is checked; the rest is the caller's promise.
    Ok(unsafe { &mut *pointer.cast::<C::Inner>() })
}

/// The memory that an output parameter points to. It may be uninitialised, so it is only written, through a pointer and
/// never through a reference.
pub(crate) struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    pub(crate) fn set(&mut self, value: T) {
        // SAFETY: the caller of `out` promises that the memory is writable for as long as this value exists.
        unsafe { self.0.write(value) }
    }

    /// Returns the pointer, for a function of rustls-ffi that writes the result itself.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut T {
        self.0.as_ptr()
    }
}

/// Checks that an output parameter is not NULL.
///
/// # Safety
/// `pointer` is NULL, or points to writable memory for a `T` that no other thread uses during the call. The returned
/// [`Out`] is dropped before the C function returns.
pub(crate) unsafe fn out<T>(pointer: *mut T, name: &'static str) -> Result<Out<T>, Error> {
    NonNull::new(pointer).map(Out).ok_or_else(|| Error::null(name))
}

/// Returns the bytes of a C string, without its NUL.
///
/// # Safety
/// `pointer` is NULL, or points to a C string that no thread changes during the call.
pub(crate) unsafe fn bytes<'a>(
    pointer: *const c_char,
    name: &'static str,
) -> Result<&'a [u8], Error> {
    // SAFETY: not NULL is checked; the rest is the caller's promise.
    Ok(unsafe { CStr::from_ptr(not_null(pointer, name)?) }.to_bytes())
}

/// Returns a path that is copied from a C string: any bytes, at least one.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn path(pointer: *const c_char, name: &'static str) -> Result<PathBuf, Error> {
    // SAFETY: the caller's promise.
    match unsafe { bytes(pointer, name)? } {
        [] => Err(Error::invalid(format!("{name} is empty"))),
        bytes => Ok(PathBuf::from(OsStr::from_bytes(bytes))),
    }
}

/// The largest size of a buffer that the caller writes to: no object in memory is larger (PTRDIFF_MAX).
pub(crate) const MAX_BUFFER_SIZE: usize = isize::MAX.cast_unsigned();

/// The largest struct size that a caller may pass: more than the structs of any later version will have.
pub(crate) const MAX_STRUCT_SIZE: usize = 65_536;

/// Checks a count or a size before it is used to read, write or allocate.
///
/// A host may pass the -1 of a failed read(2), which is a huge `size_t`. That becomes an error with a message. An
/// allocation of that size would end the process (G12).
pub(crate) fn at_most(number: usize, max: usize, name: &str) -> Result<(), Error> {
    if number > max {
        return Err(Error::invalid(format!("{name} is {number}: at most {max} is possible")));
    }
    Ok(())
}

/// Borrows an array of the caller; 0 elements at NULL are an empty array.
///
/// # Safety
/// `pointer` is NULL, or points to `count` values that do not change during the call. If `count` is above `max`,
/// `pointer` may be anything, because it is not read.
pub(crate) unsafe fn slice<'a, T>(
    pointer: *const T,
    count: usize,
    max: usize,
    (name, count_name): (&str, &str),
) -> Result<&'a [T], Error> {
    at_most(count, max.min(MAX_BUFFER_SIZE / size_of::<T>().max(1)), count_name)?;
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Error::null(name.to_owned()));
    }
    // SAFETY: not NULL, and no more bytes than an object may have; the rest is the caller's promise.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// Returns the element at `index` of `all`; `what` names the elements in a message.
pub(crate) fn at<'a, T>(all: &'a [T], index: usize, what: &str) -> Result<&'a T, Error> {
    all.get(index).ok_or_else(|| no_such_index(index, all.len(), what))
}

/// The error for an index that is out of range.
pub(crate) fn no_such_index(index: usize, count: usize, what: &str) -> Error {
    Error::invalid(format!("index {index} is out of range: the number of {what} is {count}"))
}

fn not_null<T>(pointer: *const T, name: &'static str) -> Result<*const T, Error> {
    if pointer.is_null() { Err(Error::null(name)) } else { Ok(pointer) }
}

/// Returns `text` as a C string with "?" in place of each character that would change how the text around it looks. A
/// file name may contain a newline, which would forge a line in the host's log. A name in a certificate may contain a
/// character that reverses the direction of what follows.
pub(crate) fn to_c_text(text: &str) -> CString {
    let clean: String = text.chars().map(|c| if is_disruptive(c) { '?' } else { c }).collect();
    CString::new(clean).unwrap_or_default()
}

/// Returns whether `character` is a control character, a separator of lines or paragraphs, or one that sets the
/// direction of text (Unicode Standard Annex 9, section 2).
fn is_disruptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;
    use std::ptr::{null, null_mut};

    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use rustls_ffi::certificate::rustls_certified_key;
    use rustls_ffi::client::rustls_client_config_builder as client_builder;
    use rustls_ffi::client::rustls_verify_server_cert_params;
    use rustls_ffi::connection::rustls_connection;
    use rustls_ffi::rslice::rustls_slice_bytes;
    use rustls_ffi::rustls_result;
    use rustls_ffi::server::rustls_client_hello;
    use rustls_ffi::server::rustls_server_config_builder as server_builder;

    use super::*;

    #[test]
    fn g24_text_has_no_character_that_changes_how_other_text_looks() {
        let text = to_c_text("a\u{202e}b\u{2066}c\u{2028}d\ne\u{200f}é\u{feff}");
        assert_eq!(text.to_str().unwrap(), "a?b?c?d?e?é\u{feff}");
    }

    /// The ALPN protocol of a rustls-ffi configuration, by which the tests recognise it.
    const ALPN: &[u8] = b"round-trip";

    #[test]
    fn server_config_of_certreload_is_accepted_by_rustls_ffi() {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let resolver = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
        let ours = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let ours = Arc::new(ours.with_cert_resolver(resolver));
        let raw = arc_into_raw::<rustls_server_config>(ours.clone());
        assert_eq!(Arc::strong_count(&ours), 2);
        let mut connection = null_mut();
        let result = rustls_server_config::rustls_server_connection_new(raw, &raw mut connection);
        assert!(matches!(result, rustls_result::Ok));
        assert!(Arc::strong_count(&ours) > 2, "the connection holds it");
        rustls_connection::rustls_connection_free(connection);
        rustls_server_config::rustls_server_config_free(raw);
        assert_eq!(Arc::strong_count(&ours), 1);
    }

    #[test]
    fn client_config_of_certreload_is_accepted_by_rustls_ffi() {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let ours = builder
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let ours = Arc::new(ours);
        let raw = arc_into_raw::<rustls_client_config>(ours.clone());
        assert_eq!(Arc::strong_count(&ours), 2);
        let (name, mut connection) = (c"a.test".as_ptr(), null_mut());
        let result =
            rustls_client_config::rustls_client_connection_new(raw, name, &raw mut connection);
        assert!(matches!(result, rustls_result::Ok));
        assert!(Arc::strong_count(&ours) > 2, "the connection holds it");
        rustls_connection::rustls_connection_free(connection);
        rustls_client_config::rustls_client_config_free(raw);
        assert_eq!(Arc::strong_count(&ours), 1);
    }

    unsafe extern "C" fn no_certificate(
        _: *mut c_void,
        _: *const rustls_client_hello,
    ) -> *const rustls_certified_key {
        null()
    }

    unsafe extern "C" fn refuse(_: *mut c_void, _: *const rustls_verify_server_cert_params) -> u32 {
        rustls_result::General as u32
    }

    #[test]
    fn server_config_of_rustls_ffi_is_accepted_by_certreload() {
        let builder = server_builder::rustls_server_config_builder_new();
        let alpn = rustls_slice_bytes::from(ALPN);
        server_builder::rustls_server_config_builder_set_alpn_protocols(
            builder,
            &raw const alpn,
            1,
        );
        server_builder::rustls_server_config_builder_set_hello_callback(
            builder,
            Some(no_certificate),
        );
        let mut raw = null();
        server_builder::rustls_server_config_builder_build(builder, &raw mut raw);
        // SAFETY: a config that was just built, whose one reference is held until it is freed below.
        let ours = unsafe { arc_clone::<rustls_server_config>(raw, "config") }.unwrap();
        assert_eq!(ours.alpn_protocols, [ALPN]);
        assert_eq!(Arc::strong_count(&ours), 2);
        rustls_server_config::rustls_server_config_free(raw);
        assert_eq!(Arc::strong_count(&ours), 1);
    }

    #[test]
    fn client_config_of_rustls_ffi_is_accepted_by_certreload() {
        let builder = client_builder::rustls_client_config_builder_new();
        let alpn = rustls_slice_bytes::from(ALPN);
        client_builder::rustls_client_config_builder_set_alpn_protocols(
            builder,
            &raw const alpn,
            1,
        );
        client_builder::rustls_client_config_builder_dangerous_set_certificate_verifier(
            builder,
            Some(refuse),
        );
        let mut raw = null();
        client_builder::rustls_client_config_builder_build(builder, &raw mut raw);
        // SAFETY: a config that was just built, whose one reference is held until it is freed below.
        let ours = unsafe { arc_clone::<rustls_client_config>(raw, "config") }.unwrap();
        assert_eq!(ours.alpn_protocols, [ALPN]);
        assert_eq!(Arc::strong_count(&ours), 2);
        rustls_client_config::rustls_client_config_free(raw);
        assert_eq!(Arc::strong_count(&ours), 1);
    }
}
