//! Which revocation lists are taken, and which are refused, and with what words.

use std::path::PathBuf;
use std::slice::from_ref;

use rcgen::KeyUsagePurpose;
use rustls::crypto::aws_lc_rs::default_provider;

use super::issuer::CrlIssuers;
use super::set::{CrlChecks, RevocationLists};
use crate::error::{Cause, Error};
use crate::pki::test_ca::{Authority, Listing, file, in_directory, now};
use crate::pki::trust::TrustFile;
use crate::pki::trust::{Reading, Roots, sha256};
use crate::pki::warnings::WarningKind;

const DAY: i64 = 24 * 3600;

/// The roots, and when it is, and what serves.
struct CrlScene<'a> {
    roots: &'a [&'a Authority],
    allow_expired: bool,
    now: i64,
    before: Option<&'a RevocationLists>,
    /// Certificates that are known besides.
    issuers: &'a [&'a [u8]],
}

impl<'a> CrlScene<'a> {
    fn of(roots: &'a [&'a Authority]) -> Self {
        Self { roots, allow_expired: false, now: now(), before: None, issuers: &[] }
    }

    fn after(self, before: &'a RevocationLists) -> Self {
        Self { before: Some(before), ..self }
    }

    /// Reads one file of lists.
    fn read(&self, lists: &[String]) -> Result<RevocationLists, Error> {
        self.read_files(&[file("/lists", &lists.concat())], &["/lists"])
    }

    fn read_files(
        &self,
        files: &[TrustFile<'_>],
        places: &[&str],
    ) -> Result<RevocationLists, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        let pem: String = self.roots.iter().map(|root| root.root_pem()).collect();
        let place = "/roots".as_ref();
        let reading = Reading { place, algorithms: &algorithms, now: now(), served: None };
        let roots = match self.roots {
            [] => None,
            _ => Some(Roots::read(&[file("/roots", &pem)], &reading).unwrap()),
        };
        let roots: Vec<_> = roots.iter().flat_map(|roots| roots.anchors.values()).collect();
        let places: Vec<_> = places.iter().map(PathBuf::from).collect();
        RevocationLists::read(
            files,
            &CrlChecks {
                places: &places,
                signers: CrlIssuers::new(&roots, self.issuers, files),
                algorithms: &algorithms,
                allow_expired: self.allow_expired,
                now: self.now,
                before: self.before.map_or(&[], |before| &before.counting),
                newest: self.before.map_or(&[], |before| &before.newest),
            },
        )
    }

    fn refused(&self, lists: &[String]) -> (Cause, String) {
        let Err(error) = self.read(lists) else { panic!("it was taken") };
        assert_eq!(error.path.as_deref(), Some("/lists".as_ref()), "{error}");
        (error.cause.clone(), error.to_string())
    }
}

fn warned(lists: &RevocationLists) -> Vec<WarningKind> {
    lists.warnings.iter().map(|warning| warning.kind).collect()
}

#[test]
fn of_several_lists_of_one_issuer_the_newest_counts() {
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
        let counting: Vec<_> = lists.counting.iter().map(|list| list.issuer.as_str()).collect();
        assert_eq!(counting, ["one", "two"]);
        assert_eq!(lists.counting[0].revoked, 300);
        assert_eq!(sha256(&lists.ders[0]), lists.counting[0].sha256);
        assert_eq!(warned(&lists), []);
    }
}

#[test]
fn lists_of_parts_count_beside_each_other() {
    let one = Authority::new("one");
    let part = |part| one.list_pem(&Listing { part: Some(part), ..Listing::number(1) });
    let lists = CrlScene::of(&[&one]).read(&[part("http://a"), part("http://b"), part("http://a")]);
    assert_eq!(lists.unwrap().counting.len(), 2);
}

#[test]
fn a_list_that_another_key_signed_is_refused() {
    let (one, forger) = (Authority::new("one"), Authority::new("one"));
    let fake = forger.list_pem(&Listing::number(9));
    let scene = [&one];
    let scene = CrlScene::of(&scene);
    let good = one.list_pem(&Listing::number(1));
    let (cause, words) = scene.refused(&[good.clone(), fake.clone()]);
    assert_eq!(cause, Cause::CrlSignature { index: 2, issuer: "one".to_owned() });
    assert!(words.contains("was not signed with the key of one"), "{words}");
    // Not even where it would be passed over.
    let older = forger.list_pem(&Listing::number(0));
    assert!(matches!(scene.refused(&[good, older]).0, Cause::CrlSignature { index: 2, .. }));
    // After a change of its key an authority has the same name twice.
    assert_eq!(warned(&CrlScene::of(&[&one, &forger]).read(&[fake]).unwrap()), []);
}

