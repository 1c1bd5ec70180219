//! A private key that rustls cannot use, for a handle whose adapters decide about keys.

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

/// A key that makes no signature. It has a public key if its file contains one.
#[derive(Debug)]
pub(super) struct ForeignKey {
    pub(super) public_key: Option<Vec<u8>>,
}

impl SigningKey for ForeignKey {
    fn choose_scheme(&self, _offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        None
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.public_key.as_ref().map(|der| SubjectPublicKeyInfoDer::from(&der[..]))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        // A private-use number (RFC 5246 section 12): rustls has no name for "none".
        SignatureAlgorithm::Unknown(u8::MAX)
    }
}
