//! Which revocation lists count, and whether they may take the place of those that serve.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateRevocationListDer;

use super::issuer::CrlIssuers;
use super::parse::{Crl, MAX_CRLS, crls};
use super::scope::{CrlRank, remembered};
use crate::error::{Cause, Error};
use crate::pki::certificate::format_time;
use crate::pki::renewal::list_expiring_from;
use crate::pki::trust::TrustFile;
use crate::pki::trust::{Root, Sha256, sha256};
use crate::pki::warnings::{Warning, WarningKind};

/// A revocation list that counts.
#[derive(Debug)]
pub(crate) struct RevocationList {
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
    /// How many certificates it revokes.
    pub(crate) revoked: usize,
    /// Its place in the file, from 1.
    index: usize,
    place: CrlRank,
    /// Whether a root signed it.
    is_of_root: bool,
}

/// Lists as they are to be used.
#[derive(Default)]
pub(crate) struct RevocationLists {
    /// Each goes with the list at the same place.
    pub(crate) ders: Vec<CertificateRevocationListDer<'static>>,
    pub(crate) counting: Vec<RevocationList>,
    pub(crate) warnings: Vec<Warning>,
    /// The newest of each series that serves or ever did.
    pub(crate) newest: Vec<CrlRank>,
}

/// What lists are checked against.
pub(crate) struct CrlChecks<'a> {
    /// The files and directories that were asked for.
    pub(crate) places: &'a [PathBuf],
    pub(crate) signers: CrlIssuers<'a>,
    pub(crate) algorithms: &'a WebPkiSupportedAlgorithms,
    pub(crate) allow_expired: bool,
    pub(crate) now: i64,
    /// The lists that serve now.
    pub(crate) before: &'a [RevocationList],
    /// The newest of each series that ever served.
    pub(crate) newest: &'a [CrlRank],
}

impl RevocationLists {
    /// Takes the newest list of each series in `files`, if all of them are in order.
    ///
    /// One that says it is of tomorrow is taken: its issuer signed it, and to refuse it would be to go on with one
    /// that revokes less.
    pub(crate) fn read(files: &[TrustFile<'_>], checks: &CrlChecks<'_>) -> Result<Self, Error> {
        let mut newest: Vec<(RevocationList, _)> = Vec::new();
        for (list, der) in found(files, checks)? {
            match newest.iter_mut().find(|(other, _)| other.place.series.is(&list.place.series)) {
                Some(other) if other.0.place.compare(&list.place) == Ordering::Less => {
                    *other = (list, der);
                }
                Some(_) => {}
                None => newest.push((list, der)),
            }
        }
        let (counting, ders): (Vec<_>, Vec<_>) = newest.into_iter().unzip();
        let places: Vec<&CrlRank> = counting.iter().map(|list| &list.place).collect();
        let mut warnings = Vec::new();
        for list in &counting {
            list.check_rollback(checks.newest, &places)?;
            warnings.extend(list.expired(checks)?);
            warnings.extend(list.unrelated());
        }
        for served in checks.before {
            warnings.extend(served.lost(&counting, checks)?);
        }
        let newest = remembered(places.into_iter().cloned().collect(), checks.newest);
        Ok(Self { ders, counting, warnings, newest })
    }
}

impl RevocationList {
    fn new(
        path: &Path,
        crl: Crl,
        signer: Option<Sha256>,
        signers: &CrlIssuers<'_>,
    ) -> (Self, CertificateRevocationListDer<'static>) {
        let place = CrlRank::of(&crl, signer);
        let list = Self {
            path: path.to_owned(),
            is_of_root: signers.roots.iter().any(|root| place.series.is_of(root)),
            issuer: crl.issuer_title,
            sha256: sha256(&crl.der),
            this_update: crl.this_update,
            next_update: Some(crl.next_update),
            expiring_from: list_expiring_from(crl.this_update, crl.next_update, None),
            revoked: crl.entries,
            index: crl.index,
            place,
        };
        (list, crl.der)
    }

    /// Sets how long before its end a newer one should have come, in place of the default.
    pub(crate) fn set_expiry_warning(&mut self, warning: Option<Duration>) {
        let ends = |next| list_expiring_from(self.this_update, next, warning);
        self.expiring_from = self.next_update.and_then(ends);
    }

