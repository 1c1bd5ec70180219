//! Certification authorities for tests: they certify, revoke, and sign OCSP responses.

mod crl;
mod ocsp;

pub(crate) use crl::{Authority, Listing, Peer, file, in_directory, now, openssl_list};
pub(crate) use ocsp::Authorities;
