//! Says why a CRL with an issuing distribution point (RFC 5280 section 5.2.5) cannot be enforced.
//!
//! rustls enforces CRLs that cover all certificates of their issuer, or a part that has a full name. It refuses others
//! with errors that do not name the part.

use crate::pki::der::{EXPLICIT_0, SEQUENCE, element, only};

const ONLY_USERS: u8 = 0x81;
const ONLY_AUTHORITIES: u8 = 0x82;
const ONLY_SOME_REASONS: u8 = 0x83;
const INDIRECT: u8 = 0x84;
const ONLY_ATTRIBUTES: u8 = 0x85;

/// Returns why a CRL cannot be used whose issuing distribution point is `der`; `None` if rustls is to decide.
pub(super) fn unusable(der: &[u8]) -> Option<String> {
    let point = only(der, SEQUENCE)?;
    let is_true = |tag| field(point, tag).is_some_and(|value| value == [0xff]);
    let words = if is_true(INDIRECT) {
        "it is an indirect CRL, which lists certificates of other issuers, too; use the CRL of each issuer"
    } else if field(point, ONLY_SOME_REASONS).is_some() {
        "it lists only certificates that were revoked for certain reasons; use the complete CRL"
    } else if is_true(ONLY_ATTRIBUTES) {
        "it covers only attribute certificates, which TLS does not use; use the CRL of the other certificates"
    } else if has_full_name(point) {
        return None;
    } else {
        let what = if is_true(ONLY_USERS) {
            "only the certificates of end entities, and does not name its distribution point"
        } else if is_true(ONLY_AUTHORITIES) {
            "only the certificates of authorities, and does not name its distribution point"
        } else {
            "one distribution point, and does not name it in full"
        };
        return Some(format!("it covers {what}; {NAME_IT}"));
    };
    Some(words.to_owned())
}

const NAME_IT: &str =
    "use the complete CRL, or one whose issuing distribution point has a fullName";

/// Returns the content of the field with this tag.
fn field(mut point: &[u8], tag: u8) -> Option<&[u8]> {
    loop {
        let (first, rest) = element(point)?;
        if first.tag == tag {
            return Some(first.content);
        }
        point = rest;
    }
}

/// Returns whether the name is a `fullName`, whose tag is that of `distributionPoint`, too.
fn has_full_name(point: &[u8]) -> bool {
    let name = field(point, EXPLICIT_0).and_then(|name| element(name));
    name.is_some_and(|(name, _)| name.tag == EXPLICIT_0)
}
