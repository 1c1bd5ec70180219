//! Meaning: PEM to identities, and what makes one valid. Knows bytes, not where they come from.

mod chain;
#[cfg(any(test, fuzzing))]
mod crl;
mod der;
mod encrypted;
mod identity;
mod key;
mod key_kind;
mod lifetime;
mod looks;
mod ocsp;
mod pem;
#[cfg(any(test, fuzzing))]
mod roots;
mod signature;
mod warnings;
mod x509;

pub(crate) use identity::{Identity, Parts, Staple};
pub(crate) use key::{Password, takes_password};
pub(crate) use pem::MAX_CERTIFICATES;
pub(crate) use warnings::{Warning, WarningKind, Warnings, in_words};
pub(crate) use x509::format_time;

/// What the fuzz targets reach besides.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use crate::error::Cause;

    pub(crate) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Cause> {
        super::pem::certificates(bytes)
    }

    pub(crate) fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Cause> {
        super::pem::private_key(bytes)
    }

    pub(crate) fn is_usable_staple(der: &[u8]) -> bool {
        super::ocsp::is_usable(der)
    }
}
