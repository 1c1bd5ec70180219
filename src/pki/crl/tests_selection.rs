//! Tests which CRLs are accepted, which are rejected, and with which messages.

use std::path::PathBuf;
use std::slice::from_ref;

use rcgen::KeyUsagePurpose;
use rustls::crypto::aws_lc_rs::default_provider;

use super::issuer::CrlIssuers;
use super::selection::{CrlContext, CrlSet};
use crate::error::{Cause, Error};
use crate::pki::hash::sha256;
use crate::pki::test_ca::{Authority, Listing, file, in_directory, now};
use crate::pki::trust::{Roots, RootsContext};
use crate::pki::trust_input::TrustFile;
use crate::pki::warnings::WarningKind;

const DAY: i64 = 24 * 3600;

/// The circumstances under which CRLs are read: roots, time, and the CRLs in use.
struct CrlScene<'a> {
    roots: &'a [&'a Authority],
    allow_expired: bool,
    now: i64,
    in_use: Option<&'a CrlSet>,
    /// Certificates (DER) of intermediates, from another source than the CRL files.
    issuers: &'a [&'a [u8]],
}

impl<'a> CrlScene<'a> {
    fn of(roots: &'a [&'a Authority]) -> Self {
        Self { roots, allow_expired: false, now: now(), in_use: None, issuers: &[] }
    }

    fn after(self, in_use: &'a CrlSet) -> Self {
        Self { in_use: Some(in_use), ..self }
    }

    /// Reads a CRL file that consists of `lists`.
    fn read(&self, lists: &[String]) -> Result<CrlSet, Error> {
        self.read_files(&[file("/lists", &lists.concat())], &["/lists"])
    }

    fn read_files(&self, files: &[TrustFile<'_>], places: &[&str]) -> Result<CrlSet, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        let pem: String = self.roots.iter().map(|root| root.root_pem()).collect();
        let place = "/roots".as_ref();
        let context = RootsContext { place, algorithms: &algorithms, now: now(), loaded: None };
        let roots = match self.roots {
            [] => None,
            _ => Some(Roots::read(&[file("/roots", &pem)], &context).unwrap()),
        };
        let roots: Vec<_> = roots.iter().flat_map(|roots| roots.anchors.values()).collect();
        let places: Vec<_> = places.iter().map(PathBuf::from).collect();
        CrlSet::read(
            files,
            &CrlContext {
                places: &places,
                issuers: CrlIssuers::new(&roots, self.issuers, files),
                algorithms: &algorithms,
                allow_expired: self.allow_expired,
                now: self.now,
                in_use: self.in_use.map_or(&[], |in_use| &in_use.lists),
                newest: self.in_use.map_or(&[], |in_use| &in_use.newest),
            },
        )
    }

    fn rejected(&self, lists: &[String]) -> (Cause, String) {
        let Err(error) = self.read(lists) else { panic!("accepted") };
        assert_eq!(error.path.as_deref(), Some("/lists".as_ref()), "{error}");
        (error.cause.clone(), error.to_string())
    }
}

fn warning_kinds(lists: &CrlSet) -> Vec<WarningKind> {
    lists.warnings.iter().map(|warning| warning.kind).collect()
}

#[test]
fn several_crls_of_one_scope_only_the_newest_is_enforced() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let scene = [&one, &two];
    let scene = CrlScene::of(&scene);
    let list = |number: u64| {
        let revoked: Vec<_> = (1..=number).collect();
        one.list_pem(&Listing::number(number).revoking(&revoked))
    };
    for order in [[5, 300, 7], [300, 7, 5], [7, 5, 300]] {
        let mut all = order.map(list).to_vec();
        all.push(two.list_pem(&Listing::number(1)));
        let lists = scene.read(&all).unwrap();
        let issuers: Vec<_> = lists.lists.iter().map(|list| list.issuer.as_str()).collect();
        assert_eq!(issuers, ["one", "two"]);
        assert_eq!(lists.lists[0].revoked, 300);
        assert_eq!(sha256(&lists.ders[0]), lists.lists[0].sha256);
        assert_eq!(warning_kinds(&lists), []);
    }
}

