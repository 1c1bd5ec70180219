//! The trust store: roots, CRLs and the client-authentication mode, and the verifiers built from them.

mod doubtful_roots;
mod logged_verifier;
mod roots;
mod skipped_certificate;
#[cfg(test)]
mod test_handshake;
#[cfg(test)]
mod tests_names;
#[cfg(test)]
mod tests_trust;
mod verifier;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::VerifierBuilderError;
use rustls::server::danger::ClientCertVerifier;

pub(crate) use roots::{Roots, RootsContext};

use super::crl::{CrlContext, CrlIssuers, CrlSet, CrlVersion, RevocationList};
use super::crl::{lists_in_other_bytes, roots_without_list};
use super::crl_signer::CrlSigner;
use super::hash::{Sha256, sha256_of_list};
use super::prepared::PreparedObjects;
use super::tls_errors::{builder_error_in_words, crl_error_in_words};
use super::trust_input::{TrustFile, TrustInput};
use super::warnings::Warning;
use crate::error::{Cause, Error};
use crate::options::{ClientAuth, CrlRules, TlsStack, TrustOptions};
use doubtful_roots::intermediates_without_path;
use roots::LoadedRoots;
use verifier::{CrlDers, RoleVerifier, VerifierSettings};

/// A trust store that was validated as a whole. Immutable.
#[derive(Debug)]
pub(crate) struct Trust {
    clients: PeerVerification<dyn ClientCertVerifier>,
    servers: PeerVerification<dyn ServerCertVerifier>,
    lists: Vec<RevocationList>,
    /// The newest version of each CRL scope that was ever in use; older CRLs are rejected.
    newest: Vec<CrlVersion>,
    /// When the first CRL expires, in seconds since 1970; `None` if no peer is refused because of that.
    crls_expire_at: Option<i64>,
    /// As `crls_expire_at`, but only of the CRLs that concern clients.
    session_crls_expire_at: Option<i64>,
    warnings: Vec<Warning>,
    /// For adapters, as the options have them.
    rules: TrustRules,
    /// All CRLs in DER, for adapters.
    crls: CrlDers,
    prepared: PreparedObjects,
}

/// How peers are checked with a trust store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrustRules {
    pub(crate) client_auth: ClientAuth,
    pub(crate) crl_rules: CrlRules,
    pub(crate) hides_authority_names: bool,
}

/// The settings, the time and the trust store in use, from which a new trust store is built.
pub(crate) struct TrustContext<'a> {
    pub(crate) options: &'a TrustOptions,
    pub(crate) provider: &'a Arc<CryptoProvider>,
    /// Without rustls no verifiers are built: an adapter verifies peers.
    pub(crate) tls: TlsStack,
    /// The current time, in seconds since 1970.
    pub(crate) now: i64,
    /// The trust store in use, with which the new one is compared; `None` at the first load. It shows which CRLs would
    /// be replaced by older ones, which expired CRLs are in use already, and which roots were readable before. A
    /// verifier for which nothing has changed is taken from it.
    pub(crate) previous: Option<&'a Trust>,
}

/// How the certificates of one role of peers, clients or servers, are verified.
#[derive(Debug)]
struct PeerVerification<V: ?Sized> {
    /// The digest of everything that the verifier was built from.
    fingerprint: Sha256,
    roots: LoadedRoots,
    /// `None` if peers of this role are not verified.
    verifier: Option<Arc<V>>,
}

