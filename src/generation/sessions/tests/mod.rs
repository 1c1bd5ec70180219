//! Real handshakes in memory, resumed or not.

mod changes;
mod keys;
mod peers;
mod values;
