//! Why a verifier refuses a certificate or a CRL, in words for operators.

use rustls::pki_types::UnixTime;
use rustls::{CertRevocationListError, CertificateError, ExtendedKeyPurpose, OtherError};

use super::variant_names::{name_of, other_error_in_words};
use crate::pki::certificate::format_time;

/// Returns why rustls refuses a certificate: a sentence about "it", without a full stop.
///
/// The time of the check is left out, because a failure must not become another one by it (G3).
pub(crate) fn certificate_error_in_words(error: &CertificateError) -> String {
    let words = match error {
        CertificateError::BadEncoding => "its encoding is damaged",
        CertificateError::Expired => "it has expired",
        CertificateError::ExpiredContext { not_after, .. } => {
            return format!("it expired at {}", time(*not_after));
        }
        CertificateError::NotValidYet => "it is not valid yet",
        CertificateError::NotValidYetContext { not_before, .. } => {
            return format!("it is not valid before {}", time(*not_before));
        }
        CertificateError::Revoked => "it is revoked",
        CertificateError::UnhandledCriticalExtension => UNKNOWN_CRITICAL,
        CertificateError::UnknownIssuer => {
            "none of the roots issued it or an intermediate above it"
        }
        CertificateError::UnknownRevocationStatus => {
            "there is no certificate revocation list that covers it"
        }
        CertificateError::ExpiredRevocationList => {
            "the certificate revocation list that covers it has expired"
        }
        CertificateError::ExpiredRevocationListContext { next_update, .. } => {
            let next_update = time(*next_update);
            return format!(
                "the certificate revocation list that covers it expired at {next_update}"
            );
        }
        CertificateError::BadSignature => "its signature is wrong",
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => OTHER_KIND,
        #[allow(deprecated, reason = "providers may still return it")]
        CertificateError::UnsupportedSignatureAlgorithm
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. } => UNSUPPORTED_ALGORITHM,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name"
        }
        CertificateError::InvalidPurpose => "its extended key usage does not allow this use",
        CertificateError::InvalidPurposeContext { required, .. } => match required {
            ExtendedKeyPurpose::ClientAuth => "its extended key usage lacks clientAuth",
            ExtendedKeyPurpose::ServerAuth => "its extended key usage lacks serverAuth",
            ExtendedKeyPurpose::Other(_) => "its extended key usage does not allow this use",
        },
        CertificateError::InvalidOcspResponse => "its OCSP response is invalid",
        CertificateError::ApplicationVerificationFailure => "it is not the expected certificate",
        CertificateError::Other(error) => return of_verifier(error),
        _ => UNKNOWN_REASON,
    };
    words.to_owned()
}

/// Returns why rustls refuses a CRL: a sentence about "it", without a full stop.
pub(crate) fn crl_error_in_words(error: &CertRevocationListError) -> String {
    let words = match error {
        CertRevocationListError::BadSignature => "its signature is wrong",
        CertRevocationListError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            OTHER_KIND
        }
        #[allow(deprecated, reason = "providers may still return it")]
        CertRevocationListError::UnsupportedSignatureAlgorithm
        | CertRevocationListError::UnsupportedSignatureAlgorithmContext { .. } => {
            UNSUPPORTED_ALGORITHM
        }
        CertRevocationListError::UnsupportedCriticalExtension => UNKNOWN_CRITICAL,
        CertRevocationListError::UnsupportedIndirectCrl => {
            "it is an indirect CRL: it lists certificates of other issuers"
        }
        CertRevocationListError::UnsupportedDeltaCrl => "it is a delta CRL",
        CertRevocationListError::UnsupportedCrlVersion => "it is not of version 2",
        CertRevocationListError::UnsupportedRevocationReason => {
            "one of its entries has a revocation reason that is not supported"
        }
        CertRevocationListError::InvalidCrlNumber => "its CRL number is invalid",
        CertRevocationListError::InvalidRevokedCertSerialNumber => {
            "one of its entries has an invalid serial number"
        }
        CertRevocationListError::IssuerInvalidForCrl => {
            "the key usage of its issuer's certificate lacks cRLSign"
        }
        CertRevocationListError::ParseError => "one of its fields is not valid DER",
        CertRevocationListError::Other(error) => return of_verifier(error),
        _ => UNKNOWN_REASON,
    };
    words.to_owned()
}

const UNKNOWN_CRITICAL: &str = "it has a critical extension that the TLS library does not support";

const UNSUPPORTED_ALGORITHM: &str = "its signature algorithm is not supported";

const OTHER_KIND: &str = "its signature algorithm does not fit the kind of its issuer's key";

const UNKNOWN_REASON: &str =
    "the TLS library refuses it for a reason that this version of certreload does not know";

