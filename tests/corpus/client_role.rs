//! The identities of the corpus in the client role: what certreload serves, it presents as a client, too.

use std::path::Path;

use crate::case::{Case, Findings};
use crate::judges::certreload::Visited;

/// Identities that differ between the roles: their extended key usage names one of them only.
const ONE_ROLE: &[&str] = &[
    "extension: extendedKeyUsage serverAuth",
    "extension: extendedKeyUsage serverAuth, critical",
    "extension: extendedKeyUsage clientAuth",
    "extension: extendedKeyUsage clientAuth, critical",
    "extension: extendedKeyUsage of Netscape",
    "extension: extendedKeyUsage of Netscape, critical",
    "extension: extendedKeyUsage of Microsoft",
    "extension: extendedKeyUsage of Microsoft, critical",
];

/// The identities that the client role takes and the server role does not, or the other way round.
pub fn faults(cases: &[Case], findings: &Findings, directory: &Path) -> Vec<String> {
    let visited = Visited::new(directory);
    let fault = |case: &Case| {
        let server = &findings[&case.name].0[2];
        let client = visited.by_client(case);
        let is_same = (server.verdict, &server.says) == (client.verdict, &client.says);
        let is_expected = is_same != ONE_ROLE.contains(&case.name.as_str());
        let text = || {
            format!(
                "the roles: {}\n    server: {:?} {} {}\n    client: {:?} {} {}",
                case.name,
                server.verdict,
                server.says,
                server.message,
                client.verdict,
                client.says,
                client.message
            )
        };
        (!is_expected).then(text)
    };
    cases.iter().filter_map(fault).collect()
}
