//! Finds what a message for operators must not have: debug output and names of Rust types (G24).

use std::net::IpAddr;

/// Words that only debug output, panics and parsers of other libraries use.
const FOREIGN: [&str; 11] = [
    "(os error",
    "panicked at",
    "unwrap()",
    "::",
    "Some(",
    "Ok(",
    "Err(",
    "None",
    "nom",
    "ErrorKind",
    "webpki",
];

/// Returns the first piece of `message` that looks like debug output; `None` if there is none.
///
/// What a message quotes is not searched: file names, IP addresses, and text in quotation marks, such as names of
/// certificates. The
/// caller passes the file names, which may be anything.
pub fn debug_text(message: &str, file_names: &[&str]) -> Option<String> {
    let mut text = message.to_owned();
    for name in file_names.iter().filter(|name| !name.is_empty()) {
        text = text.replace(name, "FILE");
    }
    let text = without_quotations(&text);
    let is_no_address = |word: &&str| {
        let word = word.trim_matches(|character: char| ",;()[]".contains(character));
        word.trim_end_matches(':').parse::<IpAddr>().is_err() && word.parse::<IpAddr>().is_err()
    };
    let text = text.split_whitespace().filter(is_no_address).collect::<Vec<_>>().join(" ");
    let is_part_of_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    for word in FOREIGN {
        for (at, _) in text.match_indices(word) {
            let before =
                text[..at].chars().next_back().filter(|_| word.starts_with(is_part_of_word));
            let after = text[at + word.len()..].chars().next();
            let after = after.filter(|_| word.ends_with(is_part_of_word));
            if !before.is_some_and(is_part_of_word) && !after.is_some_and(is_part_of_word) {
                return Some(word.to_owned());
            }
        }
    }
    if let Some(brace) = ["{ ", " }", "[]", "{}"].into_iter().find(|brace| text.contains(brace)) {
        return Some(brace.to_owned());
    }
    text.split_whitespace().find(|word| is_type_name(word)).map(str::to_owned)
}

/// Removes what is between quotation marks within a line.
fn without_quotations(text: &str) -> String {
    let parts: Vec<_> = text.split('"').collect();
    // An odd number of quotation marks quotes nothing: then all of the text is searched.
    if parts.len() % 2 == 0 { text.to_owned() } else { parts.iter().step_by(2).copied().collect() }
}

/// Returns whether `word` has the form of a Rust type or variant: capitals within (`KeyRejected`), or a parenthesis
/// directly after (`Other(`).
///
/// Names that standards and other programs write so are no such words.
fn is_type_name(word: &str) -> bool {
    const KNOWN: [&str; 26] = [
        "cRLSign",
        "serverAuth",
        "clientAuth",
        "digitalSignature",
        "subjectAltName",
        "nextUpdate",
        "notAfter",
        "notBefore",
        "basicConstraints",
        "OCSPSigning",
        "keyCertSign",
        "GnuTLS",
        "UTF8String",
        "NumericString",
        "PrintableString",
        "TeletexString",
        "IA5String",
        "VisibleString",
        "UniversalString",
        "BMPString",
        "BasicConstraints",
        "AppArmor",
        "SELinux",
        "OpenSSL",
        "OpenSSH",
        "CertificateRequest",
    ];
    let word = word.trim_matches(|character: char| ",.;:()'\u{2026}".contains(character));
    // A path, a URL or a command: not a word.
    if KNOWN.contains(&word) || word.contains(['/', '.', '-', '@', '=']) {
        return false;
    }
    let pairs = word.as_bytes().windows(2);
    let has_capital_within =
        pairs.clone().any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    let begins_with_capital = word.starts_with(|character: char| character.is_ascii_uppercase());
    let has_parenthesis = word.contains('(') && begins_with_capital;
    begins_with_capital && has_capital_within || has_parenthesis && word.len() > 3
}
