//! A client's identity proves itself to a server that insists on it.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::{ClientConnection, Resumption};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, NoKeyLog, PeerIncompatible,
    ServerConfig, ServerConnection, SignatureScheme, SupportedProtocolVersion,
};

use super::accept_any::{NoKey, TrustsAnyone};
use super::{SingleCert, Witness, any_name, converse, in_each_version, not_spoken, unproved};
use crate::error::Cause;
use crate::pki::Identity;

/// Completes a handshake in which `config` presents `identity`, in each protocol version that it
/// allows; one version at least.
pub(crate) fn prove_client(config: &ClientConfig, identity: &Arc<Identity>) -> Result<(), Cause> {
    let config = Arc::new(without_traces(config.clone()));
    in_each_version(|version| match handshake(&config, identity, version) {
        Err(Error::PeerIncompatible(PeerIncompatible::ServerRejectedEncryptedClientHello(_))) => {
            handshake(&unveiled(&config, version)?, identity, version)
        }
        other => other,
    })
}

/// The config that will serve, but for whom it trusts, and for what would leave traces with the host:
/// its key log and its sessions.
fn without_traces(mut config: ClientConfig) -> ClientConfig {
    config.key_log = Arc::new(NoKeyLog);
    config.resumption = Resumption::disabled();
    config.dangerous().set_certificate_verifier(Arc::new(TrustsAnyone));
    config
}

/// What `config` presents, without the hello that it encrypts for a server that exists: a server that
/// cannot read that is not shown a certificate.
fn unveiled(
    config: &ClientConfig,
    version: &'static SupportedProtocolVersion,
) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(config.crypto_provider().clone())
        .with_protocol_versions(&[version])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustsAnyone))
        .with_client_cert_resolver(config.client_auth_cert_resolver.clone());
    Ok(Arc::new(without_traces(config)))
}

fn handshake(
    config: &Arc<ClientConfig>,
    identity: &Arc<Identity>,
    version: &'static SupportedProtocolVersion,
) -> Result<(), Error> {
    let provider = config.crypto_provider();
    let witness = Arc::new(Server(Witness::new(identity.clone(), provider.clone())));
    let Ok(builder) =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[version])
    else {
        return Err(not_spoken());
    };
    let key = Arc::new(NoKey::for_suites_of(provider, version));
    let mut server_config = builder.with_client_cert_verifier(witness.clone()).with_cert_resolver(
        Arc::new(SingleCert(Arc::new(CertifiedKey::new(identity.chain().to_vec(), key)))),
    );
    server_config.alpn_protocols.clone_from(&config.alpn_protocols);
    server_config.send_tls13_tickets = 0;
    let mut client = ClientConnection::new(config.clone(), any_name())?;
    let mut server = ServerConnection::new(Arc::new(server_config))?;
    converse(&mut client, &mut server)?;
    if witness.0.saw_proof() { Ok(()) } else { Err(unproved()) }
}

/// The server. It asks for a certificate of whichever issuer.
#[derive(Debug)]
struct Server(Witness);

impl ClientCertVerifier for Server {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.look_at(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.check_tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.check_tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256,
    };
    use rustls::client::{ClientSessionMemoryCache, EchConfig, EchMode, ResolvesClientCert};
    use rustls::crypto::CryptoProvider;
    use rustls::crypto::aws_lc_rs::{default_provider, hpke::ALL_SUPPORTED_SUITES};
    use rustls::pki_types::EchConfigListBytes;
    use rustls::version::{TLS12, TLS13};
    use rustls::{CipherSuite, KeyLog, RootCertStore};

    use super::*;
    use crate::options::Role;
    use crate::pki::{IdentityInput, Staple};

    fn identity(algorithm: &'static rcgen::SignatureAlgorithm) -> Arc<Identity> {
        let key = KeyPair::generate_for(algorithm).unwrap();
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

    fn p256() -> Arc<Identity> {
        identity(&PKCS_ECDSA_P256_SHA256)
    }

    /// Presents what it holds, where that is anything, to whom it wants to.
    #[derive(Debug)]
    struct Presents(Option<Arc<CertifiedKey>>, fn(&[SignatureScheme]) -> bool);

    impl ResolvesClientCert for Presents {
        fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            self.0.clone().filter(|_| self.1(schemes))
        }

        fn has_certs(&self) -> bool {
            true
        }
    }

    fn presents(key: &Arc<CertifiedKey>) -> Presents {
        Presents(Some(key.clone()), |_| true)
    }

