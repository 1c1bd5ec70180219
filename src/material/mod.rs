//! Meaning: PEM to identities, and what makes one valid. Knows bytes, not where they come from.

#[cfg(test)]
mod authorities;
#[cfg(test)]
mod authority;
mod chain;
mod coverage;
mod crl;
mod damage;
mod der;
mod encrypted;
mod fitness;
mod identity;
mod key;
mod key_kind;
mod lifetime;
mod list_signers;
mod lists;
#[cfg(test)]
mod lists_tests;
mod looks;
mod ocsp;
mod pem;
mod responder;
mod roots;
mod series;
mod signature;
mod staple;
mod ticket_key;
mod ticket_keys;
mod trust;
mod trust_file;
#[cfg(test)]
mod trust_tests;
mod warnings;
mod x509;

pub(crate) use crl::MAX_CRLS;
pub(crate) use identity::{Identity, Parts};
pub(crate) use key::{Password, takes_password};
pub(crate) use pem::MAX_CERTIFICATES;
pub(crate) use roots::MAX_ROOTS;
pub(crate) use staple::Staple;
pub(crate) use ticket_key::TicketKey;
pub(crate) use ticket_keys::{TicketFile, TicketKeys};
pub(crate) use trust::{List, Trust};
pub(crate) use trust_file::{TrustFile, TrustParts};
pub(crate) use warnings::{Warning, WarningKind, Warnings, in_words};
pub(crate) use x509::{format_time, not_after_of, subject_and_key_of};

/// What the fuzz targets reach besides.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    pub(crate) use super::crl::{Crl, crls};
    pub(crate) use super::fitness::StapleFacts;
    pub(crate) use super::key::load as load_key;
    pub(crate) use super::ocsp::{MAX_RESPONSE, parse as parse_ocsp};
    pub(crate) use super::pem::certificates;
}
