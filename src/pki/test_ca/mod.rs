//! CAs for tests: they issue certificates, CRLs and OCSP responses.

mod authority;
mod ocsp_responses;

pub(crate) use authority::{Authority, Listing, Peer, file, in_directory, now, openssl_list};
pub(crate) use ocsp_responses::Authorities;
