//! Which revocation lists are taken, and which are refused, and with what words.

use std::path::PathBuf;

use rcgen::KeyUsagePurpose;
use rustls::crypto::aws_lc_rs::default_provider;

use super::authority::{Authority, Listing, file, in_directory, now};
use super::lists::{Checks, List, Lists};
use super::roots::{Reading, Roots, sha256};
use super::trust_file::TrustFile;
use super::warnings::WarningKind;
use crate::error::{Cause, Error};

/// The roots, and when it is, and what serves.
struct Scene<'a> {
    roots: &'a [&'a Authority],
    allow_expired: bool,
    now: i64,
    before: &'a [List],
}

impl<'a> Scene<'a> {
    fn of(roots: &'a [&'a Authority]) -> Self {
        Self { roots, allow_expired: false, now: now(), before: &[] }
    }

    fn after(self, before: &'a Lists) -> Self {
        Self { before: &before.counting, ..self }
    }

    /// Reads one file of lists.
    fn read(&self, lists: &[String]) -> Result<Lists, Error> {
        self.read_files(&[file("/lists", &lists.concat())], &["/lists"])
    }

    fn read_files(&self, files: &[TrustFile<'_>], places: &[&str]) -> Result<Lists, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        let pem: String = self.roots.iter().map(|root| root.root_pem()).collect();
        let place = "/roots".as_ref();
        let reading = Reading { place, algorithms: &algorithms, now: now(), served: None };
        let roots = match self.roots {
            [] => None,
            _ => Some(Roots::read(&[file("/roots", &pem)], &reading).unwrap()),
        };
        let places: Vec<_> = places.iter().map(PathBuf::from).collect();
        Lists::read(
            files,
            &Checks {
                places: &places,
                roots: roots.iter().flat_map(|roots| roots.anchors.values()).collect(),
                algorithms: &algorithms,
                allow_expired: self.allow_expired,
                now: self.now,
                before: self.before,
            },
        )
    }

    fn refused(&self, lists: &[String]) -> (Cause, String) {
        let Err(error) = self.read(lists) else { panic!("it was taken") };
        assert_eq!(error.path.as_deref(), Some("/lists".as_ref()), "{error}");
        (error.cause.clone(), error.to_string())
    }
}

fn warned(lists: &Lists) -> Vec<WarningKind> {
    lists.warnings.iter().map(|warning| warning.kind).collect()
}

#[test]
fn of_several_lists_of_one_issuer_the_newest_counts() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let scene = [&one, &two];
    let scene = Scene::of(&scene);
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
    let lists = Scene::of(&[&one]).read(&[part("http://a"), part("http://b"), part("http://a")]);
    assert_eq!(lists.unwrap().counting.len(), 2);
}

#[test]
fn a_list_that_another_key_signed_is_refused() {
    let (one, forger) = (Authority::new("one"), Authority::new("one"));
    let fake = forger.list_pem(&Listing::number(9));
    let scene = [&one];
    let scene = Scene::of(&scene);
    let good = one.list_pem(&Listing::number(1));
    let (cause, words) = scene.refused(&[good.clone(), fake.clone()]);
    assert_eq!(cause, Cause::CrlSignature { index: 2, issuer: "one".to_owned() });
    assert!(words.contains("was not signed with the key of one"), "{words}");
    // Not even where it would be passed over.
    let older = forger.list_pem(&Listing::number(0));
    assert!(matches!(scene.refused(&[good, older]).0, Cause::CrlSignature { index: 2, .. }));
    // After a change of its key an authority has the same name twice.
    assert_eq!(warned(&Scene::of(&[&one, &forger]).read(&[fake]).unwrap()), []);
}

#[test]
fn a_list_that_is_damaged_is_refused() {
    let one = Authority::new("one");
    let mut der = one.list(&Listing::number(1).revoking(&[7])).der().to_vec();
    let at = der.windows(8).position(|window| window == [2, 1, 7, 0x17, 0xd, b'2', b'6', b'0']);
    der[at.unwrap() + 2] = 8;
    let error = Scene::of(&[&one]).read_files(&[file("/lists", &der)], &["/lists"]).err().unwrap();
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
    let (cause, words) = Scene::of(&[&unfit]).refused(std::slice::from_ref(&list));
    assert!(matches!(cause, Cause::CrlSigner { index: 1, .. }), "{words}");
    let free = root.that_may(&[]);
    assert_eq!(warned(&Scene::of(&[&free]).read(&[list]).unwrap()), []);
}

