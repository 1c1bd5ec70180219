//! TLS certificates that renew inside running C and C++ servers.
//!
//! The crate is used through its C ABI ([`ffi`], `include/certreload.h`). Modules import only modules below them,
//! in this order from the top:
//!
//! - [`ffi`]: the C ABI, one file per C type
//! - [`runtime`]: which thread runs a reload pass for which handle, and when
//! - [`reload`]: from a trigger to a published generation; [`status`]: what can be observed of a handle
//! - [`events`]: what the host is notified of
//! - [`tls`]: the TLS configurations of one generation, and their self-check; [`watch`]: change notification
//! - [`pki`]: bytes to certificates, keys, revocation lists; [`files`]: consistent, bounded reads of files
//! - [`options`], [`error`], [`clock`], and [`sys`]: system calls that std lacks
//!
//! [`testing`] causes faults that tests cannot cause from outside.

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
mod reload;
mod runtime;
mod status;
mod sys;
#[doc(hidden)]
pub mod testing;
mod tls;
mod watch;
