//! The judges: OpenSSL, plain rustls-ffi, and certreload.

pub mod certreload;
mod handshake;
mod openssl;
pub mod plain;

use std::fs;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::case::{Case, Findings, Opinion, Opinions, Verdict};
use crate::trust::{Stapled, Trust, TrustCases};
use handshake::handshake;

/// What the judges make of the identities.
pub fn identities(cases: &[Case]) -> Findings {
    let answers = openssl::identities(cases);
    let opinions = cases.iter().zip(answers).map(|(case, openssl)| {
        let plain = plain::identity(&fs::read(&case.chain).unwrap(), &fs::read(&case.key).unwrap());
        (case.name.clone(), Opinions([openssl, plain, certreload::identity(case)]))
    });
    opinions.collect()
}

/// What they make of roots and CRLs.
pub fn trust(cases: &TrustCases) -> Findings {
    let answers = openssl::trust(cases);
    let (chain, key) = (fs::read(&cases.chain).unwrap(), fs::read(&cases.key).unwrap());
    let opinions = cases.trust.iter().zip(answers).map(|(case, openssl)| {
        let plain = plain::trust(case, (&chain, &key));
        (case.name.clone(), Opinions([openssl, plain, certreload::trust(case, cases)]))
    });
    opinions.collect()
}

/// What they make of OCSP responses: whether they staple them, and for OpenSSL, whether its client accepts them.
pub fn staples(cases: &TrustCases) -> Findings {
    let opinions = cases.staples.iter().map(|case| {
        let (chain, key) = (fs::read(&cases.chain).unwrap(), fs::read(&cases.key).unwrap());
        let Stapled { name, path, accepts, .. } = case;
        let openssl = if *accepts { Verdict::Served } else { Verdict::Refused };
        let plain = plain::staple(&chain, &key, &fs::read(path).unwrap());
        let ours = certreload::staple(path, cases);
        (name.clone(), Opinions([Opinion::of(openssl, ""), plain, ours]))
    });
    opinions.collect()
}

/// Whether the server accepts the peers that it is to accept, and no other.
fn among_peers(config: &Arc<ServerConfig>, case: &Trust) -> Opinion {
    for peer in &case.accepted {
        if let Err(error) = handshake(config.clone(), Some(&fs::read(peer).unwrap())) {
            return Opinion::of(Verdict::Refused, error.to_string());
        }
    }
    for peer in &case.refused {
        if handshake(config.clone(), Some(&fs::read(peer).unwrap())).is_ok() {
            return Opinion::of(Verdict::Loaded, "accepts a peer that is revoked");
        }
    }
    Opinion::of(Verdict::Served, "")
}
