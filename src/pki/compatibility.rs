//! Finds certificates that can be served, and that some peers refuse because of their form (G23).

use rustls::server::ParsedCertificate;

use super::chain::Chain;
use super::public_key::has_common_encoding;
use super::warnings::{Warning, WarningKind};
use crate::options::Role;

/// Returns a warning for each form that some peers refuse. `linked` is the path that is served first.
pub(super) fn warnings(chain: &Chain<'_>, linked: &[usize], role: Role) -> Vec<Warning> {
    let leaf = &chain.facts[chain.leaf];
    let peers = match role {
        Role::Server => "clients",
        Role::Client => "servers",
    };
    let mut problems = Vec::new();
    if leaf.is_version_1 {
        problems.push((chain.leaf, format!("has X.509 version 1; {peers} on rustls refuse it")));
    } else if ParsedCertificate::try_from(&chain.certificates[chain.leaf]).is_err() {
        let form = "has a form that is not widely known, such as a critical extension";
        problems.push((chain.leaf, format!("{form}; {peers} on rustls refuse it")));
    }
    if !has_common_encoding(leaf.public_key) {
        let form = "has an EC public key with a compressed point or a curve that is spelled out";
        problems.push((chain.leaf, format!("{form}; many {peers} refuse it (RFC 8422)")));
    }
    if role == Role::Server && leaf.serves_by_gated_crypto {
        let problem = "has no extended key usage for servers but that of Server Gated Crypto; most clients refuse it";
        problems.push((chain.leaf, problem.to_owned()));
    }
    if role == Role::Server && !leaf.has_alternative_names {
        let problem = "has no subjectAltName; most clients ignore its common name (RFC 9525)";
        problems.push((chain.leaf, problem.to_owned()));
    }
    for &at in linked {
        // The signature of a root is not checked.
        if let Some(hash) = chain.facts[at].weak_hash
            && !chain.facts[at].is_self_issued()
        {
            problems.push((at, format!("is signed with {hash}; many {peers} refuse it")));
        }
    }
    let warning = |(at, problem)| {
        Warning::new(WarningKind::Compatibility, format!("{} {problem}", chain.name(at)))
    };
    problems.into_iter().map(warning).collect()
}
