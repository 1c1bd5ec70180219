//! Selects the CRLs to enforce from those in the CRL files, and decides whether they may replace the CRLs in use.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateRevocationListDer;

use super::issuer::CrlIssuers;
use super::parse::{Crl, MAX_CRLS, crls};
use super::replacement::{CrlVersion, remembered};
use crate::error::{Cause, Error};
use crate::pki::certificate::format_time;
use crate::pki::crl_signer::CrlSigner;
use crate::pki::distinguished_name::DistinguishedName;
use crate::pki::expiry_warning::list_expiring_from;
use crate::pki::hash::{Sha256, sha256};
use crate::pki::skipped_lines::skipped_lines;
use crate::pki::trust_input::TrustFile;
use crate::pki::warnings::{Warning, WarningKind};

/// A CRL that is enforced.
#[derive(Debug)]
pub(crate) struct RevocationList {
    pub(crate) path: PathBuf,
    /// The issuer's name for messages.
    pub(crate) issuer: String,
    /// The digest of the whole CRL.
    pub(crate) sha256: Sha256,
    /// Seconds since 1970.
    pub(crate) this_update: i64,
    pub(crate) next_update: Option<i64>,
    /// When the expiry warning begins, since no newer CRL has been loaded by then; `None` if warnings are off.
    pub(crate) expiring_from: Option<i64>,
    /// The number of certificates that it revokes.
    pub(crate) revoked: usize,
    /// The position in the file, from 1.
    pub(super) index: usize,
    version: CrlVersion,
    is_signed_by_root: bool,
}

/// The CRLs of a trust store.
#[derive(Default)]
pub(crate) struct CrlSet {
    /// The CRLs in DER, at the same positions as in `lists`.
    pub(crate) ders: Vec<CertificateRevocationListDer<'static>>,
    pub(crate) lists: Vec<RevocationList>,
    pub(crate) warnings: Vec<Warning>,
    /// The newest version of each scope that was ever in use.
    pub(crate) newest: Vec<CrlVersion>,
}

/// The settings and the CRLs in use, against which new CRLs are validated.
pub(crate) struct CrlContext<'a> {
    /// The configured CRL files and directories.
    pub(crate) places: &'a [PathBuf],
    pub(crate) issuers: CrlIssuers<'a>,
    pub(crate) algorithms: &'a WebPkiSupportedAlgorithms,
    pub(crate) allow_expired: bool,
    /// The current time, in seconds since 1970.
    pub(crate) now: i64,
    /// The CRLs in use.
    pub(crate) in_use: &'a [RevocationList],
    /// The newest version of each scope that was ever in use; older CRLs are rejected.
    pub(crate) newest: &'a [CrlVersion],
}

impl CrlSet {
    /// Returns the newest CRL of each scope in `files`, or the first reason why the files must not be used.
    ///
    /// All CRLs are verified, also those that a newer one makes superfluous. A thisUpdate in the future is accepted:
    /// the issuer signed the CRL, and rejecting it would keep one in use that revokes less.
    pub(crate) fn read(files: &[TrustFile<'_>], context: &CrlContext<'_>) -> Result<Self, Error> {
        let mut newest: Vec<VerifiedCrl> = Vec::new();
        for crl in verified(files, context)? {
            let version = &crl.list.version;
            match newest.iter_mut().find(|other| other.list.version.scope.is_same(&version.scope)) {
                Some(other) if other.list.version.compare(version) == Ordering::Less => {
                    *other = crl;
                }
                Some(_) => {}
                None => newest.push(crl),
            }
        }
        let (lists, ders): (Vec<_>, Vec<_>) =
            newest.into_iter().map(|crl| (crl.list, crl.der)).unzip();
        let versions: Vec<&CrlVersion> = lists.iter().map(|list| &list.version).collect();
        let mut warnings = Vec::new();
        for file in files {
            warnings.extend(
                skipped_lines(file.bytes)
                    .iter()
                    .filter(|line| !line.is_comment)
                    .map(|line| line.warning(file.path)),
            );
        }
        for list in &lists {
            list.check_rollback(context.newest, &versions)?;
            warnings.extend(list.check_expiry(context)?);
            warnings.extend(list.unverified());
        }
        for old in context.in_use {
            warnings.extend(old.check_replaced(&lists, context)?);
        }
        let newest = remembered(versions.into_iter().cloned().collect(), context.newest);
        Ok(Self { ders, lists, warnings, newest })
    }
}

impl RevocationList {
    fn new(path: &Path, crl: &Crl, signer: Option<Sha256>, issuers: &CrlIssuers<'_>) -> Self {
        let version = CrlVersion::of(crl, signer);
        Self {
            path: path.to_owned(),
            is_signed_by_root: issuers.roots.iter().any(|root| version.scope.is_signed_by(root)),
            issuer: crl.issuer_title.clone(),
            sha256: sha256(&crl.der),
            this_update: crl.this_update,
            next_update: Some(crl.next_update),
            expiring_from: list_expiring_from(crl.this_update, crl.next_update, None),
            revoked: crl.entries,
            index: crl.index,
            version,
        }
    }

