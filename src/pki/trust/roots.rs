//! The roots that a peer's certificate must lead to: PEM bundles of certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::RootCertStore;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;

use super::input::TrustFile;
use crate::error::{Cause, Error};
use crate::pki::certificate;
use crate::pki::certificate::{Facts, format_time};
use crate::pki::crl::is_list;
use crate::pki::der::{SEQUENCE, only};
use crate::pki::pem;
use crate::pki::signature::is_signed_with;
use crate::pki::warnings::{Warning, WarningKind};

/// The most roots of one role. What browsers and distributions ship has some 150.
pub(crate) const MAX_ROOTS: usize = 10_000;

/// SHA-256 of DER.
pub(crate) type Sha256 = [u8; 32];

/// One authority, as far as lists of what it revoked are concerned.
#[derive(Debug)]
pub(crate) struct Root {
    /// As it stands, to be compared byte by byte.
    pub(crate) subject: Vec<u8>,
    /// The whole `SubjectPublicKeyInfo`.
    pub(crate) public_key: Vec<u8>,
    pub(crate) may_sign_lists: bool,
    /// Whether its certificate names no other authority above it.
    pub(super) is_self_issued: bool,
}

impl Root {
    pub(crate) fn of(facts: &Facts<'_>) -> Self {
        Self {
            subject: facts.subject.to_vec(),
            public_key: facts.public_key.to_vec(),
            may_sign_lists: facts.may_sign_lists,
            is_self_issued: facts.is_self_issued(),
        }
    }
}

/// The roots of one role, each once.
#[derive(Debug)]
pub(crate) struct Roots {
    pub(crate) anchors: BTreeMap<Sha256, Root>,
    pub(super) store: Arc<RootCertStore>,
    pub(super) warnings: Vec<Warning>,
    /// What was passed over.
    unusable: BTreeSet<Sha256>,
}

/// What is known of the files of a role once its roots serve.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    pub(super) roots: BTreeSet<Sha256>,
    /// Certificates that were there as well, and are none of the roots.
    unusable: BTreeSet<Sha256>,
}

/// What roots are read with.
pub(crate) struct Reading<'a> {
    /// The file or directory that was asked for.
    pub(crate) place: &'a Path,
    pub(crate) algorithms: &'a WebPkiSupportedAlgorithms,
    pub(crate) now: i64,
    /// What serves now.
    pub(crate) served: Option<&'a Served>,
}

/// A certificate that is no root, and why.
struct Unusable<'a> {
    path: &'a Path,
    index: usize,
    hash: Sha256,
    reason: String,
}

impl Roots {
    /// Takes every certificate in `files` that can be a trust anchor.
    ///
    /// One that cannot is passed over, as other TLS libraries do with a bundle: all who are under the other roots
    /// would suffer for it. But if it was not there before, it may be what damage has left of a root that serves,
    /// and that is not given up unless the file clearly says so (G3, G15). None at all is an error, for trusting
    /// nobody is never what was meant.
    pub(crate) fn read(files: &[TrustFile<'_>], reading: &Reading<'_>) -> Result<Self, Error> {
        let store = RootCertStore::empty();
        let (anchors, warnings, unusable) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut found = FoundRoot { anchors, store, warnings, unusable, count: 0 };
        for file in files {
            found.add(file, reading).map_err(|cause| Error::at(file.path, cause))?;
        }
        let FoundRoot { anchors, store, mut warnings, unusable, .. } = found;
        if anchors.is_empty() {
            let none = || Error::at(reading.place, Cause::NoCertificate(" in any of its files"));
            return Err(unusable.first().map_or_else(none, |first| first.refused("")));
        }
        if let Some(remains) = reading.served.and_then(|served| served.remains(&anchors, &unusable))
        {
            return Err(remains.refused(MAY_BE_THE_LOST_ONE));
        }
        warnings.extend(unusable.iter().map(Unusable::warning));
        let unusable = unusable.into_iter().map(|unusable| unusable.hash).collect();
        Ok(Self { anchors, store: store.into(), warnings, unusable })
    }

    pub(super) fn served(&self) -> Served {
        Served { roots: self.anchors.keys().copied().collect(), unusable: self.unusable.clone() }
    }
}

impl Served {
    /// What may be left of a root that is no longer there.
    fn remains<'a, 'b>(
        &self,
        anchors: &BTreeMap<Sha256, Root>,
        unusable: &'a [Unusable<'b>],
    ) -> Option<&'a Unusable<'b>> {
        let has_lost = self.roots.iter().any(|hash| !anchors.contains_key(hash));
        unusable.iter().find(|unusable| has_lost && !self.unusable.contains(&unusable.hash))
    }
}