#[test]
fn crls_of_different_parts_are_all_enforced() {
    let one = Authority::new("one");
    let part = |part| one.list_pem(&Listing { part: Some(part), ..Listing::number(1) });
    let lists = CrlScene::of(&[&one]).read(&[part("http://a"), part("http://b"), part("http://a")]);
    assert_eq!(lists.unwrap().lists.len(), 2);
}

#[test]
fn crl_signed_with_another_key_is_rejected() {
    let (one, forger) = (Authority::new("one"), Authority::new("one"));
    let fake = forger.list_pem(&Listing::number(9));
    let scene = [&one];
    let scene = CrlScene::of(&scene);
    let good = one.list_pem(&Listing::number(1));
    let (cause, words) = scene.rejected(&[good.clone(), fake.clone()]);
    assert_eq!(cause, Cause::CrlSignature { index: 2, issuer: "one".to_owned() });
    assert!(words.contains("was not signed with the key of one"), "{words}");
    // A forged CRL is rejected even if a newer one would replace it.
    let older = forger.list_pem(&Listing::number(0));
    assert!(matches!(scene.rejected(&[good, older]).0, Cause::CrlSignature { index: 2, .. }));
    // If a CA has replaced its key, two certificates have its name, and either key may sign the CRL.
    assert_eq!(warning_kinds(&CrlScene::of(&[&one, &forger]).read(&[fake]).unwrap()), []);
}

#[test]
fn damaged_crl_is_rejected_as_possibly_half_written() {
    let one = Authority::new("one");
    let mut der = one.list(&Listing::number(1).revoking(&[7])).der().to_vec();
    let at = der.windows(8).position(|window| window == [2, 1, 7, 0x17, 0xd, b'2', b'6', b'0']);
    der[at.unwrap() + 2] = 8;
    let error =
        CrlScene::of(&[&one]).read_files(&[file("/lists", &der)], &["/lists"]).err().unwrap();
    assert!(matches!(error.cause, Cause::CrlSignature { index: 1, .. }), "{error}");
    assert!(error.cause.may_be_half_written());
}

#[test]
fn crl_of_a_root_without_crl_sign_usage_is_rejected() {
    let root = Authority::with("one", |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    });
    let list = root.list_pem(&Listing::number(1));
    let unfit = root.with_key_usages(&[KeyUsagePurpose::KeyCertSign]);
    let (cause, words) = CrlScene::of(&[&unfit]).rejected(from_ref(&list));
    assert!(matches!(cause, Cause::CrlSigner { index: 1, .. }), "{words}");
    let free = root.with_key_usages(&[]);
    assert_eq!(warning_kinds(&CrlScene::of(&[&free]).read(&[list]).unwrap()), []);
}

#[test]
fn crl_of_an_unknown_issuer_is_accepted_with_a_warning() {
    let (root, middle) = (Authority::new("root"), Authority::new("middle"));
    let lists = CrlScene::of(&[&root])
        .read(&[root.list_pem(&Listing::number(1)), middle.list_pem(&Listing::number(1))])
        .unwrap();
    assert_eq!(warning_kinds(&lists), [WarningKind::CrlUnrelated]);
    let text = &lists.warnings[0].text;
    assert!(text.contains("list 2 of /lists is of \"middle\""), "{text}");
}

#[test]
fn expired_crl_is_rejected_unless_allowed_or_in_use() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let roots = [&one, &two];
    let old = Listing { next_update: (2026, 6, 10), ..Listing::number(1) };
    let (list, fresh) = (one.list_pem(&old), two.list_pem(&Listing::number(1)));
    let scene = CrlScene::of(&roots);
    let (cause, words) = scene.rejected(&[fresh.clone(), list.clone()]);
    assert!(matches!(cause, Cause::CrlExpired { index: 2, .. }));
    assert!(words.contains("of one, expired at 2026-06-10T00:00:00Z"), "{words}");

    let allowed = CrlScene { allow_expired: true, ..CrlScene::of(&roots) };
    assert_eq!(
        warning_kinds(&allowed.read(&[fresh, list.clone()]).unwrap()),
        [WarningKind::CrlExpired]
    );

    // If the CRL of one CA has expired while in use, that of another CA can still be renewed.
    let in_time = CrlScene { now: now() - 7 * DAY, ..CrlScene::of(&roots) };
    let in_use = in_time.read(&[list.clone(), two.list_pem(&Listing::number(1))]).unwrap();
    let scene = scene.after(&in_use);
    let lists = scene.read(&[list, two.list_pem(&Listing::number(2))]).unwrap();
    assert_eq!(warning_kinds(&lists), [WarningKind::CrlExpired]);
    let another = one.list_pem(&Listing { number: 2, ..old });
    assert!(matches!(scene.rejected(&[another]).0, Cause::CrlExpired { .. }));
}

