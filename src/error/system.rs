//! The errors of system calls in words for operators.

use std::io;

/// Returns the operating system's text for `error`, such as "input/output error". The standard library adds the number,
/// and a text for developers to errors without a number; neither helps an operator (G24).
pub(crate) fn system_error_in_words(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else { return error.kind().to_string() };
    let text = error.to_string();
    let text = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g24_system_errors_have_no_number_and_no_text_for_developers() {
        let of_system = |number| system_error_in_words(&io::Error::from_raw_os_error(number));
        assert_eq!(of_system(libc::EIO), "input/output error");
        assert_eq!(of_system(libc::ELOOP), "too many levels of symbolic links");
        let text = system_error_in_words(&io::Error::other("called `f()` on Some(1)"));
        assert_eq!(text, "other error");
    }
}
