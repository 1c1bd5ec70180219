//! The verifiers that rustls builds from roots, CRLs and rules: one for clients, one for servers.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};

use super::logged_verifier::LoggedVerifier;
use crate::options::{ClientAuth, CrlRules, TlsStack};

/// CRLs in DER, in the type that the builders of rustls require.
pub(super) type CrlDers = Vec<CertificateRevocationListDer<'static>>;

/// The settings that both kinds of verifiers are built with.
#[derive(Clone, Copy)]
pub(super) struct VerifierSettings<'a> {
    pub(super) client_auth: ClientAuth,
    pub(super) rules: CrlRules,
    pub(super) hides_authority_names: bool,
    pub(super) provider: &'a Arc<CryptoProvider>,
    pub(super) tls: TlsStack,
}

/// A verifier for one role of peers.
pub(super) trait RoleVerifier {
    /// Returns the settings that only this role has, as a number for the fingerprint.
    fn mode(settings: &VerifierSettings<'_>) -> u8;

    fn build(
        settings: &VerifierSettings<'_>,
        roots: &Arc<RootCertStore>,
        crls: CrlDers,
    ) -> Result<Arc<Self>, VerifierBuilderError>;
}

/// Applies the CRL rules to a builder. This is a macro because rustls has two builder types with these methods, and no
/// trait for both.
macro_rules! with_crl_rules {
    ($builder:expr, $rules:expr) => {{
        let (mut builder, CrlRules { leaf_only, allow_unknown, allow_expired }) =
            ($builder, $rules);
        if leaf_only {
            builder = builder.only_check_end_entity_revocation();
        }
        if allow_unknown {
            builder = builder.allow_unknown_revocation_status();
        }
        if !allow_expired {
            builder = builder.enforce_revocation_expiration();
        }
        builder
    }};
}

impl RoleVerifier for dyn ClientCertVerifier {
    fn mode(settings: &VerifierSettings<'_>) -> u8 {
        settings.client_auth as u8
    }

    fn build(
        settings: &VerifierSettings<'_>,
        roots: &Arc<RootCertStore>,
        crls: CrlDers,
    ) -> Result<Arc<Self>, VerifierBuilderError> {
        let (roots, provider) = (roots.clone(), settings.provider.clone());
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider).with_crls(crls);
        let mut builder = with_crl_rules!(builder, settings.rules);
        if settings.hides_authority_names {
            builder = builder.clear_root_hint_subjects();
        }
        let verifier = match settings.client_auth {
            ClientAuth::Optional => builder.allow_unauthenticated().build(),
            ClientAuth::None | ClientAuth::Required => builder.build(),
        };
        Ok(Arc::new(LoggedVerifier::new(verifier?)))
    }
}

impl RoleVerifier for dyn ServerCertVerifier {
    fn mode(_: &VerifierSettings<'_>) -> u8 {
        0
    }

    fn build(
        settings: &VerifierSettings<'_>,
        roots: &Arc<RootCertStore>,
        crls: CrlDers,
    ) -> Result<Arc<Self>, VerifierBuilderError> {
        let (roots, provider) = (roots.clone(), settings.provider.clone());
        let builder = WebPkiServerVerifier::builder_with_provider(roots, provider).with_crls(crls);
        Ok(with_crl_rules!(builder, settings.rules).build()?)
    }
}