/// What files were found to hold.
struct FoundRoot<'a> {
    anchors: BTreeMap<Sha256, Root>,
    store: RootCertStore,
    warnings: Vec<Warning>,
    unusable: Vec<Unusable<'a>>,
    /// Of certificates, each as often as it is there.
    count: usize,
}

impl<'a> FoundRoot<'a> {
    fn add(&mut self, file: &TrustFile<'a>, reading: &Reading<'_>) -> Result<(), Cause> {
        let certificates = certificates(file)?;
        self.count += certificates.len();
        if self.count > MAX_ROOTS {
            return Err(Cause::TooManyCertificates { limit: MAX_ROOTS });
        }
        for (at, der) in certificates.iter().enumerate() {
            let hash = sha256(der);
            if self.anchors.contains_key(&hash) {
                continue;
            }
            match root(der, at, reading.algorithms, &mut self.store) {
                Ok((root, facts)) => {
                    self.warnings.extend(expired(&facts, at, file.path, reading.now));
                    self.anchors.insert(hash, root);
                }
                Err(reason) => {
                    let (path, index) = (file.path, at + 1);
                    self.unusable.push(Unusable { path, index, hash, reason });
                }
            }
        }
        Ok(())
    }
}

const MAY_BE_THE_LOST_ONE: &str =
    "; a root that serves is not among the others, and this may be what is left of it";

impl Unusable<'_> {
    fn refused(&self, why: &str) -> Error {
        let reason = format!("{}{why}", self.reason);
        Error::at(self.path, Cause::CertificateMalformed { index: self.index, reason })
    }

    fn warning(&self) -> Warning {
        let text = format!(
            "certificate {} of {} cannot be used: {}",
            self.index,
            self.path.display(),
            self.reason
        );
        Warning::new(WarningKind::RootUnusable, text)
    }
}

pub(crate) fn sha256(der: &[u8]) -> Sha256 {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, der).as_ref());
    hash
}

/// The certificates of one file, which is PEM, or DER of one certificate. In a directory there may be keys and
/// lists beside them, in files of their own; a file there that is nothing of the kind may be one that was cut.
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
        certificates => certificates,
    }
}

/// Adds `der` to `store`, or says why it cannot be a root.
fn root<'a>(
    der: &'a CertificateDer<'_>,
    at: usize,
    algorithms: &WebPkiSupportedAlgorithms,
    store: &mut RootCertStore,
) -> Result<(Root, Facts<'a>), String> {
    let facts = certificate::facts(der, at).map_err(|cause| match cause {
        Cause::CertificateMalformed { reason, .. } => reason,
        other => other.to_string(),
    })?;
    if names_its_own_key(&facts) && is_signed_with(der, facts.public_key, algorithms) == Some(false)
    {
        return Err("it is damaged: its signature was not made with its own key".to_owned());
    }
    // What parses here and is no anchor (an unknown version, a broken constraint) is told by what
    // the verifier will say.
    store.add(der.clone()).map_err(|error| error.to_string())?;
    Ok((Root::of(&facts), facts))
}

/// Whether it says that it is signed with its own key: the name alone may be that of an older key.
fn names_its_own_key(facts: &Facts<'_>) -> bool {
    facts.is_self_issued()
        && facts.subject_key_id.is_some()
        && facts.subject_key_id == facts.authority_key_id
}

