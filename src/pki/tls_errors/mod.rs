//! The errors of rustls and of its verifier in words for operators (G24).
//!
//! Their own texts have the names of Rust types, since they are meant for developers. The enumerations may get new
//! variants in any release, so each `match` ends in a general sentence. `tests` compares the variants that it lists
//! with the sources of the locked versions.

mod certificates;
#[cfg(test)]
mod tests;
mod variant_names;

use rustls::server::VerifierBuilderError;
use rustls::{
    AlertDescription, EncryptedClientHelloError, Error, InconsistentKeys, PeerIncompatible,
};

pub(super) use certificates::{certificate_error_in_words, crl_error_in_words};
use variant_names::{in_words, other_error_in_words, plain, unknown_in_words};

/// Returns `error` in words: a part of a sentence, without a full stop.
pub(crate) fn tls_error_in_words(error: &Error) -> String {
    match error {
        Error::InappropriateMessage { got_type, .. } => {
            format!("a message of the type \"{}\" arrived out of turn", in_words(got_type))
        }
        Error::InappropriateHandshakeMessage { got_type, .. } => {
            format!(
                "a handshake message of the type \"{}\" arrived out of turn",
                in_words(got_type)
            )
        }
        Error::InvalidEncryptedClientHello(error) => ech_error_in_words(error),
        Error::InvalidMessage(error) => {
            format!("a message of the peer is malformed: {}", in_words(error))
        }
        Error::NoCertificatesPresented => "the peer has sent no certificate".to_owned(),
        Error::UnsupportedNameType => {
            "the name of the server is of a kind that is not supported".to_owned()
        }
        Error::DecryptError => "a message of the peer cannot be decrypted".to_owned(),
        Error::EncryptError => "a message is too large to be encrypted".to_owned(),
        Error::PeerIncompatible(error) => incompatibility_in_words(error),
        Error::PeerMisbehaved(error) => {
            format!("the peer does not follow the protocol: {}", in_words(error))
        }
        Error::AlertReceived(alert) => alert_in_words(*alert),
        Error::InvalidCertificate(error) => {
            format!("the certificate of the peer is refused: {}", certificate_error_in_words(error))
        }
        Error::InvalidCertRevocationList(error) => {
            format!("a certificate revocation list is refused: {}", crl_error_in_words(error))
        }
        Error::General(text) => {
            let unknown = || "the TLS library gives no reason in plain words".to_owned();
            plain(text).map_or_else(unknown, str::to_owned)
        }
        Error::FailedToGetCurrentTime => "the time of day cannot be read".to_owned(),
        Error::FailedToGetRandomBytes => "no random numbers can be had".to_owned(),
        Error::HandshakeNotComplete => "the handshake is not complete".to_owned(),
        Error::PeerSentOversizedRecord => "the peer has sent a record that is too long".to_owned(),
        Error::NoApplicationProtocol => {
            "both sides have no application protocol (ALPN) in common".to_owned()
        }
        Error::BadMaxFragmentSize => {
            "the maximum fragment size of the template is too small or too large".to_owned()
        }
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the private key does not match the certificate".to_owned()
        }
        Error::InconsistentKeys(_) => {
            "it is not known whether the private key matches the certificate".to_owned()
        }
        Error::Other(error) => other_error_in_words(&error.0.to_string()),
        unknown => unknown_in_words(unknown),
    }
}

/// Returns why rustls refuses to build a verifier.
pub(super) fn builder_error_in_words(error: &VerifierBuilderError) -> String {
    match error {
        VerifierBuilderError::NoRootAnchors => "there are no roots".to_owned(),
        VerifierBuilderError::InvalidCrl(error) => {
            format!("a certificate revocation list cannot be used: {}", crl_error_in_words(error))
        }
        unknown => unknown_in_words(unknown),
    }
}

fn ech_error_in_words(error: &EncryptedClientHelloError) -> String {
    let what = match error {
        EncryptedClientHelloError::InvalidConfigList => "its list of configurations is invalid",
        EncryptedClientHelloError::NoCompatibleConfig => "none of its configurations can be used",
        EncryptedClientHelloError::SniRequired => "it requires that server names are sent",
        unknown => return unknown_in_words(unknown),
    };
    format!("Encrypted Client Hello cannot be used: {what}")
}

fn alert_in_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::Unknown(number) => format!("the peer sent the unknown alert {number}"),
        alert => format!("the peer sent the alert \"{}\"", in_words(&alert)),
    }
}

fn incompatibility_in_words(error: &PeerIncompatible) -> String {
    match error {
        PeerIncompatible::EcPointsExtensionRequired
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::UncompressedEcPointsRequired => {
            "the peer does not support uncompressed EC points"
        }
        PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
            "the peer does not support the extended master secret, which is required"
        }
        PeerIncompatible::IncorrectCertificateTypeExtension
        | PeerIncompatible::UnsolicitedCertificateTypeExtension => {
            "both sides have no type of certificates in common"
        }
        PeerIncompatible::KeyShareExtensionRequired => "the peer has sent no key share",
        PeerIncompatible::NamedGroupsExtensionRequired | PeerIncompatible::NoKxGroupsInCommon => {
            "both sides have no group for the key exchange in common"
        }
        PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            "both sides have no signature scheme in common that the key can make"
        }
        PeerIncompatible::NoCipherSuitesInCommon => "both sides have no cipher suite in common",
        PeerIncompatible::NullCompressionRequired => "the peer requires compression",
        PeerIncompatible::ServerDoesNotSupportTls12Or13 => {
            "the server supports neither TLS 1.2 nor TLS 1.3"
        }
        PeerIncompatible::ServerSentHelloRetryRequestWithUnknownExtension => {
            "the server requires an unknown extension"
        }
        PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => {
            "both sides have no protocol version in common"
        }
        PeerIncompatible::Tls13RequiredForQuic => "QUIC requires TLS 1.3",
        PeerIncompatible::ServerRejectedEncryptedClientHello(_) => {
            "the server cannot decrypt the Encrypted Client Hello"
        }
        unknown => return unknown_in_words(unknown),
    }
    .to_owned()
}
