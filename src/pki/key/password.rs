//! The password of an encrypted key, and where it comes from.

use std::path::Path;

use crate::error::Cause;
use crate::sys::SecretBytes;

/// The bytes of a password; wiped when they are dropped.
pub(crate) type Password = SecretBytes;

/// A password with its file, which the message about a wrong password names.
pub(crate) struct GivenPassword<'a> {
    pub(super) bytes: Password,
    file: Option<PasswordFile<'a>>,
}

struct PasswordFile<'a> {
    path: &'a Path,
    /// The end of the message: why the password may not be what its owner typed.
    doubt: &'static str,
}

impl<'a> GivenPassword<'a> {
    /// The password in the file at `path`: the first line of `content`, without the line ending. It is used as it is,
    /// because a password may be any bytes, byte order marks included.
    pub(crate) fn in_file(path: &'a Path, content: &[u8]) -> Self {
        let end = content.iter().position(|byte| *byte == b'\n').unwrap_or(content.len());
        let line = &content[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let file = PasswordFile { path, doubt: doubt_about(line) };
        Self { bytes: Password::copy_of(line), file: Some(file) }
    }

    /// The password that the host's callback returned.
    pub(crate) fn of_callback(bytes: Password) -> Self {
        Self { bytes, file: None }
    }

    /// Returns the failure that the password is wrong.
    pub(super) fn wrong(&self) -> Cause {
        match &self.file {
            Some(PasswordFile { path, doubt }) => {
                Cause::FilePasswordWrong { file: (*path).to_owned(), doubt }
            }
            None => Cause::KeyPasswordWrong,
        }
    }
}

/// Returns why `line` may not be the password that its owner typed, to follow the name of its file. The text is of
/// forms that editors and shells add, and reveals nothing else about the password (G18).
fn doubt_about(line: &[u8]) -> &'static str {
    match line {
        [] => ", whose first line is empty",
        [0xef, 0xbb, 0xbf, ..] => {
            ", which begins with a byte order mark; a byte order mark is part of the password, so save the file without it"
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ", which is UTF-16; save it as UTF-8",
        line if line.contains(&0) => ", which has zero bytes, as UTF-16 has; save it as UTF-8",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g24_wrong_password_names_its_file_and_what_is_odd_about_it() {
        let utf16: Vec<u8> = "word\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let table: [(&[u8], &str); 6] = [
            (b"word\nmore", "with the password in /pw"),
            (b"", "in /pw, whose first line is empty"),
            (b"\r\nword", "in /pw, whose first line is empty"),
            (b"\xef\xbb\xbfword\n", "in /pw, which begins with a byte order mark"),
            (b"\xff\xfew\0", "in /pw, which is UTF-16; save it as UTF-8"),
            (&utf16, "in /pw, which has zero bytes, as UTF-16 has"),
        ];
        for (content, words) in table {
            let message = GivenPassword::in_file("/pw".as_ref(), content).wrong().to_string();
            assert!(message.contains(words), "{message}");
        }
        let given = GivenPassword::in_file("/pw".as_ref(), b"\xef\xbb\xbfword\r\n");
        assert_eq!(&given.bytes[..], b"\xef\xbb\xbfword", "as it is");
    }
}
