//! Tests with real handshakes in memory, each resumed or not.

mod changes_that_end_sessions;
mod key_files;
mod peers;
mod resumption_limits;
mod session_stamps_and_tickets;
mod wiping;
