//! The roots that a peer's certificate must lead to, read from PEM bundles or DER files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, RootCertStore};

use super::doubtful_roots::doubts;
use super::skipped_certificate::{MAY_BE_A_LOST_ROOT, SkippedCertificate, SkippedPlace};
use crate::error::{Cause, Error, Position};
use crate::pki::certificate;
use crate::pki::certificate::{CertificateFacts, format_time};
use crate::pki::crl::is_list;
use crate::pki::crl_signer::{CrlSigner, MAX_ROOTS};
use crate::pki::der::{SEQUENCE, only};
use crate::pki::hash::{Sha256, sha256};
use crate::pki::pem;
use crate::pki::signature::is_signed_with;
use crate::pki::skipped_lines::{BEHIND_OTHER_TEXT, skipped_lines};
use crate::pki::trust_input::TrustFile;
use crate::pki::warnings::{Warning, WarningKind};
use crate::pki::wrong_format::{DerKind, Wanted, without_certificate};

/// The roots of one role, without repetitions.
#[derive(Debug)]
pub(crate) struct Roots {
    /// The roots by the digest of their certificates.
    pub(crate) anchors: BTreeMap<Sha256, CrlSigner>,
    /// The certificates of the roots, in the order of their files.
    ders: Arc<[CertificateDer<'static>]>,
    pub(super) store: Arc<RootCertStore>,
    pub(super) warnings: Vec<Warning>,
    /// The digests of the certificates that were skipped because they cannot be roots.
    skipped: BTreeSet<Sha256>,
    files: FileDigests,
}

/// The digests of all certificates of each file, in their order.
type FileDigests = BTreeMap<PathBuf, Vec<Sha256>>;

/// The digests of the certificates that the root files of a role held when they were last accepted.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadedRoots {
    pub(super) trusted: BTreeSet<Sha256>,
    /// The certificates of the roots, for other TLS stacks.
    pub(super) ders: Arc<[CertificateDer<'static>]>,
    /// Certificates that were skipped because they cannot be roots.
    skipped: BTreeSet<Sha256>,
    files: FileDigests,
}

/// The settings, the time and the roots in use, with which the roots of one role are read.
pub(crate) struct RootsContext<'a> {
    /// The configured file or directory, for error messages.
    pub(crate) place: &'a Path,
    pub(crate) algorithms: &'a WebPkiSupportedAlgorithms,
    /// The current time, in seconds since 1970.
    pub(crate) now: i64,
    /// The roots in use.
    pub(crate) loaded: Option<&'a LoadedRoots>,
}

impl Roots {
    /// Reads every certificate in `files` that can be a trust anchor.
    ///
    /// An unusable certificate in a bundle is skipped with a warning, as other TLS libraries do: rejecting the bundle
    /// would affect the peers of all other roots. There is one exception. If the certificate was not in the bundle
    /// before and a root in use is missing now, the certificate may be that root, damaged. Then the update is rejected,
    /// so that damage never removes a root (G3, G15). To remove the root, remove the damaged certificate as well.
    ///
    /// If none of the certificates is usable, that is an error: an empty set of roots would mean that no peer is
    /// trusted.
    pub(crate) fn read(files: &[TrustFile<'_>], context: &RootsContext<'_>) -> Result<Self, Error> {
        let mut collector = RootCollector::default();
        for file in files {
            collector.add(file, context).map_err(|cause| Error::at(file.path, cause))?;
        }
        let too_alike = collector.too_alike();
        let RootCollector { anchors, ders, store, mut warnings, skipped, files: digests, .. } =
            collector;
        warnings.extend(too_alike);
        if anchors.is_empty() {
            let none =
                || Error::at(context.place, Cause::NoCertificate(" in any of its files".into()));
            return Err(skipped.first().map_or_else(none, |first| first.rejected("")));
        }
        let damaged = context.loaded.and_then(|loaded| loaded.damaged(&anchors, &skipped));
        if let Some(damaged) = damaged {
            return Err(damaged.rejected(MAY_BE_A_LOST_ROOT));
        }
        warnings.extend(skipped.iter().map(SkippedCertificate::warning));
        let skipped = skipped.into_iter().map(|skipped| skipped.sha256).collect();
        Ok(Self {
            anchors,
            ders: ders.into(),
            store: store.into(),
            warnings,
            skipped,
            files: digests,
        })
    }

    /// Checks that a server can send the subject names of the roots to clients.
    pub(super) fn check_names(&self) -> Result<(), Cause> {
        // Each name has two bytes for its length (RFC 8446 section 4.2.4).
        let bytes: usize = self.store.subjects().iter().map(|name| name.as_ref().len() + 2).sum();
        if bytes <= MAX_NAMES_SIZE {
            return Ok(());
        }
        Err(Cause::TooManyAuthorityNames {
            roots: self.anchors.len(),
            bytes,
            limit: MAX_NAMES_SIZE,
        })
    }

    pub(super) fn loaded(&self) -> LoadedRoots {
        LoadedRoots {
            trusted: self.anchors.keys().copied().collect(),
            ders: self.ders.clone(),
            skipped: self.skipped.clone(),
            files: self.files.clone(),
        }
    }
}

impl LoadedRoots {
    /// Returns a file that may be cut short: it holds only the first of the certificates that it had in `before`, and a
    /// root of `before` is lost.
    ///
    /// While a bundle is rewritten in place, it begins with certificates that it had before, and it can be parsed. The
    /// certificates are compared, and not the bytes, because the text around them may change with each version.
    pub(super) fn cut_short(&self, before: &Self) -> Option<&Path> {
        let has_lost_root = !before.trusted.is_subset(&self.trusted);
        let is_cut = |(path, now): &(&PathBuf, &Vec<Sha256>)| {
            let before = before.files.get(*path);
            before.is_some_and(|before| now.len() < before.len() && before.starts_with(now))
        };
        self.files.iter().find(is_cut).filter(|_| has_lost_root).map(|(path, _)| path.as_path())
    }

