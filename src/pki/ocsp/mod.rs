//! OCSP responses (RFC 6960): whether a response may be stapled to a certificate, and until when.

mod response;
mod signer;
pub(crate) mod staple;
mod validate;

#[cfg(fuzzing)]
pub(crate) use response::{MAX_RESPONSE, parse};
pub(crate) use staple::{Staple, Stapled};
pub(crate) use validate::StapleFacts;
