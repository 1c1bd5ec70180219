//! What peers are checked against: roots, revocation lists, and the verifiers made of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;

use super::warnings::Warning;
use crate::error::{Cause, Error};
use crate::options::TrustOptions;

/// One file that was read.
#[derive(Clone, Copy)]
pub(crate) struct TrustFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) bytes: &'a [u8],
    /// It was found in a directory, where files of other kinds may lie beside it.
    pub(crate) is_in_directory: bool,
}

/// The bytes that trust is made of. `None` where nothing was asked for.
pub(crate) struct TrustParts<'a> {
    pub(crate) client_roots: Option<Vec<TrustFile<'a>>>,
    pub(crate) server_roots: Option<Vec<TrustFile<'a>>>,
    pub(crate) crls: Vec<TrustFile<'a>>,
}

/// A revocation list that counts.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) path: PathBuf,
    /// For people.
    pub(crate) issuer: String,
    /// Of the whole list.
    pub(crate) sha256: [u8; 32],
    /// Seconds since 1970.
    pub(crate) this_update: i64,
    pub(crate) next_update: Option<i64>,
    /// From when on a newer one should have come.
    pub(crate) expiring_from: Option<i64>,
}

/// Roots, lists and rules, good as a whole. Immutable.
#[derive(Debug)]
pub(crate) struct Trust {
    fingerprint: [u8; 32],
    client_verifier: Option<Arc<dyn ClientCertVerifier>>,
    server_verifier: Option<Arc<dyn ServerCertVerifier>>,
    lists: Vec<List>,
    warnings: Vec<Warning>,
}

impl Trust {
    /// Makes trust out of bytes, or says what is wrong with them at the time `now`, where `before` served.
    pub(crate) fn new(
        _parts: &TrustParts<'_>,
        _options: &TrustOptions,
        _provider: &Arc<CryptoProvider>,
        _now: i64,
        _before: Option<&Self>,
    ) -> Result<Self, Error> {
        Err(Error::new(Cause::NotConfigured("trust")))
    }

    /// Tells one trust from another, whatever files it came in: equal only where every peer is treated alike.
    pub(crate) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// `None` where clients are not asked for certificates.
    pub(crate) fn client_verifier(&self) -> Option<&Arc<dyn ClientCertVerifier>> {
        self.client_verifier.as_ref()
    }

    /// `None` where there is no client role.
    pub(crate) fn server_verifier(&self) -> Option<&Arc<dyn ServerCertVerifier>> {
        self.server_verifier.as_ref()
    }

    pub(crate) fn client_root_count(&self) -> usize {
        0
    }

    pub(crate) fn server_root_count(&self) -> usize {
        0
    }

    /// How many entries all lists have.
    pub(crate) fn revoked_count(&self) -> usize {
        0
    }

    pub(crate) fn lists(&self) -> &[List] {
        &self.lists
    }

    /// From when on a list that has expired would have peers refused, if that is the rule.
    pub(crate) fn lists_hold_until(&self) -> Option<i64> {
        None
    }

    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}
