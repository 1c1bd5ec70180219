//! Warns if the process holds a second copy of rustls-ffi, besides the one in this library.
//!
//! The functions of both copies have the same names. Passing an object of one copy to a function of the other is
//! undefined behaviour. Which copy a call reaches depends on the order of linking, so the host cannot see it in its
//! source. The dynamic linker knows which definition a call by name reaches, so this module asks it with dlsym(3).

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use ::log::{Level, log_enabled, warn};

use crate::sys::LOG_TARGET;

/// Functions of rustls-ffi that hosts call with objects of certreload. Another copy may define only some of them,
/// because only the parts of a static library that a program uses are linked. So several are checked.
const NAMES: [&CStr; 6] = [
    c"rustls_server_connection_new",
    c"rustls_client_connection_new",
    c"rustls_connection_read_tls",
    c"rustls_server_config_free",
    c"rustls_client_config_free",
    c"rustls_version",
];

/// The rustls-ffi release in this library. It is a constant, because rustls_version() could call the other copy at run
/// time. A test checks that the number is right.
const OURS: &str = "0.15.7";

const ADVICE: &str = "give both the same version and link only one of them, or keep the other copy inside a \
     separate shared library (-Wl,--exclude-libs,ALL)";

/// Writes a warning to the log if another copy is found, but only once per process.
///
/// Until a copy is found, each call searches again, because a plugin that is loaded between two opens may bring one.
/// If no log function gets warnings, the search is skipped.
pub(super) fn warn_once() {
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    if IS_DONE.load(Ordering::Acquire) || !log_enabled!(target: LOG_TARGET, Level::Warn) {
        return;
    }
    if let Some(words) = found()
        && !IS_DONE.swap(true, Ordering::AcqRel)
    {
        warn!(target: LOG_TARGET, "{words}");
    }
}

fn found() -> Option<String> {
    let ours = object_of(warn_once as *const c_void)?;
    // If this library is linked statically into the program, the program's calls always reach this copy.
    if is_the_program(&ours) {
        return None;
    }
    let other = |from: *mut c_void, name: &CStr| {
        let found = definition(from, name)?;
        (found.base != ours.base).then_some(found.file)
    };
    let first = |program| NAMES.iter().find_map(|name| other(program, name));
    if let Some(file) = global_scope().and_then(first) {
        return Some(format!(
            "{file}: defines functions of rustls-ffi, and calls by name reach these and not those of rustls-ffi {OURS} in \
             certreload; giving objects of certreload to them is undefined behaviour; {ADVICE}"
        ));
    }
    let file = NAMES.iter().find_map(|name| other(libc::RTLD_NEXT, name))?;
    Some(format!(
        "{file}: defines functions of rustls-ffi, and calls by name reach those of rustls-ffi {OURS} in certreload instead; \
         that is undefined behaviour if the versions differ; {ADVICE}"
    ))
}

/// Returns a handle with which dlsym(3) finds the functions that the calls of the program reach.
///
/// The search begins in the program, and continues in its libraries in order. With `RTLD_DEFAULT` the search would
/// begin in this library, because it is linked with -Bsymbolic.
fn global_scope() -> Option<*mut c_void> {
    type Dlopen = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    // dlopen(3) is found by name, because linkers warn about a call of it in programs that are linked with -static.
    // SAFETY: a pseudo-handle of dlsym(3), and a C string.
    let dlopen = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"dlopen".as_ptr()) };
    if dlopen.is_null() {
        return None;
    }
    // SAFETY: dlopen(3) has this signature; NULL is the program itself, which is never unloaded, so that the handle is
    // not given back.
    let program =
        unsafe { std::mem::transmute::<*mut c_void, Dlopen>(dlopen)(ptr::null(), libc::RTLD_LAZY) };
    (!program.is_null()).then_some(program)
}

/// A program or a shared library in memory: its load address and its file.
struct Object {
    base: *mut c_void,
    file: String,
}

/// Returns the object whose definition of `name` a search with the handle `from` finds first.
fn definition(from: *mut c_void, name: &CStr) -> Option<Object> {
    // SAFETY: a handle or a pseudo-handle of dlsym(3), and a C string. The address is compared, and never called.
    let address = unsafe { libc::dlsym(from, name.as_ptr()) };
    if address.is_null() || is_a_stub(address) {
        return None;
    }
    object_of(address)
}

fn object_of(address: *const c_void) -> Option<Object> {
    let mut info = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    // SAFETY: dladdr(3) takes any address, and writes to a live struct.
    let is_known = unsafe { libc::dladdr(address, &raw mut info) } != 0;
    if !is_known || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: a C string of the dynamic linker's, which lives as long as the object is loaded.
    let file = unsafe { CStr::from_ptr(info.dli_fname) }.to_string_lossy().into_owned();
    Some(Object { base: info.dli_fbase, file })
}

fn is_the_program(object: &Object) -> bool {
    // SAFETY: getauxval(3) takes and returns numbers.
    let entry = unsafe { libc::getauxval(libc::AT_ENTRY) };
    let entry = ptr::without_provenance::<c_void>(usize::try_from(entry).unwrap_or(0));
    object_of(entry).is_none_or(|program| program.base == object.base)
}

/// Returns whether the address is a stub for a function that another object defines.
///
/// A program that is linked with -no-pie has a stub for each function of a library whose address it takes. dlsym(3)
/// returns the stub under the name of the function, although the program does not define it.
fn is_a_stub(address: *const c_void) -> bool {
    type Dladdr1 =
        unsafe extern "C" fn(*const c_void, *mut libc::Dl_info, *mut *mut c_void, c_int) -> c_int;
    const RTLD_DL_SYMENT: c_int = 1;
    #[cfg(target_pointer_width = "64")]
    type Symbol = libc::Elf64_Sym;
    #[cfg(target_pointer_width = "32")]
    type Symbol = libc::Elf32_Sym;
    // Not every C library has dladdr1(3). In those without it, dlsym(3) returns no stubs.
    // SAFETY: as in `definition`.
    let dladdr1 = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"dladdr1".as_ptr()) };
    if dladdr1.is_null() {
        return false;
    }
    let mut info = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    let mut symbol = ptr::null_mut();
    // SAFETY: dladdr1(3) of glibc has this signature, and writes to a live struct and a live pointer; the entry that it
    // points to is part of the loaded object.
    unsafe {
        let dladdr1 = std::mem::transmute::<*mut c_void, Dladdr1>(dladdr1);
        let is_known = dladdr1(address, &raw mut info, &raw mut symbol, RTLD_DL_SYMENT) != 0;
        let symbol = symbol.cast::<Symbol>();
        // 0 is SHN_UNDEF: another object defines it.
        is_known && !symbol.is_null() && (*symbol).st_shndx == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_in_messages_is_that_of_the_linked_release() {
        let version = rustls_ffi::rustls_version();
        // SAFETY: static text.
        let full = unsafe { version.to_str() };
        assert!(full.starts_with(&format!("rustls-ffi/{OURS}/")), "{full}");
    }

    #[test]
    fn program_that_contains_the_library_gets_no_warning() {
        assert_eq!(found(), None);
    }

    #[test]
    fn file_that_defines_a_function_is_found() {
        let found = definition(libc::RTLD_DEFAULT, c"getpid").unwrap();
        let ours = object_of(warn_once as *const c_void).unwrap();
        assert!(found.base != ours.base && found.file.contains("lib"), "{}", found.file);
        assert!(is_the_program(&ours));
    }
}