#[test]
fn crl_expires_at_the_second_of_its_next_update() {
    let one = Authority::new("one");
    let lists = [one.list_pem(&Listing::number(1))];
    let ends = CrlScene::of(&[&one]).read(&lists).unwrap().lists[0].next_update.unwrap();
    let at = |now| CrlScene { now, ..CrlScene::of(&[&one]) }.read(&lists).is_ok();
    assert!(at(ends - 1));
    assert!(!at(ends));
}

#[test]
fn crl_with_this_update_in_the_future_is_accepted() {
    let one = Authority::new("one");
    let listing = Listing { this_update: (2026, 6, 16), ..Listing::number(1) };
    assert_eq!(warning_kinds(&CrlScene::of(&[&one]).read(&[one.list_pem(&listing)]).unwrap()), []);
}

#[test]
fn g13_older_crl_does_not_replace_a_newer_one() {
    let one = Authority::new("one");
    let roots = [&one];
    let list = |number, day| {
        one.list_pem(&Listing { this_update: (2026, 6, day), ..Listing::number(number) })
    };
    let in_use = CrlScene::of(&roots).read(&[list(300, 5)]).unwrap();
    let scene = CrlScene::of(&roots).after(&in_use);
    let (cause, words) = scene.rejected(&[list(299, 6)]);
    assert!(matches!(cause, Cause::CrlRollback { index: 1, .. }));
    assert!(words.contains("number 299 comes before number 300"), "{words}");
    let (_, words) = scene.rejected(&[list(300, 4)]);
    assert!(words.contains("2026-06-04T00:00:00Z comes before 2026-06-05T"), "{words}");
    // The same CRL is accepted, and a newer one, and an older one beside it, which has no effect.
    for lists in
        [&[list(300, 5)][..], &[list(300, 6)], &[list(301, 1)], &[list(1, 1), list(300, 5)]]
    {
        assert_eq!(scene.read(lists).unwrap().lists.len(), 1);
    }
}

#[test]
fn g13_crl_of_a_trusted_root_must_not_be_removed() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let both = [&one, &two];
    let lists = [one.list_pem(&Listing::number(1)), two.list_pem(&Listing::number(1))];
    let in_use = CrlScene::of(&both).read(&lists).unwrap();
    let (cause, words) = CrlScene::of(&both).after(&in_use).rejected(&lists[..1]);
    assert_eq!(cause, Cause::CrlLost { issuer: "two".to_owned() });
    assert!(words.contains("still be trusted"), "{words}");
    // The CRL of a root may be removed together with the root.
    let without = CrlScene::of(&both[..1]).after(&in_use).read(&lists[..1]).unwrap();
    assert_eq!(warning_kinds(&without), []);
    // The CRL of another CA with the same name is no replacement.
    let other = Authority::new("two");
    let other_too = [&one, &two, &other];
    let swapped = [lists[0].clone(), other.list_pem(&Listing::number(2))];
    assert!(matches!(
        CrlScene::of(&other_too).after(&in_use).rejected(&swapped).0,
        Cause::CrlLost { .. }
    ));
}

#[test]
fn crl_of_a_part_is_replaced_only_by_that_part_or_by_a_complete_crl() {
    let one = Authority::new("one");
    let roots = [&one];
    let part = |part, number| one.list_pem(&Listing { part, ..Listing::number(number) });
    let in_use =
        CrlScene::of(&roots).read(&[part(Some("http://a"), 1), part(Some("http://b"), 1)]).unwrap();
    let scene = CrlScene::of(&roots).after(&in_use);
    assert!(matches!(scene.rejected(&[part(Some("http://a"), 2)]).0, Cause::CrlLost { .. }));
    assert_eq!(scene.read(&[part(None, 2)]).unwrap().lists.len(), 1);
}

