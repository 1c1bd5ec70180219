//! OCSP responses (RFC 6960): whether one may be stapled, and until when.

mod responder;
mod response;
pub(crate) mod staple;
mod validate;

#[cfg(fuzzing)]
pub(crate) use response::{MAX_RESPONSE, parse};
pub(crate) use staple::{Staple, Stapled};
pub(crate) use validate::StapleFacts;
