//! Real handshakes in memory, resumed or not.

mod changes;
mod peers;
