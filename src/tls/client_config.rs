//! Builds the configuration of the client role, which presents an identity and verifies servers with the trust store.

use std::sync::{Arc, Weak};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};

use super::generations_alive::GenerationToken;
use super::refusal::Refusal;
use super::sessions::Sessions;
use crate::clock::WallClock;
use crate::error::{Cause, Error};
use crate::options::Options;
use crate::pki::{Identity, Trust, tls_error_in_words};
use crate::sys::Mutex;
use crate::sys::without_fork;

/// The settings that the client configurations of all generations share.
#[derive(Debug)]
pub(super) struct ClientRole {
    config: ClientConfig,
    /// The client certificate resolvers of all configurations that still exist, one for each identity.
    resolvers: Mutex<Vec<Weak<PresentedIdentity>>>,
}

impl ClientRole {
    /// Prepares the client role from the options; returns `None` if these have no roots to verify servers with.
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
        Ok(Some(Self { config, resolvers: Mutex::default() }))
    }

    /// Returns the configuration of one generation; `None` if `trust` has no roots to verify servers with.
    ///
    /// The configuration owns `token`. So the generation counts as in memory until the last connection has released its
    /// configuration (G8).
    pub(super) fn config(
        &self,
        trust: &Trust,
        identity: Option<&Arc<Identity>>,
        sessions: &Arc<Sessions>,
        token: Arc<GenerationToken>,
    ) -> Option<ClientConfig> {
        let verifier = trust.server_verifier()?.clone();
        let resumption = sessions.for_client(trust.lists_hold_until());
        Some(self.config_with(verifier, resumption, identity, token))
    }

    /// Returns the configuration of a generation for whose trust store nothing has been loaded: every handshake is
    /// refused, which `refusal` logs. The other parameters are those of [`ClientRole::config`].
    pub(super) fn refusing_config(
        &self,
        refusal: Option<Arc<Refusal>>,
        identity: Option<&Arc<Identity>>,
        token: Arc<GenerationToken>,
    ) -> ClientConfig {
        let verifier = Arc::new(RefuseAnyServer { refusal });
        self.config_with(verifier, Resumption::disabled(), identity, token)
    }

    fn config_with(
        &self,
        verifier: Arc<dyn ServerCertVerifier>,
        resumption: Resumption,
        identity: Option<&Arc<Identity>>,
        token: Arc<GenerationToken>,
    ) -> ClientConfig {
        let mut config = self.config.clone();
        config.dangerous().set_certificate_verifier(verifier);
        if let Some(identity) = identity {
            config.client_auth_cert_resolver = self.resolver_for(identity);
        }
        config.resumption = resumption;
        let clock = config.time_provider;
        config.time_provider = Arc::new(ClockWithToken { clock, _token: token });
        config
    }

    /// Returns the resolver that presents `identity`: the one of an existing configuration, if there is one.
    ///
    /// rustls resumes a session only with the resolver that it was started with, and compares the addresses. So it
    /// never resumes a session of another identity. With one resolver for each identity, sessions survive a generation
    /// that does not change the identity (G14). The list has weak references, so the key of a refused candidate is
    /// released.
    fn resolver_for(&self, identity: &Arc<Identity>) -> Arc<PresentedIdentity> {
        // A forked child inherits the list, so the fork must not happen while a thread changes it.
        without_fork(|| {
            let key = identity.certified_key();
            let mut resolvers = self.resolvers.lock();
            resolvers.retain(|resolver| resolver.strong_count() > 0);
            let presents_key = |resolver: &Arc<PresentedIdentity>| Arc::ptr_eq(&resolver.0, key);
            resolvers.iter().filter_map(Weak::upgrade).find(presents_key).unwrap_or_else(|| {
                let resolver = Arc::new(PresentedIdentity(key.clone()));
                resolvers.push(Arc::downgrade(&resolver));
                resolver
            })
        })
    }
}

fn default_config(provider: &Arc<CryptoProvider>) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Cause::Tls(tls_error_in_words(&error))))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.time_provider = Arc::new(WallClock);
    Ok(config)
}

/// The verifier of a client without roots: it refuses every server, whatever verifier a template of the host has.
#[derive(Debug)]
struct RefuseAnyServer {
    refusal: Option<Arc<Refusal>>,
}

impl RefuseAnyServer {
    const REFUSED: rustls::Error =
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
}

impl ServerCertVerifier for RefuseAnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(refusal) = &self.refusal {
            refusal.log("a server");
        }
        Err(Self::REFUSED)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Self::REFUSED)
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Self::REFUSED)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        // The server must get as far as its certificate, so that the error names the cause.
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA256,
        ]
    }
}

/// A client certificate resolver for one identity: presents it to each server that supports its signature schemes.
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

/// The clock of a client configuration, which also owns the token that counts the generation.
///
/// The token must be owned by an object that belongs to one generation only. In a client configuration, only the clock
/// is such an object: verifier and certificate resolver are shared with other generations.
#[derive(Debug)]
struct ClockWithToken {
    clock: Arc<dyn TimeProvider>,
    _token: Arc<GenerationToken>,
}

impl TimeProvider for ClockWithToken {
    fn current_time(&self) -> Option<UnixTime> {
        self.clock.current_time()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;
    use crate::options::{Role, TlsStack};
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
            accepts_any_date: false,
            tls: TlsStack::Rustls,
            exports_key: false,
            index: 0,
        };
        Arc::new(Identity::new(&parts, &default_provider(), 1_790_000_000).unwrap())
    }

    /// rustls resumes a session only if the resolver has the same address as before, so it must stay the same (G14).
    #[test]
    fn resolver_of_an_identity_stays_the_same_while_it_is_in_use() {
        let config = default_config(&Arc::new(default_provider())).unwrap();
        let role = ClientRole { config, resolvers: Mutex::default() };
        let (accepted, refused) = (identity(), identity());
        let first = role.resolver_for(&accepted);
        assert!(!Arc::ptr_eq(&first, &role.resolver_for(&refused)), "another identity");
        assert!(
            Arc::ptr_eq(&first, &role.resolver_for(&accepted)),
            "after a candidate was refused"
        );

        assert_eq!(
            Arc::strong_count(refused.certified_key()),
            1,
            "the key of a refused candidate is released"
        );
        drop(first);
        assert_eq!(Arc::strong_count(accepted.certified_key()), 1);
        role.resolver_for(&accepted);
        assert_eq!(role.resolvers.lock().len(), 1, "resolvers that are not in use are removed");
    }
}