#[test]
fn g13_crl_of_an_intermediate_must_not_be_removed_before_it_expires() {
    let (root, middle) = (Authority::new("root"), Authority::new("middle"));
    let roots = [&root];
    let of_root = root.list_pem(&Listing::number(1));
    let short = Listing { next_update: (2026, 6, 20), ..Listing::number(1) };
    let in_use = CrlScene::of(&roots).read(&[of_root.clone(), middle.list_pem(&short)]).unwrap();
    let (cause, _) = CrlScene::of(&roots).after(&in_use).rejected(from_ref(&of_root));
    assert_eq!(cause, Cause::CrlLost { issuer: "middle".to_owned() });
    let later = CrlScene { now: now() + 5 * DAY, ..CrlScene::of(&roots) }.after(&in_use);
    let lists = later.read(&[of_root]).unwrap();
    assert_eq!(warning_kinds(&lists), [WarningKind::CrlLost]);
    assert!(
        lists.warnings[0]
            .text
            .contains("of \"middle\" any more, after the last one, from /lists, expired")
    );
    // If the intermediate becomes a root, its CRL keeps its scope, and an older one is still rejected.
    let lists = [root.list_pem(&Listing::number(1)), middle.list_pem(&Listing::number(0))];
    let scene = [&root, &middle];
    assert!(matches!(
        CrlScene::of(&scene).after(&in_use).rejected(&lists).0,
        Cause::CrlRollback { index: 2, .. }
    ));
}

#[test]
fn g13_crl_removed_for_a_while_does_not_return_with_an_older_version() {
    let (one, two, middle) =
        (Authority::new("one"), Authority::new("two"), Authority::new("middle"));
    let both = [&one, &two];
    let lists = |middle_and_two| {
        let list = Listing::number(middle_and_two);
        [one.list_pem(&Listing::number(1)), middle.list_pem(&list), two.list_pem(&list)]
    };
    let of_one = Listing { next_update: (2027, 6, 1), ..Listing::number(2) };
    let of_one = [one.list_pem(&of_one)];
    let much_later = |roots| CrlScene { now: now() + 90 * DAY, ..CrlScene::of(roots) };
    let first = CrlScene::of(&both).read(&lists(300)).unwrap();
    // The root `two` is removed, and the CRL of `middle` after its expiry.
    let gone = much_later(&both[..1]).after(&first).read(&of_one).unwrap();
    let still = much_later(&both[..1]).after(&gone).read(&of_one).unwrap();
    let back = |number| {
        let list = Listing { next_update: (2027, 6, 1), ..Listing::number(number) };
        [&of_one[0], &*middle.list_pem(&list), &two.list_pem(&list)].map(str::to_owned)
    };
    let scene = much_later(&both).after(&still);
    let (cause, words) = scene.rejected(&back(299));
    assert!(matches!(cause, Cause::CrlRollback { index: 2, .. }), "{words}");
    let (cause, words) =
        scene.rejected(&[back(300)[1].clone(), back(299)[2].clone(), back(1)[0].clone()]);
    assert!(matches!(cause, Cause::CrlRollback { index: 2, .. }), "{words}");
    assert_eq!(scene.read(&back(300)).unwrap().lists.len(), 3);
}

#[test]
fn g13_older_complete_crl_does_not_replace_the_crl_of_a_part() {
    let one = Authority::new("one");
    let roots = [&one];
    let list = |part, number, day| {
        one.list_pem(&Listing { part, this_update: (2026, 6, day), ..Listing::number(number) })
    };
    let part = |number, day| list(Some("http://a"), number, day);
    let in_use = CrlScene::of(&roots).read(&[part(5, 5)]).unwrap();
    let scene = CrlScene::of(&roots).after(&in_use);
    for older in [list(None, 4, 5), list(None, 4, 4), list(None, 6, 4)] {
        let (cause, words) = scene.rejected(from_ref(&older));
        assert!(matches!(cause, Cause::CrlRollback { index: 1, .. }), "{words}");
        assert_eq!(scene.read(&[older, part(5, 5)]).unwrap().lists.len(), 2, "beside it");
    }
    for newer in [list(None, 6, 5), list(None, 1, 6)] {
        assert_eq!(scene.read(&[newer]).unwrap().lists.len(), 1);
    }
}

