//! Every variant of the errors of rustls and of its verifier, as the locked versions have them.

#[path = "../../../../tests/support/debug_text.rs"]
#[allow(unreachable_pub, reason = "the tests in tests/ use it, too")]
mod debug_text;
mod protocol;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertRevocationListError, CertificateError, ContentType, ExtendedKeyPurpose, HandshakeType,
    InvalidMessage, OtherError, PeerMisbehaved, RootCertStore,
};

use super::certificates::verifier_error_in_words;
use super::variant_names::name_of;
use super::*;
use debug_text::debug_text;

/// An error of which only the text is known.
#[derive(Debug)]
struct Foreign(&'static str);

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Foreign {}

fn foreign(text: &'static str) -> OtherError {
    OtherError(Arc::new(Foreign(text)))
}

/// Returns the source of a file of the locked version of a crate; `None`, with a line that says so, if it is not on this
/// machine.
fn source(name: &str, file: &str) -> Option<String> {
    let lock = include_str!("../../../../Cargo.lock");
    let entry = format!("name = \"{name}\"\nversion = \"");
    let version = lock.split(&entry).nth(1)?.split('"').next()?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).ok().into_iter().flatten();
    let mut files = registries
        .flatten()
        .map(|registry| registry.path().join(format!("{name}-{version}")).join(file));
    let text = files.find_map(|path| fs::read_to_string(path).ok());
    if text.is_none() {
        println!(
            "NOT TESTED: whether all errors have words, without the source of {name} {version}"
        );
    }
    text
}

/// Returns the variants of an enumeration.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let body = source.split(&format!("pub enum {name} {{\n")).nth(1).unwrap();
    let body = body.split("\n}").next().unwrap();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let lines = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    lines.map(|line| name_of(line).to_owned()).collect()
}

/// Checks that each error has words, and that `errors` has every variant of the enumeration `name` in `file`.
fn check<E: fmt::Debug>(name: &str, file: &str, errors: &[E], words: impl Fn(&E) -> String) {
    let names: BTreeSet<_> =
        errors.iter().map(|error| name_of(&format!("{error:?}")).to_owned()).collect();
    for error in errors {
        let words = words(error);
        assert_eq!(debug_text(&words, &[]), None, "{error:?}: {words}");
        assert!(words.contains(' ') && !words.ends_with('.'), "{error:?}: {words}");
        assert!(!words.contains("does not know"), "{error:?} has no words: {words}");
    }
    if let Some(source) = source("rustls", file) {
        assert_eq!(variants(&source, name), names, "{name}");
    }
}

const FILE: &str = "src/error.rs";

#[test]
fn g24_every_error_of_rustls_has_words() {
    let errors = [
        Error::InappropriateMessage {
            expect_types: vec![ContentType::Handshake],
            got_type: ContentType::Unknown(77),
        },
        Error::InappropriateHandshakeMessage {
            expect_types: vec![HandshakeType::Finished],
            got_type: HandshakeType::ClientKeyExchange,
        },
        EncryptedClientHelloError::SniRequired.into(),
        InvalidMessage::MissingData("a name").into(),
        Error::NoCertificatesPresented,
        Error::UnsupportedNameType,
        Error::DecryptError,
        Error::EncryptError,
        PeerIncompatible::NoCipherSuitesInCommon.into(),
        PeerMisbehaved::SelectedUnofferedPsk.into(),
        Error::AlertReceived(AlertDescription::UnknownCA),
        CertificateError::UnknownIssuer.into(),
        Error::InvalidCertRevocationList(CertRevocationListError::ParseError),
        Error::General("KeyRejected(InvalidEncoding)".to_owned()),
        Error::FailedToGetCurrentTime,
        Error::FailedToGetRandomBytes,
        Error::HandshakeNotComplete,
        Error::PeerSentOversizedRecord,
        Error::NoApplicationProtocol,
        Error::BadMaxFragmentSize,
        InconsistentKeys::KeyMismatch.into(),
        Error::Other(foreign("Unspecified { code: 1 }")),
    ];
    check("Error", FILE, &errors, tls_error_in_words);
    let keys = [InconsistentKeys::KeyMismatch, InconsistentKeys::Unknown];
    check("InconsistentKeys", FILE, &keys, |error| tls_error_in_words(&(*error).into()));
    let ech = [
        EncryptedClientHelloError::InvalidConfigList,
        EncryptedClientHelloError::NoCompatibleConfig,
        EncryptedClientHelloError::SniRequired,
    ];
    check("EncryptedClientHelloError", FILE, &ech, |error| {
        tls_error_in_words(&error.clone().into())
    });
    assert_eq!(tls_error_in_words(&Error::General("signing failed".to_owned())), "signing failed");
}

#[test]
fn g24_every_alert_has_words() {
    for number in 0..=u8::MAX {
        let words = tls_error_in_words(&Error::AlertReceived(number.into()));
        assert_eq!(debug_text(&words, &[]), None, "{words}");
    }
}

