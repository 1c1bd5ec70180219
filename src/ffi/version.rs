//! The version of the header, at compile time, and the release of the library, at run time.

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

/// Returns the release of the library that runs, such as "0.1.0".
///
/// A program compares it with CERTRELOAD_VERSION_MAJOR, _MINOR and _PATCH. If they differ, the program was compiled
/// with the header of another release.
///
/// @return     the text, never NULL
/// Ownership:  static text; do not free
/// Threads:    any thread, concurrently
/// Signals:    async-signal-safe
/// Blocks:     never
/// Since:      0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Returns the version of the library that runs, as one number: CERTRELOAD_VERSION_NUMBER of the header of that
/// release.
///
/// If it is less than CERTRELOAD_VERSION_NUMBER, the program was compiled with the header of a later release.
///
/// @return     the number
/// Ownership:  a number; nothing to free
/// Threads:    any thread, concurrently
/// Signals:    async-signal-safe
/// Blocks:     never
/// Since:      0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_version_number() -> u32 {
    CERTRELOAD_VERSION_NUMBER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_macros_equal_the_package_version() {
        let macros = format!(
            "{CERTRELOAD_VERSION_MAJOR}.{CERTRELOAD_VERSION_MINOR}.{CERTRELOAD_VERSION_PATCH}"
        );
        assert_eq!(macros, env!("CARGO_PKG_VERSION"));
    }
}
