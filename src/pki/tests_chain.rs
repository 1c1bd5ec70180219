//! Tests the order of chains, and the warnings about them.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, date_time_ymd,
};
use rustls::crypto::aws_lc_rs::default_provider;

use super::super::certificate::facts;
use super::check_signatures;
use super::*;
use crate::error::Cause;
use WarningKind::{ChainExpired, ChainIncomplete, ChainReordered, ChainUnrelated};

const ID_PE_AUTHORITY_INFO_ACCESS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 1];
/// The content of authorityInfoAccess with one URL of the issuer's certificate (caIssuers), `http://a`.
const ACCESS: &[u8] = b"\x30\x16\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x08http://a";

/// A CA or a leaf: its name and key. Several issuers can issue certificates for it.
struct Party(Issuer<'static, KeyPair>, CertificateParams);

impl Party {
    fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2036, 1, 1);
        change(&mut params);
        Self(Issuer::new(params.clone(), KeyPair::generate().unwrap()), params)
    }

    fn leaf(change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::with("leaf", |params| {
            params.is_ca = IsCa::NoCa;
            params.not_after = date_time_ymd(2027, 1, 1);
            change(params);
        })
    }

    fn by(&self, issuer: &Self) -> CertificateDer<'static> {
        self.1.signed_by(self.0.key(), &issuer.0).unwrap().into()
    }

    fn by_itself(&self) -> CertificateDer<'static> {
        self.1.self_signed(self.0.key()).unwrap().into()
    }
}

