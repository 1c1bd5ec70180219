//! Tests of the selection of certificates by name, key kind and date.

use std::path::Path;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
use rustls::crypto::aws_lc_rs;

use super::super::{DuplicateName, GenerationsAlive};
use super::*;
use crate::options::{Role, TlsStack};
use crate::pki::{IdentityInput, Staple};
use crate::tls::UnitContent;

fn identity(names: &[&str], algorithm: &'static SignatureAlgorithm) -> Arc<Identity> {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    identity_of(&rcgen::CertificateParams::new(names).unwrap(), &key)
}

fn identity_of(params: &rcgen::CertificateParams, key: &KeyPair) -> Arc<Identity> {
    let chain = params.self_signed(key).unwrap().pem();
    let key = key.serialize_pem();
    let parts = IdentityInput {
        role: Role::Server,
        chain: (Path::new("chain"), chain.as_bytes()),
        key: (Path::new("key"), key.as_bytes()),
        password: &|| Ok(None),
        staple: Staple::NotAskedFor,
        accepts_any_date: true,
        tls: TlsStack::Rustls,
        exports_key: false,
        index: 0,
    };
    let now = 1_790_000_000;
    Arc::new(Identity::new(&parts, &aws_lc_rs::default_provider(), now).unwrap())
}

/// Makes a resolver of one identity for each list of names.
pub(in crate::tls) fn resolver(names: &[&[&str]]) -> CertResolver {
    let identities = names.iter().map(|names| identity(names, &PKCS_ECDSA_P256_SHA256)).collect();
    resolver_of(identities)
}

fn resolver_of(identities: Vec<Arc<Identity>>) -> CertResolver {
    let parts = identities.into_iter().map(UnitContent::Identity).collect();
    CertResolver::new(&parts, GenerationsAlive::default().token().into())
}

fn position_in(resolver: &CertResolver, selected: &Arc<Identity>) -> usize {
    let is_selected = |slot: &IdentitySlot| Arc::ptr_eq(slot.loaded().unwrap(), selected);
    resolver.identities.iter().position(is_selected).unwrap()
}

fn position(resolver: &CertResolver, name: Option<&str>) -> usize {
    position_in(resolver, resolver.select(name).unwrap())
}

#[test]
fn name_selects_exact_match_then_wildcard_then_default() {
    let resolver = resolver(&[&["first.test"], &["*.example.test"], &["a.example.test"]]);
    assert_eq!(position(&resolver, Some("a.example.test")), 2);
    assert_eq!(position(&resolver, Some("A.Example.TEST")), 2);
    assert_eq!(position(&resolver, Some("b.example.test")), 1);
    assert_eq!(position(&resolver, Some("c.b.example.test")), 0, "a wildcard is one label");
    assert_eq!(position(&resolver, Some("example.test")), 0, "a wildcard is not zero labels");
    assert_eq!(position(&resolver, Some("unknown.test")), 0);
    assert_eq!(position(&resolver, None), 0);
}

#[test]
fn shared_name_selects_the_identity_that_the_client_supports() {
    let names = ["a.test"];
    let identities =
        vec![identity(&names, &PKCS_ED25519), identity(&names, &PKCS_ECDSA_P256_SHA256)];
    let resolver = resolver_of(identities);
    let chosen = |schemes: &[SignatureScheme]| {
        let identity = resolver.select_for(Some("a.test"), schemes).unwrap();
        position_in(&resolver, identity)
    };
    assert_eq!(chosen(&[SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]), 0);
    assert_eq!(chosen(&[SignatureScheme::ECDSA_NISTP256_SHA256]), 1);
    assert_eq!(
        chosen(&[SignatureScheme::RSA_PSS_SHA256]),
        0,
        "the client supports none: rustls reports the error"
    );
}

#[test]
fn shared_name_is_a_duplicate_unless_the_kinds_of_keys_differ() {
    let p256 = || identity(&["a.test", "127.0.0.1"], &PKCS_ECDSA_P256_SHA256);
    let both = vec![p256(), identity(&["a.test"], &PKCS_ED25519)];
    assert_eq!(resolver_of(both).duplicates().count, 0);

    let twice = vec![p256(), identity(&["a.test"], &PKCS_ED25519), p256(), p256()];
    let resolver = resolver_of(twice);
    assert_eq!(resolver.duplicates().count, 2);
    let first = DuplicateName { name: "a.test".to_owned(), earlier: 0, later: 2, is_needed: false };
    assert_eq!(resolver.duplicates().first, Some(first));
    assert_eq!(resolver.exact["a.test"], [0, 1], "one position for each kind of key");

    // If each identity were compared with each other one, so many would take a noticeable time.
    let many = vec![p256(); 100_000];
    assert_eq!(resolver_of(many).duplicates().count, 99_999);
}

#[test]
fn g14_default_identity_is_labelled_by_its_first_name_and_recognised_by_any() {
    let resolver = resolver(&[&["a.test", "b.test"], &["c.test"]]);
    let label = |name: &str| IdentityLabel::name(name.as_bytes());
    for asked in [None, Some("unknown.test")] {
        assert_eq!(resolver.label_for(asked), Some(label("a.test")));
        for (name, expected) in [("a.test", true), ("b.test", true), ("c.test", false)] {
            assert_eq!(resolver.has_label(asked, &label(name)), expected, "{name}");
        }
    }
    let none = resolver_of(Vec::new());
    assert_eq!(none.label_for(None), None);
    assert!(!none.has_label(None, &label("a.test")));
}

#[test]
fn g14_identity_without_names_is_labelled_by_its_subject_or_else_by_its_key() {
    let keys = [(); 2].map(|()| KeyPair::generate().unwrap());
    let label = |subject: &str, key: &KeyPair| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !subject.is_empty() {
            params.distinguished_name.push(rcgen::DnType::CommonName, subject);
        }
        let identity = identity_of(&params, key);
        assert!(identity.names().is_empty());
        let resolver = resolver_of(vec![identity]);
        let label = resolver.label_for(None).unwrap();
        assert!(resolver.has_label(Some("a.test"), &label));
        label
    };
    let one = label("one", &keys[0]);
    assert_eq!(label("one", &keys[1]), one, "a renewal with another key");
    assert_ne!(label("other", &keys[0]), one);
    let nameless = label("", &keys[0]);
    assert_eq!(label("", &keys[0]), nameless, "a renewal with the same key");
    assert_ne!(label("", &keys[1]), nameless);
}

#[test]
fn name_is_found_exactly_or_by_a_wildcard_of_one_label() {
    let resolver = resolver(&[&["first.test"], &["*.example.test"]]);
    for name in ["first.test", "a.example.test", "*.example.test"] {
        assert!(resolver.has_name(name), "{name}");
    }
    for name in ["*.first.test", "b.a.example.test", "example.test", "unknown.test"] {
        assert!(!resolver.has_name(name), "{name}");
    }
}

#[test]
fn g23_of_many_identities_with_one_name_those_valid_longest_are_kept() {
    let until = |year: i32| {
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd((year - 1).min(2020), 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        identity_of(&params, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    };
    // An archive of expired certificates, and the current one at its end or at its beginning.
    let years: Vec<_> = (2010..2022).chain([2040]).collect();
    for years in [years.clone(), years.iter().rev().copied().collect()] {
        let resolver = resolver_of(years.iter().map(|year| until(*year)).collect());
        assert_eq!(years[position(&resolver, Some("a.test"))], 2040, "{years:?}");
        assert_eq!(resolver.positions_of("a.test").count(), MOST_OF_A_KIND);
    }
}
