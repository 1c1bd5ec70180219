//! The messages of certreload about the corpus: each names its file, and none is written for programmers (G24).

use crate::case::{Findings, Verdict};

/// Cases whose messages are known to have text for programmers.
const KNOWN: &[&str] = &[];

pub fn faults(findings: &Findings) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, opinions) in findings {
        let ours = &opinions.0[2];
        let is_known = KNOWN.contains(&name.as_str());
        if is_for_programmers(&ours.message) != is_known {
            let what = if is_known { "this is mended" } else { "text for programmers" };
            faults.push(format!("{what}: {name}: {}", ours.message));
        }
        let is_refusal = ours.verdict == Verdict::Refused && !ours.message.is_empty();
        if is_refusal && !ours.message.starts_with('/') {
            faults.push(format!("no file: {name}: {}", ours.message));
        }
    }
    faults
}

/// Whether `message` has what Rust prints for programmers: `Name(`, `{ ` or `::`.
fn is_for_programmers(message: &str) -> bool {
    let ends_in_type = |before: &str| {
        let letters = before.bytes().rev().take_while(u8::is_ascii_alphabetic).count();
        let word = &before[before.len() - letters..];
        word.bytes().rev().skip(1).any(|byte| byte.is_ascii_uppercase())
    };
    message.contains("::")
        || message.contains("{ ")
        || message.match_indices('(').any(|(at, _)| ends_in_type(&message[..at]))
}

#[test]
fn text_for_programmers_is_recognised() {
    for bad in
        ["OtherError(NameConstraintViolation)", "a Error(1)", "rustls::Error", "Context { id"]
    {
        assert!(is_for_programmers(bad), "{bad}");
    }
    for good in
        ["it is not a CRL (RFC 5280)", "after certreload_after_fork() was called", "chown(2)"]
    {
        assert!(!is_for_programmers(good), "{good}");
    }
}
