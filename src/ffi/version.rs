//! Which release this is: at compile time, and at run time.

use std::ffi::c_char;

/// The version of this header: the first of three numbers.
pub const CERTRELOAD_VERSION_MAJOR: u32 = 0;
/// The version of this header: the second of three numbers.
pub const CERTRELOAD_VERSION_MINOR: u32 = 1;
/// The version of this header: the third of three numbers.
pub const CERTRELOAD_VERSION_PATCH: u32 = 0;

/// Name the release of the library that runs, such as `"0.1.0"`.
///
/// Compare it with CERTRELOAD_VERSION_MAJOR, _MINOR and _PATCH to learn whether the header that the
/// program was compiled with is of another release than the library that it found.
///
/// @return         the text, never NULL
/// Ownership:      static text; do not free
/// Threads:        any thread, concurrently
/// Signals:        async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_macros_agree_with_the_package() {
        let macros = format!(
            "{CERTRELOAD_VERSION_MAJOR}.{CERTRELOAD_VERSION_MINOR}.{CERTRELOAD_VERSION_PATCH}"
        );
        assert_eq!(macros, env!("CARGO_PKG_VERSION"));
    }
}
