//! Certificate revocation lists, CRLs (RFC 5280 section 5): which of them are enforced, and whether they may replace
//! those in use.

mod coverage;
mod issuer;
mod parse;
mod scope;
mod set;
#[cfg(test)]
mod tests_set;

pub(crate) use coverage::roots_without_list;
pub(crate) use issuer::CrlIssuers;
#[cfg(fuzzing)]
pub(crate) use parse::{Crl, crls};
pub(crate) use parse::{MAX_CRLS, is_list};
pub(crate) use scope::CrlVersion;
pub(crate) use set::{CrlContext, CrlSet, RevocationList};
