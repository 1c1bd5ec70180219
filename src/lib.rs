//! TLS certificates that renew inside running C and C++ servers.
//!
//! The crate is used through its C ABI ([`ffi`], `include/certreload.h`). Data flows one way through
//! the rooms, each handing an owned value to the next:
//!
//! - [`options`]: what to load and how: plain data
//! - [`source`]: bytes: stable, bounded reads of a unit's files
//! - [`material`]: meaning: bytes to identities, and what makes one valid
//! - [`generation`]: a candidate, the config built from it, and the handshake that proves it
//! - [`reload`]: the machine: triggers, settle, publish, events, health
//! - [`watch`]: the kernel's notifications
//! - [`ffi`]: the C ABI; nothing depends on it
//!
//! [`error`] holds what any of them can fail with; [`clock`] tells the time; [`sys`] the system calls that std lacks; [`guard`]
//! turns a panic into a value, [`hush`] keeps the self-check out of the log, [`wipe`] keys off the stack; [`testing`] makes faults that tests cannot make from outside.

mod clock;
mod error;
pub mod ffi;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod generation;
mod guard;
mod hush;
mod material;
mod options;
mod reload;
mod source;
mod sys;
#[doc(hidden)]
pub mod testing;
mod watch;
mod wipe;
