//! The fields of a CA certificate that verify the CRLs of that CA, for roots and for intermediates.

use crate::pki::certificate::CertificateFacts;
use crate::pki::distinguished_name::DistinguishedName;

/// The maximum number of roots of one role. Browsers and distributions ship about 150.
pub(crate) const MAX_ROOTS: usize = 10_000;

/// The fields of a CA certificate with which the CRLs of that CA are verified.
#[derive(Debug)]
pub(crate) struct CrlSigner {
    pub(crate) subject: DistinguishedName<'static>,
    /// The whole `SubjectPublicKeyInfo`.
    pub(crate) public_key: Vec<u8>,
    pub(crate) may_sign_crls: bool,
    pub(crate) issuer: DistinguishedName<'static>,
    /// The subject's name for messages.
    pub(crate) title: String,
    /// Whether subject and issuer are equal. If not, another CA issued the certificate.
    pub(crate) is_self_issued: bool,
}

impl CrlSigner {
    pub(crate) fn of(facts: &CertificateFacts<'_>) -> Self {
        Self {
            subject: facts.subject.to_owned(),
            issuer: facts.issuer.to_owned(),
            title: facts.title.clone(),
            public_key: facts.public_key.to_vec(),
            may_sign_crls: facts.may_sign_crls,
            is_self_issued: facts.is_self_issued(),
        }
    }
}
