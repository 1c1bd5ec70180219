//! The committed header is the one that `src/ffi` gives.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::fs;
use std::path::Path;

/// Run with `CERTRELOAD_BLESS=1` to write the header anew.
#[test]
fn the_committed_header_is_up_to_date() {
    let generated = Path::new(env!("CERTRELOAD_GENERATED_INCLUDE")).join("certreload.h");
    let generated = fs::read_to_string(generated).unwrap();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/certreload.h");
    if std::env::var_os("CERTRELOAD_BLESS").is_some() {
        fs::write(&committed, &generated).unwrap();
    }
    let committed = fs::read_to_string(committed).unwrap();
    assert!(
        committed == generated,
        "include/certreload.h is stale: run CERTRELOAD_BLESS=1 cargo test --test headers"
    );
}

/// A reader finds the same five answers at every function.
#[test]
fn every_function_says_who_owns_what_and_from_where_it_may_be_called() {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/certreload.h");
    let header = fs::read_to_string(header).unwrap();
    let exported = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/symbols.txt");
    let exported = fs::read_to_string(exported).unwrap();
    let mut lacking = Vec::new();
    for name in exported.lines().filter(|line| line.starts_with("certreload_")) {
        let call = format!("{name}(");
        // Others' comments speak of the function, too: its own ends right before its declaration.
        let own = header.match_indices(&call).filter_map(|(at, _)| {
            let (comment, between) = header[..at].rsplit_once("*/")?;
            let is_own = !between.contains(['(', ';', '/']);
            is_own.then(|| comment.rsplit_once("/**").map_or("", |(_, comment)| comment))
        });
        let own = own.last().unwrap_or_default();
        for heading in ["Ownership:", "Threads:", "Signals:", "Blocks:", "Since:"] {
            if !own.contains(&format!("\n * {heading}")) {
                lacking.push(format!("{name} lacks {heading}"));
            }
        }
    }
    assert!(lacking.is_empty(), "{lacking:#?}");
}
