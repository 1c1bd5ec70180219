//! One identity: a chain, the key that belongs to it, perhaps a staple, and what they say.

use std::ffi::{CStr, CString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::Error as TlsError;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::lifetime;
use super::pem;
use super::warnings::Warnings;
use super::x509::{self, Facts, format_time};
use super::{ocsp, x509::hexadecimal};
use crate::error::{Cause, Error};

/// The bytes that an identity is made of, each with the path to name in a failure.
pub(crate) struct Parts<'a> {
    pub(crate) chain: (&'a Path, &'a [u8]),
    pub(crate) key: (&'a Path, &'a [u8]),
    pub(crate) staple: Staple<'a>,
}

/// The OCSP response that goes with an identity.
#[derive(Clone, Copy)]
pub(crate) enum Staple<'a> {
    NotAskedFor,
    Unreadable,
    Bytes(&'a [u8]),
}

/// What a server proves itself with. Immutable; the key is wiped when the last user lets go.
#[derive(Debug)]
pub(crate) struct Identity {
    certified_key: Arc<CertifiedKey>,
    names: Vec<CString>,
    not_before: i64,
    not_after: i64,
    expiring_from: Option<i64>,
    serial: CString,
    sha256: CString,
    warnings: Warnings,
}

impl Identity {
    /// Makes an identity out of bytes, or says what is wrong with them at the time `now`.
    pub(crate) fn new(
        parts: &Parts<'_>,
        provider: &CryptoProvider,
        now: i64,
    ) -> Result<Self, Error> {
        let (chain_path, chain_bytes) = parts.chain;
        let (key_path, key_bytes) = parts.key;
        let at_chain = |cause: Cause| Error::at(chain_path, cause);
        let at_key = |cause: Cause| Error::at(key_path, cause);

        let chain = pem::certificates(chain_bytes).map_err(at_chain)?;
        let key = pem::private_key(key_bytes).map_err(at_key)?;
        let facts = facts_of_leaf(&chain).map_err(at_chain)?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|error| at_key(Cause::KeyUnsupported(error.to_string())))?;
        let sha256 = hexadecimal(digest(&SHA256, &chain[0]).as_ref());

        let mut certified_key = CertifiedKey::new(chain, key);
        match certified_key.keys_match() {
            // A provider that cannot tell leaves it to the self-check, which can.
            Ok(()) | Err(TlsError::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(TlsError::InconsistentKeys(_)) => {
                return Err(at_key(Cause::KeyMismatch { chain: chain_path.to_owned() }));
            }
            Err(error) => return Err(at_chain(malformed(0, &error))),
        }
        check_dates(&facts, now).map_err(at_chain)?;

        let mut warnings = Warnings::default();
        match parts.staple {
            Staple::NotAskedFor => {}
            Staple::Bytes(der) if ocsp::is_usable(der) => certified_key.ocsp = Some(der.to_vec()),
            Staple::Bytes(_) | Staple::Unreadable => warnings.ocsp_unusable = true,
        }
        Ok(Self {
            certified_key: Arc::new(certified_key),
            names: facts.names,
            not_before: facts.not_before,
            not_after: facts.not_after,
            expiring_from: lifetime::expiring_from(facts.not_before, facts.not_after, None),
            serial: c_string(facts.serial),
            sha256: c_string(sha256),
            warnings,
        })
    }

    /// Adds what the bytes alone do not tell.
    pub(crate) fn with_warnings(mut self, warnings: Warnings) -> Self {
        self.warnings |= warnings;
        self
    }

    /// Sets how long before its end a renewal should have come, in place of the default.
    pub(crate) fn with_expiry_warning(mut self, warning: Option<Duration>) -> Self {
        self.expiring_from = lifetime::expiring_from(self.not_before, self.not_after, warning);
        self
    }

    pub(crate) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified_key
    }

    /// DNS names in lower case and IP addresses, as the leaf has them.
    pub(crate) fn names(&self) -> &[CString] {
        &self.names
    }

    pub(crate) fn not_before(&self) -> i64 {
        self.not_before
    }

    pub(crate) fn not_after(&self) -> i64 {
        self.not_after
    }

    pub(crate) fn serial(&self) -> &CStr {
        &self.serial
    }

    /// The fingerprint of the leaf, in lower-case hexadecimal.
    pub(crate) fn sha256(&self) -> &CStr {
        &self.sha256
    }

    /// Leaf first.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified_key.cert
    }

    pub(crate) fn ocsp(&self) -> Option<&[u8]> {
        self.certified_key.ocsp.as_deref()
    }

    pub(crate) fn warnings(&self) -> Warnings {
        self.warnings
    }

    /// From when on a renewal should have come; `None` where nobody wants to be warned.
    pub(crate) fn expiring_from(&self) -> Option<i64> {
        self.expiring_from
    }

    /// What taking this in the place of `before` loses.
    pub(crate) fn warnings_after(&self, before: &Self) -> Warnings {
        Warnings {
            names_lost: before.names.iter().any(|name| !self.names.contains(name)),
            expires_earlier: self.not_after < before.not_after,
            ..Warnings::default()
        }
    }
}

/// The leaf's facts; every other certificate must be readable too, for clients will read it.
fn facts_of_leaf(chain: &[CertificateDer<'_>]) -> Result<Facts, Cause> {
    let leaf = x509::facts(&chain[0], 0)?;
    for (index, certificate) in chain.iter().enumerate().skip(1) {
        x509::facts(certificate, index)?;
    }
    Ok(leaf)
}

fn check_dates(facts: &Facts, now: i64) -> Result<(), Cause> {
    if now > facts.not_after {
        return Err(Cause::Expired { at: format_time(facts.not_after) });
    }
    if now < facts.not_before {
        return Err(Cause::NotYetValid { at: format_time(facts.not_before) });
    }
    Ok(())
}

fn malformed(index: usize, reason: &dyn ToString) -> Cause {
    Cause::CertificateMalformed { index: index + 1, reason: reason.to_string() }
}

/// Hexadecimal digits hold no NUL.
fn c_string(text: String) -> CString {
    CString::new(text).unwrap_or_default()
}
