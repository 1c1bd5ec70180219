//! A table with the constant's name, the category and a short text of each result, and the functions that read it.

use std::ffi::{CStr, c_char};

use certreload_category::{Call, Content, File, NotNow, Ok, System, Unknown, Validation};

use super::result::result_number;

/// The kind of outcome that a result is, by what a program does about it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_category {
    /// The call has done its work: OK and UNCHANGED.
    Ok = 0,
    /// There is no answer yet: TIMED_OUT and NO_EVENT. Call again later, or wait for the event.
    NotNow = 1,
    /// The call is wrong, or the handle cannot do what was asked: change the program or the options.
    Call = 2,
    /// The system, rustls or this library failed: SYSTEM, TLS and PANIC.
    System = 3,
    /// A file cannot be read (100 to 199): check its path, its type and its permissions.
    File = 4,
    /// A file does not contain what it should (200 to 299): replace the file.
    Content = 5,
    /// The files were read, and must not be served (300 to 399): renew the certificate or the list, or match the files.
    Validation = 6,
    /// The number is not a result of this release.
    Unknown = 7,
}

/// A `certreload_category` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type category_number = u32;

type Row = (u32, &'static CStr, certreload_category, &'static CStr);

/// All results, in the order of their numbers, because a row is found by binary search.
#[rustfmt::skip]
static TABLE: &[Row] = &[
    (0, c"CERTRELOAD_RESULT_OK", Ok, c"done"),
    (1, c"CERTRELOAD_RESULT_UNCHANGED", Ok, c"nothing has changed"),
    (2, c"CERTRELOAD_RESULT_TIMED_OUT", NotNow, c"the time given ran out"),
    (3, c"CERTRELOAD_RESULT_NULL_PARAMETER", Call, c"a pointer that must not be NULL was NULL"),
    (4, c"CERTRELOAD_RESULT_INVALID_PARAMETER", Call, c"a parameter is out of its range"),
    (5, c"CERTRELOAD_RESULT_NOTHING_TO_LOAD", Call, c"nothing to load"),
    (6, c"CERTRELOAD_RESULT_CLOSED", Call, c"the handle is closed"),
    (7, c"CERTRELOAD_RESULT_WOULD_DEADLOCK", Call, c"the call would wait for itself"),
    (8, c"CERTRELOAD_RESULT_SYSTEM", System, c"the system refused a thread or a descriptor"),
    (9, c"CERTRELOAD_RESULT_TLS", System, c"rustls refused"),
    (10, c"CERTRELOAD_RESULT_PANIC", System, c"a defect inside certreload was caught"),
    (11, c"CERTRELOAD_RESULT_FORKED", Call, c"the handle was opened before a fork"),
    (12, c"CERTRELOAD_RESULT_BUFFER_TOO_SMALL", Call, c"the buffer is too small"),
    (13, c"CERTRELOAD_RESULT_LOGGER_IN_USE", Call, c"the process has another logger"),
    (14, c"CERTRELOAD_RESULT_NO_EVENT", NotNow, c"no event is waiting"),
    (15, c"CERTRELOAD_RESULT_NOT_CONFIGURED", Call, c"the handle was not opened for this"),
    (100, c"CERTRELOAD_RESULT_FILE_NOT_FOUND", File, c"the file does not exist"),
    (101, c"CERTRELOAD_RESULT_FILE_PERMISSION", File, c"the file may not be read"),
    (102, c"CERTRELOAD_RESULT_FILE_NOT_REGULAR", File, c"not a regular file"),
    (103, c"CERTRELOAD_RESULT_FILE_TOO_LARGE", File, c"the file is too large"),
    (104, c"CERTRELOAD_RESULT_FILE_EMPTY", File, c"the file is empty"),
    (105, c"CERTRELOAD_RESULT_FILE_UNSTABLE", File, c"the file kept changing while it was read"),
    (106, c"CERTRELOAD_RESULT_FILE_IO", File, c"the file could not be read"),
    (107, c"CERTRELOAD_RESULT_TOO_MANY_FILES", File, c"too many files in the directory"),
    (200, c"CERTRELOAD_RESULT_PEM_MALFORMED", Content, c"the PEM is malformed"),
    (201, c"CERTRELOAD_RESULT_PEM_TRUNCATED", Content, c"the PEM is truncated"),
    (202, c"CERTRELOAD_RESULT_NO_CERTIFICATE", Content, c"no certificate in the file"),
    (203, c"CERTRELOAD_RESULT_TOO_MANY_CERTIFICATES", Content, c"too many certificates in the file"),
    (204, c"CERTRELOAD_RESULT_CERTIFICATE_MALFORMED", Content, c"the certificate cannot be parsed"),
    (205, c"CERTRELOAD_RESULT_NO_PRIVATE_KEY", Content, c"no private key in the file"),
    (206, c"CERTRELOAD_RESULT_SEVERAL_PRIVATE_KEYS", Content, c"several private keys, and none is that of the certificate"),
    (207, c"CERTRELOAD_RESULT_KEY_ENCRYPTED", Content, c"the private key is encrypted"),
    (208, c"CERTRELOAD_RESULT_KEY_UNSUPPORTED", Content, c"the private key cannot be used"),
    (209, c"CERTRELOAD_RESULT_KEY_PASSWORD_WRONG", Content, c"the password does not open the private key"),
    (210, c"CERTRELOAD_RESULT_NO_CRL", Content, c"no certificate revocation list in the file"),
    (211, c"CERTRELOAD_RESULT_TOO_MANY_CRLS", Content, c"too many certificate revocation lists"),
    (212, c"CERTRELOAD_RESULT_CRL_MALFORMED", Content, c"the certificate revocation list cannot be used"),
    (213, c"CERTRELOAD_RESULT_TICKET_KEYS_MALFORMED", Content, c"no ticket keys in the file"),
    (300, c"CERTRELOAD_RESULT_KEY_MISMATCH", Validation, c"the private key does not match the certificate"),
    (301, c"CERTRELOAD_RESULT_CERTIFICATE_EXPIRED", Validation, c"the certificate has expired"),
    (302, c"CERTRELOAD_RESULT_CERTIFICATE_NOT_YET_VALID", Validation, c"the certificate is not valid yet"),
    (303, c"CERTRELOAD_RESULT_SELF_CHECK_FAILED", Validation, c"the self-check handshake failed"),
    (304, c"CERTRELOAD_RESULT_KEY_USAGE_UNFIT", Validation, c"the certificate is not for this role"),
    (305, c"CERTRELOAD_RESULT_NAME_MISSING", Validation, c"a required name is missing"),
    (306, c"CERTRELOAD_RESULT_CRL_SIGNATURE", Validation, c"the certificate revocation list has a wrong signature"),
    (307, c"CERTRELOAD_RESULT_CRL_EXPIRED", Validation, c"the certificate revocation list has expired"),
    (308, c"CERTRELOAD_RESULT_CRL_ROLLBACK", Validation, c"the certificate revocation list is older than the one before"),
    (309, c"CERTRELOAD_RESULT_CRL_LOST", Validation, c"the certificate revocation list of an issuer is lost"),
    (310, c"CERTRELOAD_RESULT_TICKET_KEY_REPEATED", Validation, c"two ticket keys are the same"),
    (311, c"CERTRELOAD_RESULT_TICKET_KEYS_READABLE", Validation, c"every user may read the ticket keys"),
    (312, c"CERTRELOAD_RESULT_ADAPTER_REFUSED", Validation, c"an adapter cannot use it"),
];

