//! Parses and validates certificates, keys, OCSP responses, CRLs and ticket keys: turns bytes into what handshakes use.

mod certificate;
mod chain;
mod chain_paths;
mod compatibility;
mod crl;
mod crl_signer;
mod der;
mod distinguished_name;
mod expiry_warning;
mod hash;
mod identity;
mod identity_changes;
mod identity_origin;
mod key;
mod leaf;
mod names;
mod ocsp;
mod oid;
mod pem;
mod prepared;
mod public_key;
mod signature;
mod skipped_lines;
#[cfg(test)]
mod test_ca;
mod ticket_keys;
mod tls_errors;
mod trust;
mod trust_input;
mod warnings;
mod wrong_format;

pub(crate) use certificate::{format_time, not_after_of, subject_and_key_of};
pub(crate) use chain_paths::NeededIntermediate;
pub(crate) use crl::{MAX_CRLS, RevocationList};
pub(crate) use crl_signer::MAX_ROOTS;
pub(crate) use hash::{Sha256, sha256, sha256_of_all};
pub(crate) use identity::{Identity, IdentityInput};
pub(crate) use key::{GivenPassword, Password, needs_password};
pub(crate) use names::{NameKind, NamePattern};
pub(crate) use ocsp::Staple;
pub(crate) use pem::MAX_CERTIFICATES;
pub(crate) use prepared::{MAX_ADAPTERS, PreparedObject, PreparedObjects};
pub(crate) use signature::is_handshake_signature;
pub(crate) use ticket_keys::{TicketFile, TicketKey, TicketKeys};
pub(crate) use tls_errors::tls_error_in_words;
pub(crate) use trust::{Trust, TrustContext};
pub(crate) use trust_input::{TrustFile, TrustInput};
pub(crate) use warnings::{Warning, WarningKind, Warnings, in_words};

/// Functions and types of this module that the fuzz targets use.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    pub(crate) use super::crl::{Crl, crls};
    pub(crate) use super::key::{KeyRules, LoadedKeys, load as load_key};
    pub(crate) use super::ocsp::StapleFacts;
    pub(crate) use super::ocsp::{MAX_RESPONSE, parse as parse_ocsp};
    pub(crate) use super::pem::certificates;
    pub(crate) use super::public_key::is_same_key;
}
