//! Who answers to which name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::generation_count::GenerationToken;
use super::sessions::{KnownBy, ServedNames};
use crate::options::Role;
use crate::pki::{Identity, subject_and_key_of};

/// The identities of one generation, found by server name: exact, then a wildcard for one label
/// (RFC 9525 section 6.3), else the first that was added.
#[derive(Debug)]
pub(super) struct CertResolver {
    identities: Vec<Arc<Identity>>,
    /// The first that serves: the default.
    first: Option<usize>,
    /// Positions in `identities` by whole name, in the order in which they were added.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// The same by what follows the `*.` of a wildcard.
    wildcard: HashMap<Box<str>, Vec<usize>>,
    duplicates: Duplicates,
    _alive: Arc<GenerationToken>,
}

/// Names that an identity has and never serves, because one before it has the same name and the same
/// kind of key.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    /// The first such name, the identity that serves it, and the one that does not.
    pub(crate) first: Option<(String, usize, usize)>,
    pub(crate) count: usize,
}

impl Duplicates {
    fn add(&mut self, name: &str, serves: usize, does_not: usize) {
        // Clients name no addresses (RFC 6066 section 3), so those are nobody's.
        if name.parse::<IpAddr>().is_err() {
            self.count += 1;
            self.first.get_or_insert_with(|| (name.to_owned(), serves, does_not));
        }
    }
}

impl CertResolver {
    pub(super) fn new(identities: Vec<Arc<Identity>>, alive: Arc<GenerationToken>) -> Self {
        let mut exact: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut wildcard: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut duplicates = Duplicates::default();
        let of_servers =
            || identities.iter().enumerate().filter(|(_, it)| it.role() == Role::Server);
        for (position, identity) in of_servers() {
            for name in identity.names().iter().filter_map(|name| name.to_str().ok()) {
                let (map, key) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut wildcard, rest),
                    None => (&mut exact, name),
                };
                let positions = map.entry(key.into()).or_default();
                // As many as there are kinds of keys, however many identities share a name.
                match positions.iter().find(|at| identities[**at].has_same_kind_of_key(identity)) {
                    Some(serves) => duplicates.add(name, *serves, position),
                    None => positions.push(position),
                }
            }
        }
        let first = of_servers().next().map(|(position, _)| position);
        Self { identities, first, exact, wildcard, duplicates, _alive: alive }
    }

    pub(super) fn identities(&self) -> &[Arc<Identity>] {
        &self.identities
    }

    pub(super) fn duplicates(&self) -> &Duplicates {
        &self.duplicates
    }

    /// Whether an identity has `name`, exactly or by a wildcard.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.position_of(name).is_some()
    }

    /// Where the identity is that has `name` and comes first.
    pub(super) fn position_of(&self, name: &str) -> Option<usize> {
        self.with_name(name).next()
    }

    /// The identity for `name`; `None` is a client that sent no name.
    pub(super) fn select(&self, name: Option<&str>) -> Option<&Arc<Identity>> {
        let position = name.and_then(|name| self.position_of(name)).or(self.first)?;
        self.identities.get(position)
    }

    /// Whether every client that asks for `name` gets `identity`, whatever its key is.
    pub(super) fn leads_only_to(&self, name: &str, identity: &Arc<Identity>) -> bool {
        let mut found = self.with_name(name).map(|position| &self.identities[position]);
        found.next().is_some_and(|first| Arc::ptr_eq(first, identity)) && found.next().is_none()
    }

    /// As [`CertResolver::select`], but where several identities would do, the first whose key the client
    /// can check: ECDSA and RSA side by side.
    fn select_for(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&Arc<Identity>> {
        let suits = |position: &usize| {
            self.identities[*position].certified_key().key.choose_scheme(schemes).is_some()
        };
        let named: Vec<usize> = name.map(|name| self.with_name(name).collect()).unwrap_or_default();
        let position = if named.is_empty() {
            let serves = |at: &usize| self.identities[*at].role() == Role::Server;
            (0..self.identities.len()).filter(serves).find(suits)
        } else {
            named.iter().copied().find(suits).or(named.first().copied())
        };
        self.identities.get(position.or(self.first)?)
    }

    fn with_name(&self, name: &str) -> impl Iterator<Item = usize> {
        let name = lower_case(name);
        let exact = self.exact.get(&*name);
        let wildcard = name.split_once('.').and_then(|(_label, rest)| self.wildcard.get(rest));
        exact.into_iter().chain(wildcard).flatten().copied()
    }
}

