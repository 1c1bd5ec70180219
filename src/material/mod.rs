//! Meaning: PEM to identities, and what makes one valid. Knows bytes, not where they come from.

mod identity;
mod lifetime;
mod ocsp;
mod pem;
mod warnings;
mod x509;

pub(crate) use identity::{Identity, Parts, Staple};
pub(crate) use pem::MAX_CERTIFICATES;
pub(crate) use warnings::Warnings;
pub(crate) use x509::format_time;
