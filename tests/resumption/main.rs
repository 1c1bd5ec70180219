//! Sessions across changes of certificates, trust and ticket keys: resumed, begun anew or refused, as
//! promised (G8, G13, G14), with clients that others have written.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]
#![allow(clippy::wildcard_imports, reason = "one C name after another")]

mod ca;
mod fleet;
mod matrix;
mod peers;
mod rotations;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod world;