#[test]
fn a_list_of_an_authority_that_is_no_root_is_told_of() {
    let (root, middle) = (Authority::new("root"), Authority::new("middle"));
    let lists = Scene::of(&[&root])
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
    let scene = Scene::of(&roots);
    let (cause, words) = scene.refused(&[fresh.clone(), list.clone()]);
    assert!(matches!(cause, Cause::CrlExpired { index: 2, .. }));
    assert!(words.contains("of one, expired at 2026-06-10T00:00:00Z"), "{words}");

    let allowed = Scene { allow_expired: true, ..Scene::of(&roots) };
    assert_eq!(warned(&allowed.read(&[fresh, list.clone()]).unwrap()), [WarningKind::CrlExpired]);

    // One authority that is late keeps no other's list away.
    let in_time = Scene { now: now() - 7 * 24 * 3600, ..Scene::of(&roots) };
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
    let ends = Scene::of(&[&one]).read(&lists).unwrap().counting[0].next_update.unwrap();
    let at = |now| Scene { now, ..Scene::of(&[&one]) }.read(&lists).is_ok();
    assert!(at(ends - 1));
    assert!(!at(ends));
}

#[test]
fn a_list_of_tomorrow_is_taken() {
    let one = Authority::new("one");
    let listing = Listing { this_update: (2026, 6, 16), ..Listing::number(1) };
    assert_eq!(warned(&Scene::of(&[&one]).read(&[one.list_pem(&listing)]).unwrap()), []);
}

#[test]
fn an_older_list_never_takes_the_place_of_a_newer_one() {
    let one = Authority::new("one");
    let roots = [&one];
    let list = |number, day| {
        one.list_pem(&Listing { this_update: (2026, 6, day), ..Listing::number(number) })
    };
    let served = Scene::of(&roots).read(&[list(300, 5)]).unwrap();
    let scene = Scene::of(&roots).after(&served);
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
    let served = Scene::of(&both).read(&lists).unwrap();
    let (cause, words) = Scene::of(&both).after(&served).refused(&lists[..1]);
    assert_eq!(cause, Cause::CrlLost { issuer: "two".to_owned() });
    assert!(words.contains("still trusted"), "{words}");
    // Together with its root it goes.
    let without = Scene::of(&both[..1]).after(&served).read(&lists[..1]).unwrap();
    assert_eq!(warned(&without), []);
    // Another authority of that name does not stand in for it.
    let other = Authority::new("two");
    let other_too = [&one, &two, &other];
    let swapped = [lists[0].clone(), other.list_pem(&Listing::number(2))];
    assert!(matches!(
        Scene::of(&other_too).after(&served).refused(&swapped).0,
        Cause::CrlLost { .. }
    ));
}

#[test]
fn a_part_is_lost_unless_a_list_of_all_takes_its_place() {
    let one = Authority::new("one");
    let roots = [&one];
    let part = |part, number| one.list_pem(&Listing { part, ..Listing::number(number) });
    let served =
        Scene::of(&roots).read(&[part(Some("http://a"), 1), part(Some("http://b"), 1)]).unwrap();
    let scene = Scene::of(&roots).after(&served);
    assert!(matches!(scene.refused(&[part(Some("http://a"), 2)]).0, Cause::CrlLost { .. }));
    assert_eq!(scene.read(&[part(None, 2)]).unwrap().counting.len(), 1);
}

#[test]
fn the_list_of_an_intermediate_goes_with_a_warning() {
    let (root, middle) = (Authority::new("root"), Authority::new("middle"));
    let roots = [&root];
    let of_root = root.list_pem(&Listing::number(1));
    let served =
        Scene::of(&roots).read(&[of_root.clone(), middle.list_pem(&Listing::number(1))]).unwrap();
    let lists = Scene::of(&roots).after(&served).read(&[of_root]).unwrap();
    assert_eq!(warned(&lists), [WarningKind::CrlLost]);
    assert!(lists.warnings[0].text.contains("of \"middle\" any more; /lists had one"));
    // That it becomes a root makes it no other list.
    let lists = [root.list_pem(&Listing::number(1)), middle.list_pem(&Listing::number(0))];
    let scene = [&root, &middle];
    assert!(matches!(
        Scene::of(&scene).after(&served).refused(&lists).0,
        Cause::CrlRollback { index: 2, .. }
    ));
}

#[test]
fn every_place_that_is_asked_for_has_a_list() {
    let one = Authority::new("one");
    let roots = [&one];
    let scene = Scene::of(&roots);
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
    assert_eq!(Scene::of(&[]).read_files(&[], &[]).unwrap().counting.len(), 0);
}