    /// Sets how long before its nextUpdate the CRL's expiry warning begins.
    ///
    /// `None` keeps the default. Zero turns the warning off. A time of more than a third of the CRL's period counts as
    /// a third: the setting is meant for certificates, and the whole period may be shorter.
    pub(crate) fn set_expiry_warning(&mut self, warning: Option<Duration>) {
        let from = |next| list_expiring_from(self.this_update, next, warning);
        self.expiring_from = self.next_update.and_then(from);
    }

    /// Returns the error that this CRL cannot be used, for `reason`.
    pub(crate) fn unusable(&self, reason: String) -> Error {
        Error::at(&self.path, Cause::CrlMalformed { index: self.index, reason })
    }

    /// Returns whether the CRL was signed with the key of `ca`.
    pub(crate) fn is_signed_by(&self, ca: &CrlSigner) -> bool {
        self.version.scope.is_signed_by(ca)
    }

    /// Returns in words how the issuer's name differs in bytes from that of `ca`, whose key signed the CRL; `None` if it
    /// does not, or if that key did not. rustls applies the CRL to peers of `ca` only if there is no difference.
    pub(super) fn difference_from(&self, ca: &CrlSigner) -> Option<String> {
        let issuer = &self.version.scope.issuer;
        let differs = self.is_signed_by(ca) && !issuer.has_same_bytes(&ca.subject);
        differs.then(|| issuer.difference(&ca.subject))
    }

    /// Returns the issuer's name for the message that this CRL was lost, although `lists` may have one of the same
    /// issuer.
    fn lost_issuer(&self, lists: &[Self]) -> String {
        let issuer = &self.version.scope.issuer;
        let is_like =
            |other: &&DistinguishedName<'_>| *other == issuer && !other.has_same_bytes(issuer);
        match lists.iter().map(|list| &list.version.scope.issuer).find(is_like) {
            Some(other) => {
                let difference = other.difference(issuer);
                format!("{}, with its name in the same bytes ({difference}),", self.issuer)
            }
            None => self.issuer.clone(),
        }
    }

    /// Rejects this CRL if it is older than one that was in use: it may lack what was revoked since (G13).
    fn check_rollback(
        &self,
        newest: &[CrlVersion],
        candidates: &[&CrlVersion],
    ) -> Result<(), Error> {
        match newest.iter().find_map(|known| self.version.rolls_back(known, candidates)) {
            None => Ok(()),
            Some(order) => {
                let (index, issuer, order) = (self.index, self.issuer.clone(), order.into());
                Err(Error::at(&self.path, Cause::CrlRollback { index, issuer, order }))
            }
        }
    }

