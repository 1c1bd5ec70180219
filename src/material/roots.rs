//! The roots that a peer's certificate must lead to: a PEM bundle of certificates.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::{pem, x509};
use crate::error::Cause;

/// The largest bundle. What browsers and distributions ship has some 150.
pub(crate) const MAX_ROOTS: usize = 10_000;

/// Every certificate in `bytes`, each of which can be a trust anchor; a bundle of none is an error, for
/// trusting nobody is never what was meant.
pub(crate) fn roots(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let roots = pem::certificates_up_to(bytes, MAX_ROOTS)?;
    let mut store = RootCertStore::empty();
    for (index, root) in roots.iter().enumerate() {
        // What parses here and is no anchor (an unknown version, a broken constraint) is told by
        // what the verifier will say.
        x509::facts(root, index)?;
        store.add(root.clone()).map_err(|error| Cause::CertificateMalformed {
            index: index + 1,
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn every_root_of_a_bundle_is_taken() {
        let bundle = format!("# one\n{}\n# two\n{}", root("one"), root("two"));
        assert_eq!(roots(bundle.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn an_empty_bundle_is_an_error() {
        for text in ["", "# nobody\n", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"] {
            assert!(matches!(roots(text.as_bytes()), Err(Cause::NoCertificate(_))), "{text}");
        }
    }

    #[test]
    fn a_bad_certificate_among_good_ones_is_told_by_its_number() {
        let bad = "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n";
        let bundle = [&root("one"), bad, &root("three")].concat();
        let cause = roots(bundle.as_bytes()).unwrap_err();
        assert!(matches!(cause, Cause::CertificateMalformed { index: 2, .. }), "{cause}");
    }
}
