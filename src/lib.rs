//! TLS certificates that renew inside running C and C++ servers.
//!
//! The crate is used through its C ABI ([`ffi`], `include/certreload.h`). A module imports only modules that are below
//! it in this list:
//!
//! - [`ffi`]: the C ABI, one file per C type or group of functions
//! - [`runtime`]: which thread runs a reload pass for which handle, and when
//! - [`reload`]: from a trigger to a published generation; [`status`]: health, expiry and metrics of a handle
//! - [`events`]: events for the host, their queue, and the thread that calls its callbacks
//! - [`tls`]: the TLS configurations of one generation, and their self-check; [`watch`]: notifications of changed files
//! - [`pki`]: parses and checks certificates, keys, revocation lists; [`files`]: reads files as they are at one moment
//! - [`options`]: the host's settings; [`error`]; [`clock`]; [`sys`]: services of the operating system that std lacks
//!
//! [`testing`] lets tests cause faults that they cannot cause from outside.

mod clock;
mod error;
mod events;
pub mod ffi;
mod files;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod options;
mod pki;
mod readers;
mod reload;
mod runtime;
mod status;
mod sys;
#[doc(hidden)]
pub mod testing;
mod tls;
mod watch;
