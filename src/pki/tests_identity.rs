//! Tests which identities are accepted, which are rejected, and the warnings about them.

use rcgen::ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs::default_provider;

use super::*;

struct Pair {
    chain: String,
    key: String,
}

fn pair(names: &[&str], year: i32) -> Pair {
    pair_for(names, year, &[])
}

fn pair_for(names: &[&str], year: i32, usages: &[ExtendedKeyUsagePurpose]) -> Pair {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    params.extended_key_usages = usages.to_vec();
    let key = KeyPair::generate().unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    Pair { chain, key: key.serialize_pem() }
}

fn identity(chain: &str, key: &str) -> Result<Identity, Error> {
    identity_for(Role::Server, chain, key)
}

fn identity_for(role: Role, chain: &str, key: &str) -> Result<Identity, Error> {
    let input = IdentityInput {
        role,
        chain: ("/tls/chain".as_ref(), chain.as_bytes()),
        key: ("/tls/key".as_ref(), key.as_bytes()),
        password: &|| Ok(None),
        staple: Staple::NotAskedFor,
        accepts_any_date: false,
        tls: TlsStack::Rustls,
        exports_key: false,
        index: 0,
    };
    let now = date_time_ymd(2026, 6, 1).unix_timestamp();
    Identity::new(&input, &default_provider(), now)
}

#[test]
fn leaf_is_the_certificate_of_the_key_at_any_position() {
    let (one, two) = (pair(&["one.test"], 2030), pair(&["two.test"], 2030));
    let both = one.chain.clone() + &two.chain;
    let first = identity(&both, &one.key).unwrap();
    assert_eq!(first.names(), [c"one.test".to_owned()]);
    let second = identity(&both, &two.key).unwrap();
    assert_eq!(second.names(), [c"two.test".to_owned()]);
    assert_eq!(second.chain()[0], first.chain()[1], "served leaf first");
    assert_eq!(second.sha256(), identity(&two.chain, &two.key).unwrap().sha256());
}

#[test]
fn key_mismatch_names_both_files() {
    let (one, two) = (pair(&["one.test"], 2030), pair(&["two.test"], 2030));
    let message = identity(&one.chain, &two.key).unwrap_err().to_string();
    assert!(message.contains("/tls/key") && message.contains("/tls/chain"), "{message}");
}

#[test]
fn only_the_dates_of_the_leaf_decide() {
    let (good, expired) = (pair(&["one.test"], 2030), pair(&["two.test"], 2021));
    let both = expired.chain.clone() + &good.chain;
    let identity_of = |key| identity(&both, key);
    assert_eq!(
        identity_of(&good.key).unwrap().not_after(),
        date_time_ymd(2030, 1, 1).unix_timestamp()
    );
    let cause = identity_of(&expired.key).unwrap_err().cause;
    assert!(matches!(cause, Cause::Expired { .. }), "{cause}");
}

#[test]
fn g15_lost_names_and_earlier_expiry_cause_warnings() {
    let before = pair(&["a.test", "b.test", "c.test"], 2030);
    let after = pair(&["b.test"], 2029);
    let before = identity(&before.chain, &before.key).unwrap();
    let after = identity(&after.chain, &after.key).unwrap();
    let warnings = after.warnings_after(&before);
    let kinds: Vec<_> = warnings.iter().map(|warning| warning.kind).collect();
    assert_eq!(kinds, [WarningKind::NamesLost, WarningKind::ExpiresEarlier]);
    assert!(warnings[0].text.ends_with("a.test and 1 more"), "{}", warnings[0].text);
    assert_eq!(before.warnings_after(&after), []);
}

/// The table: extended key usages, whether a server may use the certificate, whether a client may.
#[test]
fn certificate_without_the_usage_of_its_role_is_rejected() {
    let table: &[(&[ExtendedKeyUsagePurpose], bool, bool)] = &[
        (&[], true, true),
        (&[Any], true, true),
        (&[ServerAuth, ClientAuth], true, true),
        (&[ServerAuth], true, false),
        (&[ClientAuth], false, true),
        (&[CodeSigning], false, false),
    ];
    for (usages, for_servers, for_clients) in table {
        let Pair { chain, key } = pair_for(&["a.test"], 2030, usages);
        let rejected = |role, usage| Err(Cause::KeyUsageUnfit { role, usage });
        let server = identity_for(Role::Server, &chain, &key);
        let client = identity_for(Role::Client, &chain, &key);
        for identity in [&server, &client].into_iter().flatten() {
            assert_eq!(identity.may_be_client(), *for_clients, "{usages:?}");
        }
        let server = server.map(|_| ()).map_err(|error| error.cause);
        let client = client.map(|_| ()).map_err(|error| error.cause);
        assert_eq!(server, if *for_servers { Ok(()) } else { rejected("servers", "serverAuth") });
        assert_eq!(client, if *for_clients { Ok(()) } else { rejected("clients", "clientAuth") });
    }
}

