//! Selects the certificate for each connection by the server name that the client asks for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::duplicate_names::DuplicateNames;
use super::generations_alive::GenerationToken;
use super::sessions::{IdentityLabel, ServedNames};
use super::unit_content::{IdentitySlot, UnitContents};
use crate::clock::unix_now;
use crate::options::Role;
use crate::pki::{Identity, NameKind, NamePattern, subject_and_key_of};

/// How many identities with one name and one kind of key are kept.
const MOST_OF_A_KIND: usize = 8;

/// The identities of one generation by server name.
///
/// The identities for a name are those that have exactly this name, then those with a wildcard for the leftmost label
/// (RFC 9525 section 6.3). If there are none, they are all identities for servers. Each group is in the order in which
/// the identities were added. A connection gets the first whose signatures the client can verify and whose certificate is
/// valid now, or else the first whose signatures it can verify, or else the first.
#[derive(Debug)]
pub(super) struct CertResolver {
    identities: Vec<IdentitySlot>,
    /// The position of the first loaded identity for servers, which is the default.
    default: Option<usize>,
    /// Positions in `identities` by exact name, in the order in which the identities were added.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// Positions in `identities` by the part of a wildcard after `*.`.
    wildcard: HashMap<Box<str>, Vec<usize>>,
    duplicates: DuplicateNames,
    /// Whether every handshake is refused, because nothing has been loaded to check clients with.
    refuses: bool,
    _token: Arc<GenerationToken>,
}

impl CertResolver {
    pub(super) fn new(parts: &UnitContents, token: Arc<GenerationToken>) -> Self {
        let identities = parts.identities.clone();
        let mut exact: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut wildcard: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut duplicates = DuplicateNames::default();
        let for_servers = || {
            let loaded = identities.iter().enumerate();
            let loaded = loaded.filter_map(|(position, slot)| Some((position, slot.loaded()?)));
            loaded.filter(|(_, identity)| identity.role() == Role::Server)
        };
        for (position, identity) in for_servers() {
            for name in identity.names().iter().filter_map(|name| name.to_str().ok()) {
                let (map, key) = match NamePattern::of(name) {
                    NamePattern::Exact(name) => (&mut exact, name),
                    NamePattern::Wildcard(domain) => (&mut wildcard, domain),
                };
                let positions = map.entry(key.into()).or_default();
                // Different kinds of keys are needed: a client may support only some of them. Of each kind, an identity is
                // kept if it is valid at a time at which the others are not.
                let of_kind =
                    positions.iter().filter_map(|at| Some((*at, identities[*at].loaded()?)));
                let of_kind = of_kind.filter(|(_, other)| other.has_same_kind_of_key(identity));
                let of_kind: Vec<_> = of_kind.take(MOST_OF_A_KIND).collect();
                let is_needed = of_kind.len() < MOST_OF_A_KIND
                    && !of_kind.iter().any(|(_, other)| other.is_valid_whenever(identity));
                if let Some((earlier, _)) = of_kind.first() {
                    duplicates.add(name, *earlier, position, is_needed);
                }
                if is_needed {
                    positions.push(position);
                }
            }
        }
        let default = for_servers().next().map(|(position, _)| position);
        let refuses = parts.lacks_trust();
        Self { identities, default, exact, wildcard, duplicates, refuses, _token: token }
    }

    pub(super) fn identity(&self, position: usize) -> Option<&Arc<Identity>> {
        self.identities.get(position)?.loaded()
    }

    /// Returns whether every handshake is refused.
    pub(super) fn refuses(&self) -> bool {
        self.refuses
    }

    pub(super) fn duplicates(&self) -> &DuplicateNames {
        &self.duplicates
    }

