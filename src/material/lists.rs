//! Which revocation lists count, and whether they may take the place of those that serve.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateRevocationListDer;

use super::crl::{Crl, MAX_CRLS, Number, crls};
use super::lifetime::list_expiring_from;
use super::roots::{Hash, Root, sha256};
use super::signature::is_signed_with;
use super::trust_file::TrustFile;
use super::warnings::{Warning, WarningKind};
use super::x509::format_time;
use crate::error::{Cause, Error};

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
    /// How many certificates it revokes.
    pub(crate) revoked: usize,
    /// Its place in the file, from 1.
    index: usize,
    number: Option<Number>,
    series: Series,
}

/// What the lists have in common of which each takes the place of the one before.
#[derive(Debug)]
struct Series {
    issuer: Vec<u8>,
    authority_key_id: Option<Vec<u8>>,
    distribution_point: Option<Vec<u8>>,
    /// The key of a root, where one signed it.
    signer: Option<Hash>,
}

/// Lists as they are to be used.
#[derive(Default)]
pub(super) struct Lists {
    /// Each goes with the list at the same place.
    pub(super) ders: Vec<CertificateRevocationListDer<'static>>,
    pub(super) counting: Vec<List>,
    pub(super) warnings: Vec<Warning>,
}

/// What lists are checked against.
pub(super) struct Checks<'a> {
    /// The files and directories that were asked for.
    pub(super) places: &'a [PathBuf],
    /// Of both roles.
    pub(super) roots: Vec<&'a Root>,
    pub(super) algorithms: &'a WebPkiSupportedAlgorithms,
    pub(super) allow_expired: bool,
    pub(super) now: i64,
    /// The lists that serve now.
    pub(super) before: &'a [List],
}

impl Lists {
    /// Takes the newest list of each series in `files`, if all of them are in order.
    ///
    /// One that says it is of tomorrow is taken: its issuer signed it, and to refuse it would be to go on with one
    /// that revokes less.
    pub(super) fn read(files: &[TrustFile<'_>], checks: &Checks<'_>) -> Result<Self, Error> {
        let mut newest: Vec<(List, _)> = Vec::new();
        for (list, der) in found(files, checks)? {
            match newest.iter_mut().find(|(other, _)| other.series.is(&list.series)) {
                Some(other) if other.0.compare(&list) == Ordering::Less => *other = (list, der),
                Some(_) => {}
                None => newest.push((list, der)),
            }
        }
        let (counting, ders): (Vec<_>, Vec<_>) = newest.into_iter().unzip();
        let mut warnings = Vec::new();
        for list in &counting {
            list.check_rollback(checks.before)?;
            warnings.extend(list.expired(checks)?);
            warnings.extend(list.unrelated());
        }
        for served in checks.before {
            warnings.extend(served.lost(&counting, &checks.roots)?);
        }
        Ok(Self { ders, counting, warnings })
    }
}

impl List {
    pub(super) fn is_issued_by(&self, subject: &[u8]) -> bool {
        self.series.issuer == subject
    }

    fn new(
        path: &Path,
        crl: Crl,
        signer: Option<Hash>,
    ) -> (Self, CertificateRevocationListDer<'static>) {
        let list = Self {
            path: path.to_owned(),
            issuer: crl.issuer_title,
            sha256: sha256(&crl.der),
            this_update: crl.this_update,
            next_update: Some(crl.next_update),
            expiring_from: list_expiring_from(crl.this_update, crl.next_update, None),
            revoked: crl.entries,
            index: crl.index,
            number: crl.number,
            series: Series {
                issuer: crl.issuer,
                authority_key_id: crl.authority_key_id,
                distribution_point: crl.distribution_point,
                signer,
            },
        };
        (list, crl.der)
    }

    /// Sets how long before its end a newer one should have come, in place of the default.
    pub(super) fn set_expiry_warning(&mut self, warning: Option<Duration>) {
        let ends = |next| list_expiring_from(self.this_update, next, warning);
        self.expiring_from = self.next_update.and_then(ends);
    }

    /// A failure that is about this list.
    pub(super) fn malformed(&self, reason: String) -> Error {
        Error::at(&self.path, Cause::CrlMalformed { index: self.index, reason })
    }

    /// Which of two of one series came first.
    fn compare(&self, other: &Self) -> Ordering {
        let by_number = match (&self.number, &other.number) {
            (Some(number), Some(other)) => number.cmp(other),
            _ => Ordering::Equal,
        };
        by_number.then(self.this_update.cmp(&other.this_update))
    }