#[test]
fn names_match_exactly_or_by_a_wildcard_for_one_label() {
    let pair = pair(&["a.test", "*.wild.test"], 2030);
    let identity = identity(&pair.chain, &pair.key).unwrap();
    for name in ["a.test", "x.wild.test", "*.wild.test"] {
        assert!(identity.matches_name(name), "{name}");
    }
    for name in ["b.test", "wild.test", "y.x.wild.test", "*.test", "test", ""] {
        assert!(!identity.matches_name(name), "{name}");
    }
}

/// The chain of a leaf that was issued by an intermediate, in two parts, and the key.
fn issued(change: impl FnOnce(&mut CertificateParams)) -> (String, String, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "root");
    let root = rcgen::Issuer::new(authority.clone(), KeyPair::generate().unwrap());
    authority.distinguished_name.push(rcgen::DnType::CommonName, "lower");
    let key = KeyPair::generate().unwrap();
    let intermediate = authority.signed_by(&key, &root).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, key);
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &issuer).unwrap().pem();
    (leaf, intermediate, key.serialize_pem())
}

#[test]
fn g4_chain_that_lost_its_intermediate_may_be_cut_short_and_causes_a_warning() {
    let (leaf, intermediate, key) = issued(|_| {});
    let whole = identity(&(leaf.clone() + &intermediate), &key).unwrap();
    let cut = identity(&leaf, &key).unwrap();
    assert!(cut.cut_short(&whole).is_some());
    let [warning] = &cut.warnings_after(&whole)[..] else { panic!("no warning") };
    assert_eq!(warning.kind, WarningKind::ChainIncomplete);
    assert!(warning.text.contains("\"lower\""), "{}", warning.text);
    for (after, before) in [(&whole, &cut), (&whole, &whole), (&cut, &cut)] {
        assert_eq!(after.cut_short(before), None);
        assert_eq!(after.warnings_after(before), []);
    }
}

#[test]
fn g4_chain_without_an_issuer_that_the_leaf_has_a_url_of_may_be_cut_short() {
    // authorityInfoAccess with the caIssuers URL `http://a`.
    let access =
        b"\x30\x16\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x08http://a".to_vec();
    let with_url = |params: &mut CertificateParams| {
        let oid = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
        let extension = rcgen::CustomExtension::from_oid_content(oid, access.clone());
        params.custom_extensions.push(extension);
    };
    let self_signed = pair(&["a.test"], 2030);
    let before = identity(&self_signed.chain, &self_signed.key).unwrap();
    let (leaf, _, key) = issued(with_url);
    let cut = identity(&leaf, &key).unwrap();
    assert!(cut.cut_short(&before).is_some());
    assert_eq!(cut.warnings_after(&before), [], "its own warning says so already");
    let (next, _, key) = issued(with_url);
    let next = identity(&next, &key).unwrap();
    assert_eq!(next.cut_short(&cut), None, "the one in use is no better");
}

#[test]
fn versions_of_a_certificate_may_have_their_names_in_another_order() {
    let key = KeyPair::generate().unwrap();
    let version = |names: [&str; 2], year: i32| {
        let mut params = CertificateParams::new(names.map(str::to_owned).to_vec()).unwrap();
        params.not_before = date_time_ymd(year - 2, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.self_signed(&key).unwrap().pem()
    };
    let both = version(["a.test", "b.test"], 2025) + &version(["b.test", "a.test"], 2027);
    let identity = identity(&both, &key.serialize_pem()).unwrap();
    assert_eq!(identity.not_after(), date_time_ymd(2027, 1, 1).unix_timestamp());
}

#[test]
fn g24_chain_that_no_message_holds_names_its_size() {
    let names: Vec<_> = (0..4_000).map(|at| format!("name-{at:06}.example.test")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let Pair { chain, key } = pair(&names, 2030);
    let error = identity(&chain, &key).unwrap_err();
    assert!(matches!(error.cause, Cause::ChainTooLarge { limit: 0xffff, .. }), "{error}");
    let Pair { chain, key } = pair(&names[..2_000], 2030);
    assert!(identity(&chain, &key).is_ok());
}
