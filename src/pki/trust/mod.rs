//! What peers are checked against: roots, revocation lists, and the verifiers made of them.

mod input;
mod roots;
#[cfg(test)]
mod tests_trust;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};

pub(crate) use input::{TrustFile, TrustInput};
pub(crate) use roots::{MAX_ROOTS, Reading, Root, Roots, Sha256, sha256};

use super::crl::CrlIssuers;
use super::crl::CrlRank;
use super::crl::RevocationList;
use super::crl::roots_without_list;
use super::crl::{CrlChecks, RevocationLists};
use super::warnings::Warning;
use crate::error::{Cause, Error};
use crate::options::{ClientAuth, CrlRules, TrustOptions};
use roots::Served;

/// Roots, lists and rules, good as a whole. Immutable.
#[derive(Debug)]
pub(crate) struct Trust {
    clients: RoleTrust<dyn ClientCertVerifier>,
    servers: RoleTrust<dyn ServerCertVerifier>,
    lists: Vec<RevocationList>,
    /// The newest of each series of lists that serves or ever did.
    newest: Vec<CrlRank>,
    /// From then on peers are refused for lists that have expired.
    hold_until: Option<i64>,
    /// The same for clients.
    sessions_hold_until: Option<i64>,
    warnings: Vec<Warning>,
}

/// What peers of one kind are checked against.
#[derive(Debug)]
struct RoleTrust<V: ?Sized> {
    /// Of all that the verifier was made from.
    fingerprint: Sha256,
    served: Served,
    verifier: Option<Arc<V>>,
}

impl Trust {
    /// Makes trust out of bytes, or says what is wrong with them at the time `now`, where `before` served.
    pub(crate) fn new(
        parts: &TrustInput<'_>,
        options: &TrustOptions,
        provider: &Arc<CryptoProvider>,
        now: i64,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let algorithms = &provider.signature_verification_algorithms;
        let read = |files: Option<&Vec<TrustFile<'_>>>, place: Option<&PathBuf>, served| {
            let (Some(files), Some(place)) = (files, place) else { return Ok(None) };
            Roots::read(files, &Reading { place, algorithms, now, served }).map(Some)
        };
        let served = before.map(|before| &before.clients.served);
        let clients = read(parts.client_roots.as_ref(), options.client_roots.as_ref(), served)?;
        let served = before.map(|before| &before.servers.served);
        let servers = read(parts.server_roots.as_ref(), options.server_roots.as_ref(), served)?;
        let rules = options.crl_rules;
        let roots = roots_of([clients.as_ref(), servers.as_ref()]);
        let checks = CrlChecks {
            places: &options.crls,
            signers: CrlIssuers::new(&roots, &parts.issuers, &parts.crls),
            algorithms,
            allow_expired: rules.allow_expired,
            now,
            before: before.map_or(&[], |before| &before.lists),
            newest: before.map_or(&[], |before| &before.newest),
        };
        let RevocationLists { ders, counting: lists, warnings, newest } =
            RevocationLists::read(&parts.crls, &checks)?;

