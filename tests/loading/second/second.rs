//! The C functions of rustls-ffi, and nothing else.

pub use rustls_ffi::*;
