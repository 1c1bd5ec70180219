//! Turns the name of an error of rustls into words. It is the only description that some errors have, and a message
//! must not show it as it is (G24).

use std::fmt::Debug;

/// Returns the name of a variant in words: `SelectedUnofferedPsk` becomes "selected unoffered PSK".
///
/// The parameters of the variant are left out.
pub(super) fn in_words(variant: &dyn Debug) -> String {
    let text = format!("{variant:?}");
    words_of(name_of(&text)).join(" ")
}

/// Returns the name at the start of a debug text.
pub(super) fn name_of(debug: &str) -> &str {
    let end = debug.find(|character: char| !character.is_ascii_alphanumeric());
    &debug[..end.unwrap_or(debug.len())]
}

fn words_of(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut start = 0;
    let bytes = name.as_bytes();
    for at in 1..=bytes.len() {
        let begins = bytes.get(at).is_none_or(|byte| {
            // Capitals in a row are one word, except for the last one, which may begin the next word.
            let is_capital = byte.is_ascii_uppercase();
            let after_small = !bytes[at - 1].is_ascii_uppercase();
            let before_small = bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            is_capital && (after_small || before_small)
        });
        if begins {
            words.push(word(&name[start..at]));
            start = at;
        }
    }
    words
}

/// Returns a part of a name as it is written in a sentence.
fn word(part: &str) -> String {
    let word = match part {
        "Tls12" => "TLS 1.2",
        "Tls13" => "TLS 1.3",
        "Tls" => "TLS",
        "Psk" => "PSK",
        "Ech" => "ECH",
        "Ec" => "EC",
        "Dh" => "DH",
        "Sct" => "SCT",
        "Ccs" => "change cipher spec",
        "Ems" => "extended master secret",
        "Kx" => "key exchange",
        "Sig" => "signature",
        "Cert" => "certificate",
        "Certs" => "certificates",
        "Params" => "parameters",
        "Ids" => "identities",
        part if part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_uppercase()) => part,
        part => return part.to_ascii_lowercase(),
    };
    word.to_owned()
}

/// Returns `text` if it is a sentence for people: no names of Rust types, no debug output, and short.
pub(super) fn plain(text: &str) -> Option<&str> {
    let is_plain_word = |word: &str| {
        let after_first = word.char_indices().skip(1);
        let mut pairs = after_first.map(|(at, character)| (&word[..at], character));
        !pairs.any(|(before, character)| {
            character.is_ascii_uppercase()
                && before.ends_with(|last: char| last.is_ascii_lowercase())
        })
    };
    let is_allowed =
        |character: char| character.is_ascii_alphanumeric() || " .,;:'-/".contains(character);
    let is_sentence = text.contains(' ') && !text.contains("::");
    let is_plain = is_sentence
        && text.len() <= 120
        && text.chars().all(is_allowed)
        && text.split(' ').all(is_plain_word);
    is_plain.then_some(text)
}

/// Returns words for an error for which this version has none.
pub(super) fn unknown_in_words(error: &dyn Debug) -> String {
    let name = in_words(error);
    format!(
        "the TLS library refused it for a reason that this version of certreload does not know ({name})"
    )
}

/// Returns words for an error of another library, of which only the `text` is known.
pub(super) fn other_error_in_words(text: &str) -> String {
    match plain(text) {
        Some(text) => text.to_owned(),
        None => {
            "the TLS library refused it for a reason that it gives only to developers".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_words() {
        let table = [
            ("SelectedUnofferedPsk", "selected unoffered PSK"),
            ("Tls12NotOffered", "TLS 1.2 not offered"),
            ("UnknownCA", "unknown CA"),
            ("ECHRequired", "ECH required"),
            ("MissingData(\"x\")", "missing data"),
            ("Other { a: 1 }", "other"),
            ("", ""),
        ];
        for (name, words) in table {
            assert_eq!(words_of(name_of(name)).join(" "), words);
        }
        assert_eq!(in_words(&Some(1)), "some");
    }

    #[test]
    fn only_sentences_are_plain() {
        assert_eq!(plain("signing failed"), Some("signing failed"));
        for text in ["InvalidEncoding", "a KeyRejected b", "f(x) failed", "a::b c", "", "None"] {
            assert_eq!(plain(text), None, "{text}");
        }
        assert_eq!(plain(&"a ".repeat(100)), None);
    }
}
