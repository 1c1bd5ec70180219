//! Whether every certificate of a chain is one that somebody has issued.

use super::chain::Chain;
use super::x509::Facts;
use crate::error::Cause;

/// Looks for a certificate that names the key of another one there as its issuer's, and was not
/// signed with it. A file that is overwritten from the front is for a while new there and old behind:
/// what can be parsed and fits the key may still be a certificate that nobody issued (G4).
///
/// Of several that it may mean one is enough, or one that is beyond checking.
pub(super) fn check_signatures(chain: &Chain<'_>) -> Result<(), Cause> {
    for subject in 0..chain.facts.len() {
        let issuers = issuers_named_by(chain, subject);
        let is_wrong = |issuer: &usize| chain.is_signed_by(*issuer, subject) == Some(false);
        if let Some(issuer) = issuers.first()
            && issuers.iter().all(is_wrong)
        {
            return Err(Cause::CertificateDamaged { index: subject + 1, issuer: issuer + 1 });
        }
    }
    Ok(())
}

/// Whose name and key identifier `subject` gives for its issuer's.
fn issuers_named_by(chain: &Chain<'_>, subject: usize) -> Vec<usize> {
    let below = &chain.facts[subject];
    let is_named = |above: &Facts<'_>| {
        above.subject == below.issuer
            && above.subject_key_id.is_some()
            && above.subject_key_id == below.authority_key_id
    };
    (0..chain.facts.len()).filter(|at| is_named(&chain.facts[*at])).collect()
}