impl ResolvesServerCert for CertResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let identity = self.select_for(hello.server_name(), hello.signature_schemes())?;
        Some(identity.certified_key_now().clone())
    }
}

impl ServedNames for CertResolver {
    fn serves(&self, name: &str) -> bool {
        self.covers(name)
    }

    /// Of identities with one name and several kinds of keys the first: which of them the client takes is not known when
    /// a ticket is made.
    fn answering(&self, name: Option<&str>) -> Option<KnownBy> {
        names_of(self.select(name)?).next()
    }

    fn is_answering(&self, name: Option<&str>, known_by: &KnownBy) -> bool {
        let identity = self.select(name);
        identity.is_some_and(|identity| names_of(identity).any(|other| other == *known_by))
    }
}

/// What `identity` is known by, if not by a name then by what its renewals have in common.
fn names_of(identity: &Identity) -> impl Iterator<Item = KnownBy> {
    let names = identity.names().iter().map(|name| KnownBy::name(name.to_bytes()));
    let leaf = identity.chain().first().filter(|_| identity.names().is_empty());
    let nameless = leaf.and_then(|leaf| match subject_and_key_of(leaf)? {
        (b"", key) => Some(KnownBy::public_key(key)),
        (subject, _) => Some(KnownBy::subject(subject)),
    });
    names.chain(nameless)
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
    use rustls::crypto::aws_lc_rs;

    use super::super::GenerationCount;
    use super::*;
    use crate::options::Role;
    use crate::pki::{IdentityInput, Staple};

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
        };
        let now = 1_790_000_000;
        Arc::new(Identity::new(&parts, &aws_lc_rs::default_provider(), now).unwrap())
    }

    fn resolver(names: &[&[&str]]) -> CertResolver {
        let identities =
            names.iter().map(|names| identity(names, &PKCS_ECDSA_P256_SHA256)).collect();
        CertResolver::new(identities, GenerationCount::default().token().into())
    }

    fn position(resolver: &CertResolver, name: Option<&str>) -> usize {
        let selected = resolver.select(name).unwrap();
        resolver.identities.iter().position(|identity| Arc::ptr_eq(identity, selected)).unwrap()
    }

    #[test]
    fn a_name_is_found_exactly_then_by_wildcard_else_the_first() {
        let resolver = resolver(&[&["first.test"], &["*.example.test"], &["a.example.test"]]);
        assert_eq!(position(&resolver, Some("a.example.test")), 2);
        assert_eq!(position(&resolver, Some("A.Example.TEST")), 2);
        assert_eq!(position(&resolver, Some("b.example.test")), 1);
        assert_eq!(position(&resolver, Some("c.b.example.test")), 0, "a wildcard is one label");
        assert_eq!(position(&resolver, Some("example.test")), 0, "a wildcard is not no label");
        assert_eq!(position(&resolver, Some("nobody.test")), 0);
        assert_eq!(position(&resolver, None), 0);
    }

    #[test]
    fn of_two_with_the_same_name_the_one_that_suits_the_client_serves() {
        let names = ["a.test"];
        let identities =
            vec![identity(&names, &PKCS_ED25519), identity(&names, &PKCS_ECDSA_P256_SHA256)];
        let resolver = CertResolver::new(identities, GenerationCount::default().token().into());
        let chosen = |schemes: &[SignatureScheme]| {
            let identity = resolver.select_for(Some("a.test"), schemes).unwrap();
            resolver.identities.iter().position(|other| Arc::ptr_eq(other, identity)).unwrap()
        };
        assert_eq!(chosen(&[SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]), 0);
        assert_eq!(chosen(&[SignatureScheme::ECDSA_NISTP256_SHA256]), 1);
        assert_eq!(chosen(&[SignatureScheme::RSA_PSS_SHA256]), 0, "nobody suits: rustls says so");
    }

    #[test]
    fn a_name_that_is_served_by_another_is_a_duplicate_unless_the_keys_differ_in_kind() {
        let p256 = || identity(&["a.test", "127.0.0.1"], &PKCS_ECDSA_P256_SHA256);
        let both = vec![p256(), identity(&["a.test"], &PKCS_ED25519)];
        assert_eq!(
            CertResolver::new(both, GenerationCount::default().token().into()).duplicates().count,
            0
        );

        let twice = vec![p256(), identity(&["a.test"], &PKCS_ED25519), p256(), p256()];
        let resolver = CertResolver::new(twice, GenerationCount::default().token().into());
        assert_eq!(resolver.duplicates().count, 2);
        assert_eq!(resolver.duplicates().first, Some(("a.test".to_owned(), 0, 2)));
        assert_eq!(resolver.exact["a.test"], [0, 1], "a name is looked up among kinds of keys");

        // However many there are: the time of looking at each pair of these would be noticed.
        let many = vec![p256(); 100_000];
        assert_eq!(
            CertResolver::new(many, GenerationCount::default().token().into()).duplicates().count,
            99_999
        );
    }

    #[test]
    fn g14_the_identity_that_answers_is_known_by_its_first_name_and_found_by_any() {
        let resolver = resolver(&[&["a.test", "b.test"], &["c.test"]]);
        let known_by = |name: &str| KnownBy::name(name.as_bytes());
        for asked in [None, Some("nobody.test")] {
            assert_eq!(resolver.answering(asked), Some(known_by("a.test")));
            for (name, expected) in [("a.test", true), ("b.test", true), ("c.test", false)] {
                assert_eq!(resolver.is_answering(asked, &known_by(name)), expected, "{name}");
            }
        }
        let none = CertResolver::new(Vec::new(), GenerationCount::default().token().into());
        assert_eq!(none.answering(None), None);
        assert!(!none.is_answering(None, &known_by("a.test")));
    }

    #[test]
    fn g14_an_identity_without_names_is_known_by_its_subject_or_else_by_its_key() {
        let keys = [(); 2].map(|()| KeyPair::generate().unwrap());
        let known_by = |subject: &str, key: &KeyPair| {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            if !subject.is_empty() {
                params.distinguished_name.push(rcgen::DnType::CommonName, subject);
            }
            let identity = identity_of(&params, key);
            assert!(identity.names().is_empty());
            let resolver =
                CertResolver::new(vec![identity], GenerationCount::default().token().into());
            let known_by = resolver.answering(None).unwrap();
            assert!(resolver.is_answering(Some("a.test"), &known_by));
            known_by
        };
        let one = known_by("one", &keys[0]);
        assert_eq!(known_by("one", &keys[1]), one, "a renewal with another key");
        assert_ne!(known_by("other", &keys[0]), one);
        let nameless = known_by("", &keys[0]);
        assert_eq!(known_by("", &keys[0]), nameless, "a renewal with the same key");
        assert_ne!(known_by("", &keys[1]), nameless);
    }

    #[test]
    fn a_name_is_covered_exactly_or_by_a_wildcard_of_one_label() {
        let resolver = resolver(&[&["first.test"], &["*.example.test"]]);
        for name in ["first.test", "a.example.test", "*.example.test"] {
            assert!(resolver.covers(name), "{name}");
        }
        for name in ["*.first.test", "b.a.example.test", "example.test", "nobody.test"] {
            assert!(!resolver.covers(name), "{name}");
        }
    }
}