#[test]
fn a_list_that_is_damaged_is_refused() {
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
fn a_root_that_may_not_sign_lists_has_none() {
    let root = Authority::with("one", |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    });
    let list = root.list_pem(&Listing::number(1));
    let unfit = root.that_may(&[KeyUsagePurpose::KeyCertSign]);
    let (cause, words) = CrlScene::of(&[&unfit]).refused(from_ref(&list));
    assert!(matches!(cause, Cause::CrlSigner { index: 1, .. }), "{words}");
    let free = root.that_may(&[]);
    assert_eq!(warned(&CrlScene::of(&[&free]).read(&[list]).unwrap()), []);
}

#[test]
fn a_list_of_an_authority_that_is_no_root_is_told_of() {
    let (root, middle) = (Authority::new("root"), Authority::new("middle"));
    let lists = CrlScene::of(&[&root])
        .read(&[root.list_pem(&Listing::number(1)), middle.list_pem(&Listing::number(1))])
        .unwrap();
    assert_eq!(warned(&lists), [WarningKind::CrlUnrelated]);
    let text = &lists.warnings[0].text;
    assert!(text.contains("list 2 of /lists is of \"middle\""), "{text}");
}

#[test]
fn an_expired_list_is_refused_unless_it_is_allowed_or_serves_already() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let roots = [&one, &two];
    let old = Listing { next_update: (2026, 6, 10), ..Listing::number(1) };
    let (list, fresh) = (one.list_pem(&old), two.list_pem(&Listing::number(1)));
    let scene = CrlScene::of(&roots);
    let (cause, words) = scene.refused(&[fresh.clone(), list.clone()]);
    assert!(matches!(cause, Cause::CrlExpired { index: 2, .. }));
    assert!(words.contains("of one, expired at 2026-06-10T00:00:00Z"), "{words}");

    let allowed = CrlScene { allow_expired: true, ..CrlScene::of(&roots) };
    assert_eq!(warned(&allowed.read(&[fresh, list.clone()]).unwrap()), [WarningKind::CrlExpired]);

    // One authority that is late keeps no other's list away.
    let in_time = CrlScene { now: now() - 7 * DAY, ..CrlScene::of(&roots) };
    let served = in_time.read(&[list.clone(), two.list_pem(&Listing::number(1))]).unwrap();
    let scene = scene.after(&served);
    let lists = scene.read(&[list, two.list_pem(&Listing::number(2))]).unwrap();
    assert_eq!(warned(&lists), [WarningKind::CrlExpired]);
    let another = one.list_pem(&Listing { number: 2, ..old });
    assert!(matches!(scene.refused(&[another]).0, Cause::CrlExpired { .. }));
}

#[test]
fn a_list_expires_in_the_second_of_its_next_update() {
    let one = Authority::new("one");
    let lists = [one.list_pem(&Listing::number(1))];
    let ends = CrlScene::of(&[&one]).read(&lists).unwrap().counting[0].next_update.unwrap();
    let at = |now| CrlScene { now, ..CrlScene::of(&[&one]) }.read(&lists).is_ok();
    assert!(at(ends - 1));
    assert!(!at(ends));
}

#[test]
fn a_list_of_tomorrow_is_taken() {
    let one = Authority::new("one");
    let listing = Listing { this_update: (2026, 6, 16), ..Listing::number(1) };
    assert_eq!(warned(&CrlScene::of(&[&one]).read(&[one.list_pem(&listing)]).unwrap()), []);
}

