//! What the Rust tests share: throw-away certificates, a host that records its events, and clients.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]

pub mod certificates;
pub mod host;
pub mod workshop;
