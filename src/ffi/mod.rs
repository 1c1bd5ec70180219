//! The C ABI: the functions and types that C programs use. Each function converts its parameters and calls the core.
//! Unsafe code is only here and in `sys`.
//!
//! `certreload.h` is generated from these files; their doc comments are the C documentation.

#![allow(unsafe_code, reason = "this is where pointers from C become references")]
#![allow(clippy::missing_safety_doc, reason = "each function's docs state the contract for C")]
#![allow(clippy::doc_markdown, reason = "the docs are for C, where names bear no backticks")]
#![allow(clippy::unreadable_literal, reason = "cbindgen carries literals over as they stand")]
#![allow(non_camel_case_types, reason = "names as C has them")]
#![allow(
    unreachable_pub,
    reason = "C programs reach the functions by symbol name, which the lint does not see"
)]

pub mod adapter;
pub mod after_fork;
mod cast;
mod duplicate_rustls_ffi;
pub mod event;
pub mod event_callback;
pub mod event_loop;
pub mod generation;
pub mod generation_for_adapters;
pub mod handle;
pub mod identity_bytes;
pub mod identity_getters;
pub mod last_error;
pub mod log;
pub mod metrics;
pub mod new_connection;
pub mod options;
mod panic_boundary;
pub mod push_identity;
pub mod reload;
pub mod result;
pub mod result_description;
pub mod sessions;
pub mod set_event_callback;
pub mod status;
pub mod trust_store;
pub mod userdata;
pub mod version;
pub mod view;
