//! Clients that others have written: each visits once, and comes back with the session that it got.

mod curl;
mod gnutls;
mod openssl;
mod python;
mod running;
mod rustls;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;

use crate::server::Server;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    OpenSsl,
    GnuTls,
    Python,
    Curl,
    /// In this process: it costs least.
    Rustls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

pub(crate) const VERSIONS: [Version; 2] = [Version::Tls12, Version::Tls13];

/// How a visit went. Client and server were of one mind about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// With the session of before, as the client whose fingerprint this is, or as "nobody".
    Resumed(String),
    /// With a handshake of its own, as above.
    Full(String),
    /// The server ended it with this alert.
    Refused(Alert),
    /// The client ended it: it was shown a certificate without the name that it asked for.
    Declined,
}

/// The alerts that clients get who are not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alert {
    CertificateRevoked,
    UnknownCa,
    CertificateRequired,
}

/// Who visits, and as whom.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) peer: Peer,
    pub(crate) version: Version,
    /// The name that it asks for.
    pub(crate) name: String,
    /// A file with the root that it trusts.
    pub(crate) root: PathBuf,
    /// The files of its certificate and key.
    pub(crate) pair: Option<(PathBuf, PathBuf)>,
}

/// A visitor that was there once, and has a session.
pub(crate) struct Guest {
    /// How the first visit went.
    pub(crate) first: Visit,
    again: Box<dyn FnMut() -> Visit>,
}

impl Peer {
    /// Whether it looks for its name in the certificate that it is shown.
    pub(crate) fn checks_names(self) -> bool {
        self != Self::Rustls
    }

    /// Whether it takes tickets, else the server has to keep its sessions.
    pub(crate) fn takes_tickets(self, version: Version) -> bool {
        (self, version) != (Self::Curl, Version::Tls12)
    }

    /// Whether it is installed; says so past the test harness if not.
    pub(crate) fn is_here(self) -> bool {
        let program = match self {
            Self::OpenSsl => "openssl",
            Self::GnuTls => "gnutls-cli",
            Self::Python => "python3",
            Self::Curl => "curl",
            Self::Rustls => return true,
        };
        let is_here = Command::new(program).arg("--help").output().is_ok();
        if !is_here {
            let _ = writeln!(io::stderr(), "NOT TESTED: sessions of {program}: not installed");
        }
        is_here
    }
}

impl Visitor {
    /// Connects, takes the session that it is given, and leaves.
    pub(crate) fn visit(&self, server: &Server) -> Guest {
        match self.peer {
            Peer::OpenSsl => openssl::visit(self, server),
            Peer::GnuTls => gnutls::visit(self, server),
            Peer::Python => python::visit(self, server),
            Peer::Curl => curl::visit(self, server),
            Peer::Rustls => rustls::visit(self, server),
        }
    }
}

impl Guest {
    /// Connects with the session of the first visit. Only once, where it is curl.
    pub(crate) fn come_back(&mut self) -> Visit {
        (self.again)()
    }
}

impl Visit {
    /// What the two ends say of it: the client, whether it was resumed; the server, in the answer.
    fn told(client_resumed: bool, said: &str) -> Self {
        let word = said.lines().rev().find_map(|line| line.split_once("served "));
        let Some((_, word)) = word else {
            return Self::not_served(said);
        };
        let (kind, client) = word.split_once(' ').unwrap();
        assert_eq!(kind == "resumed", client_resumed, "the ends disagree: {said}");
        let client = client.trim().to_owned();
        if client_resumed { Self::Resumed(client) } else { Self::Full(client) }
    }

    /// Every client has its own words for it.
    fn not_served(said: &str) -> Self {
        use Alert::*;
        let plain = said.to_lowercase().replace('_', " ");
        let words = [
            (Self::Refused(CertificateRevoked), ["certificate revoked", "alert [44]", "number 44"]),
            (Self::Refused(UnknownCa), ["unknown ca", "alert [48]", "number 48"]),
            (
                Self::Refused(CertificateRequired),
                ["certificate required", "alert [116]", "number 116"],
            ),
            (
                Self::Declined,
                ["name matches", "name in the certificate does not match", "hostname mismatch"],
            ),
        ];
        let found = words.into_iter().find(|(_, words)| words.iter().any(|w| plain.contains(w)));
        found.unwrap_or_else(|| panic!("neither served nor refused: {said}")).0
    }
}