impl Trust {
    /// Validates the files of a trust store and builds its verifiers.
    pub(crate) fn new(input: &TrustInput<'_>, context: &TrustContext<'_>) -> Result<Self, Error> {
        let &TrustContext { options, provider, tls, now, previous } = context;
        let algorithms = &provider.signature_verification_algorithms;
        let read = |files: Option<&Vec<TrustFile<'_>>>, place: Option<&PathBuf>, loaded| {
            let (Some(files), Some(place)) = (files, place) else { return Ok(None) };
            Roots::read(files, &RootsContext { place, algorithms, now, loaded }).map(Some)
        };
        let loaded = previous.map(|trust| &trust.clients.roots);
        let clients = read(input.client_roots.as_ref(), options.client_roots.as_ref(), loaded)?;
        let loaded = previous.map(|trust| &trust.servers.roots);
        let servers = read(input.server_roots.as_ref(), options.server_roots.as_ref(), loaded)?;
        let roots = crl_signers([clients.as_ref(), servers.as_ref()]);
        let crl_context = CrlContext {
            places: &options.crls,
            issuers: CrlIssuers::new(&roots, &input.issuers, &input.crls),
            algorithms,
            allow_expired: options.crl_rules.allow_expired,
            now,
            in_use: previous.map_or(&[], |trust| &trust.lists),
            newest: previous.map_or(&[], |trust| &trust.newest),
        };
        let CrlSet { ders, lists, warnings, newest } = CrlSet::read(&input.crls, &crl_context)?;

        let client_roots = clients.as_ref().filter(|_| options.client_auth != ClientAuth::None);
        if let (Some(roots), Some(place), false) =
            (client_roots, &options.client_roots, options.hides_authority_names)
        {
            roots.check_names().map_err(|cause| Error::at(place, cause))?;
        }
        let crls = ders.clone();
        let (client_auth, rules) = (options.client_auth, options.crl_rules);
        let hides_authority_names = options.hides_authority_names;
        let builder = VerificationBuilder {
            ders,
            lists: &lists,
            issuers: &crl_context.issuers,
            settings: VerifierSettings { client_auth, rules, hides_authority_names, provider, tls },
        };
        let clients_verified = builder.build(client_roots, previous.map(|trust| &trust.clients))?;
        let servers_verified =
            builder.build(servers.as_ref(), previous.map(|trust| &trust.servers))?;
        let crls_expire_at = builder.crls_expire_at(0..lists.len());
        let session_crls_expire_at = builder.crls_expire_at(builder.lists_of(client_roots));
        let others = &crl_context.issuers.others;
        let mut of_names = intermediates_without_path(&roots, others);
        let authorities = roots.iter().copied().chain(others);
        of_names.extend(lists_in_other_bytes(authorities, &lists, rules));
        let without_list = roots_without_list(&roots, &lists, rules);
        let of_roots = [clients, servers].into_iter().flatten().flat_map(|roots| roots.warnings);
        Ok(Self {
            clients: clients_verified,
            servers: servers_verified,
            warnings: of_roots.chain(of_names).chain(warnings).chain(without_list).collect(),
            crls_expire_at,
            session_crls_expire_at,
            lists,
            newest,
            rules: TrustRules { client_auth, crl_rules: rules, hides_authority_names },
            crls,
            prepared: PreparedObjects::default(),
        })
    }

    /// Sets how long before its nextUpdate each CRL's expiry warning begins.
    ///
    /// `None` keeps the default. Zero turns the warning off. A time of more than a third of the CRL's period counts as
    /// a third: the setting is meant for certificates, and the whole period may be shorter.
    pub(crate) fn with_expiry_warning(mut self, warning: Option<Duration>) -> Self {
        self.lists.iter_mut().for_each(|list| list.set_expiry_warning(warning));
        self
    }

    /// Returns the digest of everything that decides which clients are accepted.
    ///
    /// Sessions are bound to this digest (G14): two trust stores with equal digests treat every client alike, whichever
    /// files they were read from. The roots that servers are verified with have no influence on it.
    pub(crate) fn fingerprint(&self) -> &Sha256 {
        &self.clients.fingerprint
    }

    /// Returns the verifier for clients; `None` if clients are not asked for certificates.
    pub(crate) fn client_verifier(&self) -> Option<&Arc<dyn ClientCertVerifier>> {
        self.clients.verifier.as_ref()
    }

    /// Returns the verifier for servers; `None` if no roots for servers are configured.
    pub(crate) fn server_verifier(&self) -> Option<&Arc<dyn ServerCertVerifier>> {
        self.servers.verifier.as_ref()
    }

    /// Returns whether this checks peers as `other` does, with the same warnings.
    pub(crate) fn is_equivalent(&self, other: &Self) -> bool {
        self.clients.fingerprint == other.clients.fingerprint
            && self.servers.fingerprint == other.servers.fingerprint
            && self.warnings == other.warnings
    }

    /// Returns how peers are checked.
    pub(crate) fn rules(&self) -> TrustRules {
        self.rules
    }

    /// Returns the roots that certificates of clients are checked with; none if clients are not asked for any.
    pub(crate) fn client_roots(&self) -> &[CertificateDer<'static>] {
        &self.clients.roots.ders
    }

    /// Returns the roots that certificates of servers are checked with.
    pub(crate) fn server_roots(&self) -> &[CertificateDer<'static>] {
        &self.servers.roots.ders
    }

    /// Returns the CRLs of both roles in DER.
    pub(crate) fn crls(&self) -> &[CertificateRevocationListDer<'static>] {
        &self.crls
    }

    /// Returns the objects that adapters have made from this trust store.
    pub(crate) fn prepared(&self) -> &PreparedObjects {
        &self.prepared
    }

    /// Returns the number of roots for clients.
    pub(crate) fn client_root_count(&self) -> usize {
        self.clients.roots.trusted.len()
    }

    /// Returns the number of roots for servers.
    pub(crate) fn server_root_count(&self) -> usize {
        self.servers.roots.trusted.len()
    }

    /// Returns the number of entries in all CRLs.
    pub(crate) fn revoked_count(&self) -> usize {
        self.lists.iter().map(|list| list.revoked).sum()
    }

    /// Returns a file of roots that holds only the first certificates that it had in the previous trust store `before`.
    /// It may be the beginning of a file that is being rewritten.
    pub(crate) fn cut_short<'a>(&'a self, before: &Self) -> Option<&'a Path> {
        let clients = self.clients.roots.cut_short(&before.clients.roots);
        clients.or_else(|| self.servers.roots.cut_short(&before.servers.roots))
    }

    pub(crate) fn lists(&self) -> &[RevocationList] {
        &self.lists
    }

    /// Returns when the first CRL expires; `None` if an expired CRL does not make the verifiers refuse peers.
    pub(crate) fn lists_hold_until(&self) -> Option<i64> {
        self.crls_expire_at
    }

    /// Returns when the first CRL that concerns clients expires: no session of a client may be resumed from then on.
    pub(crate) fn session_crls_expire_at(&self) -> Option<i64> {
        self.session_crls_expire_at.filter(|_| self.rules.client_auth != ClientAuth::None)
    }

    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