#[test]
fn an_older_list_never_takes_the_place_of_a_newer_one() {
    let one = Authority::new("one");
    let roots = [&one];
    let list = |number, day| {
        one.list_pem(&Listing { this_update: (2026, 6, day), ..Listing::number(number) })
    };
    let served = CrlScene::of(&roots).read(&[list(300, 5)]).unwrap();
    let scene = CrlScene::of(&roots).after(&served);
    let (cause, words) = scene.refused(&[list(299, 6)]);
    assert!(matches!(cause, Cause::CrlRollback { index: 1, .. }));
    assert!(words.contains("number 299 comes before number 300"), "{words}");
    let (_, words) = scene.refused(&[list(300, 4)]);
    assert!(words.contains("2026-06-04T00:00:00Z comes before 2026-06-05T"), "{words}");
    // The older one beside the newer one does no harm.
    for lists in
        [&[list(300, 5)][..], &[list(300, 6)], &[list(301, 1)], &[list(1, 1), list(300, 5)]]
    {
        assert_eq!(scene.read(lists).unwrap().counting.len(), 1);
    }
}

#[test]
fn the_list_of_a_root_is_not_lost_while_the_root_is_trusted() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let both = [&one, &two];
    let lists = [one.list_pem(&Listing::number(1)), two.list_pem(&Listing::number(1))];
    let served = CrlScene::of(&both).read(&lists).unwrap();
    let (cause, words) = CrlScene::of(&both).after(&served).refused(&lists[..1]);
    assert_eq!(cause, Cause::CrlLost { issuer: "two".to_owned() });
    assert!(words.contains("still be trusted"), "{words}");
    // Together with its root it goes.
    let without = CrlScene::of(&both[..1]).after(&served).read(&lists[..1]).unwrap();
    assert_eq!(warned(&without), []);
    // Another authority of that name does not stand in for it.
    let other = Authority::new("two");
    let other_too = [&one, &two, &other];
    let swapped = [lists[0].clone(), other.list_pem(&Listing::number(2))];
    assert!(matches!(
        CrlScene::of(&other_too).after(&served).refused(&swapped).0,
        Cause::CrlLost { .. }
    ));
}

#[test]
fn a_part_is_lost_unless_a_list_of_all_takes_its_place() {
    let one = Authority::new("one");
    let roots = [&one];
    let part = |part, number| one.list_pem(&Listing { part, ..Listing::number(number) });
    let served =
        CrlScene::of(&roots).read(&[part(Some("http://a"), 1), part(Some("http://b"), 1)]).unwrap();
    let scene = CrlScene::of(&roots).after(&served);
    assert!(matches!(scene.refused(&[part(Some("http://a"), 2)]).0, Cause::CrlLost { .. }));
    assert_eq!(scene.read(&[part(None, 2)]).unwrap().counting.len(), 1);
}

#[test]
fn the_list_of_an_intermediate_is_not_lost_while_it_holds() {
    let (root, middle) = (Authority::new("root"), Authority::new("middle"));
    let roots = [&root];
    let of_root = root.list_pem(&Listing::number(1));
    let short = Listing { next_update: (2026, 6, 20), ..Listing::number(1) };
    let served = CrlScene::of(&roots).read(&[of_root.clone(), middle.list_pem(&short)]).unwrap();
    let (cause, _) = CrlScene::of(&roots).after(&served).refused(from_ref(&of_root));
    assert_eq!(cause, Cause::CrlLost { issuer: "middle".to_owned() });
    let later = CrlScene { now: now() + 5 * DAY, ..CrlScene::of(&roots) }.after(&served);
    let lists = later.read(&[of_root]).unwrap();
    assert_eq!(warned(&lists), [WarningKind::CrlLost]);
    assert!(lists.warnings[0].text.contains("of \"middle\" any more; /lists had one"));
    // That it becomes a root makes it no other list.
    let lists = [root.list_pem(&Listing::number(1)), middle.list_pem(&Listing::number(0))];
    let scene = [&root, &middle];
    assert!(matches!(
        CrlScene::of(&scene).after(&served).refused(&lists).0,
        Cause::CrlRollback { index: 2, .. }
    ));
}

#[test]
fn a_list_that_was_gone_for_a_while_does_not_come_back_with_an_older_one() {
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
    // The root went, and the intermediate's list after it had expired.
    let gone = much_later(&both[..1]).after(&first).read(&of_one).unwrap();
    let still = much_later(&both[..1]).after(&gone).read(&of_one).unwrap();
    let back = |number| {
        let list = Listing { next_update: (2027, 6, 1), ..Listing::number(number) };
        [&of_one[0], &*middle.list_pem(&list), &two.list_pem(&list)].map(str::to_owned)
    };
    let scene = much_later(&both).after(&still);
    let (cause, words) = scene.refused(&back(299));
    assert!(matches!(cause, Cause::CrlRollback { index: 2, .. }), "{words}");
    let (cause, words) =
        scene.refused(&[back(300)[1].clone(), back(299)[2].clone(), back(1)[0].clone()]);
    assert!(matches!(cause, Cause::CrlRollback { index: 2, .. }), "{words}");
    assert_eq!(scene.read(&back(300)).unwrap().counting.len(), 3);
}

