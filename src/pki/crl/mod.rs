//! Certificate revocation lists, CRLs (RFC 5280 section 5): which of them are enforced, and whether they may replace
//! those in use.

mod issuer;
mod parse;
mod replacement;
mod roots_without_crl;
mod scope;
mod selection;
#[cfg(test)]
mod tests_selection;

pub(crate) use issuer::CrlIssuers;
#[cfg(fuzzing)]
pub(crate) use parse::{Crl, crls};
pub(crate) use parse::{MAX_CRLS, is_list};
pub(crate) use replacement::CrlVersion;
pub(crate) use roots_without_crl::{lists_in_other_bytes, roots_without_list};
pub(crate) use selection::{CrlContext, CrlSet, RevocationList};