#[test]
fn crl_of_an_intermediate_is_verified_with_its_certificate() {
    let (root, middle, forger) =
        (Authority::new("root"), Authority::new("middle"), Authority::new("middle"));
    let roots = [&root];
    let (list, fake) = (middle.list_pem(&Listing::number(1)), forger.list_pem(&Listing::number(2)));
    let (pem, der) = (root.certifies_pem(&middle, 7), root.certifies(&middle, 7));
    let scene = CrlScene::of(&roots);
    assert_eq!(warning_kinds(&scene.read(from_ref(&fake)).unwrap()), [WarningKind::CrlUnrelated]);

    assert_eq!(warning_kinds(&scene.read(&[pem.clone(), list.clone()]).unwrap()), []);
    let signature = Cause::CrlSignature { index: 1, issuer: "middle".to_owned() };
    assert_eq!(scene.rejected(&[fake.clone(), pem.clone()]).0, signature);

    let issuers: [&[u8]; 2] = [b"not a certificate", &der];
    let known = CrlScene { issuers: &issuers, ..CrlScene::of(&roots) };
    assert_eq!(warning_kinds(&known.read(from_ref(&list)).unwrap()), []);
    assert_eq!(known.rejected(from_ref(&fake)).0, signature);
    // If a CA has replaced its key, two certificates have its name, and either key may sign the CRL.
    let both = [root.certifies_pem(&forger, 8), fake.clone(), list.clone()];
    assert_eq!(warning_kinds(&known.read(&both).unwrap()), []);

    for bytes in [pem.as_bytes(), &der] {
        let files = |list| [in_directory("/b/list.pem", list), in_directory("/b/a.der", bytes)];
        assert_eq!(warning_kinds(&scene.read_files(&files(&list), &["/b"]).unwrap()), []);
        assert!(scene.read_files(&files(&fake), &["/b"]).is_err());
    }
    let unfit = root.certifies_pem(&middle.with_key_usages(&[KeyUsagePurpose::KeyCertSign]), 7);
    assert!(matches!(scene.rejected(&[unfit, list]).0, Cause::CrlSigner { index: 1, .. }));
}

#[test]
fn certificate_in_a_crl_file_does_not_verify_crls_of_a_root() {
    let (root, forger) = (Authority::new("root"), Authority::new("root"));
    let lists = [forger.root_pem(), forger.list_pem(&Listing::number(9))];
    let der = forger.root();
    let scene = [&root];
    let scene = CrlScene { issuers: &[&der], ..CrlScene::of(&scene) };
    assert!(matches!(scene.rejected(&lists).0, Cause::CrlSignature { index: 1, .. }));
}

#[test]
fn configured_place_without_a_crl_is_rejected() {
    let one = Authority::new("one");
    let roots = [&one];
    let scene = CrlScene::of(&roots);
    let (list, root) = (one.list_pem(&Listing::number(1)), one.root_pem());
    let files = [file("/a.crl", &list), in_directory("/b/root.pem", &root)];
    let error = scene.read_files(&files, &["/a.crl", "/b"]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "/b: holds no certificate revocation list in any of its files (parse)"
    );
    let error = scene.read_files(&files[..1], &["/a.crl", "/c"]).err().unwrap();
    assert_eq!(error.path.as_deref(), Some("/c".as_ref()), "an empty directory");
    let more = [files[0], files[1], in_directory("/b/list.pem", &list)];
    assert_eq!(scene.read_files(&more, &["/a.crl", "/b"]).unwrap().lists.len(), 1);
}

#[test]
fn no_configured_places_yield_no_crls() {
    assert_eq!(CrlScene::of(&[]).read_files(&[], &[]).unwrap().lists.len(), 0);
}
