//! Roots under which everybody is refused, for there is no revocation list of theirs.

use x509_parser::prelude::{FromDer, X509Name};

use super::set::RevocationList;
use crate::options::CrlRules;
use crate::pki::trust::Root;
use crate::pki::warnings::{Warning, WarningKind};

/// A warning for each root without a list, where whoever has none is refused.
pub(crate) fn roots_without_list(
    roots: &[&Root],
    lists: &[RevocationList],
    rules: CrlRules,
) -> Vec<Warning> {
    // Without any list nothing is looked up; and where only leaves are, a root may issue none.
    if lists.is_empty() || rules.allow_unknown || rules.leaf_only {
        return Vec::new();
    }
    let has_list = |root: &Root| lists.iter().any(|list| list.is_of(root));
    let warning = |root: &Root| {
        let name = X509Name::from_der(&root.subject)
            .map_or_else(|_| "a root".to_owned(), |(_, name)| name.to_string());
        let text = format!(
            "there is no revocation list of {name}, so everybody is refused whose certificate leads to it \
             (CERTRELOAD_CRL_ALLOW_UNKNOWN would let them in)"
        );
        Warning::new(WarningKind::CrlMissing, text)
    };
    roots.iter().filter(|root| !has_list(root)).map(|root| warning(root)).collect()
}
