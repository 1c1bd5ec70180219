//! What the Rust tests share: throw-away certificates, a host that records its events, and clients;
//! the ways in which writers put certificates on disk, and the paths by which hosts get there.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]
#![allow(
    unsafe_code,
    reason = "the C functions are called as C would, and the kernel as writers do"
)]

pub mod certificates;
pub mod client;
pub mod clock;
pub mod debug_text;
pub mod driver;
pub mod file_writers;
pub mod holdings;
pub mod host;
pub mod revoking;
pub mod rotation;
pub mod server;
pub mod shapes;
pub mod sites;
pub mod talk;
pub mod tree_writers;
pub mod trust_options;
pub mod witness;
pub mod workshop;
pub mod writers;