    fn check_rollback(&self, before: &[Self]) -> Result<(), Error> {
        let is_newer = |served: &&Self| {
            served.series.is(&self.series) && self.compare(served) == Ordering::Less
        };
        let Some(served) = before.iter().find(is_newer) else { return Ok(()) };
        let (older, newer) = match (&self.number, &served.number) {
            (Some(older), Some(newer)) if older != newer => {
                (format!("number {}", older.in_words()), format!("number {}", newer.in_words()))
            }
            _ => (format_time(self.this_update), format_time(served.this_update)),
        };
        let (index, issuer) = (self.index, self.issuer.clone());
        let words = format!("{older} comes before {newer}");
        Err(Error::at(&self.path, Cause::CrlRollback { index, issuer, order: words.into() }))
    }

    /// One that serves stays, whatever else is renewed meanwhile: without it no peer would fare better.
    fn expired(&self, checks: &Checks<'_>) -> Result<Option<Warning>, Error> {
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

    /// The list of an authority that is no root. rustls checks it as soon as a peer shows the certificate of that
    /// authority.
    fn unrelated(&self) -> Option<Warning> {
        self.series.signer.is_none().then(|| {
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
    fn lost(&self, lists: &[Self], roots: &[&Root]) -> Result<Option<Warning>, Error> {
        if lists.iter().any(|list| list.series.succeeds(&self.series)) {
            return Ok(None);
        }
        let is_signer = |root: &&Root| {
            root.subject == self.series.issuer
                && self.series.signer == Some(sha256(&root.public_key))
        };
        let cause = Cause::CrlLost { issuer: self.issuer.clone() };
        match self.series.signer {
            Some(_) if roots.iter().any(is_signer) => Err(Error::at(&self.path, cause)),
            // Nobody leads to that root any more.
            Some(_) => Ok(None),
            None => {
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

impl Series {
    fn is(&self, other: &Self) -> bool {
        self.distribution_point == other.distribution_point && self.is_of_same_key(other)
    }

    /// Whether a list of this series tells what one of `other` told.
    fn succeeds(&self, other: &Self) -> bool {
        let same_part = self.distribution_point == other.distribution_point;
        (same_part || self.distribution_point.is_none()) && self.is_of_same_key(other)
    }

    /// Where both signers are known they tell, for some lists do not say whose key they are signed with.
    fn is_of_same_key(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && match (self.signer, other.signer) {
                (Some(signer), Some(other)) => signer == other,
                _ => self.authority_key_id == other.authority_key_id,
            }
    }
}

type Found = (List, CertificateRevocationListDer<'static>);

/// Every list in `files`, and each place has one: a directory that is empty would mean that nobody is revoked.
fn found(files: &[TrustFile<'_>], checks: &Checks<'_>) -> Result<Vec<Found>, Error> {
    let mut found: Vec<Found> = Vec::new();
    for file in files {
        for crl in crls(file).map_err(|cause| Error::at(file.path, cause))? {
            if found.len() == MAX_CRLS {
                return Err(Error::at(file.path, Cause::TooManyCrls { limit: MAX_CRLS }));
            }
            let signer = signer(&crl, checks).map_err(|cause| Error::at(file.path, cause))?;
            found.push(List::new(file.path, crl, signer));
        }
    }
    let is_empty = |place: &&PathBuf| !found.iter().any(|(list, _)| list.path.starts_with(place));
    match checks.places.iter().find(is_empty) {
        Some(place) => Err(Error::at(place, Cause::NoCrl(" in any of its files"))),
        None => Ok(found),
    }
}

/// The key of the root that signed `crl`; `None` where its issuer is no root.
fn signer(crl: &Crl, checks: &Checks<'_>) -> Result<Option<Hash>, Cause> {
    let named = checks.roots.iter().filter(|root| root.subject == crl.issuer);
    let (mut is_named, mut is_checked, mut is_signed) = (false, true, false);
    for root in named {
        is_named = true;
        match is_signed_with(&crl.der, &root.public_key, checks.algorithms) {
            Some(true) if root.may_sign_lists => return Ok(Some(sha256(&root.public_key))),
            Some(true) => is_signed = true,
            Some(false) => {}
            None => is_checked = false,
        }
    }
    let (index, issuer) = (crl.index, crl.issuer_title.clone());
    match (is_named, is_signed, is_checked) {
        (false, ..) => Ok(None),
        (_, true, _) => Err(Cause::CrlSigner { index, issuer }),
        (.., true) => Err(Cause::CrlSignature { index, issuer }),
        (.., false) => Err(Cause::CrlMalformed {
            index,
            reason: format!(
                "its signature is not of a kind that can be checked with the key of {issuer}"
            ),
        }),
    }
}
