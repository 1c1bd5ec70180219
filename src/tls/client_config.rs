//! The client role: the config that proves itself with an identity, and checks servers against the trust.

use std::sync::{Arc, Weak};

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, SignatureScheme};

use super::generation_count::GenerationToken;
use super::sessions::Sessions;
use crate::clock::WallClock;
use crate::error::Error;
use crate::options::Options;
use crate::pki::{Identity, Trust};
use crate::sys::Mutex;
use crate::sys::without_fork;

/// The settings that the client configs of all generations share.
#[derive(Debug)]
pub(super) struct ClientRole {
    config: ClientConfig,
    /// What the configs that exist present.
    presenting: Mutex<Vec<Weak<PresentedIdentity>>>,
}

impl ClientRole {
    /// `None` where the options have no roots to check servers with.
    pub(super) fn new(
        options: &Options,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Self>, Error> {
        if options.trust.server_roots.is_none() {
            return Ok(None);
        }
        let mut config = match &options.client_template {
            Some(template) => ClientConfig::clone(template),
            None => default_config(provider)?,
        };
        if !options.alpn.is_empty() {
            config.alpn_protocols.clone_from(&options.alpn);
        }
        Ok(Some(Self { config, presenting: Mutex::default() }))
    }

    /// The config of one generation, which is `alive` as long as somebody has it.
    pub(super) fn config(
        &self,
        trust: &Trust,
        identity: Option<&Arc<Identity>>,
        sessions: &Arc<Sessions>,
        alive: Arc<GenerationToken>,
    ) -> Option<ClientConfig> {
        let mut config = self.config.clone();
        config.dangerous().set_certificate_verifier(trust.server_verifier()?.clone());
        if let Some(identity) = identity {
            config.client_auth_cert_resolver = self.presenter(identity);
        }
        config.resumption = sessions.client(trust.lists_hold_until());
        let time = config.time_provider;
        config.time_provider = Arc::new(CountedClock { time, _alive: alive });
        Some(config)
    }

    /// That of a config that exists and presents the same: rustls resumes no session that another one began, for
    /// that would be somebody else's. A candidate that is refused changes nothing about it, and leaves no key behind.
    fn presenter(&self, identity: &Arc<Identity>) -> Arc<PresentedIdentity> {
        // A child that is forked takes the list over, and nobody is to be at it then.
        without_fork(|| {
            let key = identity.certified_key();
            let mut presenting = self.presenting.lock();
            presenting.retain(|presents| presents.strong_count() > 0);
            let same = |presents: &Arc<PresentedIdentity>| Arc::ptr_eq(&presents.0, key);
            presenting.iter().filter_map(Weak::upgrade).find(same).unwrap_or_else(|| {
                let presents = Arc::new(PresentedIdentity(key.clone()));
                presenting.push(Arc::downgrade(&presents));
                presents
            })
        })
    }
}

fn default_config(provider: &Arc<CryptoProvider>) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::tls(&error))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.time_provider = Arc::new(WallClock);
    Ok(config)
}

/// Proves itself with one identity, to whoever can check its signatures.
#[derive(Debug)]
struct PresentedIdentity(Arc<CertifiedKey>);

impl ResolvesClientCert for PresentedIdentity {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The clock of a config, which every connection keeps with its config, and with it the count of generations
/// that are alive.
#[derive(Debug)]
struct CountedClock {
    time: Arc<dyn TimeProvider>,
    _alive: Arc<GenerationToken>,
}

impl TimeProvider for CountedClock {
    fn current_time(&self) -> Option<UnixTime> {
        self.time.current_time()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;
    use crate::options::Role;
    use crate::pki::{IdentityInput, Staple};

    fn identity() -> Arc<Identity> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        let key = key.serialize_pem();
        let parts = IdentityInput {
            role: Role::Client,
            chain: (Path::new("chain"), chain.as_bytes()),
            key: (Path::new("key"), key.as_bytes()),
            password: &|| Ok(None),
            staple: Staple::NotAskedFor,
        };
        Arc::new(Identity::new(&parts, &default_provider(), 1_790_000_000).unwrap())
    }

    /// G14: rustls tells by the address whether a session is resumed.
    #[test]
    fn what_is_presented_stays_the_same_as_long_as_it_is_in_use() {
        let config = default_config(&Arc::new(default_provider())).unwrap();
        let role = ClientRole { config, presenting: Mutex::default() };
        let (serves, refused) = (identity(), identity());
        let first = role.presenter(&serves);
        assert!(!Arc::ptr_eq(&first, &role.presenter(&refused)), "another identity");
        assert!(Arc::ptr_eq(&first, &role.presenter(&serves)), "after a candidate was refused");

        assert_eq!(Arc::strong_count(refused.certified_key()), 1, "its key is not kept");
        drop(first);
        assert_eq!(Arc::strong_count(serves.certified_key()), 1);
        role.presenter(&serves);
        assert_eq!(role.presenting.lock().len(), 1, "nor are all that there were");
    }
}