        let making = Making { ders, lists: &lists, rules, provider, signers: &checks.signers };
        let of_clients = clients.as_ref().filter(|_| options.client_auth != ClientAuth::None);
        let mode = options.client_auth as u8;
        let clients_role = making.role(
            of_clients,
            mode,
            before.map(|before| &before.clients),
            |store, ders| making.client_verifier(store, ders, options.client_auth),
        )?;
        let servers_role = making.role(
            servers.as_ref(),
            0,
            before.map(|before| &before.servers),
            |store, ders| Ok(making.server_verifier(store, ders)?),
        )?;
        let hold_until = making.hold_until(0..lists.len());
        let sessions_hold_until = making.hold_until(making.lists_of(of_clients));
        let without_list = roots_without_list(&roots, &lists, rules);
        let of_roots = [clients, servers].into_iter().flatten().flat_map(|roots| roots.warnings);
        Ok(Self {
            clients: clients_role,
            servers: servers_role,
            warnings: of_roots.chain(warnings).chain(without_list).collect(),
            hold_until,
            sessions_hold_until,
            lists,
            newest,
        })
    }

    /// Sets how long before their end newer lists should have come, in place of the default.
    pub(crate) fn with_expiry_warning(mut self, warning: Option<Duration>) -> Self {
        self.lists.iter_mut().for_each(|list| list.set_expiry_warning(warning));
        self
    }

    /// Tells one trust in clients from another, whatever files it came in: equal only where every client is treated
    /// alike. What servers are checked against is no part of it.
    pub(crate) fn fingerprint(&self) -> &[u8; 32] {
        &self.clients.fingerprint
    }

    /// `None` where clients are not asked for certificates.
    pub(crate) fn client_verifier(&self) -> Option<&Arc<dyn ClientCertVerifier>> {
        self.clients.verifier.as_ref()
    }

    /// `None` where there is no client role.
    pub(crate) fn server_verifier(&self) -> Option<&Arc<dyn ServerCertVerifier>> {
        self.servers.verifier.as_ref()
    }

    /// How many roots clients may lead to.
    pub(crate) fn client_root_count(&self) -> usize {
        self.clients.served.roots.len()
    }

    /// How many roots servers may lead to.
    pub(crate) fn server_root_count(&self) -> usize {
        self.servers.served.roots.len()
    }

    /// How many entries all lists have.
    pub(crate) fn revoked_count(&self) -> usize {
        self.lists.iter().map(|list| list.revoked).sum()
    }

    pub(crate) fn lists(&self) -> &[RevocationList] {
        &self.lists
    }

    /// From when on a list that has expired would have peers refused, if that is the rule.
    pub(crate) fn lists_hold_until(&self) -> Option<i64> {
        self.hold_until
    }

    /// The same for clients, and so for the sessions that they were let into.
    pub(crate) fn sessions_hold_until(&self) -> Option<i64> {
        self.sessions_hold_until.filter(|_| self.clients.verifier.is_some())
    }

    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

fn roots_of(roles: [Option<&Roots>; 2]) -> Vec<&Root> {
    roles.into_iter().flatten().flat_map(|roots| roots.anchors.values()).collect()
}

type Ders = Vec<CertificateRevocationListDer<'static>>;

/// What verifiers are made of.
struct Making<'a> {
    ders: Ders,
    /// Each goes with the DER at the same place.
    lists: &'a [RevocationList],
    signers: &'a CrlIssuers<'a>,
    rules: CrlRules,
    provider: &'a Arc<CryptoProvider>,
}

