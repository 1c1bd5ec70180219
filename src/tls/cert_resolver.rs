//! Selects the certificate for each connection by the server name that the client asks for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::duplicate_names::DuplicateNames;
use super::generations_alive::GenerationToken;
use super::refusal::Refusal;
use super::sessions::{IdentityLabel, ServedNames};
use super::unit_content::{IdentitySlot, UnitContents};
use crate::clock::unix_now;
use crate::options::Role;
use crate::pki::{Identity, NameKind, NamePattern, subject_and_key_of};

/// How many identities with one name and one kind of key are kept: those that are valid longest.
const MOST_OF_A_KIND: usize = 8;

/// The identities of one generation by server name.
///
/// The identities for a name are those that have exactly this name, then those with a wildcard for the leftmost label
/// (RFC 9525 section 6.3). If there are none, they are all identities for servers. Each group is in the order in which
/// the identities were added. A connection gets the first whose signatures the client can verify, or else the first. Of
/// several with the name, one that is valid now comes before others. The default identity stays the same, whatever its
/// dates: its name decides about the sessions of clients that ask for no name that is served.
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
    /// Logs that every handshake is refused, if that is so.
    refusal: Option<Arc<Refusal>>,
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
                let is_covered = of_kind.iter().any(|(_, other)| other.is_valid_whenever(identity));
                // If there are too many, those go first whose validity ends first: they are the oldest of an archive.
                let ends_first = of_kind.iter().min_by_key(|(_, other)| other.valid_until());
                let replaced = ends_first.filter(|_| of_kind.len() == MOST_OF_A_KIND).copied();
                let is_needed = !is_covered
                    && replaced
                        .is_none_or(|(_, other)| other.valid_until() < identity.valid_until());
                if let Some((earlier, _)) = of_kind.first() {
                    duplicates.add(name, *earlier, position, is_needed);
                }
                if is_needed {
                    let replaced = replaced.map(|(position, _)| position);
                    positions.retain(|position| Some(*position) != replaced);
                    positions.push(position);
                }
            }
        }
        let default = for_servers().next().map(|(position, _)| position);
        let refuses = parts.lacks_trust();
        let refusal = None;
        Self { identities, default, exact, wildcard, duplicates, refuses, refusal, _token: token }
    }

    /// Sets what logs that every handshake is refused, if that is so.
    pub(super) fn with_refusal(self, refusal: Option<Arc<Refusal>>) -> Self {
        Self { refusal, ..self }
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
        let positions = match NamePattern::of(&as_in_certificates(name)) {
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

    /// Returns the identities for `name`, those that are valid now first, and whether they have that name. If none has,
    /// they are all identities for servers. There are none if no handshake can succeed.
    pub(super) fn select_all<'a>(
        &'a self,
        name: Option<&'a str>,
    ) -> (impl Iterator<Item = &'a Arc<Identity>>, bool) {
        let name = name.filter(|name| NameKind::of(name) == NameKind::Dns && !self.refuses);
        let named = move || name.into_iter().flat_map(|name| self.identities_of(name));
        let is_served = named().next().is_some();
        // The clock is read only if there is a choice.
        let now = named().nth(1).is_some().then(unix_now);
        let is_valid = move |identity: &&Arc<Identity>| match now {
            Some(now) => identity.is_valid_at(now),
            None => true,
        };
        let others = named().filter(move |identity| !is_valid(identity));
        let is_default = !is_served && !self.refuses;
        let defaults = self.default.filter(|_| is_default).into_iter();
        let defaults = defaults.flat_map(|first| self.servers_from(first));
        (named().filter(is_valid).chain(others).chain(defaults), is_served)
    }

    /// Returns the loaded identities for servers from position `first` on.
    fn servers_from(&self, first: usize) -> impl Iterator<Item = &Arc<Identity>> {
        let loaded = self.identities.iter().skip(first).filter_map(IdentitySlot::loaded);
        loaded.filter(|identity| identity.role() == Role::Server)
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
        let found = self.servers_from(self.default?).find(is_supported);
        found.or_else(|| self.identity(self.default?))
    }

    /// Returns the identities with `name`, the preferred ones first.
    fn identities_of(&self, name: &str) -> impl Iterator<Item = &Arc<Identity>> {
        self.positions_of(name).filter_map(|position| self.identity(position))
    }

    fn positions_of(&self, name: &str) -> impl Iterator<Item = usize> {
        let name = as_in_certificates(name);
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
        if let Some(refusal) = &self.refusal {
            refusal.log("a client");
        }
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

/// Returns a name as identities have it. A DNS name is in lower case, and an address in its usual notation. A URI stays
/// as it is, because its path distinguishes case.
fn as_in_certificates(name: &str) -> Cow<'_, str> {
    let has_upper_case = || name.bytes().any(|byte| byte.is_ascii_uppercase());
    // IPv4 addresses have one notation only.
    if name.contains(':') {
        let address = name.parse::<Ipv6Addr>();
        address.map_or(Cow::Borrowed(name), |address| Cow::Owned(address.to_string()))
    } else if has_upper_case() {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
#[path = "tests_cert_resolver.rs"]
pub(super) mod tests;
