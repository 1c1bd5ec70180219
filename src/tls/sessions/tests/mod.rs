//! Tests with real handshakes in memory, each resumed or not.

mod ends;
mod key_files;
mod lifetimes;
mod peers;
mod stamps;
mod wiping;