    /// Returns a skipped certificate that may be the damaged copy of a root in use; `None` if there is none.
    ///
    /// That is so if a root in use is missing from `anchors` and the skipped certificate is new. A bad certificate that
    /// was skipped before does not prevent the removal of a root.
    fn damaged<'a, 'b>(
        &self,
        anchors: &BTreeMap<Sha256, CrlSigner>,
        skipped: &'a [SkippedCertificate<'b>],
    ) -> Option<&'a SkippedCertificate<'b>> {
        let has_lost_root = self.trusted.iter().any(|sha256| !anchors.contains_key(sha256));
        skipped.iter().find(|skipped| has_lost_root && !self.skipped.contains(&skipped.sha256))
    }
}

/// The room for the subject names of roots in a `CertificateRequest`, in bytes. A handshake message of rustls has at most
/// 64 KiB, and its other fields need less than 256 bytes.
const MAX_NAMES_SIZE: usize = 0xffff - 256;

/// The number of signatures that rustls verifies for a peer. It tries each root with the subject that a certificate
/// names as its issuer.
const MAX_SIGNATURES: usize = 100;

/// Collects the certificates of all files of one role.
struct RootCollector<'a> {
    anchors: BTreeMap<Sha256, CrlSigner>,
    ders: Vec<CertificateDer<'static>>,
    store: RootCertStore,
    warnings: Vec<Warning>,
    skipped: Vec<SkippedCertificate<'a>>,
    files: FileDigests,
    /// The name for messages and the number of the roots with each subject, in DER.
    subjects: BTreeMap<Vec<u8>, (String, usize)>,
    /// The number of certificates read so far, repetitions included, to enforce [`MAX_ROOTS`].
    count: usize,
}

impl Default for RootCollector<'_> {
    fn default() -> Self {
        let (anchors, ders, store) = (BTreeMap::new(), Vec::new(), RootCertStore::empty());
        let (warnings, skipped, files) = (Vec::new(), Vec::new(), FileDigests::new());
        Self { anchors, ders, store, warnings, skipped, files, subjects: BTreeMap::new(), count: 0 }
    }
}

impl<'a> RootCollector<'a> {
    fn add(&mut self, file: &TrustFile<'a>, context: &RootsContext<'_>) -> Result<(), Cause> {
        let certificates = certificates(file)?;
        self.count += certificates.len();
        if self.count > MAX_ROOTS {
            return Err(Cause::TooManyCertificates { limit: MAX_ROOTS });
        }
        let digests: Vec<_> = certificates.iter().map(|der| sha256(der)).collect();
        self.files.insert(file.path.to_owned(), digests.clone());
        for (at, (der, sha256)) in certificates.iter().zip(digests).enumerate() {
            if self.anchors.contains_key(&sha256) {
                continue;
            }
            let position = Position::new(at, certificates.len());
            let facts = validated(der, position, context.algorithms);
            match facts.and_then(|facts| self.add_to_store(der).map(|()| facts)) {
                Ok(facts) => {
                    self.warnings.extend(expired(&facts, position, file.path, context.now));
                    let place = (position, file.path);
                    self.warnings.extend(doubts(&facts, place, context.algorithms));
                    let subject = self.subjects.entry(facts.subject.der().to_vec());
                    subject.or_insert_with(|| (facts.title.clone(), 0)).1 += 1;
                    self.anchors.insert(sha256, CrlSigner::of(&facts));
                    self.ders.push(der.clone());
                }
                Err(reason) => {
                    let (place, reason) = match other_kind(file.bytes) {
                        Some(kind) => (SkippedPlace::File, kind),
                        None => (SkippedPlace::Certificate(position), reason),
                    };
                    self.skipped.push(SkippedCertificate {
                        path: file.path,
                        place,
                        sha256,
                        reason,
                    });
                }
            }
        }
        for line in skipped_lines(file.bytes) {
            // Who makes comments of all lines of a root removes it.
            if line.is_comment {
                self.warnings.push(line.warning(file.path));
                continue;
            }
            self.skipped.push(SkippedCertificate {
                path: file.path,
                place: SkippedPlace::Line(line.number),
                sha256: sha256(line.block),
                reason: BEHIND_OTHER_TEXT.to_owned(),
            });
        }
        Ok(())
    }

