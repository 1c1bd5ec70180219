//! A client verifier that logs in plain words why it refuses a certificate. A client sees only an alert such as "unknown
//! certificate", and no file is at fault, so no event reports it (G24).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use log::info;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::pki::tls_errors::{certificate_error_in_words, tls_error_in_words};
use crate::sys::LOG_TARGET;

/// The most lines in a minute. Every client can cause refusals, and must not fill the log with them.
const LINES_PER_MINUTE: usize = 16;

#[derive(Debug)]
pub(super) struct LoggedVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    limit: LineLimit,
}

impl LoggedVerifier {
    pub(super) fn new(inner: Arc<dyn ClientCertVerifier>) -> Self {
        Self { inner, limit: LineLimit::default() }
    }
}

/// Admits one line for each reason and minute. A reason has one of few places, so two reasons may share one.
#[derive(Debug, Default)]
struct LineLimit([AtomicU64; LINES_PER_MINUTE]);

impl LineLimit {
    fn admits(&self, words: &str, now: UnixTime) -> bool {
        // What follows a digit differs between certificates: the client chooses it.
        let reason = words.split(|character: char| character.is_ascii_digit()).next();
        let mut hasher = DefaultHasher::new();
        reason.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % LINES_PER_MINUTE as u64).unwrap_or_default();
        let minute = now.as_secs() / 60;
        self.0[place].swap(minute, Ordering::Relaxed) != minute
    }
}

impl ClientCertVerifier for LoggedVerifier {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let result = self.inner.verify_client_cert(end_entity, intermediates, now);
        if let Err(error) = &result {
            let words = match error {
                Error::InvalidCertificate(error) => certificate_error_in_words(error),
                other => tls_error_in_words(other),
            };
            if self.limit.admits(&words, now) {
                info!(target: LOG_TARGET, "a client certificate is refused: {words}");
            }
        }
        result
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.inner.requires_raw_public_keys()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn g17_a_reason_is_logged_once_a_minute_whatever_the_client_chooses() {
        let limit = LineLimit::default();
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        assert!(limit.admits("it expired at 2020-01-01", at(600)));
        assert!(!limit.admits("it expired at 2021-01-01", at(659)));
        assert!(limit.admits("it expired at 2020-01-01", at(660)));
        let admitted = (0..1000).filter(|number| limit.admits(&format!("{number:b}x"), at(720)));
        assert_eq!(admitted.count(), 1, "all begin with a digit");
        let words = |number: u32| char::from_u32(0x4e00 + number).unwrap().to_string();
        let admitted = (0..1000).filter(|number| limit.admits(&words(*number), at(780)));
        assert!(admitted.count() <= LINES_PER_MINUTE);
    }
}
