//! curl: one process with two transfers, of which the second waits to be let in.

use super::running::Running;
use super::{Guest, Version, Visit, Visitor};
use crate::server::Server;

pub(super) fn visit(visitor: &Visitor, server: &Server) -> Guest {
    let (port, name) = (server.address.port(), &visitor.name);
    server.admit_one();
    let mut running = Running::start("curl", |command| {
        let version = if visitor.version == Version::Tls12 { "1.2" } else { "1.3" };
        let url = format!("https://{name}:{port}/");
        command.args(["--disable", &format!("--tlsv{version}"), "--tls-max", version, &url, &url]);
        command.args(["--verbose", "--no-progress-meter", "--no-buffer", "--noproxy", "*"]);
        command.args(["--header", "Connection: close"]);
        command.args(["--resolve", &format!("{name}:{port}:127.0.0.1")]);
        command.arg("--cacert").arg(&visitor.root);
        if let Some((chain, key)) = &visitor.pair {
            command.arg("--cert").arg(chain).arg("--key").arg(key);
        }
    });
    let first = told(&running.listen_for(&["served "]));
    let (mut running, server) = (Some(running), server.clone());
    let again = move || {
        server.admit_all();
        told(&running.take().expect("curl comes back once").hear_out())
    };
    Guest { first, again: Box::new(again) }
}

/// A server that resumes a session shows no certificate.
fn told(said: &str) -> Visit {
    Visit::told(!said.contains("(IN), TLS handshake, Certificate (11)"), said)
}
