//! Warns about authorities without a CRL that is applied to their peers. As soon as any CRL is configured, the default
//! rules refuse every peer under such a root.

use super::selection::RevocationList;
use crate::options::CrlRules;
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
        let text = format!(
            "there is no certificate revocation list of {}, so every peer under that root is refused; \
             add its list, or accept such peers with CERTRELOAD_CRL_ALLOW_UNKNOWN",
            root.title
        );
        Warning::new(WarningKind::CrlMissing, text)
    };
    roots.iter().filter(|root| !has_list(root)).map(|root| warning(root)).collect()
}

/// Returns a warning for each of these authorities whose CRLs all have its name in other bytes. rustls compares bytes,
/// so it applies none of them to the peers of that authority.
pub(crate) fn lists_in_other_bytes<'a>(
    authorities: impl Iterator<Item = &'a CrlSigner>,
    lists: &[RevocationList],
    rules: CrlRules,
) -> Vec<Warning> {
    let (kind, consequence) = if rules.allow_unknown {
        (WarningKind::CrlUnrelated, "peers that it revokes are accepted")
    } else if rules.leaf_only {
        (WarningKind::CrlMissing, "peers that this authority issued are refused")
    } else {
        (WarningKind::CrlMissing, "every peer under this authority is refused")
    };
    let warning = |authority: &CrlSigner| {
        let mut own = lists.iter().filter(|list| list.is_signed_by(authority));
        let first = own.next()?;
        let difference = first.difference_from(authority)?;
        let has_same = own.any(|list| list.difference_from(authority).is_none());
        let text = format!(
            "certificate revocation list {} of {} has its issuer's name, \"{}\", in other bytes than the issuer's \
             certificate ({difference}), so it is not applied: {consequence}; issue the list or the certificates again \
             with the name in the same bytes",
            first.index,
            first.path.display(),
            first.issuer,
        );
        (!has_same).then(|| Warning::new(kind, text))
    };
    let mut warnings: Vec<Warning> = Vec::new();
    for warning in authorities.filter_map(warning) {
        // A root may also be in the chain of an identity, or be a root of both roles.
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    warnings
}
