//! Tests how roots are read from bundles, files and directories.

use rcgen::date_time_ymd;
use rustls::crypto::aws_lc_rs::default_provider;

use super::*;
use crate::pki::test_ca::{Authority, Listing, file, in_directory, now};

/// PEM of a certificate that cannot be parsed.
const BAD: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAMCAQU=\n-----END PRIVATE KEY-----\n";

fn read(files: &[TrustFile<'_>], in_use: Option<&Roots>) -> Result<Roots, Error> {
    let algorithms = default_provider().signature_verification_algorithms;
    let loaded = in_use.map(Roots::loaded);
    let loaded = loaded.as_ref();
    let (place, algorithms) = (Path::new("/roots"), &algorithms);
    Roots::read(files, &RootsContext { place, algorithms, now: now(), loaded })
}

fn root_pem(name: &str) -> String {
    Authority::new(name).root_pem()
}

#[test]
fn bundles_with_repetitions_are_read_each_root_is_trusted_once() {
    let [one, two, three] = ["one", "two", "three"].map(root_pem);
    let bundle = format!("# one\n{one}\n# two\n{two}\n{one}");
    let roots = read(&[file("a", &bundle), file("b", &(three + &two))], None).unwrap();
    assert_eq!((roots.anchors.len(), roots.store.len()), (3, 3));
    assert_eq!(roots.warnings, []);
}

#[test]
fn files_without_a_root_are_rejected() {
    for text in ["", "# empty\n", KEY] {
        let error = read(&[file("/roots", text)], None).unwrap_err();
        assert!(matches!(error.cause, Cause::NoCertificate(_)), "{error}");
        assert_eq!(error.path.as_deref(), Some(Path::new("/roots")));
    }
    for files in [&[][..], &[in_directory("/roots/key", KEY)]] {
        let error = read(files, None).unwrap_err();
        assert_eq!(error.to_string(), "/roots: holds no certificate in any of its files (parse)");
    }
}

#[test]
fn directory_files_of_other_kinds_are_ignored_damaged_ones_are_rejected() {
    let one = root_pem("one");
    let with =
        |text: &str| read(&[in_directory("/roots/a", &one), in_directory("/roots/b", text)], None);
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
fn bad_certificate_in_a_bundle_is_skipped_with_a_warning_that_names_it() {
    let bundle = [&root_pem("one"), BAD, &root_pem("three")].concat();
    let roots = read(&[file("/roots", &bundle)], None).unwrap();
    assert_eq!(roots.anchors.len(), 2);
    let [warning] = &roots.warnings[..] else { panic!("{:?}", roots.warnings) };
    assert_eq!(warning.kind, WarningKind::RootUnusable);
    assert!(warning.text.starts_with("certificate 2 of 3 in /roots is not used as a root: "));
    let error = read(&[file("/roots", BAD)], None).unwrap_err();
    assert!(
        matches!(error.cause, Cause::CertificateMalformed { position: Position::ALONE, .. }),
        "{error}"
    );
}

#[test]
fn g3_bundle_with_a_new_bad_certificate_and_a_missing_root_is_rejected() {
    let [one, two, three] = ["one", "two", "three"].map(root_pem);
    let both = read(&[file("/roots", &[&*one, &two].concat())], None).unwrap();
    let again = |bundle: &[&str]| read(&[file("/roots", &bundle.concat())], Some(&both));
    let error = again(&[&one, &three, BAD]).unwrap_err();
    assert!(matches!(error.cause, Cause::CertificateMalformed { .. }), "{error}");
    assert!(error.to_string().contains("certificate 3 of 3 cannot be parsed"), "{error}");
    assert!(error.to_string().contains("may be its damaged copy"), "{error}");
    // With no root missing, the same bad certificate is only skipped.
    assert_eq!(again(&[&one, &two, &three, BAD]).unwrap().anchors.len(), 3);
    assert_eq!(again(&[&one]).unwrap().anchors.len(), 1, "removed");
}

#[test]
fn g13_root_is_removed_although_an_old_bad_certificate_is_present() {
    // 150 roots, about as many as a distribution ships.
    let mut bundle: Vec<_> = (0..150).map(|at| root_pem(&at.to_string())).collect();
    bundle.insert(70, BAD.to_owned());
    let in_use = read(&[file("/roots", &bundle.concat())], None).unwrap();
    bundle.remove(3);
    let after = read(&[file("/roots", &bundle.concat())], Some(&in_use)).unwrap();
    assert_eq!((after.anchors.len(), after.warnings.len()), (149, 1));
    bundle[140] = BAD.replace("MAMCAQU=", "MAMCAQY=");
    let error = read(&[file("/roots", &bundle.concat())], Some(&after)).unwrap_err();
    assert!(error.to_string().contains("certificate 141 of 150 cannot be parsed"), "{error}");
}

#[test]
fn root_with_a_damaged_signature_is_not_trusted() {
    let mut der = Authority::new("one").root().to_vec();
    let last = der.len() - 1;
    der[last] ^= 1;
    let algorithms = default_provider().signature_verification_algorithms;
    let der = CertificateDer::from(der);
    let why = validated(&der, Position::ALONE, &algorithms).err().unwrap();
    assert!(why.contains("its own key"), "{why}");
}

#[test]
fn bundle_of_the_platform_is_read_completely() {
    let Ok(bundle) = std::fs::read("/etc/ssl/certs/ca-certificates.crt") else { return };
    let count = pem::certificates_up_to(&bundle, MAX_ROOTS).unwrap().len();
    let roots = read(&[file("bundle", &bundle)], None).unwrap();
    assert_eq!(roots.anchors.len(), count, "{:?}", roots.warnings);
}

#[test]
fn expired_root_is_trusted_with_a_warning() {
    let old = Authority::with("old", |params| params.not_after = date_time_ymd(2026, 1, 1));
    let roots = read(&[file("/roots", &old.root_pem())], None).unwrap();
    assert_eq!(roots.anchors.len(), 1);
    assert_eq!(roots.warnings[0].kind, WarningKind::ChainExpired);
    assert!(roots.warnings[0].text.contains("(\"old\") expired at 2026-01-01T"));
}

#[test]
fn more_roots_than_the_limit_are_rejected() {
    let one = root_pem("one");
    let many = one.repeat(MAX_ROOTS);
    let error = read(&[file("a", &many), file("b", &one)], None).unwrap_err();
    assert_eq!(error.cause, Cause::TooManyCertificates { limit: MAX_ROOTS });
}

#[test]
fn g4_bundle_that_begins_as_before_and_loses_a_root_may_be_cut_short() {
    let [one, two, three, four] = ["one", "two", "three", "four"].map(root_pem);
    let loaded = |files: &[(&str, &[&str])]| {
        let texts: Vec<_> = files.iter().map(|(path, roots)| (*path, roots.concat())).collect();
        let files: Vec<_> = texts.iter().map(|(path, text)| file(path, text)).collect();
        read(&files, None).unwrap().loaded()
    };
    let bundle = |roots: &[&str]| loaded(&[("/roots", roots)]);
    let before = bundle(&["# version 1\n", &one, &two, &three]);
    let cut =
        |after: &LoadedRoots, before: &LoadedRoots| after.cut_short(before).map(Path::to_owned);
    let roots = Some("/roots".into());
    assert_eq!(cut(&bundle(&["# version 2\n", &one, &two]), &before), roots);
    assert_eq!(cut(&bundle(&[&one]), &before), roots);
    for whole in
        [&[&*one, &two, &three][..], &[&one, &two, &three, &four], &[&two, &three], &[&four]]
    {
        assert_eq!(cut(&bundle(whole), &before), None);
    }
    let repeated = bundle(&[&one, &two, &one]);
    assert_eq!(cut(&bundle(&[&one, &two]), &repeated), None, "no root is lost");
    // Of several files, any one may be cut short. A file that was removed is not.
    let several = loaded(&[("/a", &[&one, &two]), ("/b", &[&three])]);
    assert_eq!(cut(&loaded(&[("/a", &[&one]), ("/b", &[&three])]), &several), Some("/a".into()));
    assert_eq!(cut(&loaded(&[("/a", &[&one, &two])]), &several), None);
    assert_eq!(cut(&loaded(&[("/a", &[&one]), ("/b", &[&two, &three])]), &several), None, "moved");
}
