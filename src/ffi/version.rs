//! Which release this is: at compile time, and at run time.

use std::ffi::c_char;

/// The version of this header: the first of three numbers.
pub const CERTRELOAD_VERSION_MAJOR: u32 = 0;
/// The version of this header: the second of three numbers.
pub const CERTRELOAD_VERSION_MINOR: u32 = 1;
/// The version of this header: the third of three numbers.
pub const CERTRELOAD_VERSION_PATCH: u32 = 0;

/// The version of this header as one number that grows with every release: major * 1000000 + minor * 1000 + patch.
pub const CERTRELOAD_VERSION_NUMBER: u32 =
    CERTRELOAD_VERSION_MAJOR * 1000000 + CERTRELOAD_VERSION_MINOR * 1000 + CERTRELOAD_VERSION_PATCH;

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

/// Returns the version of the library that runs, as one number: CERTRELOAD_VERSION_NUMBER of its own header.
///
/// If it is less than CERTRELOAD_VERSION_NUMBER, the program was compiled for a later release than the library that it found.
///
/// @return         the number
/// Ownership:      a number; nothing to free
/// Threads:        any thread, concurrently
/// Signals:        async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_version_number() -> u32 {
    CERTRELOAD_VERSION_NUMBER
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