fn order(certificates: &[CertificateDer<'static>], leaf: usize) -> Order {
    let order = |chain: &Chain<'_>| -> Order { chain.order() };
    with_chain(certificates, leaf, order)
}

fn with_chain<T>(
    certificates: &[CertificateDer<'static>],
    leaf: usize,
    use_chain: fn(&Chain<'_>) -> T,
) -> T {
    let facts: Vec<_> = certificates
        .iter()
        .enumerate()
        .map(|(at, der)| facts(der, Position::new(at, certificates.len())).unwrap())
        .collect();
    use_chain(&Chain {
        path: "chain".as_ref(),
        certificates,
        facts: &facts,
        leaf,
        algorithms: &default_provider().signature_verification_algorithms,
        now: date_time_ymd(2026, 6, 1).unix_timestamp(),
    })
}

#[test]
fn chains_are_served_in_order_with_a_warning_if_they_were_not() {
    let [root, other_root, upper, lower] = ["root", "other root", "upper", "lower"].map(Party::new);
    let leaf = Party::leaf(|_| {});
    // `cross` has the name and the key of `upper`, but is issued by another root.
    let known = [
        ("leaf", leaf.by(&lower)),
        ("lower", lower.by(&upper)),
        ("upper", upper.by(&root)),
        ("root", root.by_itself()),
        ("cross", upper.by(&other_root)),
        ("stranger", Party::new("stranger").by_itself()),
    ];
    let certificate =
        |name: &str| known.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let both = &[ChainReordered, ChainUnrelated][..];
    let table = [
        ("leaf lower upper", &[0, 1, 2][..], &[][..]),
        ("leaf lower upper root", &[0, 1, 2, 3], &[]),
        ("leaf lower", &[0, 1], &[]),
        ("upper lower leaf", &[2, 1, 0], &[ChainReordered]),
        ("root upper lower leaf", &[3, 2, 1, 0], &[ChainReordered]),
        ("leaf root upper lower", &[0, 3, 2, 1], &[ChainReordered]),
        ("leaf lower upper cross", &[0, 1, 2, 3], &[]),
        ("leaf lower cross upper", &[0, 1, 2, 3], &[]),
        ("cross leaf upper lower", &[1, 3, 0, 2], &[ChainReordered]),
        ("leaf lower stranger", &[0, 1, 2], &[ChainUnrelated]),
        ("leaf stranger lower", &[0, 2, 1], both),
        ("leaf upper", &[0, 1], &[ChainIncomplete, ChainUnrelated]),
        ("leaf leaf lower", &[0, 2], &[ChainReordered]),
        ("lower leaf lower", &[1, 0], &[ChainReordered, ChainReordered]),
    ];
    for (names, positions, kinds) in table {
        let certificates: Vec<_> = names.split(' ').map(certificate).collect();
        let leaf = names.split(' ').position(|name| name == "leaf").unwrap();
        let order = order(&certificates, leaf);
        assert_eq!(order.positions, positions, "{names}");
        let found: Vec<_> = order.warnings.iter().map(|warning| warning.kind).collect();
        assert_eq!(found, kinds, "{names}: {:?}", order.warnings);
    }
}

#[test]
fn leaf_alone_is_incomplete_only_with_a_url_for_its_issuer() {
    let root = Party::new("root");
    let plain = Party::leaf(|_| {});
    let fetched = Party::leaf(|params| {
        let content = ACCESS.to_vec();
        let oid = &ID_PE_AUTHORITY_INFO_ACCESS;
        params.custom_extensions.push(CustomExtension::from_oid_content(oid, content));
    });
    assert_eq!(order(&[plain.by(&root)], 0).warnings, []);
    assert_eq!(order(&[plain.by_itself()], 0).warnings, []);
    assert_eq!(order(&[fetched.by(&root), root.by_itself()], 0).warnings, []);
    let warnings = order(&[fetched.by(&root)], 0).warnings;
    assert_eq!(warnings[0].kind, ChainIncomplete);
    assert!(warnings[0].text.contains("\"root\""), "{}", warnings[0].text);
    assert_eq!(warnings.len(), 1);
}

#[test]
fn g20_dates_of_issuers_cause_warnings() {
    let root = Party::new("root");
    let leaf = Party::leaf(|_| {});
    let between = |from, until| {
        Party::with("lower", |params| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(until, 1, 1);
        })
    };
    let warnings_with = |lower: &Party| {
        let warnings = order(&[leaf.by(lower), lower.by(&root)], 0).warnings;
        assert!(warnings.iter().all(|warning| warning.kind == ChainExpired));
        warnings.iter().map(|warning| warning.text.clone()).collect::<String>()
    };
    assert_eq!(warnings_with(&between(2020, 2030)), "");
    assert!(warnings_with(&between(2020, 2026)).contains("(\"lower\") expired at 2026-01-01T"));
    assert!(warnings_with(&between(2030, 2040)).contains("is not valid before"));
    let short = Party::with("lower", |params| params.not_after = date_time_ymd(2026, 7, 1));
    assert!(warnings_with(&short).contains("before the leaf does"), "{}", warnings_with(&short));
    // A root in the chain may expire before the leaf: clients use their own copy of it.
    let root = Party::with("root", |params| params.not_after = date_time_ymd(2026, 7, 1));
    assert_eq!(order(&[leaf.by(&root), root.by_itself()], 0).warnings, []);
}

#[test]
fn reordering_prefers_the_issuer_that_is_valid_now() {
    let root = Party::new("root");
    let leaf = Party::leaf(|_| {});
    let fresh = Party::new("lower");
    let mut expired = fresh.1.clone();
    expired.not_after = date_time_ymd(2026, 2, 1);
    let expired = expired.signed_by(fresh.0.key(), &root.0).unwrap().into();
    let order = order(&[leaf.by(&fresh), expired, fresh.by(&root)], 0);
    assert_eq!(order.positions, [0, 2, 1]);
    let kinds: Vec<_> = order.warnings.iter().map(|warning| warning.kind).collect();
    assert_eq!(kinds, [ChainReordered, ChainExpired]);
}

#[test]
fn issuer_with_the_right_name_and_a_wrong_key_is_not_chosen() {
    let anonymous = |params: &mut CertificateParams| {
        params.use_authority_key_identifier_extension = false;
    };
    let (right, wrong) = (Party::with("root", anonymous), Party::with("root", anonymous));
    let leaf = Party::leaf(anonymous);
    let order = order(&[leaf.by(&right), wrong.by_itself(), right.by_itself()], 0);
    assert_eq!(order.positions, [0, 2, 1]);
}

#[test]
fn g4_certificate_is_damaged_if_no_key_that_it_names_signed_it() {
    let same_id = |params: &mut CertificateParams| {
        params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![1, 2, 3]);
    };
    let (right, wrong) = (Party::with("root", same_id), Party::with("root", same_id));
    let leaf = Party::leaf(|_| {}).by(&right);
    let check = |others: &[&Party]| {
        let others = others.iter().map(|party| party.by_itself());
        let chain: Vec<_> = [leaf.clone()].into_iter().chain(others).collect();
        with_chain(&chain, 0, check_signatures)
    };
    assert_eq!(check(&[]), Ok(()));
    assert_eq!(check(&[&right]), Ok(()));
    assert_eq!(check(&[&wrong, &right]), Ok(()));
    assert_eq!(
        check(&[&wrong]),
        Err(Cause::CertificateDamaged { position: Position::new(0, 2), issuer: 2 })
    );
}

#[test]
fn g17_longest_chain_is_ordered_in_bounded_time() {
    // All CAs have one name, so by their names each could have issued each certificate.
    let parties: Vec<_> = (0..64).map(|_| Party::new("same")).collect();
    let mut certificates = vec![Party::leaf(|_| {}).by(&parties[63])];
    certificates.extend(parties.windows(2).rev().map(|pair| pair[0].by(&pair[1])));
    certificates.reverse();
    let begun = std::time::Instant::now();
    order(&certificates, 63);
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

/// Returns a certificate for `party` by `issuer` that expires at the beginning of `month` in 2026.
fn until(month: u8, party: &Party, issuer: &Party) -> CertificateDer<'static> {
    let mut params = party.1.clone();
    params.not_after = date_time_ymd(2026, month, 1);
    params.signed_by(party.0.key(), &issuer.0).unwrap().into()
}

/// The leaf expires in 2027. `lower` and `upper` are cross-certified by two roots.
#[test]
fn g20_intermediate_is_needed_if_no_other_path_lasts_longer() {
    let [root, other_root, upper, lower] = ["root", "other root", "upper", "lower"].map(Party::new);
    let leaf = Party::leaf(|_| {}).by(&lower);
    let known = [
        ("lower", lower.by(&upper)),
        ("upper", upper.by(&root)),
        ("root", root.by_itself()),
        ("stranger", until(2, &Party::new("stranger"), &root)),
        ("lower-8", until(8, &lower, &upper)),
        ("lower-2", until(2, &lower, &other_root)),
        ("lower-10", until(10, &lower, &other_root)),
        ("upper-9", until(9, &upper, &root)),
        ("upper-11", until(11, &upper, &other_root)),
    ];
    let certificate =
        |name: &str| known.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let table = [
        ("", None),
        ("lower upper", None),
        ("lower upper root", None),
        ("lower upper stranger", None),
        ("lower-8", Some(8)),
        ("lower-2", Some(2)),
        ("lower-8 upper root", Some(8)),
        ("lower upper-9", Some(9)),
        ("lower upper-9 root", Some(9)),
        ("lower-8 upper-9", Some(8)),
        // Another path.
        ("lower-2 lower", None),
        ("lower-2 lower upper", None),
        ("lower upper-9 upper", None),
        ("lower upper-9 upper-11", Some(11)),
        ("lower-2 lower-10", Some(10)),
        ("lower-8 upper-9 lower-10", Some(10)),
        ("lower-8 upper-9 lower-2", Some(8)),
    ];
    for (beside, expected) in table {
        let beside = beside.split(' ').filter(|name| !name.is_empty());
        let chain: Vec<_> = [leaf.clone()].into_iter().chain(beside.map(certificate)).collect();
        let needed = with_chain(&chain, 0, |chain| {
            let Order { positions, linked, .. } = chain.order();
            chain.needed_intermediate(&positions[..linked]).map(|needed| needed.not_after)
        });
        let expected = expected.map(|month| date_time_ymd(2026, month, 1).unix_timestamp());
        assert_eq!(needed, expected, "{:?}", chain.len());
    }
}

#[test]
fn g4_lost_issuer_is_one_that_the_previous_path_had() {
    let [root, upper, lower, other] = ["root", "upper", "lower", "other"].map(Party::new);
    let (old, new) = (Party::leaf(|_| {}), Party::leaf(|_| {}));
    let (lower_der, upper_der) = (lower.by(&upper), upper.by(&root));
    let whole = [old.by(&lower), lower_der.clone(), upper_der.clone()];
    let lost = |path: &[CertificateDer<'_>], before: &[CertificateDer<'_>]| {
        crate::pki::chain_paths::lost_issuer(path, before)
    };
    let leaf = new.by(&lower);
    assert_eq!(lost(std::slice::from_ref(&leaf), &whole), Some("lower".to_owned()));
    assert_eq!(lost(&[leaf.clone(), lower_der.clone()], &whole), Some("upper".to_owned()));
    assert_eq!(lost(&[leaf.clone(), lower_der, upper_der], &whole), None);
    // Another CA: a leaf alone lacks its issuer, and a path that ends elsewhere lacks nothing.
    assert_eq!(lost(&[new.by(&other)], &whole), Some("other".to_owned()));
    assert_eq!(lost(&[new.by(&other), other.by(&root)], &whole), None);
    assert_eq!(lost(&[new.by_itself()], &whole), None, "it needs no issuer");
    // The previous path had no intermediate.
    assert_eq!(lost(std::slice::from_ref(&leaf), &[old.by(&lower)]), None);
    assert_eq!(lost(&[new.by(&root)], &[old.by(&root), root.by_itself()]), None, "clients have it");
}

/// A key that is that of an authority was put in the wrong place, wherever the authority is in the file.
#[test]
fn g2_key_of_an_intermediate_is_the_key_of_no_leaf() {
    let (root, lower) = (Party::new("root"), Party::new("lower"));
    let leaf = Party::leaf(|_| {});
    // A leaf of another issuer, and one that the key issued.
    for issuer in [&root, &lower] {
        let chain = [leaf.by(issuer), lower.by(&root), root.by_itself()];
        let of_lower = |chain: &Chain<'_>| {
            chain.leaves_with(chain.facts[1].public_key, crate::options::Role::Server)
        };
        assert_eq!(with_chain(&chain, 0, of_lower), [] as [usize; 0]);
    }
    // An authority that another one issued may serve, if there is no leaf.
    let of_lower = |chain: &Chain<'_>| {
        chain.leaves_with(chain.facts[1].public_key, crate::options::Role::Server)
    };
    assert_eq!(with_chain(&[root.by_itself(), lower.by(&root)], 0, of_lower), [1]);
}
