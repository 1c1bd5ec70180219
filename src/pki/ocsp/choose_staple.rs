//! Decides which OCSP response is stapled to a certificate (RFC 6066 section 8), and until when.
//!
//! A response that clients would refuse is never stapled. Most clients accept a certificate without a response. But
//! they end the handshake if the response is for another certificate, has expired, or says that the certificate is
//! revoked.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::validate::{StapleFacts, validate};
use crate::error::Cause;
use crate::pki::certificate::format_time;
use crate::pki::chain::Chain;
use crate::pki::warnings::{Warning, WarningKind};

/// The end of the warning that no response is stapled, if the certificate requires one.
const MUST_STAPLE: &str = "the certificate requires a stapled response (TLS feature, RFC 7633), so clients that check this refuse it";

/// The OCSP response that is configured for an identity: none, a file that cannot be read, or the bytes of a file.
#[derive(Clone, Copy)]
pub(crate) enum Staple<'a> {
    NotAskedFor,
    Unreadable(&'a Path, &'a Cause),
    Bytes(&'a Path, &'a [u8]),
}

/// A chain and a key as rustls serves them with an OCSP response, and the facts about that response.
#[derive(Debug)]
pub(crate) struct Stapled {
    pub(crate) certified_key: Arc<CertifiedKey>,
    pub(crate) facts: StapleFacts,
}

impl Stapled {
    pub(crate) fn new(certified_key: &CertifiedKey, der: &[u8], facts: StapleFacts) -> Self {
        let CertifiedKey { cert, key, .. } = certified_key;
        let ocsp = Some(der.to_vec());
        let stapled = CertifiedKey { cert: cert.clone(), key: key.clone(), ocsp };
        Self { certified_key: Arc::new(stapled), facts }
    }
}

/// Returns the response to staple to the leaf of `chain`, and a warning if there is a problem with it.
///
/// A response whose thisUpdate is in the future is returned too: it is stapled once that time has come
/// ([`StapleFacts::is_good_at`]).
pub(crate) fn choose<'a>(
    given: Staple<'a>,
    chain: &Chain<'_>,
) -> (Option<(&'a [u8], StapleFacts)>, Option<Warning>) {
    let (staple, problem) = match given {
        Staple::NotAskedFor => (None, None),
        Staple::Unreadable(path, cause) => (None, Some(left_out(path, cause))),
        Staple::Bytes(path, der) => match validate(der, chain) {
            Ok(facts) if facts.is_good_at(chain.now) => return (Some((der, facts)), None),
            Ok(facts) => {
                let at = format_time(facts.this_update);
                let problem = format!(
                    "the OCSP response {} is left out until {at}, its thisUpdate",
                    path.display()
                );
                (Some((der, facts)), Some(problem))
            }
            Err(error) => (None, Some(left_out(path, &error))),
        },
    };
    let text = match (problem, chain.facts[chain.leaf].must_staple) {
        (None, false) => return (staple, None),
        (Some(problem), false) => problem,
        (Some(problem), true) => format!("{problem}; {MUST_STAPLE}"),
        (None, true) => format!("{} has no OCSP response; {MUST_STAPLE}", chain.path.display()),
    };
    (staple, Some(Warning::new(WarningKind::OcspUnusable, text)))
}

fn left_out(path: &Path, why: &dyn Display) -> String {
    format!("the OCSP response {} cannot be used and is left out: {why}", path.display())
}

#[cfg(test)]
mod tests {
    use super::super::validate::SKEW;
    use super::*;
    use crate::pki::test_ca::Authorities;

    #[test]
    fn response_that_cannot_be_stapled_is_left_out_with_a_warning() {
        let authorities = Authorities::new();
        let chosen = |name: &str, given: &str, later| {
            authorities.with_chain(&[name, "ca"], later, |chain| {
                let (bytes, path) = (authorities.file(given), Path::new("ocsp.der"));
                let given = match given {
                    "nothing" => Staple::NotAskedFor,
                    "missing" => Staple::Unreadable(path, &Cause::NotFound),
                    _ => Staple::Bytes(path, &bytes),
                };
                let (staple, warning) = choose(given, chain);
                assert!(warning.iter().all(|warning| warning.kind == WarningKind::OcspUnusable));
                (staple.is_some(), warning.map_or(String::new(), |warning| warning.text))
            })
        };
        let must = format!("; {MUST_STAPLE}");
        let left_out = "the OCSP response ocsp.der cannot be used and is left out: ";
        assert_eq!(chosen("leaf", "nothing", 0), (false, String::new()));
        assert_eq!(chosen("leaf", "good", 0), (true, String::new()));
        assert_eq!(chosen("must", "must-good", 0), (true, String::new()));
        assert_eq!(chosen("leaf", "missing", 0), (false, format!("{left_out}no such file")));
        assert_eq!(chosen("must", "missing", 0), (false, format!("{left_out}no such file{must}")));
        assert_eq!(
            chosen("must", "nothing", 0),
            (false, format!("chain has no OCSP response{must}"))
        );
        let (is_stapled, text) = chosen("must", "good", 0);
        assert!(!is_stapled && text.starts_with(left_out) && text.ends_with(&must), "{text}");
        let (is_stapled, text) = chosen("leaf", "good", -3600);
        assert!(is_stapled && text.contains("ocsp.der is left out until 20"), "{text}");
        assert_eq!(chosen("leaf", "good", 120 - SKEW), (true, String::new()), "clocks differ");
    }
}
