//! CAs for tests: they issue certificates, CRLs and OCSP responses.

mod crl;
mod ocsp;

pub(crate) use crl::{Authority, Listing, Peer, file, in_directory, now, openssl_list};
pub(crate) use ocsp::Authorities;