impl Making<'_> {
    /// The role as it served before, where nothing about it has changed: rustls keeps the sessions of clients with
    /// the verifier that they were begun under.
    fn role<V: ?Sized>(
        &self,
        roots: Option<&Roots>,
        mode: u8,
        before: Option<&RoleTrust<V>>,
        verifier: impl Fn(&Arc<RootCertStore>, Ders) -> Result<Arc<V>, VerifierBuilderError>,
    ) -> Result<RoleTrust<V>, Error> {
        let fingerprint = self.fingerprint(roots, mode);
        let same = before.filter(|before| before.fingerprint == fingerprint);
        let verifier = match (same, roots) {
            (Some(same), _) => same.verifier.clone(),
            (None, Some(roots)) => {
                let verifier = verifier(&roots.store, self.ders_of(roots));
                Some(verifier.map_err(|error| self.refused(&roots.store, &error))?)
            }
            (None, None) => None,
        };
        Ok(RoleTrust {
            fingerprint,
            served: roots.map(Roots::served).unwrap_or_default(),
            verifier,
        })
    }

    /// Whatever order things come in, it is the same.
    fn fingerprint(&self, roots: Option<&Roots>, mode: u8) -> Sha256 {
        let Some(anchors) = roots.map(|roots| &roots.anchors) else { return [0; 32] };
        let CrlRules { leaf_only, allow_unknown, allow_expired } = self.rules;
        let is_looked_up = !self.lists.is_empty();
        let rules = [leaf_only, allow_unknown, allow_expired, is_looked_up].map(u8::from);
        let anchors: Vec<&Sha256> = anchors.keys().collect();
        let mut lists: Vec<&Sha256> =
            self.lists_of(roots).map(|at| &self.lists[at].sha256).collect();
        lists.sort_unstable();
        joined([&[mode][..], &rules, &joined(anchors), &joined(lists)])
    }

    /// Which lists tell of peers of this role: those of its roots, and of intermediates. A root of the other role
    /// alone has nobody under it here, unless its certificate makes it an intermediate as well.
    fn lists_of(&self, roots: Option<&Roots>) -> impl Iterator<Item = usize> {
        let own = roots.map(|roots| &roots.anchors);
        let concerns = move |list: &RevocationList| {
            let is_of = |root: &&Root| list.is_of(root);
            let is_elsewhere = || self.signers.roots.iter().any(|root| list.is_of(root));
            let known = || self.signers.roots.iter().copied().chain(&self.signers.others);
            let is_below_another = || known().any(|root| is_of(&root) && !root.is_self_issued);
            own.is_some_and(|own| own.values().any(|root| is_of(&root)))
                || !is_elsewhere()
                || is_below_another()
        };
        (0..self.lists.len()).filter(move |at| concerns(&self.lists[*at]))
    }

    /// Where there are lists, but none for this role, peers are looked up all the same, and nothing is known of them:
    /// rustls does that where it has any list at all.
    fn ders_of(&self, roots: &Roots) -> Ders {
        let mut ders: Ders = self.lists_of(Some(roots)).map(|at| self.ders[at].clone()).collect();
        if ders.is_empty() {
            ders.extend(self.ders.first().cloned());
        }
        ders
    }

    /// Until when these lists hold, if peers are refused after that.
    fn hold_until(&self, lists: impl Iterator<Item = usize>) -> Option<i64> {
        let ends = lists.filter_map(|at| self.lists[at].next_update);
        ends.min().filter(|_| !self.rules.allow_expired)
    }

    fn client_verifier(
        &self,
        store: &Arc<RootCertStore>,
        ders: Ders,
        mode: ClientAuth,
    ) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
        let (store, provider) = (store.clone(), self.provider.clone());
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(store, provider).with_crls(ders);
        if mode == ClientAuth::Optional {
            builder = builder.allow_unauthenticated();
        }
        if self.rules.leaf_only {
            builder = builder.only_check_end_entity_revocation();
        }
        if self.rules.allow_unknown {
            builder = builder.allow_unknown_revocation_status();
        }
        if !self.rules.allow_expired {
            builder = builder.enforce_revocation_expiration();
        }
        builder.build()
    }

    fn server_verifier(
        &self,
        store: &Arc<RootCertStore>,
        ders: Ders,
    ) -> Result<Arc<WebPkiServerVerifier>, VerifierBuilderError> {
        let (store, provider) = (store.clone(), self.provider.clone());
        let mut builder =
            WebPkiServerVerifier::builder_with_provider(store, provider).with_crls(ders);
        if self.rules.leaf_only {
            builder = builder.only_check_end_entity_revocation();
        }
        if self.rules.allow_unknown {
            builder = builder.allow_unknown_revocation_status();
        }
        if !self.rules.allow_expired {
            builder = builder.enforce_revocation_expiration();
        }
        builder.build()
    }

    /// Why rustls takes no lists like these: it does not say which of them it means.
    fn refused(&self, store: &Arc<RootCertStore>, error: &VerifierBuilderError) -> Error {
        let refused = self.lists.iter().zip(&self.ders).find_map(|(list, der)| {
            match self.server_verifier(store, vec![der.clone()]) {
                Err(VerifierBuilderError::InvalidCrl(why)) => Some((list, why)),
                _ => None,
            }
        });
        match refused {
            Some((list, why)) => list.malformed(format!("rustls does not take it ({why:?})")),
            None => Error::new(Cause::Tls(error.to_string())),
        }
    }
}

/// A digest of parts, each with its length.
fn joined<'a, T: AsRef<[u8]> + ?Sized + 'a>(parts: impl IntoIterator<Item = &'a T>) -> Sha256 {
    let mut context = Context::new(&SHA256);
    for part in parts {
        let part = part.as_ref();
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
