//! The self-check of an identity for clients: a handshake with a server that expects exactly this identity.

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

use super::no_server_authentication::{AcceptAnyServer, PlaceholderKey};
use super::{IdentityVerifier, SingleCert, any_name, complete_handshake, in_each_version};
use super::{missing_signature, unsupported_version};
use crate::error::Cause;
use crate::pki::Identity;

/// Completes a handshake in which `config` presents `identity`, in each protocol version that `config` allows.
pub(crate) fn check_client(config: &ClientConfig, identity: &Arc<Identity>) -> Result<(), Cause> {
    let config = Arc::new(without_traces(config.clone()));
    in_each_version(|version| match handshake(&config, identity, version) {
        Err(Error::PeerIncompatible(PeerIncompatible::ServerRejectedEncryptedClientHello(_))) => {
            handshake(&without_ech(&config, version)?, identity, version)
        }
        other => other,
    })
    .map(|_| ())
}

/// Returns `config` with a verifier that accepts any server.
///
/// The result has no key log and no session storage: there, the host would see the handshake of the self-check.
fn without_traces(mut config: ClientConfig) -> ClientConfig {
    config.key_log = Arc::new(NoKeyLog);
    config.resumption = Resumption::disabled();
    config.dangerous().set_certificate_verifier(Arc::new(AcceptAnyServer));
    config
}

/// Returns a configuration that presents the same identity without Encrypted Client Hello.
///
/// The `ClientHello` of `config` is encrypted for the key of a real server, which the server of the self-check lacks. A
/// client presents no certificate to a server that cannot decrypt its `ClientHello` (RFC 9849 section 6.1.7).
fn without_ech(
    config: &ClientConfig,
    version: &'static SupportedProtocolVersion,
) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(config.crypto_provider().clone())
        .with_protocol_versions(&[version])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAnyServer))
        .with_client_cert_resolver(config.client_auth_cert_resolver.clone());
    Ok(Arc::new(without_traces(config)))
}

fn handshake(
    config: &Arc<ClientConfig>,
    identity: &Arc<Identity>,
    version: &'static SupportedProtocolVersion,
) -> Result<(), Error> {
    let provider = config.crypto_provider();
    let verifier = IdentityVerifier::new(identity.clone(), provider.clone());
    let peer = Arc::new(CheckingServer(verifier));
    let Ok(builder) =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[version])
    else {
        return Err(unsupported_version());
    };
    let key = Arc::new(PlaceholderKey::for_suites_of(provider, version));
    let mut server_config = builder.with_client_cert_verifier(peer.clone()).with_cert_resolver(
        Arc::new(SingleCert(Arc::new(CertifiedKey::new(identity.chain().to_vec(), key)))),
    );
    server_config.alpn_protocols.clone_from(&config.alpn_protocols);
    server_config.send_tls13_tickets = 0;
    let mut client = ClientConnection::new(config.clone(), any_name())?;
    let mut server = ServerConnection::new(Arc::new(server_config))?;
    complete_handshake(&mut client, &mut server)?;
    if peer.0.has_verified_signature() { Ok(()) } else { Err(missing_signature()) }
}

/// The verifier of a server that requires a client certificate, from any issuer, and accepts only that of one identity.
#[derive(Debug)]
struct CheckingServer(IdentityVerifier);

