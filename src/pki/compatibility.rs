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
    if leaf.is_authority {
        let trusted = if leaf.is_self_issued() { ", even if they trust it as a root" } else { "" };
        let problem = format!(
            "is marked as an authority (basicConstraints CA:TRUE); {peers} on rustls refuse it{trusted}; issue it again \
             with CA:FALSE"
        );
        problems.push((chain.leaf, problem));
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
    if let Some(address) = leaf.misplaced_address {
        let problem = format!(
            "has no IP address {address}: in its subjectAltName {address} is an address in the place of a DNS name, and \
             {peers} refuse that (RFC 9525 section 6.2); issue it with IP:{address}"
        );
        problems.push((chain.leaf, problem));
    }
    for &at in linked {
        // The signature of a root is not checked.
        if let Some(hash) = chain.facts[at].weak_hash
            && !chain.facts[at].is_self_issued()
        {
            problems.push((at, format!("is signed with {hash}; many {peers} refuse it")));
        }
    }
    problems.extend(names_in_other_bytes(chain, linked, peers));
    let warning = |(at, problem)| {
        Warning::new(WarningKind::Compatibility, format!("{} {problem}", chain.name(at)))
    };
    problems.into_iter().map(warning).collect()
}

/// Returns a problem for each certificate of the path that names its issuer in other bytes than the issuer's certificate
/// does, and has no other issuer in the file; or that names itself so.
fn names_in_other_bytes(chain: &Chain<'_>, linked: &[usize], peers: &str) -> Vec<(usize, String)> {
    let difference = |issuer: usize, subject: usize| {
        let (name, subject) = (&chain.facts[subject].issuer, &chain.facts[issuer].subject);
        format!("in other bytes ({})", name.difference(subject))
    };
    let problem = |pair: &[usize]| {
        let (below, above) = (pair[0], pair[1]);
        let is_found =
            |at: usize| chain.names_in_same_bytes(at, below) && chain.certifies(at, below);
        // Peers have their own copy of a root, and do not look for its issuer.
        let is_concerned = !chain.facts[below].is_self_issued();
        (is_concerned && !(0..chain.facts.len()).any(is_found)).then(|| {
            let problem = format!(
                "names its issuer \"{}\" as certificate {} is named, but {}: {peers} that compare bytes (rustls, \
                 GnuTLS) refuse it; issue it again with the name as its issuer has it",
                chain.facts[below].issuer_title,
                above + 1,
                difference(above, below)
            );
            (below, problem)
        })
    };
    let leaf = chain.leaf;
    let names_itself = chain.facts[leaf].is_self_issued() && !chain.names_in_same_bytes(leaf, leaf);
    let own = names_itself.then(|| {
        let difference = difference(leaf, leaf);
        let problem = format!(
            "names itself as its issuer, but {difference}: {peers} on rustls refuse it, even if they trust it as a root; \
             issue it again"
        );
        (leaf, problem)
    });
    linked.windows(2).filter_map(problem).chain(own).collect()
}