    /// A client that knows no server.
    fn client(
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        presents: Presents,
    ) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_client_cert_resolver(Arc::new(presents))
    }

    fn default_client(presents: Presents) -> ClientConfig {
        client(default_provider(), rustls::ALL_VERSIONS, presents)
    }

    fn why_not(config: &ClientConfig, identity: &Arc<Identity>) -> String {
        prove_client(config, identity).unwrap_err().to_string()
    }

    #[test]
    fn an_identity_proves_itself_whatever_its_key_is() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519, &PKCS_RSA_SHA256] {
            let identity = identity(algorithm);
            let config = default_client(presents(identity.certified_key()));
            assert_eq!(prove_client(&config, &identity), Ok(()), "{algorithm:?}");
        }
    }

    #[test]
    fn a_config_that_presents_another_certificate_or_none_is_refused() {
        let (one, other) = (p256(), p256());
        let config = default_client(presents(other.certified_key()));
        let told = why_not(&config, &one);
        assert!(told.contains("invalid peer certificate"), "{told}");

        let config = default_client(Presents(None, |_| true));
        let told = why_not(&config, &one);
        assert!(told.contains("no certificates"), "{told}");
    }

    #[test]
    fn a_key_that_is_not_the_certificates_is_refused() {
        let one = p256();
        for other in [p256(), identity(&PKCS_ED25519)] {
            let mixed = CertifiedKey::new(one.chain().to_vec(), other.certified_key().key.clone());
            let mixed = Arc::new(mixed);
            for version in rustls::ALL_VERSIONS {
                let config = client(default_provider(), &[version], presents(&mixed));
                let told = why_not(&config, &one);
                assert!(told.contains("invalid peer certificate"), "{version:?}: {told}");
            }
        }
    }

    #[test]
    fn each_version_that_the_config_allows_is_tried() {
        let one = p256();
        let in_tls13: fn(&[SignatureScheme]) -> bool =
            |schemes| !schemes.contains(&SignatureScheme::RSA_PKCS1_SHA256);
        let in_tls12: fn(&[SignatureScheme]) -> bool =
            |schemes| schemes.contains(&SignatureScheme::RSA_PKCS1_SHA256);
        for (version, shows, other) in
            [(&TLS12, in_tls12, "TLSv1_3"), (&TLS13, in_tls13, "TLSv1_2")]
        {
            let presents = || Presents(Some(one.certified_key().clone()), shows);
            let told = why_not(&default_client(presents()), &one);
            assert!(told.contains(other), "{told}");

            let mut provider = default_provider();
            provider.cipher_suites.retain(|suite| suite.version() == version);
            let alone = client(provider, &[version], presents());
            assert_eq!(prove_client(&alone, &one), Ok(()), "{version:?}");
        }
    }

    /// Which servers a client speaks to has nothing to do with the kind of its own key.
    #[test]
    fn cipher_suites_for_servers_with_other_keys_do_not_matter() {
        let mut provider = default_provider();
        provider
            .cipher_suites
            .retain(|suite| suite.suite() == CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256);
        let one = p256();
        let config = client(provider, &[&TLS12], presents(one.certified_key()));
        assert_eq!(prove_client(&config, &one), Ok(()));
    }

    #[derive(Debug, Default)]
    struct Log(Mutex<Vec<String>>);

    impl KeyLog for Log {
        fn log(&self, label: &str, _: &[u8], _: &[u8]) {
            self.0.lock().unwrap().push(label.to_owned());
        }
    }

    #[test]
    fn the_proof_leaves_no_trace_with_the_host() {
        let one = p256();
        let mut config = default_client(presents(one.certified_key()));
        let log = Arc::new(Log::default());
        let sessions = Arc::new(ClientSessionMemoryCache::new(8));
        config.key_log = log.clone();
        config.resumption = Resumption::store(sessions.clone());
        assert_eq!(prove_client(&config, &one), Ok(()));
        assert_eq!(*log.0.lock().unwrap(), [""; 0]);
        let hint = rustls::client::ClientSessionStore::kx_hint(&*sessions, &any_name());
        assert_eq!(hint, None);
    }

    #[test]
    fn a_config_that_encrypts_its_hello_proves_what_it_presents() {
        let (one, other) = (p256(), p256());
        let provider = Arc::new(default_provider());
        let config = |presents| {
            ClientConfig::builder_with_provider(provider.clone())
                .with_ech(EchMode::Enable(
                    EchConfig::new(ech_config_list(), ALL_SUPPORTED_SUITES).unwrap(),
                ))
                .unwrap()
                .with_root_certificates(RootCertStore::empty())
                .with_client_cert_resolver(Arc::new(presents))
        };
        assert_eq!(prove_client(&config(presents(one.certified_key())), &one), Ok(()));
        let told = why_not(&config(presents(other.certified_key())), &one);
        assert!(told.contains("invalid peer certificate"), "{told}");
    }

    /// As a DNS record would have it (RFC 9849 section 4), with a key that nobody holds.
    fn ech_config_list() -> EchConfigListBytes<'static> {
        let suite = ALL_SUPPORTED_SUITES[0].suite();
        let (public_key, _) = ALL_SUPPORTED_SUITES[0].generate_key_pair().unwrap();
        let with_length =
            |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let cipher_suite =
            [u16::from(suite.sym.kdf_id).to_be_bytes(), u16::from(suite.sym.aead_id).to_be_bytes()];
        let public_name = b"public.test";
        let contents = [
            &[1][..],
            &u16::from(suite.kem).to_be_bytes(),
            &with_length(&public_key.0),
            &with_length(&cipher_suite.concat()),
            &[0, u8::try_from(public_name.len()).unwrap()],
            public_name,
            &[0, 0],
        ]
        .concat();
        let config = [&0xfe0d_u16.to_be_bytes()[..], &with_length(&contents)].concat();
        EchConfigListBytes::from(with_length(&config))
    }
}