    /// Returns whether an identity of the server role has `name`, exactly or by a wildcard.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.position_of(name).is_some()
    }

    /// Returns the position of the first identity with exactly `name`.
    pub(super) fn exact_position_of(&self, name: &str) -> Option<usize> {
        let positions = match NamePattern::of(&lower_case(name)) {
            NamePattern::Exact(name) => self.exact.get(name),
            NamePattern::Wildcard(domain) => self.wildcard.get(domain),
        };
        positions?.first().copied()
    }

    /// Returns the position of the first identity with `name`.
    pub(super) fn position_of(&self, name: &str) -> Option<usize> {
        self.positions_of(name).next()
    }

    /// Returns the identity for `name`, or for a client that sent no name; `None` if no handshake can succeed.
    pub(super) fn select(&self, name: Option<&str>) -> Option<&Arc<Identity>> {
        if self.refuses {
            return None;
        }
        // An address or a URI is no server name: rustls, too, takes a client that sends one for a client without a name.
        let name = name.filter(|name| NameKind::of(name) == NameKind::Dns);
        let named = name.and_then(|name| first_valid(self.identities_of(name)));
        named.or_else(|| self.identity(self.default?))
    }

    /// Returns whether every client that asks for `name` gets `identity`, whichever signature schemes it supports.
    pub(super) fn selects_only(&self, name: &str, identity: &Arc<Identity>) -> bool {
        let mut found = self.identities_of(name);
        found.next().is_some_and(|first| Arc::ptr_eq(first, identity)) && found.next().is_none()
    }

    /// Returns the identity for a client that supports `schemes`.
    ///
    /// A server can have an ECDSA and an RSA identity for one name. Of the identities with the name, this is the first
    /// whose signatures the client can verify, if possible one that is valid now. If no identity has the name, the first
    /// of all identities for servers is used whose signatures the client can verify. If the client can verify none of
    /// them, the result is that of [`CertResolver::select`].
    fn select_for(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&Arc<Identity>> {
        let is_supported = |identity: &&Arc<Identity>| {
            identity.certified_key().key.choose_scheme(schemes).is_some()
        };
        let of_name = || name.into_iter().flat_map(|name| self.identities_of(name));
        if let Some(first) = of_name().next() {
            return first_valid(of_name().filter(is_supported)).or(Some(first));
        }
        let loaded = self.identities.iter().skip(self.default?).filter_map(IdentitySlot::loaded);
        let found = loaded.filter(|identity| identity.role() == Role::Server).find(is_supported);
        found.or_else(|| self.identity(self.default?))
    }

    /// Returns the identities with `name`, the preferred ones first.
    fn identities_of(&self, name: &str) -> impl Iterator<Item = &Arc<Identity>> {
        self.positions_of(name).filter_map(|position| self.identity(position))
    }

    fn positions_of(&self, name: &str) -> impl Iterator<Item = usize> {
        let name = lower_case(name);
        let positions = |pattern| match pattern {
            NamePattern::Exact(name) => self.exact.get(name),
            NamePattern::Wildcard(domain) => self.wildcard.get(domain),
        };
        let found = NamePattern::matching(&name).map(|pattern| pattern.and_then(positions));
        found.into_iter().flatten().flatten().copied()
    }
}

impl ResolvesServerCert for CertResolver {
    /// Without an identity, rustls ends the handshake with the alert `access_denied`, before it resumes any session.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if self.refuses {
            return None;
        }
        let identity = self.select_for(hello.server_name(), hello.signature_schemes())?;
        Some(identity.certified_key_now().clone())
    }
}

impl ServedNames for CertResolver {
    fn is_served(&self, name: &str) -> bool {
        self.has_name(name)
    }

    /// For a name that no identity has, or none, this is the label of the default identity. The client may have got
    /// another one, whose signatures it can verify: which one is not known when the ticket is made.
    fn label_for(&self, name: Option<&str>) -> Option<IdentityLabel> {
        labels_of(self.select(name)?).next()
    }

    fn has_label(&self, name: Option<&str>, label: &IdentityLabel) -> bool {
        let identity = self.select(name);
        identity.is_some_and(|identity| labels_of(identity).any(|other| other == *label))
    }
}

/// Returns the labels of `identity`, by which a session records it: one for each name. Without names, there is one
/// label for the subject or else for the public key, which renewals usually keep.
fn labels_of(identity: &Identity) -> impl Iterator<Item = IdentityLabel> {
    let names = identity.names().iter().map(|name| IdentityLabel::name(name.to_bytes()));
    let leaf = identity.chain().first().filter(|_| identity.names().is_empty());
    let nameless = leaf.and_then(|leaf| match subject_and_key_of(leaf)? {
        (b"", key) => Some(IdentityLabel::public_key(key)),
        (subject, _) => Some(IdentityLabel::subject(subject)),
    });
    names.chain(nameless)
}

/// Returns the first identity that is valid now, or else the first. The clock is read only if there are several.
fn first_valid<'a>(
    mut identities: impl Iterator<Item = &'a Arc<Identity>>,
) -> Option<&'a Arc<Identity>> {
    let first = identities.next()?;
    let Some(second) = identities.next() else { return Some(first) };
    let now = unix_now();
    let mut all = [first, second].into_iter().chain(identities);
    all.find(|identity| identity.is_valid_at(now)).or(Some(first))
}

/// Returns a name as identities have it: in lower case, unless it is a URI, whose path distinguishes case.
fn lower_case(name: &str) -> Cow<'_, str> {
    let has_upper_case = name.bytes().any(|byte| byte.is_ascii_uppercase());
    if has_upper_case && NameKind::of(name) != NameKind::Uri {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
    use rustls::crypto::aws_lc_rs;

    use super::super::{DuplicateName, GenerationsAlive};
    use super::*;
    use crate::options::Role;
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
            accepts_any_date: false,
        };
        let now = 1_790_000_000;
        Arc::new(Identity::new(&parts, &aws_lc_rs::default_provider(), now).unwrap())
    }

    /// Makes a resolver of one identity for each list of names.
    pub(in crate::tls) fn resolver(names: &[&[&str]]) -> CertResolver {
        let identities =
            names.iter().map(|names| identity(names, &PKCS_ECDSA_P256_SHA256)).collect();
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
        let first =
            DuplicateName { name: "a.test".to_owned(), earlier: 0, later: 2, is_needed: false };
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
}