#[test]
#[allow(deprecated, reason = "providers may still return them")]
fn g24_every_refusal_of_a_certificate_has_words() {
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let (time, name) = (at(1_800_000_000), ServerName::try_from("a.test").unwrap());
    let client = ExtendedKeyPurpose::ClientAuth;
    let errors = [
        CertificateError::BadEncoding,
        CertificateError::Expired,
        CertificateError::ExpiredContext { time, not_after: at(0) },
        CertificateError::NotValidYet,
        CertificateError::NotValidYetContext { time, not_before: at(1_900_000_000) },
        CertificateError::Revoked,
        CertificateError::UnhandledCriticalExtension,
        CertificateError::UnknownIssuer,
        CertificateError::UnknownRevocationStatus,
        CertificateError::ExpiredRevocationList,
        CertificateError::ExpiredRevocationListContext { time, next_update: at(0) },
        CertificateError::BadSignature,
        CertificateError::UnsupportedSignatureAlgorithm,
        CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: vec![1],
            supported_algorithms: Vec::new(),
        },
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: vec![1],
            public_key_algorithm_id: vec![1],
        },
        CertificateError::NotValidForName,
        CertificateError::NotValidForNameContext { expected: name, presented: Vec::new() },
        CertificateError::InvalidPurpose,
        CertificateError::InvalidPurposeContext { required: client, presented: Vec::new() },
        CertificateError::InvalidOcspResponse,
        CertificateError::ApplicationVerificationFailure,
        CertificateError::Other(foreign("CaUsedAsEndEntity")),
    ];
    check("CertificateError", FILE, &errors, certificate_error_in_words);
    let later = CertificateError::ExpiredContext { time: at(1_800_000_001), not_after: at(0) };
    let (later, words) =
        (certificate_error_in_words(&later), certificate_error_in_words(&errors[2]));
    assert_eq!(later, words, "the time of the check makes no other failure (G3)");
    let words = certificate_error_in_words(&CertificateError::Other(foreign("TrailingData(Time)")));
    assert_eq!(words, "its encoding is damaged");
    let words = certificate_error_in_words(&CertificateError::Other(foreign("Unheard { of: 1 }")));
    assert_eq!(debug_text(&words, &[]), None, "{words}");
}

#[test]
#[allow(deprecated, reason = "providers may still return them")]
fn g24_every_refusal_of_a_crl_has_words() {
    let errors = [
        CertRevocationListError::BadSignature,
        CertRevocationListError::UnsupportedSignatureAlgorithm,
        CertRevocationListError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: vec![1],
            supported_algorithms: Vec::new(),
        },
        CertRevocationListError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: vec![1],
            public_key_algorithm_id: vec![1],
        },
        CertRevocationListError::InvalidCrlNumber,
        CertRevocationListError::InvalidRevokedCertSerialNumber,
        CertRevocationListError::IssuerInvalidForCrl,
        CertRevocationListError::Other(foreign("UnsupportedCrlIssuingDistributionPoint")),
        CertRevocationListError::ParseError,
        CertRevocationListError::UnsupportedCrlVersion,
        CertRevocationListError::UnsupportedCriticalExtension,
        CertRevocationListError::UnsupportedDeltaCrl,
        CertRevocationListError::UnsupportedIndirectCrl,
        CertRevocationListError::UnsupportedRevocationReason,
    ];
    check("CertRevocationListError", FILE, &errors, crl_error_in_words);
    let builder = [
        VerifierBuilderError::NoRootAnchors,
        VerifierBuilderError::InvalidCrl(CertRevocationListError::ParseError),
    ];
    check("VerifierBuilderError", "src/webpki/mod.rs", &builder, builder_error_in_words);
}

#[test]
fn g24_every_error_of_the_verifier_has_words() {
    let Some(source) = source("rustls-webpki", FILE) else { return };
    let names = variants(&source, "Error");
    assert!(names.contains("UnsupportedCertVersion"), "{names:?}");
    for name in &names {
        let words = verifier_error_in_words(name).unwrap_or_else(|| panic!("{name} has no words"));
        assert_eq!(debug_text(words, &[]), None, "{name}: {words}");
    }
    assert_eq!(verifier_error_in_words("Unheard"), None);
}

/// What this version does not know is described by its name alone.
#[test]
fn g24_unknown_variant_has_a_general_sentence() {
    #[derive(Debug)]
    #[allow(dead_code, reason = "for its debug output")]
    enum Later {
        NewReason { code: u8 },
    }
    let words = unknown_in_words(&Later::NewReason { code: 1 });
    assert!(words.ends_with("does not know (new reason)"), "{words}");
    assert_eq!(debug_text(&words, &[]), None, "{words}");
}

/// The two client certificates that beginners make: `openssl x509 -req` without extensions makes version 1, and
/// `openssl req -x509` makes an authority, which they trust as its own root.
#[test]
fn g24_refusal_of_common_client_certificates_is_explained() {
    let openssl = |script: &str| {
        let output = std::process::Command::new("sh").args(["-ec", script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        crate::pki::pem::certificates(&output.stdout).unwrap()
    };
    let of_version_1 = openssl(
        "cd $(mktemp -d); openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout root.key \
             -subj /CN=root -out root.pem
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout key -subj /CN=client -out csr
         openssl x509 -req -in csr -CA root.pem -CAkey root.key -CAcreateserial -days 9; cat root.pem; rm -r $PWD",
    );
    let own_root = openssl(
        "cd $(mktemp -d); openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout key \
             -subj /CN=client; rm -r $PWD",
    );
    let refusal = |chain: &[CertificateDer<'static>]| {
        let mut roots = RootCertStore::empty();
        roots.add(chain.last().unwrap().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        let error = verifier.build().unwrap().verify_client_cert(&chain[0], &[], UnixTime::now());
        tls_error_in_words(&error.unwrap_err())
    };
    let words = refusal(&of_version_1);
    assert!(words.contains("refused: it has X.509 version 1, and only version 3"), "{words}");
    let words = refusal(&own_root);
    assert!(words.contains("refused: it is the certificate of an authority"), "{words}");
}
