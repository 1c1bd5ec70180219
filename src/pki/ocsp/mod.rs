//! OCSP responses (RFC 6960): whether a response may be stapled to a certificate, and until when.

pub(crate) mod choose_staple;
mod response;
mod signer;
mod validate;

pub(crate) use choose_staple::{Staple, Stapled};
#[cfg(fuzzing)]
pub(crate) use response::{MAX_RESPONSE, parse};
pub(crate) use validate::StapleFacts;
