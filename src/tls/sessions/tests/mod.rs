//! Real handshakes in memory, resumed or not.

mod beginnings;
mod changes;
mod keys;
mod peers;
mod values;
mod wiping;