    /// A failure that is about this list.
    pub(crate) fn malformed(&self, reason: String) -> Error {
        Error::at(&self.path, Cause::CrlMalformed { index: self.index, reason })
    }

    /// Whether this authority signed it.
    pub(crate) fn is_of(&self, authority: &Root) -> bool {
        self.place.series.is_of(authority)
    }

    fn check_rollback(&self, newest: &[CrlRank], all: &[&CrlRank]) -> Result<(), Error> {
        match newest.iter().find_map(|known| self.place.rolls_back(known, all)) {
            None => Ok(()),
            Some(order) => {
                let (index, issuer, order) = (self.index, self.issuer.clone(), order.into());
                Err(Error::at(&self.path, Cause::CrlRollback { index, issuer, order }))
            }
        }
    }

    /// One that serves stays, whatever else is renewed meanwhile: without it no peer would fare better.
    fn expired(&self, checks: &CrlChecks<'_>) -> Result<Option<Warning>, Error> {
        let Some(next_update) = self.next_update.filter(|at| *at <= checks.now) else {
            return Ok(None);
        };
        let (index, issuer, at) =
            (self.index, self.issuer.clone(), format_time(next_update).into());
        let cause = Cause::CrlExpired { index, issuer, at };
        let serves = checks.before.iter().any(|served| served.sha256 == self.sha256);
        if !checks.allow_expired && !serves {
            return Err(Error::at(&self.path, cause));
        }
        let path = self.path.display();
        Ok(Some(Warning::new(WarningKind::CrlExpired, format!("{path}: {cause}"))))
    }

    /// The list of an authority of which no certificate is known. rustls checks it as soon as a peer shows one.
    fn unrelated(&self) -> Option<Warning> {
        (!self.place.series.has_signer()).then(|| {
            let text = format!(
                "certificate revocation list {} of {} is of \"{}\", which is none of the roots: its signature is not checked before a peer shows that authority's certificate",
                self.index,
                self.path.display(),
                self.issuer
            );
            Warning::new(WarningKind::CrlUnrelated, text)
        })
    }

    /// Whether this one, which serves, has no successor among `lists`. Without it, whoever it revokes is unknown,
    /// which may mean that he passes.
    ///
    /// Whether anybody still leads to an intermediate cannot be known, so its list is missed for as long as it would
    /// have held.
    fn lost(&self, lists: &[Self], checks: &CrlChecks<'_>) -> Result<Option<Warning>, Error> {
        if lists.iter().any(|list| list.place.series.succeeds(&self.place.series)) {
            return Ok(None);
        }
        let is_trusted = checks.signers.roots.iter().any(|root| self.is_of(root));
        let has_expired = self.next_update.is_some_and(|at| at <= checks.now);
        let refused = || Error::at(&self.path, Cause::CrlLost { issuer: self.issuer.clone() });
        match self.is_of_root {
            _ if is_trusted => Err(refused()),
            // Nobody leads to that root any more.
            true => Ok(None),
            false if !has_expired => Err(refused()),
            false => {
                let text = format!(
                    "there is no certificate revocation list of \"{}\" any more; {} had one",
                    self.issuer,
                    self.path.display()
                );
                Ok(Some(Warning::new(WarningKind::CrlLost, text)))
            }
        }
    }
}

type ReadList = (RevocationList, CertificateRevocationListDer<'static>);

/// Every list in `files`, and each place has one: a directory that is empty would mean that nobody is revoked.
fn found(files: &[TrustFile<'_>], checks: &CrlChecks<'_>) -> Result<Vec<ReadList>, Error> {
    let mut found: Vec<ReadList> = Vec::new();
    for file in files {
        for crl in crls(file).map_err(|cause| Error::at(file.path, cause))? {
            if found.len() == MAX_CRLS {
                return Err(Error::at(file.path, Cause::TooManyCrls { limit: MAX_CRLS }));
            }
            let signer = checks.signers.of(&crl, checks.algorithms);
            let signer = signer.map_err(|cause| Error::at(file.path, cause))?;
            found.push(RevocationList::new(file.path, crl, signer, &checks.signers));
        }
    }
    let is_empty = |place: &&PathBuf| !found.iter().any(|(list, _)| list.path.starts_with(place));
    match checks.places.iter().find(is_empty) {
        Some(place) => Err(Error::at(place, Cause::NoCrl(" in any of its files"))),
        None => Ok(found),
    }
}
