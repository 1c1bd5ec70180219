//! Warns about roots without a CRL. As soon as any CRL is configured, the default rules refuse every peer under such a
//! root.

use x509_parser::prelude::{FromDer, X509Name};

use super::selection::RevocationList;
use crate::options::CrlRules;
use crate::pki::certificate::authority_title;
use crate::pki::crl_signer::CrlSigner;
use crate::pki::warnings::{Warning, WarningKind};

/// Returns a warning for each root without a CRL, if the rules refuse peers whose revocation status is unknown.
pub(crate) fn roots_without_list(
    roots: &[&CrlSigner],
    lists: &[RevocationList],
    rules: CrlRules,
) -> Vec<Warning> {
    // Without any CRL, revocation is not checked. With `leaf_only`, a root that issues only intermediates needs no CRL,
    // and whether it issues leaves is not known here.
    if lists.is_empty() || rules.allow_unknown || rules.leaf_only {
        return Vec::new();
    }
    let has_list = |root: &CrlSigner| lists.iter().any(|list| list.is_signed_by(root));
    let warning = |root: &CrlSigner| {
        let name = X509Name::from_der(&root.subject)
            .map_or_else(|_| "a root".to_owned(), |(_, name)| authority_title(&name));
        let text = format!(
            "there is no certificate revocation list of {name}, so every peer under that root is refused; \
             add its list, or accept such peers with CERTRELOAD_CRL_ALLOW_UNKNOWN"
        );
        Warning::new(WarningKind::CrlMissing, text)
    };
    roots.iter().filter(|root| !has_list(root)).map(|root| warning(root)).collect()
}