fn crl_signers(roles: [Option<&Roots>; 2]) -> Vec<&CrlSigner> {
    roles.into_iter().flatten().flat_map(|roots| roots.anchors.values()).collect()
}

/// Builds the verifiers of both roles, each from the roots of its role and from the CRLs that can concern it.
struct VerificationBuilder<'a> {
    ders: CrlDers,
    /// The same CRLs as in `ders`, at the same positions.
    lists: &'a [RevocationList],
    issuers: &'a CrlIssuers<'a>,
    settings: VerifierSettings<'a>,
}

impl VerificationBuilder<'_> {
    /// Builds the verifier of one role; keeps the previous one if nothing about it has changed.
    ///
    /// rustls resumes a session that a client stored only with the verifier under which it began. A new verifier would
    /// end all such sessions (G14).
    fn build<V: RoleVerifier + ?Sized>(
        &self,
        roots: Option<&Roots>,
        previous: Option<&PeerVerification<V>>,
    ) -> Result<PeerVerification<V>, Error> {
        let fingerprint = self.fingerprint(roots, V::mode(&self.settings));
        let unchanged = previous.filter(|previous| previous.fingerprint == fingerprint);
        let verifier = match (unchanged, roots) {
            (Some(unchanged), _) => unchanged.verifier.clone(),
            (None, Some(roots)) if self.settings.tls == TlsStack::Rustls => {
                let verifier = V::build(&self.settings, &roots.store, self.ders_of(roots));
                Some(verifier.map_err(|error| self.rejected(roots, &error))?)
            }
            (None, _) => None,
        };
        let roots = roots.map(Roots::loaded).unwrap_or_default();
        Ok(PeerVerification { fingerprint, roots, verifier })
    }

    /// Returns the digest of all that decides which peers of a role are accepted. The order of roots and CRLs in their
    /// files makes no difference.
    fn fingerprint(&self, roots: Option<&Roots>, mode: u8) -> Sha256 {
        let Some(anchors) = roots.map(|roots| &roots.anchors) else { return [0; 32] };
        let CrlRules { leaf_only, allow_unknown, allow_expired } = self.settings.rules;
        let checks_revocation = !self.lists.is_empty();
        let rules = [leaf_only, allow_unknown, allow_expired, checks_revocation].map(u8::from);
        // The keys of a `BTreeMap` are sorted already.
        let anchors: Vec<&Sha256> = anchors.keys().collect();
        let mut lists: Vec<&Sha256> =
            self.lists_of(roots).map(|at| &self.lists[at].sha256).collect();
        lists.sort_unstable();
        sha256_of_list([&[mode][..], &rules, &sha256_of_list(anchors), &sha256_of_list(lists)])
    }

    /// Returns the positions of the CRLs that can concern peers of a role with these roots.
    ///
    /// A CRL concerns the role if one of its roots signed it, or if its issuer is not a root at all: an intermediate
    /// may be below any root. A root of the other role may also be known as an intermediate, by a certificate that
    /// another CA signed. Only then does its CRL concern this role. Leaving out other CRLs keeps a role's fingerprint,
    /// and so its sessions, unchanged when a CRL of the other role is renewed.
    fn lists_of(&self, roots: Option<&Roots>) -> impl Iterator<Item = usize> {
        let own = roots.map(|roots| &roots.anchors);
        let concerns = move |list: &RevocationList| {
            let signed_by_own_root =
                own.is_some_and(|own| own.values().any(|root| list.is_signed_by(root)));
            let signed_by_a_root = self.issuers.roots.iter().any(|root| list.is_signed_by(root));
            let mut known = self.issuers.roots.iter().copied().chain(&self.issuers.others);
            signed_by_own_root
                || !signed_by_a_root
                || known.any(|ca| list.is_signed_by(ca) && !ca.is_self_issued)
        };
        (0..self.lists.len()).filter(move |at| concerns(&self.lists[*at]))
    }

    /// Returns the CRLs for the verifier of a role with these roots.
    ///
    /// If CRLs are configured but none concerns this role, any one of them is passed: rustls checks revocation only
    /// if it has at least one CRL. Without it, peers whose status is unknown would be accepted.
    fn ders_of(&self, roots: &Roots) -> CrlDers {
        let mut ders: CrlDers =
            self.lists_of(Some(roots)).map(|at| self.ders[at].clone()).collect();
        if ders.is_empty() {
            ders.extend(self.ders.first().cloned());
        }
        ders
    }

    /// Returns the earliest nextUpdate of the CRLs at these positions; `None` if expired CRLs are allowed.
    fn crls_expire_at(&self, lists: impl Iterator<Item = usize>) -> Option<i64> {
        let ends = lists.filter_map(|at| self.lists[at].next_update);
        ends.min().filter(|_| !self.settings.rules.allow_expired)
    }

    /// Returns the error for a set of CRLs that rustls rejects. rustls does not report which CRL it rejected, so a
    /// verifier is built with each one alone.
    fn rejected(&self, roots: &Roots, error: &VerifierBuilderError) -> Error {
        let rejected = self.lists.iter().zip(&self.ders).find_map(|(list, der)| {
            match <dyn ServerCertVerifier>::build(&self.settings, &roots.store, vec![der.clone()]) {
                Err(VerifierBuilderError::InvalidCrl(error)) => Some((list, error)),
                _ => None,
            }
        });
        match rejected {
            Some((list, error)) => list.unusable(crl_error_in_words(&error)),
            None => Error::new(Cause::Tls(builder_error_in_words(error))),
        }
    }
}