fn row(number: u32) -> Row {
    let position = TABLE.binary_search_by_key(&number, |row| row.0);
    position.map_or((number, c"unknown", Unknown, c"unknown result"), |at| TABLE[at])
}

/// Returns a short description of a result, without path and reason.
///
/// For the full description of a failure, with path and reason, see certreload_last_error().
///
/// @param result   any number
/// @return         the text, never NULL; "unknown result" for a number that is not a result
/// Ownership:      static text; do not free
/// Threads:        any thread, concurrently
/// Signals:        async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_result_str(result: result_number) -> *const c_char {
    row(result).3.as_ptr()
}

/// Returns the name of a result's constant, such as "CERTRELOAD_RESULT_KEY_MISMATCH".
///
/// For logs and scripts: the name never changes, and the text of certreload_result_str() may.
///
/// @param result   any number
/// @return         the name, never NULL; "unknown" for a number that is not a result
/// Ownership:      static text; do not free
/// Threads:        any thread, concurrently
/// Signals:        async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_result_name(result: result_number) -> *const c_char {
    row(result).1.as_ptr()
}

/// Returns the category of a result, for programs that act on the kind of an outcome and not on each result.
///
/// A later release may add results. A program that acts on categories then needs no change.
///
/// @param result   any number
/// @return         the category; CERTRELOAD_CATEGORY_UNKNOWN for a number that is not a result
/// Ownership:      a number; nothing to free
/// Threads:        any thread, concurrently
/// Signals:        async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_result_category(result: result_number) -> certreload_category {
    row(result).2
}

/// Returns whether a call failed, so that certreload_last_error() describes the failure.
///
/// OK, UNCHANGED and NO_EVENT are not errors. TIMED_OUT is one: the reason so far is in certreload_last_error().
///
/// @param result   any number
/// @return         false for OK, UNCHANGED and NO_EVENT; true for every other number
/// Ownership:      a number; nothing to free
/// Threads:        any thread, concurrently
/// Signals:        async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_result_is_error(result: result_number) -> bool {
    const NO_EVENT: u32 = super::result::certreload_result::NoEvent as u32;
    !matches!(row(result).2, Ok) && result != NO_EVENT
}

/// Returns the name of a category, for logs and metrics.
///
/// @param category  any number
/// @return          one lower-case word, such as "validation"; "unknown" for a number that is not a category; never NULL
/// Ownership:       static text; do not free
/// Threads:         any thread, concurrently
/// Signals:         async-signal-safe
/// Blocks:          never
/// Since:           0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_category_str(category: category_number) -> *const c_char {
    let word = match category {
        0 => c"ok",
        1 => c"not-now",
        2 => c"call",
        3 => c"system",
        4 => c"file",
        5 => c"content",
        6 => c"validation",
        _ => c"unknown",
    };
    word.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every constant of the header has a row, under its own name and number.
    #[test]
    fn table_covers_every_constant_of_the_header() {
        let header = include_str!("../../include/certreload.h");
        let constants = header.lines().filter_map(|line| {
            let (name, number) = line.trim().strip_suffix(',')?.split_once(" = ")?;
            name.starts_with("CERTRELOAD_RESULT_").then(|| (number.parse().unwrap(), name))
        });
        let constants: Vec<(u32, &str)> = constants.collect();
        let rows = TABLE.iter().map(|(number, name, ..)| (*number, name.to_str().unwrap()));
        assert_eq!(constants, rows.collect::<Vec<_>>());
        assert!(TABLE.is_sorted_by_key(|row| row.0));
    }

    /// The documented ranges of numbers are the categories.
    #[test]
    fn categories_follow_the_ranges_of_numbers() {
        for (number, name, category, _) in TABLE {
            let expected: &[certreload_category] = match number {
                0..=1 => &[Ok],
                2..=99 => &[NotNow, Call, System],
                100..=199 => &[File],
                200..=299 => &[Content],
                _ => &[Validation],
            };
            assert!(expected.contains(category), "{name:?}");
        }
    }
}