    /// Returns a warning if so many roots have one subject that rustls does not try all of them.
    fn too_alike(&self) -> Option<Warning> {
        let (title, count) = self.subjects.values().find(|(_, count)| *count >= MAX_SIGNATURES)?;
        let text = format!(
            "{count} roots have the subject \"{title}\", and at most {MAX_SIGNATURES} signatures are verified for a peer: peers of some of them are refused"
        );
        Some(Warning::new(WarningKind::RootDoubtful, text))
    }

    /// Adds a certificate to the trust anchors of rustls. rustls decides whether the certificate can be one.
    fn add_to_store(&mut self, der: &CertificateDer<'_>) -> Result<(), String> {
        self.store.add(der.clone()).map_err(|error| {
            let reason = match error {
                rustls::Error::InvalidCertificate(CertificateError::BadEncoding) => {
                    "its version or one of its fields is not valid"
                }
                _ => "one of its extensions is not supported",
            };
            format!("it cannot be a root: {reason}")
        })
    }
}

/// Returns the certificates of one file: PEM, or one certificate in DER.
///
/// In a directory, files of keys and CRLs are ignored. Any other file without a certificate is an error: it may be a
/// root's file that was cut off.
fn certificates(file: &TrustFile<'_>) -> Result<Vec<CertificateDer<'static>>, Cause> {
    if only(file.bytes, SEQUENCE).is_some() {
        let is_other = file.is_in_directory && is_list(file.bytes);
        let certificate = (!is_other).then(|| file.bytes.to_vec().into());
        return Ok(certificate.into_iter().collect());
    }
    match pem::certificates_up_to(file.bytes, MAX_ROOTS) {
        Err(Cause::NoCertificate(_)) if file.is_in_directory && pem::is_pem(file.bytes) => {
            Ok(Vec::new())
        }
        Err(Cause::NoCertificate(_)) => {
            Err(Cause::NoCertificate(without_certificate(file.bytes, Wanted::Roots)))
        }
        certificates => certificates,
    }
}

/// Returns what a file of DER is whose content is no certificate; `None` if that is not known.
fn other_kind(bytes: &[u8]) -> Option<String> {
    match DerKind::of(bytes) {
        Some(kind) => Some(format!("it looks like {}", kind.in_words(Wanted::Roots))),
        // The outline of a list is that of a certificate request as well.
        None => is_list(bytes).then(|| "it is a certificate revocation list".to_owned()),
    }
}

/// Parses a root. If the certificate names its own key as the issuer's, its signature is verified, because parsers
/// accept certificates with flipped bits.
fn validated<'a>(
    der: &'a CertificateDer<'_>,
    position: Position,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<CertificateFacts<'a>, String> {
    let facts = certificate::facts(der, position).map_err(|cause| match cause {
        Cause::CertificateMalformed { reason, .. } => reason,
        other => other.to_string(),
    })?;
    if names_its_own_key(&facts) && is_signed_with(der, facts.public_key, algorithms) == Some(false)
    {
        return Err("it is damaged: its signature does not verify with its own key".to_owned());
    }
    Ok(facts)
}

/// Returns whether the certificate claims to be signed with its own key. Equal names are not enough: a CA that replaced
/// its key may sign its new certificate with the old key, under the same name (RFC 4210 section 4.4).
fn names_its_own_key(facts: &CertificateFacts<'_>) -> bool {
    facts.is_self_issued()
        && facts.subject_key_id.is_some()
        && facts.subject_key_id == facts.authority_key_id
}

/// Returns a warning if a root has expired.
///
/// A trust anchor is a name and a key (RFC 5280 section 6.1.1), so its dates do not limit what it certifies. rustls
/// does not check them. Other implementations do, so its owner should know.
fn expired(
    facts: &CertificateFacts<'_>,
    position: Position,
    path: &Path,
    now: i64,
) -> Option<Warning> {
    (now > facts.not_after).then(|| {
        let text = format!(
            "{position} in {} (\"{}\") expired at {}; as a root it is still trusted; remove it if that is not wanted",
            path.display(),
            facts.title,
            format_time(facts.not_after)
        );
        Warning::new(WarningKind::ChainExpired, text)
    })
}

#[cfg(test)]
#[path = "tests_roots.rs"]
mod tests;