/// A root's date is no bound to what it certifies (RFC 5280 section 6.1.1: an anchor is a name and a key), and
/// rustls goes by that. Elsewhere peers under it are refused by now, so its owner should know.
fn expired(facts: &Facts<'_>, at: usize, path: &Path, now: i64) -> Option<Warning> {
    (now > facts.not_after).then(|| {
        let text = format!(
            "certificate {} of {} (\"{}\") expired at {}; as a root it is trusted until it is taken out",
            at + 1,
            path.display(),
            facts.title,
            format_time(facts.not_after)
        );
        Warning::new(WarningKind::ChainExpired, text)
    })
}

#[cfg(test)]
mod tests {
    use rcgen::date_time_ymd;
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;
    use crate::pki::test_ca::{Authority, Listing, file, in_directory, now};

    /// Parsed, and of a version that there is not.
    const BAD: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAMCAQU=\n-----END PRIVATE KEY-----\n";

    fn read(files: &[TrustFile<'_>], served: Option<&Roots>) -> Result<Roots, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        let served = served.map(Roots::served);
        let served = served.as_ref();
        let (place, algorithms) = (Path::new("/roots"), &algorithms);
        Roots::read(files, &Reading { place, algorithms, now: now(), served })
    }

    fn root_pem(name: &str) -> String {
        Authority::new(name).root_pem()
    }

    #[test]
    fn every_root_of_every_file_is_taken_once() {
        let [one, two, three] = ["one", "two", "three"].map(root_pem);
        let bundle = format!("# one\n{one}\n# two\n{two}\n{one}");
        let roots = read(&[file("a", &bundle), file("b", &(three + &two))], None).unwrap();
        assert_eq!((roots.anchors.len(), roots.store.len()), (3, 3));
        assert_eq!(roots.warnings, []);
    }

    #[test]
    fn no_root_at_all_is_refused() {
        for text in ["", "# nobody\n", KEY] {
            let error = read(&[file("/roots", text)], None).unwrap_err();
            assert!(matches!(error.cause, Cause::NoCertificate(_)), "{error}");
            assert_eq!(error.path.as_deref(), Some(Path::new("/roots")));
        }
        for files in [&[][..], &[in_directory("/roots/key", KEY)]] {
            let error = read(files, None).unwrap_err();
            assert_eq!(
                error.to_string(),
                "/roots: holds no certificate in any of its files (parse)"
            );
        }
    }

    #[test]
    fn in_a_directory_what_is_no_certificate_is_passed_over_unless_it_may_be_a_damaged_one() {
        let one = root_pem("one");
        let with = |text: &str| {
            read(&[in_directory("/roots/a", &one), in_directory("/roots/b", text)], None)
        };
        assert_eq!(with(KEY).unwrap().anchors.len(), 1);
        let (root, list) =
            (Authority::new("two").root(), Authority::new("two").list(&Listing::number(1)));
        let with_der =
            |der: &[u8]| read(&[in_directory("/a", &one), in_directory("/b.der", der)], None);
        assert_eq!(with_der(list.der()).unwrap().anchors.len(), 1);
        assert_eq!(with_der(&root).unwrap().anchors.len(), 2);
        assert!(with_der(&root[..root.len() - 1]).is_err());
        for damaged in ["", "no PEM", &one[..one.len() / 2], &format!("{KEY}{}", &KEY[..40])] {
            let error = with(damaged).unwrap_err();
            assert_eq!(error.path.as_deref(), Some(Path::new("/roots/b")), "{error}");
            assert!(error.cause.may_be_half_written(), "{error}");
        }
    }

    #[test]
    fn a_bad_certificate_among_good_ones_is_told_by_its_number() {
        let bundle = [&root_pem("one"), BAD, &root_pem("three")].concat();
        let roots = read(&[file("/roots", &bundle)], None).unwrap();
        assert_eq!(roots.anchors.len(), 2);
        let [warning] = &roots.warnings[..] else { panic!("{:?}", roots.warnings) };
        assert_eq!(warning.kind, WarningKind::RootUnusable);
        assert!(warning.text.starts_with("certificate 2 of /roots cannot be used: "));
        let error = read(&[file("/roots", BAD)], None).unwrap_err();
        assert!(matches!(error.cause, Cause::CertificateMalformed { index: 1, .. }), "{error}");
    }

    #[test]
    fn g3_a_bad_certificate_is_refused_where_a_root_that_serves_would_be_lost() {
        let [one, two, three] = ["one", "two", "three"].map(root_pem);
        let both = read(&[file("/roots", &[&*one, &two].concat())], None).unwrap();
        let again = |bundle: &[&str]| read(&[file("/roots", &bundle.concat())], Some(&both));
        let error = again(&[&one, &three, BAD]).unwrap_err();
        assert!(matches!(error.cause, Cause::CertificateMalformed { index: 3, .. }), "{error}");
        assert!(error.to_string().contains("what is left of it"), "{error}");
        // The same bad one beside all of them is no reason to stay behind.
        assert_eq!(again(&[&one, &two, &three, BAD]).unwrap().anchors.len(), 3);
        assert_eq!(again(&[&one]).unwrap().anchors.len(), 1, "taken out");
    }

    #[test]
    fn g13_a_root_is_taken_out_beside_a_bad_certificate_that_has_always_been_there() {
        // As many as a distribution has.
        let mut bundle: Vec<_> = (0..150).map(|at| root_pem(&at.to_string())).collect();
        bundle.insert(70, BAD.to_owned());
        let served = read(&[file("/roots", &bundle.concat())], None).unwrap();
        bundle.remove(3);
        let after = read(&[file("/roots", &bundle.concat())], Some(&served)).unwrap();
        assert_eq!((after.anchors.len(), after.warnings.len()), (149, 1));
        bundle[140] = BAD.replace("MAMCAQU=", "MAMCAQY=");
        let error = read(&[file("/roots", &bundle.concat())], Some(&after)).unwrap_err();
        assert!(matches!(error.cause, Cause::CertificateMalformed { index: 141, .. }), "{error}");
    }

    #[test]
    fn a_root_that_is_damaged_where_parsers_do_not_look_is_no_root() {
        let mut der = Authority::new("one").root().to_vec();
        let last = der.len() - 1;
        der[last] ^= 1;
        let algorithms = default_provider().signature_verification_algorithms;
        let der = CertificateDer::from(der);
        let why = root(&der, 0, &algorithms, &mut RootCertStore::empty()).err().unwrap();
        assert!(why.contains("its own key"), "{why}");
    }

    #[test]
    fn the_bundle_of_the_platform_is_taken_whole() {
        let Ok(bundle) = std::fs::read("/etc/ssl/certs/ca-certificates.crt") else { return };
        let count = pem::certificates_up_to(&bundle, MAX_ROOTS).unwrap().len();
        let roots = read(&[file("bundle", &bundle)], None).unwrap();
        assert_eq!(roots.anchors.len(), count, "{:?}", roots.warnings);
    }

    #[test]
    fn an_expired_root_is_taken_and_told_of() {
        let old = Authority::with("old", |params| params.not_after = date_time_ymd(2026, 1, 1));
        let roots = read(&[file("/roots", &old.root_pem())], None).unwrap();
        assert_eq!(roots.anchors.len(), 1);
        assert_eq!(roots.warnings[0].kind, WarningKind::ChainExpired);
        assert!(roots.warnings[0].text.contains("(\"old\") expired at 2026-01-01T"));
    }

    #[test]
    fn too_many_roots_are_refused() {
        let one = root_pem("one");
        let many = one.repeat(MAX_ROOTS);
        let error = read(&[file("a", &many), file("b", &one)], None).unwrap_err();
        assert_eq!(error.cause, Cause::TooManyCertificates { limit: MAX_ROOTS });
    }
}