fn time(time: UnixTime) -> String {
    format_time(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// Returns words for an error of the verifier (rustls-webpki) for which rustls has no separate variant.
fn of_verifier(error: &OtherError) -> String {
    // The text of these errors is the name of a variant, with its parameters.
    let text = error.0.to_string();
    let words = verifier_error_in_words(name_of(&text));
    words.map_or_else(|| other_error_in_words(&text), str::to_owned)
}

/// Returns words for the variant of `webpki::Error` with this name; `None` if there is no such variant.
///
/// The names are compared, and not the variants, so that rustls decides alone which version of the crate is used.
pub(super) fn verifier_error_in_words(name: &str) -> Option<&'static str> {
    Some(match name {
        "BadDer" | "TrailingData" => "its encoding is damaged",
        "BadDerTime" => "one of its dates cannot be parsed",
        "CaUsedAsEndEntity" => {
            "it is the certificate of an authority (basicConstraints CA:TRUE) in the place of a server's or client's; issue a separate certificate"
        }
        "CertDistrusted" => "its key is distrusted",
        "CertExpired" => "it has expired",
        "CertNotValidForName" => "it is for another name",
        "CertNotValidYet" => "it is not valid yet",
        "CertRevoked" => "it is revoked",
        "CrlExpired" => "the certificate revocation list that covers it has expired",
        "EmptyEkuExtension" => "its extended key usage is empty",
        "EndEntityUsedAsCa" => {
            "a certificate above it is not that of an authority (basicConstraints lacks CA:TRUE)"
        }
        "ExtensionValueInvalid" | "MalformedExtensions" => "one of its extensions is malformed",
        "InvalidCertValidity" => "its notAfter is before its notBefore",
        "InvalidCrlNumber" => "the CRL number is invalid",
        "InvalidNetworkMaskConstraint" | "MalformedNameConstraint" => {
            "a name constraint of its issuers is malformed"
        }
        "InvalidSerialNumber" => "its serial number is invalid",
        "InvalidCrlSignatureForPublicKey" => {
            "the signature of the certificate revocation list that covers it is wrong"
        }
        "InvalidSignatureForPublicKey" => "its signature is wrong",
        "IssuerNotCrlSigner" => "the key usage of its issuer's certificate lacks cRLSign",
        "MalformedDnsIdentifier" => "one of its DNS names is malformed",
        "MaximumNameConstraintComparisonsExceeded"
        | "MaximumPathBuildCallsExceeded"
        | "MaximumPathDepthExceeded"
        | "MaximumSignatureChecksExceeded" => "the search for a path to a root takes too much work",
        "NameConstraintViolation" => "the name constraints of its issuers do not allow its names",
        "PathLenConstraintViolated" => "there are more authorities above it than they allow",
        "RequiredEkuNotFound" | "RequiredEkuNotFoundContext" => {
            "its extended key usage does not allow this use"
        }
        "SignatureAlgorithmMismatch" => "it names two different signature algorithms",
        "UnknownIssuer" => "none of the roots issued it or an intermediate above it",
        "UnknownRevocationStatus" => "there is no certificate revocation list that covers it",
        "UnsupportedCertVersion" => {
            "it has X.509 version 1, and only version 3 is accepted; issue it again with extensions"
        }
        "UnsupportedCriticalExtension" => UNKNOWN_CRITICAL,
        "UnsupportedCrlIssuingDistributionPoint" => {
            "the issuing distribution point of the CRL is of a form that is not supported"
        }
        "UnsupportedCrlVersion" => "the CRL is not of version 2",
        "UnsupportedDeltaCrl" => "the CRL is a delta CRL",
        "UnsupportedIndirectCrl" => "the CRL lists certificates of other issuers",
        "UnsupportedNameType" => "its name is of a kind that is not supported",
        "UnsupportedRevocationReason" => {
            "an entry of the CRL has a revocation reason that is not supported"
        }
        "UnsupportedRevocationReasonsPartitioning" => {
            "the CRL covers some reasons of revocation alone"
        }
        "UnsupportedCrlSignatureAlgorithm" | "UnsupportedCrlSignatureAlgorithmContext" => {
            "the signature algorithm of the CRL is not supported"
        }
        "UnsupportedCrlSignatureAlgorithmForPublicKey"
        | "UnsupportedCrlSignatureAlgorithmForPublicKeyContext" => {
            "the signature algorithm of the CRL does not fit the kind of its issuer's key"
        }
        "UnsupportedSignatureAlgorithm" | "UnsupportedSignatureAlgorithmContext" => {
            UNSUPPORTED_ALGORITHM
        }
        "UnsupportedSignatureAlgorithmForPublicKey"
        | "UnsupportedSignatureAlgorithmForPublicKeyContext" => OTHER_KIND,
        _ => return None,
    })
}