    /// Rejects this CRL if it has expired, unless the rules allow that or the CRL is in use already; then it returns a
    /// warning.
    ///
    /// A CRL that expired while in use does not prevent the renewal of other CRLs. If the files were rejected, the
    /// expired CRL would stay in use all the same.
    fn check_expiry(&self, context: &CrlContext<'_>) -> Result<Option<Warning>, Error> {
        let Some(next_update) = self.next_update.filter(|at| *at <= context.now) else {
            return Ok(None);
        };
        let (index, issuer) = (self.index, self.issuer.clone());
        let cause = Cause::CrlExpired { index, issuer, at: format_time(next_update).into() };
        let is_in_use = context.in_use.iter().any(|old| old.sha256 == self.sha256);
        if !context.allow_expired && !is_in_use {
            return Err(Error::at(&self.path, cause));
        }
        let path = self.path.display();
        Ok(Some(Warning::new(WarningKind::CrlExpired, format!("{path}: {cause}"))))
    }

    /// Returns a warning if no certificate of the issuer is known, so that the signature could not be verified.
    fn unverified(&self) -> Option<Warning> {
        (!self.version.scope.has_known_signer()).then(|| {
            let text = format!(
                "certificate revocation list {} of {} is of \"{}\", and no known certificate of that name has the key that signed it: its signature is only verified when a peer sends that issuer's certificate; to verify it on loading, add the certificate to the file",
                self.index,
                self.path.display(),
                self.issuer
            );
            Warning::new(WarningKind::CrlUnrelated, text)
        })
    }

    /// Checks that this CRL, which is in use, has a replacement among `lists`.
    ///
    /// Without a replacement, the status of the certificates that it revokes would become unknown. With
    /// `CERTRELOAD_CRL_ALLOW_UNKNOWN` they would then be accepted (G13). A root's CRL may be removed together with the
    /// root. Whether peers still use an intermediate is not known, so its CRL may only be removed once it has expired.
    fn check_replaced(
        &self,
        lists: &[Self],
        context: &CrlContext<'_>,
    ) -> Result<Option<Warning>, Error> {
        if lists.iter().any(|list| list.version.scope.includes(&self.version.scope)) {
            return Ok(None);
        }
        let is_root_trusted = context.issuers.roots.iter().any(|root| self.is_signed_by(root));
        let has_expired = self.next_update.is_some_and(|at| at <= context.now);
        let lost = || Error::at(&self.path, Cause::CrlLost { issuer: self.lost_issuer(lists) });
        match self.is_signed_by_root {
            _ if is_root_trusted => Err(lost()),
            // The root is not trusted any more, so no peer under it is accepted.
            true => Ok(None),
            false if !has_expired => Err(lost()),
            false => {
                let text = format!(
                    "there is no certificate revocation list of \"{}\" any more, after the last one, from {}, expired",
                    self.issuer,
                    self.path.display()
                );
                Ok(Some(Warning::new(WarningKind::CrlLost, text)))
            }
        }
    }
}

/// A CRL whose signature is correct, or cannot be verified because no certificate of its issuer is known.
struct VerifiedCrl {
    list: RevocationList,
    der: CertificateRevocationListDer<'static>,
}

/// Reads and verifies every CRL in `files`.
///
/// Every configured place must hold at least one CRL: an empty directory must not mean that nothing is revoked.
fn verified(files: &[TrustFile<'_>], context: &CrlContext<'_>) -> Result<Vec<VerifiedCrl>, Error> {
    let mut found: Vec<VerifiedCrl> = Vec::new();
    for file in files {
        for crl in crls(file).map_err(|cause| Error::at(file.path, cause))? {
            if found.len() == MAX_CRLS {
                return Err(Error::at(file.path, Cause::TooManyCrls { limit: MAX_CRLS }));
            }
            let signer = context.issuers.signer_of(&crl, context.algorithms);
            let signer = signer.map_err(|cause| Error::at(file.path, cause))?;
            let list = RevocationList::new(file.path, &crl, signer, &context.issuers);
            found.push(VerifiedCrl { list, der: crl.der });
        }
    }
    let is_empty = |place: &&PathBuf| !found.iter().any(|crl| crl.list.path.starts_with(place));
    match context.places.iter().find(is_empty) {
        Some(place) => Err(Error::at(place, Cause::NoCrl(" in any of its files".into()))),
        None => Ok(found),
    }
}
