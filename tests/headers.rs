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