impl ClientCertVerifier for CheckingServer {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.verify_certificate(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_signature(message, certificate, signature)
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
    use crate::options::{Role, TlsStack};
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
            accepts_any_date: false,
            tls: TlsStack::Rustls,
            exports_key: false,
            index: 0,
        };
        Arc::new(Identity::new(&parts, &default_provider(), 1_790_000_000).unwrap())
    }

    fn p256() -> Arc<Identity> {
        identity(&PKCS_ECDSA_P256_SHA256)
    }

    /// A client certificate resolver: presents its certificate, if it has one, to servers whose signature schemes pass
    /// the predicate.
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

    /// Returns a client configuration without roots: the self-check replaces its verifier.
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

    fn failure(config: &ClientConfig, identity: &Arc<Identity>) -> String {
        check_client(config, identity).unwrap_err().to_string()
    }

    #[test]
    fn g16_identity_with_any_kind_of_key_passes() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519, &PKCS_RSA_SHA256] {
            let identity = identity(algorithm);
            let config = default_client(presents(identity.certified_key()));
            assert_eq!(check_client(&config, &identity), Ok(()), "{algorithm:?}");
        }
    }

    #[test]
    fn g16_config_that_presents_another_certificate_or_none_fails() {
        let (one, other) = (p256(), p256());
        let config = default_client(presents(other.certified_key()));
        let message = failure(&config, &one);
        assert!(message.contains("another certificate was presented"), "{message}");

        let config = default_client(Presents(None, |_| true));
        let message = failure(&config, &one);
        assert!(message.contains("no certificate was presented"), "{message}");
    }

    #[test]
    fn g16_key_that_does_not_belong_to_the_certificate_fails() {
        let one = p256();
        for other in [p256(), identity(&PKCS_ED25519)] {
            let mixed = CertifiedKey::new(one.chain().to_vec(), other.certified_key().key.clone());
            let mixed = Arc::new(mixed);
            for version in rustls::ALL_VERSIONS {
                let config = client(default_provider(), &[version], presents(&mixed));
                let message = failure(&config, &one);
                assert!(
                    message.contains("does not match the certificate"),
                    "{version:?}: {message}"
                );
            }
        }
    }

    #[test]
    fn g16_each_version_that_the_config_allows_is_checked() {
        let one = p256();
        let in_tls13: fn(&[SignatureScheme]) -> bool =
            |schemes| !schemes.contains(&SignatureScheme::RSA_PKCS1_SHA256);
        let in_tls12: fn(&[SignatureScheme]) -> bool =
            |schemes| schemes.contains(&SignatureScheme::RSA_PKCS1_SHA256);
        for (version, shows, other) in
            [(&TLS12, in_tls12, "TLS 1.3: "), (&TLS13, in_tls13, "TLS 1.2: ")]
        {
            let presents = || Presents(Some(one.certified_key().clone()), shows);
            let message = failure(&default_client(presents()), &one);
            assert!(message.contains(other), "{message}");

            let mut provider = default_provider();
            provider.cipher_suites.retain(|suite| suite.version() == version);
            let alone = client(provider, &[version], presents());
            assert_eq!(check_client(&alone, &one), Ok(()), "{version:?}");
        }
    }

    /// A client with an ECDSA key may have cipher suites for RSA servers only. The self-check must not refuse it (G23).
    #[test]
    fn cipher_suites_for_another_kind_of_server_key_pass() {
        let mut provider = default_provider();
        provider
            .cipher_suites
            .retain(|suite| suite.suite() == CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256);
        let one = p256();
        let config = client(provider, &[&TLS12], presents(one.certified_key()));
        assert_eq!(check_client(&config, &one), Ok(()));
    }

    #[derive(Debug, Default)]
    struct Log(Mutex<Vec<String>>);

    impl KeyLog for Log {
        fn log(&self, label: &str, _: &[u8], _: &[u8]) {
            self.0.lock().unwrap().push(label.to_owned());
        }
    }

    #[test]
    fn check_writes_no_key_log_and_stores_no_session() {
        let one = p256();
        let mut config = default_client(presents(one.certified_key()));
        let log = Arc::new(Log::default());
        let sessions = Arc::new(ClientSessionMemoryCache::new(8));
        config.key_log = log.clone();
        config.resumption = Resumption::store(sessions.clone());
        assert_eq!(check_client(&config, &one), Ok(()));
        assert_eq!(*log.0.lock().unwrap(), [""; 0]);
        let hint = rustls::client::ClientSessionStore::kx_hint(&*sessions, &any_name());
        assert_eq!(hint, None);
    }

    #[test]
    fn g16_config_with_encrypted_client_hello_is_checked_without_it() {
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
        assert_eq!(check_client(&config(presents(one.certified_key())), &one), Ok(()));
        let message = failure(&config(presents(other.certified_key())), &one);
        assert!(message.contains("another certificate was presented"), "{message}");
    }

    /// An `ECHConfigList` as in a DNS record (RFC 9849 section 4), for a key that no server has.
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