#[test]
fn an_older_list_of_all_does_not_take_the_place_of_parts() {
    let one = Authority::new("one");
    let roots = [&one];
    let list = |part, number, day| {
        one.list_pem(&Listing { part, this_update: (2026, 6, day), ..Listing::number(number) })
    };
    let part = |number, day| list(Some("http://a"), number, day);
    let served = CrlScene::of(&roots).read(&[part(5, 5)]).unwrap();
    let scene = CrlScene::of(&roots).after(&served);
    for older in [list(None, 4, 5), list(None, 4, 4), list(None, 6, 4)] {
        let (cause, words) = scene.refused(from_ref(&older));
        assert!(matches!(cause, Cause::CrlRollback { index: 1, .. }), "{words}");
        assert_eq!(scene.read(&[older, part(5, 5)]).unwrap().counting.len(), 2, "beside it");
    }
    for newer in [list(None, 6, 5), list(None, 1, 6)] {
        assert_eq!(scene.read(&[newer]).unwrap().counting.len(), 1);
    }
}

#[test]
fn the_list_of_an_intermediate_is_checked_with_its_certificate() {
    let (root, middle, forger) =
        (Authority::new("root"), Authority::new("middle"), Authority::new("middle"));
    let roots = [&root];
    let (list, fake) = (middle.list_pem(&Listing::number(1)), forger.list_pem(&Listing::number(2)));
    let (pem, der) = (root.certifies_pem(&middle, 7), root.certifies(&middle, 7));
    let scene = CrlScene::of(&roots);
    assert_eq!(warned(&scene.read(from_ref(&fake)).unwrap()), [WarningKind::CrlUnrelated]);

    assert_eq!(warned(&scene.read(&[pem.clone(), list.clone()]).unwrap()), []);
    let signature = Cause::CrlSignature { index: 1, issuer: "middle".to_owned() };
    assert_eq!(scene.refused(&[fake.clone(), pem.clone()]).0, signature);

    let issuers: [&[u8]; 2] = [b"no certificate", &der];
    let known = CrlScene { issuers: &issuers, ..CrlScene::of(&roots) };
    assert_eq!(warned(&known.read(from_ref(&list)).unwrap()), []);
    assert_eq!(known.refused(from_ref(&fake)).0, signature);
    // After a change of its key an authority has the same name twice.
    let both = [root.certifies_pem(&forger, 8), fake.clone(), list.clone()];
    assert_eq!(warned(&known.read(&both).unwrap()), []);

    for bytes in [pem.as_bytes(), &der] {
        let files = |list| [in_directory("/b/list.pem", list), in_directory("/b/a.der", bytes)];
        assert_eq!(warned(&scene.read_files(&files(&list), &["/b"]).unwrap()), []);
        assert!(scene.read_files(&files(&fake), &["/b"]).is_err());
    }
    let unfit = root.certifies_pem(&middle.that_may(&[KeyUsagePurpose::KeyCertSign]), 7);
    assert!(matches!(scene.refused(&[unfit, list]).0, Cause::CrlSigner { index: 1, .. }));
}

#[test]
fn a_certificate_beside_a_list_does_not_stand_in_for_a_root() {
    let (root, forger) = (Authority::new("root"), Authority::new("root"));
    let lists = [forger.root_pem(), forger.list_pem(&Listing::number(9))];
    let der = forger.root();
    let scene = [&root];
    let scene = CrlScene { issuers: &[&der], ..CrlScene::of(&scene) };
    assert!(matches!(scene.refused(&lists).0, Cause::CrlSignature { index: 1, .. }));
}

#[test]
fn every_place_that_is_asked_for_has_a_list() {
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
    assert_eq!(scene.read_files(&more, &["/a.crl", "/b"]).unwrap().counting.len(), 1);
}

#[test]
fn no_lists_are_asked_for() {
    assert_eq!(CrlScene::of(&[]).read_files(&[], &[]).unwrap().counting.len(), 0);
}
